"""Chunked work gives what one piece gives, the overlapping last chunk included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cr_jax.models.mmn.chunks import in_chunks

ROWS = {"a": jnp.arange(11.0), "b": jnp.arange(22.0).reshape(11, 2)}


def combine(rows):
    """[rows] and [rows, 2] -> [3, rows]."""
    return jnp.stack([rows["a"], rows["b"].sum(1), rows["a"] * rows["b"][:, 1]])


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 10, 11, 100])
def test_same_result(chunk):
    np.testing.assert_array_equal(in_chunks(combine, ROWS, chunk, axis=1), combine(ROWS))
    np.testing.assert_array_equal(in_chunks(lambda r: combine(r).T, ROWS, chunk, axis=0), combine(ROWS).T)


def test_at_most_a_chunk_at_once():
    seen = []

    def function(rows):
        seen.append(rows["a"].shape[0])
        return combine(rows)

    loops = str(jax.make_jaxpr(lambda rows: in_chunks(function, rows, 4, axis=1))(ROWS)).count("scan[")
    assert set(seen) == {4} and loops == 1
