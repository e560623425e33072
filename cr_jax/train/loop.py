"""The training loop: stages, epochs, validation, early stopping, checkpoints.

Every number depends on seed and step alone, never on when a checkpoint was written or the run was
interrupted: a run that is killed and resumed gives the losses of one that was not.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from cr_jax.data.examples.batches import Batches, prefetched
from cr_jax.data.examples.pool import Arrays, Examples
from cr_jax.errors import BadInput, CrJaxError, NotWritten
from cr_jax.files import exists, read_text
from cr_jax.json_text import NotJson, parse_line
from cr_jax.models.spec import Spec, Stage
from cr_jax.resources import write_atomically
from cr_jax.train import compiling, hosts
from cr_jax.train.checkpoint import Checkpoints
from cr_jax.train.evaluate import Tester, criterion, finite
from cr_jax.train.position import EpochEntry, Position, read_position
from cr_jax.train.state import TrainState

#: Losses are fetched from the device after at most so many steps.
FETCH = 25


class NotFinite(CrJaxError):
    """A loss or a weight is NaN or infinite, and the run has stopped."""


@dataclass(frozen=True)
class Plan:
    """A stage with its length in steps and its batches."""

    stage: Stage
    batches: Batches
    steps: int
    patience: int | None

    @property
    def name(self) -> str:
        """Objectives of the stage, joined with ``+``."""
        return "+".join(self.stage.objectives)


@dataclass(frozen=True)
class Tick:
    """The state of a progress bar: after ``step`` of ``steps`` of the stage."""

    stage: str
    step: int
    steps: int
    losses: dict[str, float]
    turns_per_second: float
    examples_per_second: float


class Loop:
    """A run over the stages ``plans``."""

    def __init__(
        self,
        spec: Spec,
        state: TrainState,
        examples: Examples,
        plans: tuple[Plan, ...],
        checkpoints: Checkpoints,
        log: Path,
        *,
        checkpoint_steps: int,
        tick: Callable[[Tick], None] | None = None,
    ) -> None:
        """log: the JSON-lines file of losses. checkpoint_steps: steps between checkpoints, besides one per epoch."""
        self.state, self.plans, self.checkpoints, self.log = state, plans, checkpoints, log
        self.checkpoint_steps, self.tick = checkpoint_steps, tick
        self.examples, self.tester = examples, Tester(spec, state.merge, examples)
        self.at = Position()
        self._best = state.arrays()["weights"]
        self._began = False

    def resume(self) -> int:
        """Continue from the newest checkpoint; the log loses the lines after it. Returns its step."""
        like = {**self.state.arrays(), "best": self._best}
        arrays, progress = self.checkpoints.restore(like)
        self._best = arrays.pop("best")
        self.state.set_arrays(arrays)
        self.at = read_position(progress, str(self.checkpoints.folder))
        if self.at.stage > len(self.plans) or any(name not in {plan.name for plan in self.plans} for name in self.at.taken):
            raise BadInput(str(self.checkpoints.folder), f"damaged: stage {self.at.stage} of {len(self.plans)}")
        hosts.first(self._cut)
        return self.at.total

    def _cut(self) -> None:
        lines = read_text(self.log).splitlines() if exists(self.log) else []
        earlier_lines = [line for line in lines if _step(line) < self.at.total]
        write_atomically(self.log, "".join(f"{line}\n" for line in earlier_lines))

    def run(self) -> Position:
        """Train to the end. Raises ``NotFinite`` and leaves the last good checkpoint."""
        if not self.at.total:
            hosts.first(lambda: write_atomically(self.log, ""))
            self._save()
        while self.at.stage < len(self.plans):
            plan = self.plans[self.at.stage]
            self._stage(plan)
            self.state.set_weights(self._best)  # continue from the stage's best epoch
            self.at.stage, self.at.step, self.at.sums = self.at.stage + 1, 0, {}
            self._save()
        return self.at

    def _stage(self, plan: Plan) -> None:
        per_epoch, source = plan.batches.per_epoch, prefetched(plan.batches, self.at.step, plan.steps)
        while self.at.step < plan.steps and plan.name not in self.at.stopped:
            boundary = min(plan.steps, (self.at.step // per_epoch + 1) * per_epoch)
            pause = min(boundary, (self.at.step // self.checkpoint_steps + 1) * self.checkpoint_steps)
            while self.at.step < pause:
                self.steps(plan, source, min(pause, self.at.step + FETCH))
            if self.at.step == boundary:
                self._epoch(plan)
            self._save()

    def steps(self, plan: Plan, source: Iterator[Arrays], until: int) -> None:
        """Take the stage's steps up to ``until`` with batches from ``source``, and fetch their losses."""
        at, waited, pending, compiled = self.at, 0.0, [], compiling.clock()
        compiled_before = compiled()
        begin, turns, first = time.perf_counter(), 0.0, at.step
        for step in range(first, until):
            before = time.perf_counter()
            batch = next(source)
            waited += time.perf_counter() - before
            batch = self.state.layout.inputs(batch)
            number, losses = at.total + step - first, {}
            for i, name in enumerate(plan.stage.objectives):
                share = len(plan.stage.objectives)
                losses[name] = self.state.step(name, batch, number * share + i, step * share + i)["loss"]
            pending.append(losses)
            turns += plan.batches.turns(step)
        fetched = [{name: float(value) for name, value in losses.items()} for losses in jax.device_get(pending)]
        spent = time.perf_counter() - begin
        self._record(plan, fetched)
        number, count = until - first, (until - first) * plan.batches.batch
        at.seconds, at.waited = at.seconds + spent, at.waited + waited
        at.turns, at.examples = at.turns + turns, at.examples + count
        if not self._began:  # compiling is in the first steps
            self._began, at.first_seconds, at.first_waited = True, at.first_seconds + spent, at.first_waited + waited
        at.compiling += min(spent, max(0.0, compiled() - compiled_before))
        at.step, at.total = until, at.total + number
        at.taken[plan.name] = until
        if self.tick is not None:
            self.tick(Tick(plan.name, until, plan.steps, fetched[-1], turns / spent, count / spent))

    def _record(self, plan: Plan, fetched: list[dict[str, float]]) -> None:
        at = self.at
        lines = []
        for i, losses in enumerate(fetched):
            step = at.total + i
            wrong = [name for name, value in losses.items() if not math.isfinite(value)]
            row = {"step": step, "stage": plan.name, "epoch": (at.step + i) // plan.batches.per_epoch}
            values = {name: value if math.isfinite(value) else str(value) for name, value in losses.items()}
            lines.append(json.dumps(row | {"loss": values}))
            if wrong:
                self._write(lines)
                raise NotFinite(
                    f"step {step}: the loss of {wrong[0]} is {losses[wrong[0]]}; stopped, "
                    f"the checkpoint of step {self._kept()} is kept"
                )
            for name, value in losses.items():
                at.sums[name] = at.sums.get(name, 0.0) + value
        self._write(lines)

    def _write(self, lines: list[str]) -> None:
        hosts.first(lambda: self._append(lines))

    def _append(self, lines: list[str]) -> None:
        try:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise NotWritten(f"{self.log}: not written: {error.strerror}") from None

    def _epoch(self, plan: Plan) -> None:
        at, epoch = self.at, (self.at.step - 1) // plan.batches.per_epoch
        taken = at.step - epoch * plan.batches.per_epoch
        begin = time.perf_counter()
        mine = self.tester.figures(self.state.tested, "validation", plan.stage.objectives)
        figures = hosts.first(lambda: mine)  # all decide by the same figures
        row: EpochEntry = {
            "stage": plan.name,
            "epoch": epoch + 1,
            "step": at.total,
            "loss": {name: value / taken for name, value in at.sums.items()},
            "validation": finite(figures),
            "validation_s": time.perf_counter() - begin,
        }
        at.sums = {}
        judged = criterion(self.examples, figures)
        best = at.best.get(plan.name)
        if judged is not None:
            name, value, higher = judged
            better = math.isfinite(value) and (best is None or (value > best["value"] if higher else value < best["value"]))
            if better:
                at.best[plan.name] = {"criterion": name, "value": value, "epoch": epoch + 1}
                self._best = self.state.arrays()["weights"]
            elif plan.patience is not None and best is not None and epoch + 1 - best["epoch"] >= plan.patience:
                at.stopped.append(plan.name)
        else:
            self._best = self.state.arrays()["weights"]
        at.epochs.append(row)

    def _save(self) -> None:
        arrays = self.state.arrays()
        bad = [name for name, a in arrays["weights"].items() if a.dtype.kind == "f" and not np.isfinite(a).all()]
        if bad:
            raise NotFinite(
                f"step {self.at.total}: the weight {bad[0]} is no longer finite; stopped, the checkpoint of step "
                f"{self._kept()} is kept"
            )
        # A stage's end falls on the step of its last checkpoint.
        number = self.at.total * (len(self.plans) + 1) + self.at.stage
        if self.checkpoints.latest() != number:
            self.checkpoints.save(number, {**arrays, "best": self._best}, vars(self.at))

    def _kept(self) -> int | None:
        """The steps taken before the newest checkpoint."""
        number = self.checkpoints.latest()
        return None if number is None else number // (len(self.plans) + 1)


def _step(line: str) -> float:
    """The step of a line of the log. A line without one, cut when the run was killed, counts as later than every other."""
    try:
        step = parse_line(line)["step"]
    except (NotJson, KeyError, TypeError):
        return math.inf
    return step if type(step) is int else math.inf
