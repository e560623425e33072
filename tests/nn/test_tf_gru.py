"""TensorFlow's GRU against a float64 loop written from its formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.nn.module import name_scopes
from cr_jax.nn.tf_gru import GRU, fact_states, until

B, T, E, H = 3, 5, 4, 6


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    gru = name_scopes(GRU(E, H, nnx.Rngs(0)), "gru")
    for variable in jax.tree.leaves(nnx.state(gru), is_leaf=lambda x: isinstance(x, nnx.Variable)):
        variable.set_value(jnp.asarray(rng.normal(size=variable.shape), jnp.float32))
    return gru, rng.normal(size=(B, T, E)).astype(np.float32), rng.normal(size=(B, H)).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def one_step(gru, x, h):
    w = {
        k: np.asarray(getattr(gru, k)[...], np.float64)
        for k in ("gates_kernel", "gates_bias", "candidate_kernel", "candidate_bias")
    }
    gates = sigmoid(np.concatenate([x, h], -1) @ w["gates_kernel"] + w["gates_bias"])
    r, u = gates[:, :H], gates[:, H:]
    c = np.tanh(np.concatenate([x, r * h], -1) @ w["candidate_kernel"] + w["candidate_bias"])
    return u * h + (1 - u) * c


def test_outputs_are_zero_and_the_state_is_kept_past_the_length(case):
    gru, x, h0 = case
    lengths = np.array([5, 0, 3])
    with jax.default_matmul_precision("highest"):
        outputs, state = gru(jnp.asarray(x), until(jnp.asarray(lengths), T), jnp.asarray(h0))
        last = gru.last(jnp.asarray(x), until(jnp.asarray(lengths), T), jnp.asarray(h0))
    want, h = np.zeros((B, T, H)), h0.astype(np.float64)
    for t in range(T):
        new = one_step(gru, x[:, t], h)
        on = (t < lengths)[:, None]
        h, want[:, t] = np.where(on, new, h), np.where(on, new, 0)
    np.testing.assert_allclose(outputs, want, atol=2e-6)
    np.testing.assert_allclose(state, h, atol=2e-6)
    np.testing.assert_allclose(last, h, atol=2e-6)


def test_gated_mixes_with_the_old_state(case):
    gru, x, h0 = case
    gate = np.random.default_rng(1).uniform(size=(B, T)).astype(np.float32)
    with jax.default_matmul_precision("highest"):
        state = gru.gated(gru.project(jnp.asarray(x)), jnp.asarray(gate), jnp.asarray(h0))
    h = h0.astype(np.float64)
    for t in range(T):
        g = gate[:, t, None]
        h = g * one_step(gru, x[:, t], h) + (1 - g) * h
    np.testing.assert_allclose(state, h, atol=2e-6)


def test_matmuls_are_the_hoisted_ones(case):
    """6EH per input row in one product, 6H² per step: counted in the traced program."""
    gru, x, h0 = case
    jaxpr = jax.make_jaxpr(lambda x, h: gru.last(x, jnp.ones((B, T), bool), h))(x, h0)

    def flops(jaxpr, times=1):
        total = 0
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                (contract, _), _ = equation.params["dimension_numbers"]
                shape = equation.invars[0].aval.shape
                total += times * 2 * equation.outvars[0].aval.size * int(np.prod([shape[i] for i in contract]))
            inner = equation.params.get("jaxpr")
            if inner is not None:
                total += flops(getattr(inner, "jaxpr", inner), times * equation.params.get("length", 1))
        return total

    rows, gates_and_candidate, multiply_add = B * T, 3, 2
    assert flops(jaxpr.jaxpr) == rows * gates_and_candidate * multiply_add * (E * H + H * H)


def test_fact_states_follow_the_public_padding_rule():
    outputs = jnp.arange(1.0, 11.0).reshape(1, 10, 1)
    # 0 ends a real sentence here; two ends are not 0, so the first two slots are read.
    np.testing.assert_array_equal(fact_states(outputs, jnp.array([[0, 4, 8, 0]]))[0, :, 0], [1, 5, 0, 0])
    np.testing.assert_array_equal(fact_states(outputs, jnp.array([[2, 4, 8, 0]]))[0, :, 0], [3, 5, 9, 0])
    np.testing.assert_array_equal(fact_states(outputs, jnp.array([[0, 0, 0, 0]]))[0, :, 0], [0, 0, 0, 0])
