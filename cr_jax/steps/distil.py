"""Distillation: objectives whose loss compares with teachers too, and the pass in which a teacher scores.

A teacher's scores are arrays of the batch, or are computed within the step from the teachers' weights, which are then its last
argument. The loss reads the same arrays either way.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PyTree

from cr_jax.data.examples.distilled import READS, SCORES
from cr_jax.distillation import Distillation
from cr_jax.errors import BadConfig
from cr_jax.models.spec import Batch, Distillable, Inputs, Objective, Spec, Weights
from cr_jax.nn.module import Frozen, Module
from cr_jax.nn.soft_targets import divergence, mean_logits
from cr_jax.records import Configuration, ValidationLabels, Workload
from cr_jax.steps.step import AbstractModel, Step, abstract_key, abstract_model

#: Before the scope of every module of a teacher, whose costs are thereby its own.
SCOPE = "teacher"


def distillables(spec: Spec) -> Mapping[str, Distillable]:
    """By objective, how it learns from a teacher. Raises ``BadConfig`` with the model's reason where none does."""
    hooks = "states no training examples (Spec.training)" if spec.training is None else spec.training.distillation
    if isinstance(hooks, str):
        raise BadConfig(f"{spec.name} has no distillation: {hooks}")
    return hooks


def training_objectives(model: AbstractModel, work: Workload) -> tuple[Objective, ...]:
    """The model's objectives as they are trained under ``work``: as published, or against teachers where they can be."""
    objectives = model.spec.objectives(model.config)
    if work.distillation is None:
        return objectives
    hooks = distillables(model.spec)
    return tuple(_distilled(model, o, hooks[o.name], work.distillation) if o.name in hooks else o for o in objectives)


def _distilled(model: AbstractModel, objective: Objective, hook: Distillable, how: Distillation) -> Objective:
    """The objective with the loss (1 − weight) · published + weight · teachers'."""

    def loss(module: Module, batch: Batch, key: jax.Array) -> tuple[jax.Array, Batch]:
        published, metrics, outputs = hook.student(module, batch, key)
        soft = soft_loss(outputs, batch, hook, metrics, how.temperature)
        return (1 - how.weight) * published.astype(jnp.float32) + how.weight * soft, {
            **metrics,
            "published": published,
            "soft": soft,
        }

    def inputs(config: Configuration, work: Workload, batch: int) -> Inputs:
        own = dict(hook.inputs(config, work, batch))
        if not how.on_the_fly:
            return {**own, **score_inputs(model, hook, own)}
        for number, teacher in enumerate(distinct(how.teachers)):
            read = hook.read(model.spec.config(**teacher), work, batch)
            own |= {READS.format(number) + name: one for name, one in read.items()}
        return own

    if not hook.every_turn:
        return dataclasses.replace(objective, loss=loss, inputs=inputs)
    # A conversation of T turns has T + 1 states.
    per_epoch = lambda config, dataset: dataset.turns + dataset.conversations  # noqa: E731
    return dataclasses.replace(objective, loss=loss, inputs=inputs, examples_per_epoch=per_epoch)


def soft_loss(outputs: Batch, batch: Batch, hook: Distillable, metrics: Batch, temperature: float) -> jax.Array:
    """The sum over outputs of T² · KL(teacher ‖ student), or of squared errors.

    Squared errors are a mean over all values, times the number of errors that the published loss sums: both have one scale.
    """
    total = jnp.zeros((), jnp.float32)
    for name, ours in outputs.items():
        theirs = batch[SCORES + name]
        if name in hook.values:
            errors = jnp.square(ours.astype(jnp.float32) - theirs.astype(jnp.float32))
            total += jnp.mean(errors) * metrics[hook.values[name]]
        else:
            total += divergence(ours, theirs, temperature)
    return total


def score_inputs(model: AbstractModel, hook: Distillable, batch: Inputs) -> Inputs:
    """The abstract arrays of a batch that are its teachers' scores: float32, of the shapes of the student's."""
    merge, states = model.merger(), model.split()
    run = lambda states, batch, key: hook.student(merge(*states), batch, key)[2]  # noqa: E731
    outputs = jax.eval_shape(run, states, batch, abstract_key())
    return {SCORES + name: jax.ShapeDtypeStruct(one.shape, jnp.float32) for name, one in outputs.items()}


