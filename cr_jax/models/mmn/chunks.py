"""A function applied to many rows in chunks, which keeps temporaries small."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree


def in_chunks(function: Callable[[PyTree], Array], rows: PyTree, chunk: int, axis: int) -> Array:
    """``function(rows)``, computed for at most ``chunk`` rows at once.

    rows: a pytree of arrays with the same leading axis, read in place. function: treats each row
    alone and has the rows on ``axis`` of its result. All chunks have one size: the last one may
    overlap the one before it and then computes the same rows again.
    """
    total = jax.tree.leaves(rows)[0].shape[0]
    number = -(-total // chunk)
    if number == 1:
        return function(rows)
    size = -(-total // number)

    def part(start: Array | int) -> PyTree:
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, size), rows)

    def body(done: Array, start: Array) -> tuple[Array, None]:
        return jax.lax.dynamic_update_slice_in_dim(done, function(part(start)), start, axis), None

    one = jax.eval_shape(lambda: function(part(0)))
    shape = (*one.shape[:axis], total, *one.shape[axis + 1 :])
    starts = jnp.minimum(jnp.arange(number) * size, total - size)
    return jax.lax.scan(body, jnp.zeros(shape, one.dtype), starts)[0]
