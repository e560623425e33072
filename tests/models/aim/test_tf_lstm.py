"""The TensorFlow LSTM against its equations in float64, and its parts against the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.models.aim.tf_lstm import LSTMCell

B, T, IN, H = 3, 5, 4, 2


@pytest.fixture(scope="module")
def cell():
    cell = LSTMCell(IN, H, nnx.Rngs(1))
    rng = np.random.default_rng(0)
    cell.kernel[...] = jnp.asarray(rng.normal(size=(IN + H, 4 * H)), jnp.float32)
    cell.bias[...] = jnp.asarray(rng.normal(size=4 * H), jnp.float32)
    return cell


def by_hand(cell, x, c, h):
    """``h`` of every step: kernel on [x, h], gates i, j, f, o, forget bias +1, in float64."""
    kernel, bias = np.asarray(cell.kernel[...], np.float64), np.asarray(cell.bias[...], np.float64)

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    out = []
    for step in np.asarray(x, np.float64):
        i, j, f, o = np.split(np.concatenate([step, h], axis=1) @ kernel + bias, 4, axis=1)
        c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out)


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.default_rng(2).normal(size=(T, B, IN)), jnp.float32)


def known(cell, x):
    return cell.project(x) + cell.bias[...][None, None]


def test_loop_is_the_equations(cell, x):
    rng = np.random.default_rng(3)
    c, h = rng.normal(size=(2, B, H))
    got = cell.run((jnp.asarray(c, jnp.float32), jnp.asarray(h, jnp.float32)), known(cell, x))
    np.testing.assert_allclose(got, by_hand(cell, x, c, h), atol=2e-6)


def test_first_is_a_step_from_zero(cell, x):
    c = jnp.asarray(np.random.default_rng(4).normal(size=(B, H)), jnp.float32)
    gates = known(cell, x)[0]
    for a, b in zip(cell.first(c, gates), cell.step((c, jnp.zeros((B, H))), gates), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    want = by_hand(cell, x[:1], np.asarray(c), np.zeros((B, H)))[0]
    np.testing.assert_allclose(cell.first(c, gates)[1], want, atol=2e-6)


def test_inputs_may_be_projected_in_parts(cell, x):
    whole = cell.project(x)
    np.testing.assert_allclose(cell.project(x[..., :1]) + cell.project(x[..., 1:], 1), whole, atol=1e-6)


def test_only_the_recurrent_product_is_in_the_loop(cell, x):
    state = (jnp.zeros((B, H)), jnp.zeros((B, H)))
    (scan,) = [e for e in jax.make_jaxpr(cell.run)(state, known(cell, x)).eqns if e.primitive.name == "scan"]
    dots = [e for e in scan.params["jaxpr"].eqns if e.primitive.name == "dot_general"]
    assert [tuple(v.aval.shape for v in e.invars) for e in dots] == [((B, H), (H, 4 * H))]
