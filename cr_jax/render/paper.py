"""The paper's tables beside ours, on the terminal and as a chart; input is the document alone."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.documents.paper_table import PaperCell, PaperTable
from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.render.svg import Panel, bar_panels
from cr_jax.units import count


def render_paper(document: PaperTable) -> RenderableType:
    """Table I, the account of every cell of Table II, the honest counts, and a line per model."""
    document = shown(document)
    return Group(
        _header(document),
        Text(),
        _table_i(document),
        Text(),
        _accounts(document),
        Text(),
        _honest(document),
        Text(),
        _notes(document),
    )


def chart(document: PaperTable) -> str:
    """An SVG: parameters as printed beside the honest count, per model, a panel per data set."""
    panels = []
    for data in document.datasets:
        cells = _of(document, data.name)
        values = tuple((cell.printed, cell.honest.parameters) for cell in cells)
        panels.append(Panel(data.title, tuple(cell.title for cell in cells), values))
    return bar_panels(
        "Parameters to train: as the paper prints them, and counted",
        "parameters (log)",
        ("Table II of the paper", "public architecture, the data set's real sizes"),
        panels,
        "AIM's published dictionary has 20,002 words; MMN's and PMMN's is solved from the paper's figure.",
    )


def _header(document: PaperTable) -> Text:
    source = document.source
    text = Text(f"{source.title}\n", style="bold")
    text.append(f"{source.authors} · arXiv {source.arxiv}", style="dim")
    return text


def _table_i(document: PaperTable) -> Table:
    table = grid("Table I: data sets, as printed", "", "users", "items", "aspects", "values", "turns")
    for data in document.datasets:
        sizes = (data.users, data.items, data.aspects, data.values, data.turns)
        table.add_row(data.title, *map(count, sizes))
    return table


def _accounts(document: PaperTable) -> Table:
    table = grid(
        "Table II: parameters to train, and the account that explains them",
        "",
        "model",
        "paper",
        "accounted",
        "difference",
        "status",
        "solved",
        "by accident",
        "counts",
        note="fits: the public code's formula with one integer solved, remainder 0. "
        "calibrated: another reading.\nby accident: figures in a row that the account meets as closely.",
    )
    for column in (1, 5, 8):
        table.columns[column].justify = "left"
    for data in document.datasets:
        for number, cell in enumerate(_of(document, data.name)):
            solved, chance = cell.solved, cell.accidental_fit
            table.add_row(
                "" if number else data.title,
                cell.title,
                count(cell.printed),
                count(cell.accounted),
                f"{cell.difference:+,}" if cell.difference else "0",
                Text(cell.status, style="green" if cell.status == "fits" else "yellow"),
                f"{solved.symbol} = {count(solved.value)}",
                f"{chance.hits} in {chance.of}",
                cell.account.formula,
            )
        table.add_section()
    return table


def _honest(document: PaperTable) -> Table:
    table = grid(
        "The honest count: trainable parameters of the public architecture at real sizes",
        "",
        "model",
        "paper",
        "trainable at solved size",
        "trainable at real sizes",
        "of paper's",
        "sizes",
        note="circular: the only size was solved from the printed figure, so that the ratio confirms nothing.",
    )
    for column in (1, 6):
        table.columns[column].justify = "left"
    for data in document.datasets:
        for number, cell in enumerate(_of(document, data.name)):
            honest = cell.honest
            solved = cell.trainable_at_solved
            table.add_row(
                "" if number else data.title,
                cell.title,
                count(cell.printed),
                "not the public model" if solved is None else count(solved),
                count(honest.parameters),
                f"{honest.ratio_to_printed:.2f}x" + (", circular" if honest.circular else ""),
                ", ".join(
                    f"{letter} = {count(size)}" + (" (solved)" if letter in honest.solved else "")
                    for letter, size in honest.sizes.items()
                ),
            )
        table.add_section()
    return table


def _notes(document: PaperTable) -> Text:
    titles = {cell.model: cell.title for cell in document.cells}
    text = Text()
    for note in document.notes:
        text.append(f"{titles[note.model]}: ", style="bold")
        text.append(f"{note.text}\n")
    return text


def _of(document: PaperTable, dataset: str) -> list[PaperCell]:
    return [cell for cell in document.cells if cell.dataset == dataset]