def distinct(teachers: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Different configurations among teachers, in order: what teachers of one configuration read is made once."""
    found: list[Mapping[str, object]] = []
    for one in teachers:
        if one not in found:
            found.append(one)
    return found


@dataclass(frozen=True)
class Teaching:
    """Teachers within a training step. arguments: of each its weights, frozen weights and item side, as shapes.

    scores: (these as arrays, batch) -> the arrays of the batch that are the teachers' scores.
    """

    arguments: tuple[PyTree, ...]
    scores: Callable[[tuple[PyTree, ...], Batch], Batch]
    modules: tuple[str, ...]


def teaching(model: AbstractModel, objective: Objective, work: Workload) -> Teaching | None:
    """The teachers that score within the objective's step; ``None``: none do."""
    how = work.distillation
    if how is None or not how.on_the_fly or objective.name not in (hooks := distillables(model.spec)):
        return None
    hook, configs = hooks[objective.name], distinct(how.teachers)
    teachers = [teacher_model(model.spec, model.spec.config(**one), work.dtype) for one in how.teachers]
    places = [READS.format(configs.index(one)) for one in how.teachers]
    passes = [_forward(teacher, hook) for teacher in teachers]

    def scores(arguments: tuple[PyTree, ...], batch: Batch) -> Batch:
        given: list[Batch] = []
        for run, weights, place in zip(passes, arguments, places, strict=True):
            read = {name.removeprefix(place): array for name, array in batch.items() if name.startswith(place)}
            held, frozen, side = weights
            given.append(run(held, frozen, side, read))
        return {SCORES + name: ensemble([one[name] for one in given], name in hook.values, how.temperature) for name in given[0]}

    arguments = tuple((*_halves(teacher), item_side(teacher, work)) for teacher in teachers)
    return Teaching(arguments, scores, tuple(dict.fromkeys(path for teacher in teachers for path in teacher.modules)))


def ensemble(teachers: Sequence[jax.Array], values: bool, temperature: float) -> jax.Array:
    """The mean of values, or logits of the mean softened probabilities."""
    return jnp.mean(jnp.stack(teachers), axis=0) if values else mean_logits(teachers, temperature)


def teacher_model(spec: Spec, config: Configuration, dtype: str = "float32") -> AbstractModel:
    """A teacher as shapes, its modules' scopes within ``SCOPE``."""
    model = abstract_model(spec, config, dtype)
    for path, module in nnx.iter_modules(model.module):
        if isinstance(module, Module):
            module.scope = ".".join([SCOPE, *map(str, path)])
    return model


def item_side(teacher: AbstractModel, work: Workload) -> PyTree:
    """The shapes of a teacher's item side; ``None`` for a model without one."""
    talk = teacher.spec.conversation
    items = talk.items(teacher.config, dataclasses.replace(work, items_scored=None))
    if items is None:
        return None
    merge = teacher.merger(Frozen)
    return jax.eval_shape(lambda w, f, i: talk.precompute(merge(f, w), i), *_halves(teacher), dict(items))


def teacher_step(teacher: AbstractModel, objective: str, work: Workload, batch: Inputs) -> Step:
    """``(weights, frozen, item side, batch) -> scores``: a teacher's pass over examples of ``objective``."""
    names = ("weights", "frozen", "items", "batch")
    arguments = (*_halves(teacher), item_side(teacher, work), dict(batch))
    run = _forward(teacher, distillables(teacher.spec)[objective])
    number = next(iter(batch.values())).shape[0]
    labels = ValidationLabels(objective, number)
    return Step(f"teach/{objective}", labels, run, arguments, names, names, (), teacher.modules)


def _halves(teacher: AbstractModel) -> tuple[Weights, Weights]:
    """Weights and frozen weights, as shapes."""
    frozen, weights = teacher.split(Frozen)
    return weights, frozen


def _forward(teacher: AbstractModel, hook: Distillable) -> Callable[[Weights, Weights, PyTree, Batch], Batch]:
    merge = teacher.merger(Frozen)
    return lambda weights, frozen, side, batch: hook.teacher(merge(frozen, weights), side, batch)
