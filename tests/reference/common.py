"""What the adapters of the golden cases share: a row of the comparison table and how it is made.

An adapter is a file of this folder with two functions::

    matches(sidecar) -> bool                    does this adapter know the case?
    check(sidecar, arrays) -> Iterable[Row]     one row per array of the file

Every array of a case must have a row: compared, or with the reason why not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Absolute tolerance of forwards and losses, and of the update rule on recorded gradients.
FORWARD = 1e-5
#: Gradients smaller than this are left out of end-to-end optimizer comparisons: Adam divides by them.
TINY_GRADIENT = 1e-6
#: The one kind of row that carries an error; "input" and "not compared" rows only account for an array.
COMPARED = ("absolute", "relative", "exact")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    name: the array's name in the file (a derived check appends `` [what]``). error: the largest
    error, absolute or relative as ``kind`` says; ``None`` for ``input`` and ``not compared``.
    tolerance: the largest error that passes. kind: absolute | relative | exact | input |
    not compared. note: a reason or a count of entries left out.
    """

    name: str
    error: float | None
    tolerance: float | None
    kind: str
    note: str = ""

    @property
    def ok(self) -> bool:
        """True unless an error was measured and is not within the tolerance (NaN never is)."""
        if self.kind not in COMPARED:
            return True
        return self.error is not None and self.tolerance is not None and self.error <= self.tolerance

    @property
    def array(self) -> str:
        """The array of the file that this row accounts for."""
        return self.name.split(" [", 1)[0]


def compare(
    name: str, got: Any, want: Any, atol: float | None = None, rtol: float | None = None, note: str = "", keep: Any = None
) -> Row:
    """The largest error of ``got`` against ``want``: exactly one of ``atol`` and ``rtol`` is given.

    atol: max |got - want|. rtol: max |got - want| / max |want| of the array (an array of zeros is
    compared absolutely). keep: boolean mask of the entries compared; those left out are counted in
    the note. Integers and booleans are compared exactly. A different shape is an infinite error.
    """
    if (atol is None) == (rtol is None):
        raise ValueError("compare takes exactly one of atol and rtol")
    got, want = np.asarray(got), np.asarray(want)
    if got.size == want.size == 1:
        got, want = got.reshape(()), want.reshape(())
    if got.shape != want.shape:
        return Row(name, float("inf"), 0.0, "exact", f"shape {got.shape}, reference {want.shape}")
    if want.dtype.kind in "iub":
        return Row(name, float(np.sum(got != want)), 0.0, "exact", note or "entries that differ")
    difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
    if keep is not None:
        keep = np.asarray(keep, bool).reshape(difference.shape)
        note = f"{int((~keep).sum())} of {keep.size} entries left out{': ' + note if note else ''}"
        difference, want = difference[keep], want[keep]
    # np.max of an empty selection has no value: nothing was compared, nothing differs.
    largest = float(difference.max()) if difference.size else 0.0
    if rtol is None:
        assert atol is not None
        return Row(name, largest, atol, "absolute", note)
    scale = float(np.abs(want).max()) if want.size else 0.0
    return Row(name, largest / scale if scale > 0 else largest, rtol, "relative", note)


def given(name: str) -> Row:
    """An array that was fed to the model."""
    return Row(name, None, None, "input")


def skipped(name: str, reason: str) -> Row:
    """An array that is not compared, and why."""
    return Row(name, None, None, "not compared", reason)


def inputs(arrays: Mapping[str, np.ndarray], *prefixes: str) -> Iterable[Row]:
    """``given`` rows for every array whose name starts with one of ``prefixes``."""
    return [given(name) for name in arrays if name.startswith(prefixes)]


def unaccounted(rows: Iterable[Row], arrays: Iterable[str]) -> list[str]:
    """Arrays of the file that no row speaks of."""
    seen = {row.array for row in rows}
    return sorted(set(arrays) - seen)
