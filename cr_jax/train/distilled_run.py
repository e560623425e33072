"""What a student's run records beside its training: its identity, its notes, and what its teachers cost."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, cast

import jax

from cr_jax.data.examples.batch_shapes import taken
from cr_jax.data.examples.distilled import READS
from cr_jax.documents.training_report import DistillationBlock, DistilledFrom, TeacherInference
from cr_jax.printable import redact
from cr_jax.records import plain
from cr_jax.steps.distil import distinct, teacher_step, training_objectives
from cr_jax.steps.step import Step
from cr_jax.steps.train import training_step
from cr_jax.train.distil_request import DistillationRequest
from cr_jax.train.loop import Position
from cr_jax.train.run import Ready
from cr_jax.train.teacher_scores import Teacher, TeacherScores
from cr_jax.train.traced_flops import traced_flops


@dataclass(frozen=True)
class DistilledRun:
    """A student's run beside its training. scores: by stage and teacher; empty where teachers score within the step."""

    request: DistillationRequest
    teachers: tuple[Teacher, ...]
    scores: tuple[tuple[TeacherScores, ...], ...]
    initial: str
    parameters: int

    @property
    def identity(self) -> dict[str, object]:
        """What the run shares with the checkpoint it continues from."""
        same = {name: getattr(self.request, name) for name in ("temperature", "weight", "on_the_fly", "augment")}
        return {**same, "initial": self.initial, "teachers": [teacher.run.sha256() for teacher in self.teachers]}

    @property
    def larger(self) -> tuple[str, ...]:
        """A line where the student is not smaller than a teacher."""
        least = min(teacher.parameters for teacher in self.teachers)
        if self.parameters <= least:
            return ()
        return (f"the student is larger than its teacher: {self.parameters:,} trainable parameters, the teacher {least:,}",)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the report."""
        asked, number = self.request, len(self.teachers)
        whom = "one teacher" if number == 1 else f"{number} teachers, their softened probabilities averaged"
        lines = [f"distilled from {whom}: temperature {asked.temperature:g}, weight {asked.weight:g}", *self.larger]
        if asked.augment:
            lines.append(f"{asked.augment} recombined conversations per training conversation, labelled by the teachers alone")
        return tuple(lines)

    def reported(self, made: Ready, position: Position) -> dict[str, Any]:
        """Fields of ``train.report.Run``."""
        asked = self.request
        return {
            "flop": self._training_flops(made, position),
            "teachers": self._inference(made, position),
            "distillation": DistillationBlock(
                temperature=asked.temperature,
                weight=asked.weight,
                on_the_fly=asked.on_the_fly,
                initial=cast(Literal["seed", "teacher"], self.initial),
                augment=asked.augment,
                parameters=self.parameters,
                teachers=tuple(_described(teacher) for teacher in self.teachers),
            ),
        }

    def _training_flops(self, made: Ready, position: Position) -> int | None:
        """Of the steps that were taken, as if the scores were in the batch."""
        how = made.work.distillation
        assert how is not None, "a student's workload has its distillation"
        model, runs = made.state.model, list[tuple[Step, int]]()
        for plan in made.plans:
            for shape in taken(plan.batches, position.taken.get(plan.name, 0)):
                arrays = tuple(one for one in shape.batch if not one.name.startswith("teacher"))
                given = dict.fromkeys(plan.stage.objectives, arrays)
                work = dataclasses.replace(made.work, batches=given, distillation=dataclasses.replace(how, on_the_fly=False))
                runs += [
                    (training_step(model, o, work), shape.steps) for o in training_objectives(model, work) if o.name in given
                ]
        return traced_flops(runs, made.work.precision)

    def _inference(self, made: Ready, position: Position) -> TeacherInference:
        if self.request.on_the_fly:
            return TeacherInference(
                turns=position.examples, flop=self._flops_within(made, position), seconds=None, reused=False, kept_bytes=0
            )
        every = [one for stage in self.scores for one in stage]
        flops = [one.flop for one in every]
        return TeacherInference(
            turns=sum(stage[0].rows for stage in self.scores),
            flop=None if None in flops else sum(one for one in flops if one is not None),
            seconds=sum(one.seconds for one in every),
            reused=all(one.reused for one in every),
            kept_bytes=sum(one.kept_bytes for one in every),
        )

    def _flops_within(self, made: Ready, position: Position) -> int | None:
        """Of the teachers within the steps that were taken, and of their item sides once."""
        configs = distinct([plain(teacher.run.config) for teacher in self.teachers])
        runs = [run for teacher in self.teachers for run in teacher.item_step(made.work)]
        for plan in made.plans:
            for shape in taken(plan.batches, position.taken.get(plan.name, 0)):
                for teacher in self.teachers:
                    place = READS.format(configs.index(plain(teacher.run.config)))
                    read = {
                        one.name.removeprefix(place): jax.ShapeDtypeStruct(one.shape, one.dtype)
                        for one in shape.batch
                        if one.name.startswith(place)
                    }
                    runs += [(teacher_step(teacher.model, name, made.work, read), shape.steps) for name in plan.stage.objectives]
        return traced_flops(runs, made.work.precision)


def _described(teacher: Teacher) -> DistilledFrom:
    run = teacher.run
    return DistilledFrom(
        folder=redact(run.where),
        sha256=run.sha256(),
        seed=run.identity["seed"],
        steps=run.steps,
        parameters=teacher.parameters,
        config=run.identity["config"],
    )
