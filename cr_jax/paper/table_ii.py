"""The parameter accounting of arXiv 2011.05302: what its Table II counts, and what it does not.

For every cell an integer dimension is solved for from the printed figure. Where the formula of the
public code solves it without remainder the cell ``fits``; where only another reading comes close
it is ``calibrated``, and the chance that any figure comes as close is stated beside it.
"""

from typing import Any

from msgspec import convert

from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
from cr_jax.documents.cost_report import PaperParameters
from cr_jax.documents.paper_table import (
    AccidentalFit,
    CellAccount,
    HonestCount,
    Inconsistency,
    LeastPrinted,
    ModelNote,
    PaperCell,
    PaperModel,
    PaperSource,
    PaperTable,
    PrintedDataset,
    SolvedDimension,
)
from cr_jax.models.aim import paper_count as aim
from cr_jax.models.srnn_ae import paper_count as srnn_ae
from cr_jax.paper.accounts import account, honest, printed, solve

#: The paper's data sets in its order.
DATASETS = ("electronics", "cds-vinyl", "kindle-store", "cell-phones")
MODELS: dict[PaperModel, str] = {"dmn": "DMN", "mmn": "MMN", "pmmn": "PMMN", "aim": "AIM", "srnn_ae": "sRNN-AE"}
SOURCE = PaperSource(
    title="On Estimating the Training Cost of Conversational Recommendation Systems",
    authors="Antaris, Rafailidis, Aliannejadi",
    arxiv="2011.05302",
)
#: By model, sizes of a configuration that a profile of the paper's data has from Table II itself.
SOLVED = {"dmn": {"classes": "dmn_classes"}, "mmn": {"words": "mmn_words"}, "pmmn": {"words": "mmn_words", "users": "pmmn_users"}}
#: By model, the sizes of its honest count that no source but Table II gives: the vocabulary.
_SOLVED_SIZES = {"mmn": ("W",), "pmmn": ("W",)}


def beside_table_ii(model: str, data: Dataset, config: Any, counted: int | None) -> PaperParameters | None:
    """A report's parameters, counted the paper's way, beside the figure that Table II prints.

    counted: parameters of the model at ``config``, counted the paper's way; ``None`` for a model whose figure
    does not follow from the public code. Returns ``None`` for such a model and for data without a figure in
    the paper. ``solved`` in the result: keys of the configuration that were solved from the printed figure, so
    that a match says nothing about them. ``note``: the comparison in words.
    """
    figure = data.paper_printed.get(model.replace("-", "_"))
    if counted is None or figure is None:
        return None
    solved = [key for key, size in SOLVED.get(model, {}).items() if getattr(config, key, None) == data.paper.get(size, "")]
    if counted != figure:
        note = f"Table II has {figure:,}, of other sizes"
    elif solved:
        note = f"Table II's figure, which {' and '.join(solved)} {'was' if len(solved) == 1 else 'were'} solved from"
    else:
        note = "Table II's figure"
    return PaperParameters(counted=counted, printed=figure, solved=tuple(solved), note=note)


def cell(model: PaperModel, data: Dataset) -> PaperCell:
    """One cell of Table II with its account. Raises ``BadInput`` for a profile without the figure."""
    figure, reading = printed(data, model), account(model, data)
    solution = solve(figure, reading.count)
    real, formula, sizes = honest(model, data)
    solved = _SOLVED_SIZES.get(model, ())
    return PaperCell(
        dataset=data.name,
        model=model,
        title=MODELS[model],
        printed=figure,
        accounted=figure + solution.remainder,
        difference=solution.remainder,
        status="fits" if reading.public and solution.remainder == 0 else "calibrated",
        account=CellAccount(formula=reading.formula, counted=reading.counted, fixed=dict(reading.fixed)),
        solved=SolvedDimension(symbol=reading.symbol, meaning=reading.meaning, value=solution.value, step=solution.step),
        accidental_fit=AccidentalFit(hits=solution.hits, of=solution.step),
        trainable_at_solved=None if reading.trainable is None else reading.trainable(solution.value),
        honest=HonestCount(
            parameters=real,
            formula=formula,
            sizes=sizes,
            solved=solved,
            ratio_to_printed=round(real / figure, 4),
            circular=set(sizes) <= set(solved),
        ),
    )


def inconsistencies(datasets: list[Dataset]) -> tuple[Inconsistency, ...]:
    """The reasons, in numbers, why the public AIM and sRNN-AE cannot have the printed figures.

    A formula ``step x + constant`` meets all figures only if all leave the same remainder when divided by
    ``step``; the remainders are given. The floor is the value of the formula at x = 0.
    """
    public: tuple[tuple[PaperModel, str, int, int], ...] = (
        ("aim", "AIM, 902 W + constant", aim.aim(1) - aim.aim(0), aim.aim(0)),
        ("aim", "DAIM, 1202 W + constant", aim.daim(1) - aim.daim(0), aim.daim(0)),
        ("srnn_ae", "2001 n + constant", srnn_ae.autorec(1) - srnn_ae.autorec(0), srnn_ae.srnn_ae(0)),
    )
    entries: list[Inconsistency] = []
    for model, formula, step, floor in public:
        figures = {data.name: printed(data, model) for data in datasets}
        remainders = {name: figure % step for name, figure in figures.items()}
        least = min(figures, key=lambda name: figures[name])
        entry = Inconsistency(
            model=model,
            formula=formula,
            step=step,
            remainders=remainders,
            one_constant_possible=len(set(remainders.values())) == 1,
            floor=floor,
            least_printed=LeastPrinted(dataset=least, parameters=figures[least]),
            floor_exceeds_least_printed=floor > figures[least],
        )
        entries.append(entry)
    return tuple(entries)


def notes(datasets: list[Dataset]) -> tuple[ModelNote, ...]:
    """One line per model about its row of Table II."""
    most, least = datasets[0], datasets[-1]
    users = solve(printed(most, "pmmn"), account("pmmn", most).count).value
    texts: dict[PaperModel, str] = {
        "dmn": "About three times too high: Adam's two moments of every weight and four scalars are counted "
        "as parameters to train.",
        "mmn": "Fits the public code, trainable weights only; its words W are solved from the printed figure, the "
        "paper does not print them: the honest count is that figure again and confirms nothing.",
        "pmmn": "Misses its users: a slice left in the public loader keeps 100 train and 100 test pairs, so "
        f"the user table has {users} rows where {most.title} has {most.users:,} users.",
        "aim": "Inconsistent with the public configuration: without a single word it has "
        f"{aim.aim(0):,} parameters, {least.title} is printed with {printed(least, 'aim'):,}; 902 per "
        "word plus any one constant cannot give all four cells.",
        "srnn_ae": "Inconsistent with the public configuration: its hierarchical encoder alone has "
        f"{srnn_ae.hrnn():,} parameters, {least.title} is printed with {printed(least, 'srnn_ae'):,}; "
        f"AutoRec over the {most.items:,} items of {most.title} alone has {srnn_ae.autorec(most.items):,}.",
    }
    return tuple(ModelNote(model=model, text=text) for model, text in texts.items())


def paper_document() -> PaperTable:
    """Tables I and II with the account of every cell.

    Raises ``BadInput`` where a user's own profile replaces one of the paper's and lacks its figures.
    """
    datasets = [load.dataset(name) for name in DATASETS]
    return PaperTable(
        source=SOURCE,
        datasets=convert(datasets, tuple[PrintedDataset, ...], from_attributes=True),
        cells=tuple(cell(model, data) for data in datasets for model in MODELS),
        notes=notes(datasets),
        inconsistencies=inconsistencies(datasets),
    )
