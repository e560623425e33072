"""The document of ``crjax paper``."""

from typing import Annotated, Literal

from msgspec import Meta

from cr_jax.documents.base import Block, Document
from cr_jax.documents.fields import AboveZero, Count, Text

PaperModel = Annotated[Literal["dmn", "mmn", "pmmn", "aim", "srnn_ae"], Meta(description="the model")]


class PaperSource(Block):
    """The paper."""

    title: Annotated[Text, Meta(description="of the paper")]
    authors: Annotated[Text, Meta(description="of the paper")]
    arxiv: Annotated[Text, Meta(description="its identifier")]


class PrintedDataset(Block):
    """One row of Table I, as printed."""

    name: Annotated[Text, Meta(description="profile")]
    title: Annotated[Text, Meta(description="name to print")]
    users: Annotated[Count, Meta(description="users as printed")]
    items: Annotated[Count, Meta(description="items as printed")]
    aspects: Annotated[Count, Meta(description="aspects as printed")]
    values: Annotated[Count, Meta(description="values as printed")]
    turns: Annotated[Count, Meta(description="turns as printed")]


class CellAccount(Block):
    """The account of the figure of a cell."""

    formula: Annotated[Text, Meta(description="in letters")]
    counted: Annotated[Text, Meta(description="the numbers that count as parameters")]
    fixed: Annotated[dict[str, Count], Meta(description="letter of a dimension and its size")]


class SolvedDimension(Block):
    """The dimension that was solved from the printed figure."""

    symbol: Annotated[Text, Meta(description="letter")]
    meaning: Annotated[Text, Meta(description="of the letter")]
    value: Annotated[Count, Meta(description="solved integer")]
    step: Annotated[Count, Meta(description="parameters per unit")]


class AccidentalFit(Block):
    """The chance that the account meets a figure by accident."""

    hits: Annotated[Count, Meta(description="of that many figures in a row, how many the account meets as closely")]
    of: Annotated[Count, Meta(description="figures in a row: the step")]


class HonestCount(Block):
    """Trainable parameters of the public architecture at the data set's real sizes."""

    parameters: Annotated[Count, Meta(description="trainable parameters of the public architecture at the data set's real sizes")]
    formula: Annotated[Text, Meta(description="in letters")]
    sizes: Annotated[dict[str, Count], Meta(description="letter of a dimension and its size")]
    solved: Annotated[
        tuple[str, ...],
        Meta(description="letters of sizes that were solved from the paper's figures, for want of another source"),
    ] = ()
    ratio_to_printed: AboveZero
    circular: Annotated[bool, Meta(description="every size was solved from the printed figure: the ratio confirms nothing")] = (
        False
    )


class PaperCell(Block):
    """One cell of Table II."""

    dataset: Annotated[Text, Meta(description="profile")]
    model: PaperModel
    title: Annotated[Text, Meta(description="name to print")]
    printed: Annotated[Count, Meta(description="parameters as the paper prints them")]
    accounted: Annotated[Count, Meta(description="the figure of the account at the solved dimension")]
    difference: Annotated[int, Meta(description="accounted minus printed")]
    status: Annotated[
        Literal["fits", "calibrated"],
        Meta(description="fits: the public formula, solved without remainder; calibrated: another reading, or a remainder"),
    ]
    account: CellAccount
    solved: SolvedDimension
    accidental_fit: AccidentalFit
    trainable_at_solved: Annotated[
        int | None,
        Meta(
            description="trainable parameters of the public model at the solved dimension; null where the reading is not the "
            "public model"
        ),
    ]
    honest: HonestCount


class ModelNote(Block):
    """A note on a model's row of Table II."""

    model: PaperModel
    text: Annotated[Text, Meta(description="one line")]


class LeastPrinted(Block):
    """The least figure of a row of Table II."""

    dataset: Annotated[Text, Meta(description="profile")]
    parameters: Annotated[Count, Meta(description="as printed")]


class Inconsistency(Block):
    """The reason why a public model cannot give the printed figures."""

    model: PaperModel
    formula: Annotated[Text, Meta(description="tried")]
    step: Annotated[Count, Meta(description="parameters per unit")]
    remainders: Annotated[dict[str, Count], Meta(description="letter of a dimension and its size")]
    one_constant_possible: Annotated[bool, Meta(description="all remainders agree")]
    floor: Annotated[Count, Meta(description="parameters with no unit of the dimension")]
    least_printed: LeastPrinted
    floor_exceeds_least_printed: Annotated[bool, Meta(description="then no count of units can solve that cell")]


class PaperTable(Document):
    """crjax: the paper's tables and what explains them."""

    schema: Literal["urn:cr-jax:schema:paper-table:1.0"] = "urn:cr-jax:schema:paper-table:1.0"
    kind: Literal["paper-table"] = "paper-table"
    source: PaperSource
    datasets: Annotated[tuple[PrintedDataset, ...], Meta(min_length=1, description="Table I, in the paper's order")]
    cells: Annotated[tuple[PaperCell, ...], Meta(min_length=1, description="Table II, a row of models per data set")]
    notes: tuple[ModelNote, ...]
    inconsistencies: tuple[Inconsistency, ...]
