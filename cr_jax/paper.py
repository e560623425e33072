"""The parameter accounting of arXiv 2011.05302: what its Table II counts, and what it does not.

For every cell an integer dimension is solved for from the printed figure. Where the formula of the
public code solves it without remainder the cell ``fits``; where only another reading comes close
it is ``calibrated``, and the chance that any figure comes as close is stated beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import convert

from cr_jax import paper_counts as counts
from cr_jax.catalog import load
from cr_jax.catalog.dataset import Dataset
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
from cr_jax.errors import BadInput

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
#: AIM's published dictionary, and the words among DMN's answers beside the items.
AIM_WORDS = 20_002
DMN_ANSWER_WORDS = 150


@dataclass(frozen=True)
class Solution:
    """The integer that brings an accounting closest to a printed figure.

    step: what one more unit of the dimension adds. remainder: accounted minus printed.
    """

    value: int
    step: int
    remainder: int

    @property
    def hits(self) -> int:
        """Of ``step`` figures in a row, how many this accounting meets as closely."""
        return min(2 * abs(self.remainder) + 1, self.step)


def solve(printed: int, count: Callable[[int], int]) -> Solution:
    """Solve ``count(x) = printed`` for the nearest integer x >= 0; ``count`` is affine in x."""
    step = count(1) - count(0)
    value = max(0, round((printed - count(0)) / step))
    return Solution(value, step, count(value) - printed)


@dataclass(frozen=True)
class _Account:
    """How the paper's figure of one cell comes about. public: the formula is the public code's.

    trainable: the trainable part at the solved dimension, ``None`` where the reading is not public.
    """

    formula: str
    counted: str
    symbol: str
    meaning: str
    public: bool
    count: Callable[[int], int]
    trainable: Callable[[int], int] | None
    fixed: Mapping[str, int]


def _account(model: str, data: Dataset) -> _Account:
    words_of_mmn = solve(_printed(data, "mmn"), counts.mmn).value

    def pmmn(users: int) -> int:
        return counts.pmmn(words_of_mmn, users)

    def srnn_ae(words: int) -> int:
        return counts.srnn_ae_table(words, items=0)

    accounts = {
        "dmn": _Account(
            formula="96 V + 83,047 = 3 (32 V + 27,681) + 4",
            counted="every TensorFlow variable: weights, Adam's two moments, four scalars",
            symbol="V",
            meaning="answer classes",
            public=True,
            count=counts.dmn_global_variables,
            trainable=counts.dmn,
            fixed={"E": 50, "H": 32},
        ),
        "mmn": _Account(
            formula="100 W + 37,443",
            counted="trainable weights",
            symbol="W",
            meaning="words",
            public=True,
            count=counts.mmn,
            trainable=counts.mmn,
            fixed={"E": 100, "H": 32},
        ),
        "pmmn": _Account(
            formula="100 (W + U) + 47,043",
            counted="trainable weights",
            symbol="U",
            meaning="users, with W from MMN's cell",
            public=True,
            count=pmmn,
            trainable=pmmn,
            fixed={"E": 100, "H": 32, "W": words_of_mmn},
        ),
        "aim": _Account(
            formula="301 W + 2,312,500",
            counted="one generator alone, of the three networks",
            symbol="W",
            meaning="words",
            public=False,
            count=counts.aim_generator,
            trainable=None,
            fixed={"E": 300},
        ),
        "srnn_ae": _Account(
            formula="300 W + 4,875,766",
            counted="a trainable 300-d word table, one layer per encoder, no items",
            symbol="W",
            meaning="words",
            public=False,
            count=srnn_ae,
            trainable=None,
            fixed={"E": 300, "H": 512, "n": 0},
        ),
    }
    return accounts[model]


def honest(model: str, data: Dataset) -> tuple[int, str, dict[str, int]]:
    """Trainable parameters of the public architecture at the data set's real sizes.

    Returns the count, its formula and the sizes it takes.
    """
    if model == "dmn":
        classes = data.items + DMN_ANSWER_WORDS
        return counts.dmn(classes), "32 V + 27,681", {"V": classes}
    if model == "mmn":
        return counts.mmn(data.words), "100 W + 37,443", {"W": data.words}
    if model == "pmmn":
        sizes = {"W": data.words, "U": data.users}
        return counts.pmmn(data.words, data.users), "100 (W + U) + 47,043", sizes
    if model == "aim":
        return counts.aim(AIM_WORDS), "902 W + 8,767,000", {"W": AIM_WORDS}
    return counts.srnn_ae(data.items), "16,545,294 + 2001 n + 1000", {"n": data.items}


def beside_table_ii(model: str, data: Dataset, config: Any, counted: int | None) -> dict[str, Any] | None:
    """A report's parameters by the paper's way of counting, beside what Table II prints.

    counted: by that way, at ``config``. ``None`` for data that the paper has no figure of, and for a model whose
    figure does not follow from the public code. solved: keys of the configuration that were solved from the
    printed figure, so that meeting it says nothing about them. note: both in words.
    """
    printed = data.paper_printed.get(model.replace("-", "_"))
    if counted is None or printed is None:
        return None
    solved = [key for key, size in SOLVED.get(model, {}).items() if getattr(config, key, None) == data.paper.get(size, "")]
    if counted != printed:
        note = f"Table II has {printed:,}, of other sizes"
    elif solved:
        note = f"Table II's figure, which {' and '.join(solved)} {'was' if len(solved) == 1 else 'were'} solved from"
    else:
        note = "Table II's figure"
    return {"counted": counted, "printed": printed, "solved": solved, "note": note}


def cell(model: PaperModel, data: Dataset) -> PaperCell:
    """One cell of Table II with its account. Raises ``BadInput`` for a profile without the figure."""
    printed, account = _printed(data, model), _account(model, data)
    solution = solve(printed, account.count)
    real, formula, sizes = honest(model, data)
    solved = _SOLVED_SIZES.get(model, ())
    return PaperCell(
        dataset=data.name,
        model=model,
        title=MODELS[model],
        printed=printed,
        accounted=printed + solution.remainder,
        difference=solution.remainder,
        status="fits" if account.public and solution.remainder == 0 else "calibrated",
        account=CellAccount(formula=account.formula, counted=account.counted, fixed=dict(account.fixed)),
        solved=SolvedDimension(symbol=account.symbol, meaning=account.meaning, value=solution.value, step=solution.step),
        accidental_fit=AccidentalFit(hits=solution.hits, of=solution.step),
        trainable_at_solved=None if account.trainable is None else account.trainable(solution.value),
        honest=HonestCount(
            parameters=real,
            formula=formula,
            sizes=sizes,
            solved=solved,
            ratio_to_printed=round(real / printed, 4),
            circular=set(sizes) <= set(solved),
        ),
    )


def inconsistencies(datasets: list[Dataset]) -> tuple[Inconsistency, ...]:
    """Why the public AIM and sRNN-AE cannot give the printed figures, each with its numbers.

    A formula ``step x + constant`` meets all figures only if they leave the same remainder by
    ``step``; the remainders are given. A floor is what the formula gives with nothing counted.
    """
    public: tuple[tuple[PaperModel, str, int, int], ...] = (
        ("aim", "AIM, 902 W + constant", counts.aim(1) - counts.aim(0), counts.aim(0)),
        ("aim", "DAIM, 1202 W + constant", counts.daim(1) - counts.daim(0), counts.daim(0)),
        ("srnn_ae", "2001 n + constant", counts.autorec(1) - counts.autorec(0), counts.srnn_ae(0)),
    )
    entries = []
    for model, formula, step, floor in public:
        figures = {data.name: _printed(data, model) for data in datasets}
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
    """One line per model: what its row of Table II is."""
    most, least = datasets[0], datasets[-1]
    users = solve(_printed(most, "pmmn"), _account("pmmn", most).count).value
    texts: dict[PaperModel, str] = {
        "dmn": "About three times too high: Adam's two moments of every weight and four scalars are counted "
        "as parameters to train.",
        "mmn": "Fits the public code, trainable weights only; its words W are solved from the printed figure, the "
        "paper does not print them: the honest count is that figure again and confirms nothing.",
        "pmmn": "Misses its users: a slice left in the public loader keeps 100 train and 100 test pairs, so "
        f"the user table has {users} rows where {most.title} has {most.users:,} users.",
        "aim": "Inconsistent with the public configuration: without a single word it has "
        f"{counts.aim(0):,} parameters, {least.title} is printed with {_printed(least, 'aim'):,}; 902 per "
        "word plus any one constant cannot give all four cells.",
        "srnn_ae": "Inconsistent with the public configuration: its hierarchical encoder alone has "
        f"{counts.hrnn():,} parameters, {least.title} is printed with {_printed(least, 'srnn_ae'):,}; "
        f"AutoRec over the {most.items:,} items of {most.title} alone has {counts.autorec(most.items):,}.",
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


def _printed(data: Dataset, model: str) -> int:
    if model not in data.paper_printed:
        reason = f"paper_printed.{model}: missing; the paper's figure is needed here"
        raise BadInput(f"profile {data.name}", reason)
    return data.paper_printed[model]
