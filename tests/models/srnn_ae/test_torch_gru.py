"""The PyTorch GRU against a float64 loop over each row at its own length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.models.srnn_ae.torch_gru import TorchGRU, published_gru
from cr_jax.nn.module import Frozen, module_paths, name_scopes

B, T, E, H = 4, 5, 3, 2
LENGTHS = np.array([5, 0, 3, 1])
UNROLL = nnx.jit(lambda gru, x, lengths, state: gru(x, lengths, state))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def one_row(direction, x, h, reverse):
    """Step by step with PyTorch's six biases, float64, no mask."""
    w, u, bw, bu = (
        np.asarray(getattr(direction, n)[...], np.float64) for n in ("input_kernel", "hidden_kernel", "input_bias", "hidden_bias")
    )
    outputs = []
    for row in x[::-1] if reverse else x:
        i, s = row @ w + bw, h @ u + bu
        r, z = sigmoid(i[:H] + s[:H]), sigmoid(i[H : 2 * H] + s[H : 2 * H])
        h = (1 - z) * np.tanh(i[2 * H :] + r * s[2 * H :]) + z * h
        outputs.append(h)
    outputs = outputs[::-1] if reverse else outputs
    return np.array(outputs).reshape(-1, H), h


def by_hand(gru, x, lengths, state):
    width = H * (2 if len(gru.backward) else 1)
    outputs, lasts = np.zeros((B, T, width)), np.zeros((B, gru.states, H))
    for b, length in enumerate(lengths):
        below, slot = np.asarray(x[b, :length], np.float64), 0
        for layer in range(len(gru.forward)):
            sides = []
            for directions, reverse in ((gru.forward, False), (gru.backward, True)):
                if len(directions):
                    out, last = one_row(directions[layer], below, state[b, slot], reverse)
                    sides.append(out)
                    lasts[b, slot] = last
                    slot += 1
            below = np.concatenate(sides, -1)
        outputs[b, :length] = below
    return outputs, lasts


@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, False), (1, True), (3, True)])
@pytest.mark.parametrize("started", [False, True])
def test_equals_a_loop_over_packed_rows(layers, bidirectional, started):
    gru = TorchGRU(E, H, layers, bidirectional, rngs=nnx.Rngs(layers))
    rng = np.random.default_rng(7)
    x = rng.normal(size=(B, T, E)).astype(np.float32)
    state = rng.normal(size=(B, gru.states, H)).astype(np.float32) * started
    with jax.default_matmul_precision("highest"):
        outputs, last = UNROLL(gru, jnp.asarray(x), jnp.asarray(LENGTHS), jnp.asarray(state) if started else None)
    want = by_hand(gru, x, LENGTHS, state)
    np.testing.assert_allclose(outputs, want[0], atol=1e-6)
    np.testing.assert_allclose(last, want[1], atol=1e-6)
    assert not np.asarray(outputs)[np.arange(T)[None] >= LENGTHS[:, None]].any()


@pytest.mark.slow
def test_padding_reaches_neither_outputs_nor_gradients():
    gru = TorchGRU(E, H, 2, True, rngs=nnx.Rngs(0))
    x = jnp.ones((B, T, E))

    def total(x):
        outputs, last = gru(x, jnp.asarray(LENGTHS))
        return (outputs**2).sum() + (last**2).sum()

    padded = jnp.arange(T)[None] >= jnp.asarray(LENGTHS)[:, None]
    gradient = jax.grad(total)(x)
    assert not np.asarray(gradient)[np.asarray(padded)].any()
    assert total(x) == total(jnp.where(padded[..., None], 99.0, x))


def test_one_matmul_for_all_steps_outside_the_loop_and_one_inside():
    gru = TorchGRU(E, H, rngs=nnx.Rngs(0))
    jaxpr = jax.make_jaxpr(lambda x: gru(x, jnp.full((B,), T)))(jnp.zeros((B, T, E))).jaxpr

    def dots(jaxpr):
        return [e.outvars[0].aval.shape for e in jaxpr.eqns if e.primitive.name == "dot_general"]

    (loop,) = (e for e in jaxpr.eqns if e.primitive.name == "scan")
    assert dots(jaxpr) == [(T, B, 3 * H)]
    assert dots(loop.params["jaxpr"].jaxpr) == [(B, 3 * H)]
    assert loop.params["length"] == T


def test_parameters_names_and_kind():
    layers = 2
    gru = name_scopes(TorchGRU(E, H, layers, True, kind=Frozen, rngs=nnx.Rngs(0)), "gru")
    leaves = {".".join(map(str, p)): v for p, v in nnx.to_flat_state(nnx.state(gru))}
    six_biases, gates, directions = 6 * H, 3, 2
    want = directions * (gates * H * (E + H) + six_biases) + directions * (gates * H * (2 * H + H) + six_biases)
    assert sum(v[...].size for v in leaves.values()) == want
    assert all(isinstance(v, Frozen) for v in leaves.values())
    names = published_gru("g", "x", layers, True)
    assert {path for path, _ in names.values()} == {f"x.{leaf}" for leaf in leaves}
    assert names["g.weight_hh_l1_reverse"] == ("x.backward.1.hidden_kernel", True)
    assert {"forward.0", "backward.1"} <= set(module_paths(gru))
