"""The role of an argument of a user's function in the memory account, recognised by its name and type."""

from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp

from cr_jax.records import OTHER

#: Names that the field gives arguments, by role; the first role with a name among the parts of a path is the leaf's.
_NAMES = {
    "optimizer": ("opt_state", "optimizer", "opt", "optim_state", "optimizer_state", "moments"),
    "key": ("rng", "rngs", "key", "prng", "dropout_rng"),
    "weights": ("params", "parameters", "weights", "model", "variables", "trainable"),
    "batch": ("batch", "batches", "x", "y", "xs", "ys", "inputs", "input_ids", "images", "labels", "tokens", "targets", "data"),
    "state": ("carry", "cache", "state", "hidden"),
}


def role_of(name: str, dtype: Any, weights: Collection[str] | None) -> str:
    """The role of the leaf ``name``, a dotted path that begins with the argument's name; ``OTHER`` where nothing tells.

    weights: the arguments that the user says hold weights; ``None``: names decide.
    """
    parts = name.lower().split(".")
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return "key"
    if weights is not None and name.split(".")[0] in weights:
        return "weights"
    for role, known in _NAMES.items():
        if (role != "weights" or weights is None) and any(part in known for part in parts):
            return role
    return OTHER
