"""Lines of errors, in percent."""

import numpy as np

HEAD = f"{'card':15} {'class':13} {'by':9} {'n':>5} {'median':>7} {'90%':>7} {'worst':>7} {'bias':>7}"


def line(card: str, kind: str, by: str, predicted: np.ndarray, measured: np.ndarray) -> str:
    """Absolute errors (median, 90%, worst) and the median of predicted over measured less one."""
    off = np.abs(predicted - measured) / measured
    numbers = (*(100 * q for q in np.quantile(off, (0.5, 0.9, 1))), 100 * (np.median(predicted / measured) - 1))
    return f"{card:15} {kind:13} {by:9} {len(off):5} " + " ".join(f"{number:7.1f}" for number in numbers)
