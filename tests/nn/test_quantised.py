"""Weights in bfloat16 and int8: how far they are off, what their products compute, and which weights they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.nn.item_table import LowRank, ProductQuantised
from cr_jax.nn.module import Frozen, Module
from cr_jax.nn.quantised import LARGEST, LOOKED_UP, Int8Matrix, Int8Table, beside, in_type, to_int8
from cr_jax.nn.tf_gru import GRU, glorot

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.parametrize("axis", [0, 1])
def test_int8_is_off_by_half_a_step_at_most_and_the_largest_is_met(axis):
    x = normal(7, 5).at[:, 2].set(0).at[3].set(0)
    values, scales = to_int8(x, axis)
    assert values.dtype == jnp.int8 and scales.shape == ((1, 5) if axis == 0 else (7, 1))
    assert int(jnp.abs(values.astype(int)).max()) == LARGEST
    met = np.asarray(values, np.float32) * np.asarray(scales)
    error = np.abs(met - np.asarray(x))
    assert (error <= np.broadcast_to(scales, x.shape) * 0.501).all()
    biggest = np.abs(np.asarray(x)).max(axis=axis)
    np.testing.assert_allclose(np.abs(met).max(axis=axis), biggest, rtol=1e-6)


def test_a_product_of_int8_is_summed_in_int32():
    """The same numbers by hand, in whole numbers that float32 cannot hold."""
    x, w = normal(3, 4000), normal(4000, 6)
    matrix = Int8Matrix(*to_int8(w, axis=0))
    rounded, scale = to_int8(x, axis=-1)
    whole = np.asarray(rounded, np.int64) @ np.asarray(matrix.values, np.int64)
    np.testing.assert_allclose(x @ matrix, whole * np.asarray(scale) * np.asarray(matrix.scales), rtol=1e-6)
    jaxpr = jax.make_jaxpr(lambda x, m: x @ m)(x, matrix)
    (dot,) = (e for e in jaxpr.jaxpr.eqns if e.primitive.name == "dot_general")
    assert [v.aval.dtype for v in (*dot.invars, *dot.outvars)] == [jnp.int8, jnp.int8, jnp.int32]
    # Two roundings of a 254th of the largest number each: below 2% of a typical result.
    assert float(jnp.abs(x @ matrix - jnp.matmul(x, w)).mean() / jnp.abs(x @ w).mean()) < 0.02


def test_rows_and_neighbours_keep_their_columns_scales():
    a, b = (Int8Matrix(*to_int8(normal(6, n), axis=0)) for n in (3, 2))
    x = normal(4, 2, 6)
    np.testing.assert_array_equal(x @ beside([a, b]), jnp.concatenate([x @ a, x @ b], axis=-1))
    np.testing.assert_array_equal(np.asarray(a[2:5]), np.asarray(a)[2:5])
    floats = [normal(3, 2), normal(3, 1)]
    np.testing.assert_array_equal(beside(floats), jnp.concatenate(floats, axis=1))


def test_rows_that_are_looked_up_are_floats():
    rows = normal(9, 4)
    table = Int8Table(*to_int8(rows, axis=1))
    found = table[jnp.asarray([[1, 8], [1, 0]])]
    assert found.shape == (2, 2, 4) and found.dtype == jnp.float32
    np.testing.assert_allclose(found, rows[jnp.asarray([[1, 8], [1, 0]])], atol=float(jnp.abs(rows).max()) / 250)


class Net(Module):
    def __init__(self, rngs):
        self.rows = nnx.Param(normal(9, 4), table_axis=0, **{LOOKED_UP: True})
        self.gru = GRU(4, 3, rngs)
        self.low = LowRank(3, 12, 2, glorot, rngs=rngs)
        self.parts = ProductQuantised(3, 12, 3, 4, glorot, rngs)

    def __call__(self, index):
        x = self.rows[...][index]
        state = self.gru.last(x, jnp.ones(index.shape, bool), self.gru.zeros(index.shape[0]))
        return self.low(state) + self.parts(state)


@pytest.mark.parametrize(("weights", "off"), [("bfloat16", 0.02), ("int8", 0.05)])
def test_a_model_of_every_layer_computes_nearly_the_same(weights, off):
    model = Net(nnx.Rngs(0))
    index = jnp.asarray([[0, 5, 8], [2, 2, 1]])
    wanted = np.asarray(model(index))
    quantised = in_type(model, weights)
    assert quantised is model and not jax.tree.leaves(nnx.state(model, nnx.Param))
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(nnx.state(model, Frozen))}
    assert kinds == ({"bfloat16", "uint8"} if weights == "bfloat16" else {"int8", "float32", "uint8"})
    found = np.asarray(model(index), np.float32)
    assert 0 < np.abs(found - wanted).max() < off * np.abs(wanted).max()
    assert model.low.b.get_metadata()["table_axis"] == 1
    assert model.low.dense().shape == (3, 12)
    graph, state = nnx.split(model)
    np.testing.assert_array_equal(nnx.merge(graph, jax.tree.map(jnp.array, state))(index), model(index))


def test_float32_is_as_it_was():
    model = Net(nnx.Rngs(0))
    before = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert all(a is b for a, b in zip(before, jax.tree.leaves(nnx.state(in_type(model, "float32"), nnx.Param)), strict=True))
