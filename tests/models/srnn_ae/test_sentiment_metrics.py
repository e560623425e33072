"""Accuracy, macro F1 and kappa by hand."""

import numpy as np
import pytest

from cr_jax.models.srnn_ae.sentiment_metrics import classes, kappa, macro_f1


def test_classes_by_hand():
    assert macro_f1(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])) == pytest.approx((2 / 3 + 4 / 5) / 2)
    # Half agree; by chance 1/2 * 1/4 + 1/2 * 1/2 would.
    assert kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])) == pytest.approx((1 / 2 - 3 / 8) / (1 - 3 / 8))
    assert kappa(np.array([0, 1, 1]), np.array([0, 1, 1])) == 1.0
    assert kappa(np.array([0, 1, 1]), np.array([1, 1, 1])) == 0.0
    assert kappa(np.array([1, 1]), np.array([1, 1])) == 0.0  # nothing beyond chance to agree in
    truth, guess = np.zeros((4, 6), int), np.zeros((4, 6), int)
    truth[:, 2], guess[:, 2] = [1, 1, 1, 0], [1, 1, 0, 0]
    likeliest = guess.copy()
    likeliest[3, 2] = 1
    found = classes({"forms": truth, "guesses": guess, "likeliest": likeliest, "loss": np.ones(4)}, (0, 0, 1, 0, 0, 0))
    assert found["initiator_liked.likeliest_accuracy"] == 0.5
    assert "initiator_seen.likeliest_accuracy" not in found  # its loss weighs nothing
    assert found["initiator_liked.accuracy"] == 0.75 and found["initiator_liked.majority_accuracy"] == 0.75
    assert found["initiator_liked.majority_macro_f1"] == pytest.approx((0 + 6 / 7) / 2)
    assert found["respondent_liked.accuracy"] == 1.0
