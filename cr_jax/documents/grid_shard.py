"""A part of a grid of cells, as ``--shard I/N`` writes it and ``crjax merge`` reads it."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import Count, JsonObject, Positive, Sha256, Tool, Versions


class ShardNumber(Block):
    """Shard ``number`` of ``of``; it has cells number - 1, number - 1 + of, number - 1 + 2 of, ... of the grid."""

    number: Positive
    of: Positive


class Grid(Block):
    """A whole grid: what each of its cells is, and all that a cell's result depends on."""

    kind: Literal["comparison", "bench-sweep", "accuracy"]
    settings: Annotated[JsonObject, Meta(description="The request beside the cells: workload, prices, samples, data set.")]
    cells: Annotated[tuple[str, ...], Meta(description="Every cell of the grid by name, in the order of one run.")]


class ShardCell(Block):
    """A cell that this shard has run."""

    cell: Annotated[Count, Meta(description="Its place in the grid.")]
    name: str
    result: Annotated[JsonObject | None, Meta(description="Its report, a document of its own kind; null: it has none.")]
    error: Annotated[str | None, Meta(description="Why there is no report.")]


class GridShard(Document):
    """Grid shard.

    The cells of one shard of a grid with their reports. ``crjax merge`` joins the shards of a grid into the document of one run.
    """

    schema: Literal["urn:cr-jax:schema:grid-shard:1.0"] = "urn:cr-jax:schema:grid-shard:1.0"
    kind: Literal["grid-shard"] = "grid-shard"
    schema_version: Literal["1.0"] = "1.0"
    created: Annotated[str, Meta(description="UTC, ISO 8601")]
    tool: Tool
    versions: Annotated[Versions, Meta(description="Packages that the results depend on.")]
    command: tuple[str, ...] | None
    fingerprint: Annotated[Sha256, Meta(description="Of tool, versions and grid: equal in all shards that belong together.")]
    grid: Grid
    shard: ShardNumber
    cells: tuple[ShardCell, ...]
