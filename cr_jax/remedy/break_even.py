"""The number of turns after which a cheaper turn has paid for what it took to make."""

import math
from fractions import Fraction
from typing import Literal

from cr_jax.documents.remedy_report import BreakEven


def turns_to_pay(cost: float, saving: float) -> float:
    """The first whole number N of turns with N * ``saving`` > ``cost``; infinite where a turn saves nothing.

    Both in one unit. Raises ``ValueError`` for a negative or unknown cost.
    """
    if not (math.isfinite(cost) and cost >= 0 and math.isfinite(saving)):
        raise ValueError(f"cost={cost}, saving={saving}: legal: finite numbers, a cost of 0 or more")
    if saving <= 0:
        return math.inf
    return Fraction(cost) // Fraction(saving) + 1  # without the rounding of a quotient of floats


Unit = Literal["flop", "seconds"]


def break_even(
    unit: Unit, device: str | None, with_teacher: bool, cost: float | None, teacher_turn: float | None, turn: float | None
) -> BreakEven:
    """The row of one unit. cost: of making the variant; teacher_turn, turn: of one turn of either; ``None``: not known."""
    if teacher_turn is None or turn is None or cost is None:
        missing = "cost of making it" if cost is None else "cost of a turn"
        saving = None if teacher_turn is None or turn is None else teacher_turn - turn
        return _row(unit, device, with_teacher, cost, saving, None, f"the {missing} is not known in {unit}")
    saving = teacher_turn - turn
    turns = turns_to_pay(cost, saving)
    if math.isinf(turns):
        return _row(unit, device, with_teacher, cost, saving, None, "never: a turn saves nothing")
    return _row(unit, device, with_teacher, cost, saving, int(turns), None)


def _row(
    unit: Unit,
    device: str | None,
    with_teacher: bool,
    cost: float | None,
    saving: float | None,
    turns: int | None,
    reason: str | None,
) -> BreakEven:
    return BreakEven(
        unit=unit, device=device, with_teacher=with_teacher, cost=cost, saving_per_turn=saving, turns=turns, reason=reason
    )
