"""TensorFlow's Adam against its formula in float64, and apart from Optax's."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cr_jax.errors import BadConfig
from cr_jax.nn.optimizers import exponential_decay, tf_adam

GRADIENTS = np.array([1e-9, 1e-7, 1e-4, -0.3, 5.0])


def by_formula(gradients, rate):
    """θ after the steps, starting at 0."""
    b1, b2 = float(np.float32(0.9)), float(np.float32(0.999))
    theta = m = v = np.zeros_like(gradients[0])
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        theta = theta - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + 1e-8)
    return theta


def run(optimizer, gradients):
    params = jnp.zeros(gradients[0].shape)
    state = optimizer.init(params)
    for g in gradients:
        updates, state = optimizer.update(jnp.asarray(g, jnp.float32), state, params)
        params = optax.apply_updates(params, updates)
    return np.asarray(params)


def test_update_rule():
    gradients = [GRADIENTS, GRADIENTS * 0.5, -GRADIENTS * 2]
    np.testing.assert_allclose(run(tf_adam(0.01), gradients), by_formula(gradients, 0.01), rtol=1e-5)


def test_it_is_not_optax_adam():
    small = [GRADIENTS[:2]]
    assert not np.allclose(run(optax.adam(0.01), small), by_formula(small, 0.01), rtol=0.05)


def test_schedule_follows_the_counter_it_is_given():
    optimizer = tf_adam(exponential_decay(0.01, 0.9999, 3000))
    g, params = jnp.asarray([0.3]), jnp.zeros(1)
    first, _ = optimizer.update(g, optimizer.init(params), params, counter=jnp.int32(0))
    later, _ = optimizer.update(g, optimizer.init(params), params, counter=jnp.int32(1_500_000))
    assert later[0] / first[0] == pytest.approx(0.9999**500, rel=1e-4)
    half, _ = optimizer.update(g, optimizer.init(params), params, counter=jnp.int32(750_000))
    assert half[0] / first[0] == pytest.approx(0.9999**250, rel=1e-4)
    with pytest.raises(BadConfig, match="counter"):
        optimizer.update(g, optimizer.init(params), params)
