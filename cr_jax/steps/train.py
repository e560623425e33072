"""Training steps: one optimizer step per objective."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from cr_jax.data.examples.distilled import SCORES
from cr_jax.errors import BadConfig
from cr_jax.models.spec import Batch, Objective, Weights
from cr_jax.nn.module import Frozen
from cr_jax.records import TrainingLabels, Workload
from cr_jax.steps.distil import teaching, training_objectives
from cr_jax.steps.step import AbstractModel, Step, abstract_key, state_bytes


def training_step(model: AbstractModel, objective: Objective, work: Workload) -> Step:
    """``(trained, optimizer state, others, frozen, batch, key[, counter][, teachers]) -> (trained, optimizer state, metrics)``;
    the first two are donated.

    objective: one of ``training_objectives(model, work)``. teachers: where they score within the step.
    """
    batch = work.batch or objective.batch
    filters = (objective.trains, Frozen)
    trained, frozen, others = model.split(*filters)
    merge = model.merger(*filters)
    optimizer, teachers = objective.optimizer(model.config), teaching(model, objective, work)

    def step(
        trained: Weights, moments: PyTree, others: Weights, frozen: Weights, batch: Batch, key: jax.Array, *more: PyTree
    ) -> tuple[PyTree, PyTree, Batch]:
        if teachers is not None:
            batch = batch | teachers.scores(more[-1], batch)

        def loss(trained: Weights) -> tuple[jax.Array, Batch]:
            with jax.named_scope("loss"):  # operations outside all modules
                return objective.loss(merge(trained, frozen, others), batch, key)

        (value, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(trained)
        with jax.named_scope("optimizer"):
            extra = {"counter": more[0]} if objective.shared_counter else {}
            updates, moments = optimizer.update(gradients, moments, trained, **extra)
            updated = optax.apply_updates(trained, updates)
        return updated, moments, {"loss": value, **metrics}

    moments = jax.eval_shape(optimizer.init, trained)
    numbers, size = state_bytes(moments)
    inputs = batch_inputs(model, objective, work, batch)
    more = [("counter", "optimizer", jax.ShapeDtypeStruct((), jnp.int32))] if objective.shared_counter else []
    more += [] if teachers is None else [("teachers", "frozen", teachers.arguments)]
    return Step(
        name=f"train/{objective.name}",
        function=step,
        arguments=(trained, moments, others, frozen, inputs, abstract_key(), *(one for _, _, one in more)),
        names=("weights", "optimizer", "other_weights", "frozen", "batch", "key", *(name for name, _, _ in more)),
        roles=("weights", "optimizer", "weights", "frozen", "batch", "key", *(role for _, role, _ in more)),
        donated=(0, 1),
        modules=model.modules if teachers is None else (*model.modules, *teachers.modules),
        labels=TrainingLabels(
            objective=objective.name,
            example=objective.example,
            batch=batch,
            supervised_turns_per_example=objective.supervised_turns(model.config, work),
            trained_parameters=state_bytes(trained)[0],
            optimizer_state_numbers=numbers,
            optimizer_state_bytes=size,
        ),
    )


def batch_inputs(model: AbstractModel, objective: Objective, work: Workload, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of the objective's examples: as the workload says, or padded to the quantiles of its texts.

    Data is float32; an array that the objective takes in ``work.dtype`` has that type.
    """
    inputs = dict(objective.inputs(model.config, work, batch))
    given = work.batches.get(objective.name)
    if given is None:
        return inputs
    scores = {name: one for name, one in inputs.items() if name.startswith(SCORES)}  # no part of a data set
    return scores | {
        one.name: jax.ShapeDtypeStruct(
            one.shape, inputs[one.name].dtype if one.dtype == "float32" and one.name in inputs else one.dtype
        )
        for one in given
    }


def check_trainable(model: AbstractModel) -> None:
    """Refuse to train a model whose weights are all frozen (``BadConfig``)."""
    if not any(parameter.trainable for parameter in model.parameters()):
        raise BadConfig(f"no weight of this {model.spec.name} is trained; legal: phases precompute and infer, or float32 weights")


def training_steps(model: AbstractModel, work: Workload) -> tuple[Step, ...]:
    """A training step per objective of the model."""
    return tuple(training_step(model, o, work) for o in training_objectives(model, work))
