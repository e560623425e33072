"""FLOPs of a training run after its end."""

import dataclasses

from cr_jax.data.examples.batch_shapes import taken
from cr_jax.steps.distil import training_objectives
from cr_jax.steps.step import Step
from cr_jax.steps.train import training_step
from cr_jax.train.position import Position
from cr_jax.train.run import Ready
from cr_jax.train.traced_flops import traced_flops


def training_flops(made: Ready, position: Position) -> int | None:
    """Of the traced optimizer steps that were taken, each with its padded shape; ``None`` where one is not exact."""
    model, runs = made.state.model, list[tuple[Step, int]]()
    for plan in made.plans:
        for shape in taken(plan.batches, position.taken.get(plan.name, 0)):
            work = dataclasses.replace(made.work, batches=dict.fromkeys(plan.stage.objectives, shape.batch))
            runs += [
                (training_step(model, o, work), shape.steps)
                for o in training_objectives(model, work)
                if o.name in plan.stage.objectives
            ]
    return traced_flops(runs, made.work.precision)
