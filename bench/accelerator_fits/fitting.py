"""What the fits share: a set of constants found by a search, and the errors on cards left out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize


@dataclass
class Fitted:
    """constants, residuals: entries of ``profiles/accelerator_times.json``."""

    constants: dict[str, dict[str, Any]] = field(default_factory=dict)
    residuals: dict[str, dict[str, Any]] = field(default_factory=dict)


def search(loss: Callable[[np.ndarray], float], start: Sequence[float], rounds: int = 2) -> np.ndarray:
    """The positive numbers near ``start`` with the least loss: Nelder-Mead in their logarithms, begun anew each round."""
    x = np.log(np.asarray(start, float))
    for _ in range(rounds):
        found = minimize(
            lambda y: loss(np.exp(y)),
            x,
            method="Nelder-Mead",
            options={"maxfev": 250 * len(x), "xatol": 1e-4, "fatol": 1e-6, "adaptive": True},
        )
        x = found.x
    return np.exp(x)


def errors(predicted: np.ndarray, measured: np.ndarray, cards: Sequence[str]) -> dict[str, Any]:
    """What ``residuals`` says of predictions of cards that were left out of the fit."""
    off = np.abs(predicted - measured) / measured
    ratio = measured / predicted
    return {
        "rows": len(off),
        "cards": sorted(set(cards)),
        "median": float(np.median(off)),
        "p90": float(np.quantile(off, 0.9)),
        "worst": float(off.max()),
        "ratio_low": float(np.quantile(ratio, 0.05)),
        "ratio_high": float(np.quantile(ratio, 0.95)),
    }


def rounded(values: Mapping[str, float], digits: int = 4) -> dict[str, float]:
    return {name: float(f"{value:.{digits}g}") for name, value in values.items()}
