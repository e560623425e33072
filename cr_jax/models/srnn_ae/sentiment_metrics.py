"""Accuracy, macro F1 and kappa of the answers about an item."""

from collections.abc import Mapping

import numpy as np

from cr_jax.data.dialogue import Form

QUESTIONS = ("suggested", "seen", "liked")


def classes(outputs: Mapping[str, np.ndarray], majority: Form) -> dict[str, float]:
    """Accuracy, macro F1 and kappa of the six answers, and of always giving the training part's most frequent one.

    For "liked", whose classes the loss weighs, the ``likeliest`` answers (weights divided out) are judged too.
    """
    figures: dict[str, float] = {}
    for column, name in enumerate(f"{who}_{what}" for who in ("initiator", "respondent") for what in QUESTIONS):
        truth = outputs["forms"][:, column]
        answers = {"": outputs["guesses"][:, column], "majority_": np.full_like(truth, majority[column])}
        if name.endswith("liked"):
            answers["likeliest_"] = outputs["likeliest"][:, column]
        for whose, guess in answers.items():
            figures[f"{name}.{whose}accuracy"] = float((truth == guess).mean())
            figures[f"{name}.{whose}macro_f1"] = macro_f1(truth, guess)
            figures[f"{name}.{whose}kappa"] = kappa(truth, guess)
    return figures | {"loss": float(outputs["loss"].mean())}


def macro_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over the classes that occur in ``truth`` of 2·hits / (guessed + true)."""
    scores = [2 * ((truth == c) & (guess == c)).sum() / ((truth == c).sum() + (guess == c).sum()) for c in np.unique(truth)]
    return float(np.mean(scores))


def kappa(truth: np.ndarray, guess: np.ndarray) -> float:
    """Cohen's kappa: the agreement beyond chance as a share of the most there could be; 0 if chance agrees always.

    Chance is the agreement of two independent raters with the class frequencies of ``truth`` and of ``guess``.
    """
    chance = sum((truth == c).mean() * (guess == c).mean() for c in np.unique(truth))
    return float(((truth == guess).mean() - chance) / (1 - chance)) if chance < 1 else 0.0
