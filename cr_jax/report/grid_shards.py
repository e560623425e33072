"""Grids of cells run in shards: which shard has which cells, and the check that files are the shards of one grid."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cr_jax.documents.base import decode, plain
from cr_jax.documents.fields import Tool, Versions
from cr_jax.documents.grid_shard import Grid, GridShard, ShardCell, ShardNumber
from cr_jax.errors import BadConfig, BadInput
from cr_jax.json_text import read_json
from cr_jax.printable import redacted, short

#: The most shards; more than any scheduler's array has tasks.
MOST = 10**6


def shard_number(text: str) -> ShardNumber:
    """``I/N`` as a shard. Raises ``BadConfig``."""
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= MOST:
        raise BadConfig(f"--shard {text!r}: legal: I/N with I from 1 to N, such as 1/4")
    return ShardNumber(number=int(found[1]), of=int(found[2]))


def cells_of(shard: ShardNumber, total: int) -> range:
    """The places in a grid of ``total`` cells that a shard has: every N-th, so that costly neighbours are spread.

    Raises ``BadConfig`` where it has none.
    """
    if shard.number > total:
        cells = f"{total} cell{'s' if total > 1 else ''}"
        raise BadConfig(
            f"--shard {shard.number}/{shard.of}: the grid has {cells}; legal: a shard of 1/{total} to {total}/{total}"
        )
    return range(shard.number - 1, total, shard.of)


def digest(value: object) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def grid_shard(
    grid: Grid, shard: ShardNumber, cells: Sequence[ShardCell], version: str, versions: Versions, command: Sequence[str] | None
) -> GridShard:
    """The document of one shard. version: crjax's own. versions: the packages that a cell's result depends on."""
    given = redacted(command)
    return GridShard(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=Tool(name="cr-jax", version=version),
        versions=versions,
        command=None if given is None else tuple(given),
        fingerprint=_fingerprint(version, versions, grid),
        grid=grid,
        shard=shard,
        cells=tuple(cells),
    )


def read_shard(path: str | Path) -> GridShard:
    """The shard in a file. Raises ``BadInput`` for anything else, and for one that was edited."""
    document = read_json(path)
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind != "grid-shard":
        raise BadInput(str(path), f"kind: {kind!r} is not a grid-shard; legal: what --shard I/N wrote")
    shard = decode(document, GridShard, str(path))
    if shard.fingerprint != _fingerprint(shard.tool.version, shard.versions, shard.grid):
        raise BadInput(str(path), "fingerprint: not that of its grid: the file was edited; legal: what --shard I/N wrote")
    if shard.shard.number > shard.shard.of:
        raise BadInput(str(path), f"shard: {shard.shard.number} of {shard.shard.of}; legal: what --shard I/N wrote")
    for one in shard.cells:
        if one.cell >= len(shard.grid.cells) or shard.grid.cells[one.cell] != one.name:
            raise BadInput(
                str(path), f"cells: {short(one.name)} is not cell {one.cell} of its grid; legal: what --shard I/N wrote"
            )
    return shard


def joined(shards: Mapping[str, GridShard], version: str) -> tuple[Grid, list[ShardCell]]:
    """The grid and all its cells in order, from its shards by file name.

    version: of the crjax that joins them. Raises ``BadInput`` with the difference for shards of other versions or grids, and for
    a cell that is twice there or missing.
    """
    (first, one), *others = shards.items()
    if one.tool.version != version:
        reason = f"tool.version is {one.tool.version!r}, and this is crjax {version}; legal: shards of the same version"
        raise BadInput(first, reason)
    for name, other in others:
        if other.fingerprint != one.fingerprint:
            raise BadInput(name, f"{_difference(other, one, first)}; legal: shards of one grid, by one version")
    found: dict[int, tuple[str, ShardCell]] = {}
    for name, shard in shards.items():
        for cell in shard.cells:
            if cell.cell in found:
                raise BadInput(name, f"cell {cell.name} is in {found[cell.cell][0]} too; legal: every cell once")
            found[cell.cell] = name, cell
    missing = [place for place in range(len(one.grid.cells)) if place not in found]
    if missing:
        names = ", ".join(one.grid.cells[place] for place in missing)
        wanted = sorted({place % one.shard.of + 1 for place in missing})
        hint = ", ".join(f"--shard {number}/{one.shard.of}" for number in wanted)
        raise BadInput(
            first, f"{len(missing)} of {len(one.grid.cells)} cells in no file: {names}; legal: also the file of {hint}"
        )
    return one.grid, [found[place][1] for place in sorted(found)]


def _fingerprint(version: str, versions: Versions, grid: Grid) -> str:
    return digest({"tool": version, "versions": versions, "grid": plain(grid)})


def _difference(shard: GridShard, other: GridShard, file: str) -> str:
    """The first field in which two shards do not belong together."""
    mine, theirs = (
        dict(_leaves({"tool.version": one.tool.version, "versions": one.versions, "grid": plain(one.grid)}))
        for one in (shard, other)
    )
    key = next(key for key in [*mine, *theirs] if (key in mine, mine.get(key)) != (key in theirs, theirs.get(key)))
    here, there = (short(values[key]) if key in values else "absent" for values in (mine, theirs))
    return f"{key} is {here}, in {file} {there}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything in a JSON value that is no list or object."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None or not value:
        yield path, value
        return
    for key, one in inner:
        yield from _leaves(one, f"{path}.{key}" if path else str(key))
