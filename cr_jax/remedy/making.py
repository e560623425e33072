"""What a variant took to make, and the turns after which that has paid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cr_jax.documents.remedy_report import BreakEven, MakingCosts
from cr_jax.remedy.break_even import break_even
from cr_jax.remedy.cells import Cell
from cr_jax.remedy.turn_costs import TurnCost


@dataclass(frozen=True)
class Made:
    """The cells of one variant. chosen: by seed; tried: of the first seed, those that tuning did not choose; teachers: by seed,
    those of its ensemble, empty for a variant that has no teacher.
    """

    chosen: Sequence[Cell]
    tried: Sequence[Cell] = ()
    teachers: Sequence[Sequence[Cell]] = ()


def making_costs(made: Made) -> MakingCosts:
    """Costs on average over seeds; tuning is paid once."""
    inference = [(one.teacher_flop, one.teacher_seconds) for one in made.chosen] if made.teachers else []
    teachers = [(_sum(c.flop for c in of_seed), _sum(c.seconds for c in of_seed)) for of_seed in made.teachers]
    return MakingCosts(
        training_flop=_mean([one.flop for one in made.chosen]),
        training_s=_mean([one.seconds for one in made.chosen]) or 0.0,
        teacher_inference_flop=_mean([flop for flop, _ in inference]),
        teacher_inference_s=_mean([seconds for _, seconds in inference]),
        tuning_runs=1 + len(made.tried) if made.tried else 0,
        tuning_flop=_sum(_sum((one.flop, one.teacher_flop or 0)) for one in made.tried),
        tuning_s=float(sum(one.seconds for one in made.tried)),
        teacher_training_flop=_mean([flop for flop, _ in teachers]),
        teacher_training_s=_mean([seconds for _, seconds in teachers]),
        tag="measured",
    )


def break_even_rows(
    made: MakingCosts, mine: TurnCost, teacher: TurnCost, seconds: tuple[float, float] | None
) -> tuple[BreakEven, ...]:
    """Turns in FLOPs and in seconds of this machine, with the teacher's own training and without it.

    Tuning and teacher inference are among the costs. seconds: of a turn of the variant and of the teacher.
    """
    taught = made.teacher_training_s is not None
    flop = _sum((made.training_flop, made.tuning_flop, made.teacher_inference_flop if taught else 0))
    # Of teachers within the step, the seconds are within the training's.
    clock = made.training_s + made.tuning_s + (made.teacher_inference_s or 0)
    ours, theirs = seconds or (None, None)
    rows = []
    for with_teacher in (False, True) if taught else (False,):
        more = (made.teacher_training_flop, made.teacher_training_s) if with_teacher else (0, 0)
        rows.append(break_even("flop", None, with_teacher, _sum((flop, more[0])), teacher.counted.flops, mine.counted.flops))
        rows.append(break_even("seconds", "cpu", with_teacher, _sum((clock, more[1])), theirs, ours))
    return tuple(rows)


def _sum(values: Iterable[float | None]) -> float | None:
    given = list(values)
    known = [value for value in given if value is not None]
    return float(sum(known)) if len(known) == len(given) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if values and len(known) == len(values) else None
