"""The role of an argument of a user's function in the memory account, recognised by its name and type."""

from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp

from cr_jax.records import OTHER

#: Names of what a training state holds, wherever they stand in a path; the leftmost decides.
_HELD = {
    "optimizer": ("opt_state", "optimizer", "opt", "optim_state", "optimizer_state", "optimizer_variables", "moments"),
    "weights": ("params", "parameters", "weights", "model", "variables", "trainable", "trainable_variables", "tvars"),
}
#: Names that the field gives whole arguments.
_ARGUMENTS = {
    "key": ("rng", "rngs", "key", "prng", "dropout_rng"),
    "batch": ("batch", "batches", "x", "y", "xs", "ys", "inputs", "input_ids", "images", "labels", "tokens", "targets", "data"),
    "state": ("carry", "cache", "state", "hidden", "non_trainable_variables", "ntvars"),
}


def role_of(name: str, dtype: Any, weights: Collection[str] | None) -> str:
    """The role of the leaf ``name``, a dotted path that begins with the argument's name; ``OTHER`` where nothing tells.

    weights: the arguments that the user says hold weights; ``None``: names decide.
    """
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return "key"
    parts = name.lower().split(".")
    if weights is not None and name.split(".")[0] in weights:
        return "weights"
    for part in parts:
        for role, known in _HELD.items():
            if part in known and (role != "weights" or weights is None):
                return role
    return next((role for role, known in _ARGUMENTS.items() if parts[0] in known), OTHER)
