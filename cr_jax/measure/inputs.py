"""Concrete arrays for a step's abstract arguments: seeded, legal and as full as the shapes allow.

Weights come from the model's own initialisation and optimizer state from the objective's own ``init``. Whole numbers follow their
names: lengths and sentence ends fill the padding, so that masks leave nothing out, and ids are drawn from the model's own tables.
An unknown name gets zeros, which are legal ids and counts. Costs of these models do not depend on the values.
"""

from collections.abc import Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import PyTree

from cr_jax.errors import BadConfig
from cr_jax.measure.device import build_device
from cr_jax.models.spec import Objective
from cr_jax.steps.step import AbstractModel, Step

#: An array on the host, or random keys, which stay JAX's.
Held: TypeAlias = np.ndarray | jax.Array
#: The path of a leaf in a tree.
KeyPath = tuple[object, ...]

#: Name of an id (its last word, ``positive_words`` -> ``words``) -> configuration fields that may
#: hold the number of ids, the first that the model has counts.
_TABLES = {
    "words": ("words",),
    "query": ("words",),
    "source": ("words",),
    "aspects": ("words",),
    "aspect": ("words",),
    "targets": ("words",),
    "target": ("classes", "words"),
    "user": ("users",),
    "items": ("items",),
}
#: Ids below are marks (padding, start of a text) in some models.
_FIRST_ID = 2
#: Whole numbers with two legal values in every model that has them.
_BITS = ("forms",)
#: Floats that are marks, not measurements: 1 is the legal value of each that leaves nothing out.
_MARKS = ("senders", "mentions")


def weights(model: AbstractModel, seed: int = 0) -> dict[str, Held]:
    """Freshly initialised weights and other variables by path, in the model's own dtypes.

    They are NumPy arrays, so that a device's memory holds them only as arguments of a step; random
    keys stay JAX's.
    """
    with jax.default_device(build_device()):
        module = model.spec.build(model.config, nnx.Rngs(seed))
    _, abstract = nnx.split(model.module)
    _, state = nnx.split(module)
    kinds = {_path(path): leaf.dtype for path, leaf in jax.tree_util.tree_leaves_with_path(abstract)}
    leaves = {_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    return {p: _host(x if x.dtype == kinds[p] else x.astype(kinds[p])) for p, x in leaves.items()}


def arguments(step: Step, model: AbstractModel, values: Mapping[str, Held], seed: int = 0) -> tuple[PyTree, ...]:
    """Arrays for ``step.arguments`` on JAX's default device, in buffers of their own.

    values: from :func:`weights`. Raises ``BadConfig`` for an unknown role.
    """
    rng = np.random.default_rng(seed)
    arrays: list[PyTree] = []
    trained: PyTree = None
    for number, (abstract, name, role) in enumerate(zip(step.arguments, step.names, step.roles, strict=True)):
        if role in ("weights", "frozen"):
            value = jax.tree_util.tree_map_with_path(lambda path, _: _buffer(values[_path(path)]), abstract)
            trained = value if number == 0 else trained
        elif role == "optimizer" and name == "optimizer":
            value = _objective(step, model).optimizer(model.config).init(trained)
        elif role in ("optimizer", "batch", "state", "items"):
            value = _fill(abstract, role, model.config, rng)
        elif role == "key":
            value = jax.tree.map(lambda _: jax.random.key(seed), abstract)
        else:
            raise BadConfig(f"step {step.name}: argument {name!r} has the role {role!r}, which has no values")
        arrays.append(value)
    return tuple(arrays)


def _host(x: jax.Array) -> Held:
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x)


def _buffer(x: Held) -> jax.Array:
    return x.copy() if isinstance(x, jax.Array) else jnp.array(x)  # a copy: the step may take the buffer


def _objective(step: Step, model: AbstractModel) -> Objective:
    return next(o for o in model.spec.objectives(model.config) if o.name == step.objective)


def _path(path: KeyPath) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")


def _fill(abstract: PyTree, role: str, config: object, rng: np.random.Generator) -> PyTree:
    shapes = {_path(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(abstract)}

    def value(path: KeyPath, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = _path(path)
        if leaf.dtype == bool:
            return jnp.zeros(leaf.shape, bool)
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(_floats(name, leaf.shape, rng), leaf.dtype)
        whole = np.zeros(leaf.shape) if role not in ("batch", "items") else _whole(name, leaf.shape, shapes, config, rng)
        return jnp.asarray(whole, leaf.dtype)

    return jax.tree_util.tree_map_with_path(value, abstract)


def _floats(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return np.ones(shape) if name in _MARKS else rng.random(shape, np.float32)


def _whole(
    name: str, shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]], config: object, rng: np.random.Generator
) -> np.ndarray:
    """Legal whole numbers for the batch array ``name``; ``shapes`` are those of the whole batch."""
    prefix, _, last = name.rpartition("_")
    if last in ("lengths", "utterances"):  # full: as many as the next axis of the words has
        words = shapes.get("words", ())
        return np.full(shape, words[len(shape)] if len(words) > len(shape) else 0)
    if last == "ends":  # the last word of each of S sentences of equal length
        text = shapes.get(f"{prefix}_words" if prefix else "words") or shapes.get("text") or (0, shape[-1])
        ends = np.linspace(text[1] / shape[-1], text[1], shape[-1]) - 1
        return np.broadcast_to(np.maximum(np.round(ends), 0), shape)
    if last in _BITS:
        return rng.integers(0, 2, shape)
    limit = next((getattr(config, f) for f in _TABLES.get(last, ()) if isinstance(getattr(config, f, None), int)), 0)
    return rng.integers(min(_FIRST_ID, limit - 1), limit, shape) if limit > 0 else np.zeros(shape)
