"""Validation of a training objective by a forward pass of its own, a batch at a time."""

from collections.abc import Callable, Mapping

import jax

from cr_jax.models.spec import Batch, Weights
from cr_jax.nn.module import Frozen
from cr_jax.records import ValidationLabels, Workload
from cr_jax.steps.step import AbstractModel, Step
from cr_jax.steps.train import batch_inputs


def check_steps(model: AbstractModel, work: Workload) -> tuple[Step, ...]:
    """``(weights, frozen, batch) -> outputs`` for each objective in ``Training.checks``, of ``work.batch``
    examples; none for a model that is validated by ranking.
    """
    training = model.spec.training
    forwards = {} if training is None else training.checks
    merge = model.merger(Frozen)
    frozen, weights = model.split(Frozen)
    steps = []
    for objective in model.spec.objectives(model.config):
        if objective.name not in forwards:
            continue

        def check(
            weights: Weights,
            frozen: Weights,
            batch: Batch,
            *,
            forward: Callable[..., Mapping[str, jax.Array]] = forwards[objective.name],
        ) -> Mapping[str, jax.Array]:
            return forward(merge(frozen, weights), batch)

        batch = work.batch or objective.batch
        names = ("weights", "frozen", "batch")
        steps.append(
            Step(
                f"check/{objective.name}",
                ValidationLabels(objective.name, batch),
                check,
                (weights, frozen, batch_inputs(model, objective, work, batch)),
                names,
                names,
                (),
                model.modules,
            )
        )
    return tuple(steps)
