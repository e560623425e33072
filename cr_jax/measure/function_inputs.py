"""Arrays for the arguments of a user's function that were given as shapes: seeded, and tame enough to be run many times.

Floats are standard normal; those of weights are divided by the root of their fan-in, the product of all axes but the last, so
that layers keep the scale of what passes them. Optimizer states are zeros, as Optax begins them, and variances (``var``) ones.
Whole numbers are zeros, which are legal labels and ids, booleans true, and random keys come from the seed.
"""

from math import prod

import jax
import jax.numpy as jnp
import numpy as np

from cr_jax.errors import BadConfig
from cr_jax.measure.inputs import Held
from cr_jax.targets.device_protocol import Device

#: JAX's own kinds of random keys.
_KINDS_OF_KEYS = ("threefry2x32", "rbg", "unsafe_rbg")


def made(name: str, role: str, leaf: jax.ShapeDtypeStruct, number: int, seed: int = 0) -> Held:
    """The value of the ``number``-th array of a program. name, role: as the cost report lists it."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return _keys(name, leaf, number, seed)
    if leaf.dtype == bool:
        return np.ones(leaf.shape, bool)
    if role == "optimizer" or not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return np.zeros(leaf.shape, leaf.dtype)
    if name.rpartition(".")[2] == "var":
        return np.ones(leaf.shape, leaf.dtype)
    rng = np.random.default_rng((seed, number))
    values = rng.standard_normal(leaf.shape, np.float32)
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        values = values + 1j * rng.standard_normal(leaf.shape, np.float32)
    if role == "weights":
        values = values / np.sqrt(np.float32(prod(leaf.shape[:-1])))
    return np.asarray(values).astype(leaf.dtype)


def _keys(name: str, leaf: jax.ShapeDtypeStruct, number: int, seed: int) -> jax.Array:
    for kind in _KINDS_OF_KEYS:
        key = jax.random.key(seed, impl=kind)
        if key.dtype == leaf.dtype:
            key = jax.random.fold_in(key, number)
            return jax.random.split(key, leaf.shape) if leaf.shape else key
    raise BadConfig(
        f"argument {name}: keys of {leaf.dtype} cannot be made; legal: the keys themselves, or {', '.join(_KINDS_OF_KEYS)}"
    )


def placed(value: Held | complex, leaf: jax.ShapeDtypeStruct, device: Device, copied: bool) -> jax.Array:
    """``value`` on ``device``. copied: in a buffer of its own, which the program may take."""
    if not isinstance(value, jax.Array):
        with jax.default_device(device):
            return jnp.array(value, leaf.dtype)
    there = jax.device_put(value, device)
    return there.copy() if copied else there
