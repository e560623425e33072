"""The losses against a teacher, by hand in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cr_jax.nn.soft_targets import divergence, mean_logits, mean_over

RNG = np.random.default_rng(0)
STUDENT, TEACHER, OTHER = (RNG.normal(size=(5, 7)).astype(np.float32) * 3 for _ in range(3))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_divergence_by_hand(temperature):
    p, q = softmax(TEACHER / temperature), softmax(STUDENT / temperature)
    by_hand = temperature**2 * np.mean([sum(p[b, k] * np.log(p[b, k] / q[b, k]) for k in range(7)) for b in range(5)])
    assert divergence(jnp.array(STUDENT), jnp.array(TEACHER), temperature) == pytest.approx(by_hand, rel=1e-5)


def test_a_student_that_agrees_loses_nothing_and_learns_nothing():
    """Scores that differ by a constant are one distribution."""
    shifted = jnp.array(TEACHER) + 2.5
    value, gradient = jax.value_and_grad(lambda student: divergence(student, jnp.array(TEACHER), 2.0))(shifted)
    assert value == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(gradient, np.zeros((5, 7)), atol=1e-6)


def test_an_ensemble_averages_softened_probabilities():
    logits = mean_logits([jnp.array(TEACHER), jnp.array(OTHER)], 3.0)
    expected = (softmax(TEACHER / 3) + softmax(OTHER / 3)) / 2
    np.testing.assert_allclose(softmax(np.asarray(logits) / 3), expected, rtol=1e-5)
    assert mean_logits([alone := jnp.array(TEACHER)], 3.0) is alone


def test_the_mean_is_of_the_supervised_rows():
    losses = jnp.array([1.0, 2.0, 30.0])
    assert mean_over(losses, None) == 11
    assert mean_over(losses, jnp.array([1.0, 1.0, 0.0])) == 1.5
    assert mean_over(losses, jnp.zeros(3)) == 0
