"""Accounts of the figures in the paper's Table II: a count of parameters with one integer unknown.

The unknown is solved for from the printed figure. The counts themselves belong to the models
(``cr_jax.models.*.paper_count``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadInput
from cr_jax.models.aim import paper_count as aim
from cr_jax.models.aim.config import PUBLIC_WORDS
from cr_jax.models.dmn import paper_count as dmn
from cr_jax.models.dmn.config import ANSWER_WORDS
from cr_jax.models.mmn import paper_count as mmn
from cr_jax.models.srnn_ae import paper_count as srnn_ae


@dataclass(frozen=True)
class Solution:
    """The integer that brings an account closest to a printed figure."""

    value: int
    step: int
    """The increase of the count per unit of the unknown."""
    remainder: int
    """Counted minus printed."""

    @property
    def hits(self) -> int:
        """Of ``step`` figures in a row, how many this account meets as closely."""
        return min(2 * abs(self.remainder) + 1, self.step)


def solve(printed: int, count: Callable[[int], int]) -> Solution:
    """Solve ``count(x) = printed`` for the nearest integer x >= 0; ``count`` is affine in x."""
    step = count(1) - count(0)
    value = max(0, round((printed - count(0)) / step))
    return Solution(value, step, count(value) - printed)


@dataclass(frozen=True)
class Account:
    """A reading of one model's figures."""

    formula: str
    counted: str
    """The counted parameters, in words."""
    symbol: str
    """The unknown's letter in the formula."""
    meaning: str
    """The meaning of the unknown, in words."""
    fixed: Mapping[str, int]
    """The sizes that the formula takes as given."""
    count: Callable[[int], int]
    """The figure as a function of the unknown."""
    trainable: Callable[[int], int] | None
    """The trainable parameters as a function of the unknown; ``None`` if the reading is not that of the public code."""

    @property
    def public(self) -> bool:
        """Whether the formula is that of the public code."""
        return self.trainable is not None


_DMN = Account(
    formula="96 V + 83,047 = 3 (32 V + 27,681) + 4",
    counted="every TensorFlow variable: weights, Adam's two moments, four scalars",
    symbol="V",
    meaning="answer classes",
    fixed={"E": 50, "H": 32},
    count=lambda classes: dmn.with_optimizer(dmn.trainable(classes)),
    trainable=dmn.trainable,
)
_MMN = Account(
    formula="100 W + 37,443",
    counted="trainable weights",
    symbol="W",
    meaning="words",
    fixed={"E": 100, "H": 32},
    count=mmn.mmn,
    trainable=mmn.mmn,
)
_AIM = Account(
    formula="301 W + 2,312,500",
    counted="one generator alone, of the three networks",
    symbol="W",
    meaning="words",
    fixed={"E": 300},
    count=aim.generator,
    trainable=None,
)
_SRNN_AE = Account(
    formula="300 W + 4,875,766",
    counted="a trainable 300-d word table, one layer per encoder, no items",
    symbol="W",
    meaning="words",
    fixed={"E": 300, "H": 512, "n": 0},
    count=lambda words: srnn_ae.with_word_table(words, items=0),
    trainable=None,
)


def _pmmn(words: int) -> Account:
    """PMMN's account for a word table of ``words`` rows."""

    def count(users: int) -> int:
        return mmn.pmmn(words, users)

    return Account(
        formula="100 (W + U) + 47,043",
        counted="trainable weights",
        symbol="U",
        meaning="users, with W from MMN's cell",
        fixed={"E": 100, "H": 32, "W": words},
        count=count,
        trainable=count,
    )


def account(model: str, data: Dataset) -> Account:
    """The account of ``model``'s figure for ``data``. Raises ``BadInput`` for a profile without the figure it needs."""
    if model == "pmmn":
        return _pmmn(solve(printed(data, "mmn"), _MMN.count).value)
    return {"dmn": _DMN, "mmn": _MMN, "aim": _AIM, "srnn_ae": _SRNN_AE}[model]


def printed(data: Dataset, model: str) -> int:
    """The figure that Table II prints. Raises ``BadInput`` for a profile without it."""
    if model not in data.paper_printed:
        reason = f"paper_printed.{model}: missing; the paper's figure is needed here"
        raise BadInput(f"profile {data.name}", reason)
    return data.paper_printed[model]


def honest(model: str, data: Dataset) -> tuple[int, str, dict[str, int]]:
    """Trainable parameters of the public architecture at the data set's real sizes.

    Returns the count, its formula and the sizes it takes.
    """
    if model == "dmn":
        classes = data.items + ANSWER_WORDS
        return dmn.trainable(classes), "32 V + 27,681", {"V": classes}
    if model == "mmn":
        return mmn.mmn(data.words), "100 W + 37,443", {"W": data.words}
    if model == "pmmn":
        sizes = {"W": data.words, "U": data.users}
        return mmn.pmmn(data.words, data.users), "100 (W + U) + 47,043", sizes
    if model == "aim":
        return aim.aim(PUBLIC_WORDS), "902 W + 8,767,000", {"W": PUBLIC_WORDS}
    return srnn_ae.srnn_ae(data.items), "16,545,294 + 2001 n + 1000", {"n": data.items}
