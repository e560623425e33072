"""The largest training batch that a device's memory holds, found by compiling."""

from collections.abc import Callable
from typing import Any

from cr_jax import pipeline
from cr_jax.catalog import load
from cr_jax.errors import BadConfig, NotCompiled

#: Programs compiled per objective at most; the answer is then a bracket.
COMPILES = 20
#: The search ends when the next size tried that does not fit is within this share.
CLOSE = 0.01
LARGEST = 1 << 24

#: Peak bytes of one objective's step at a batch, ``None`` when the compiler found no room for it.
Peak = Callable[[int], int | None]


def largest_batches(report: dict[str, Any], memory_bytes: int | None = None, **arguments: Any) -> list[dict[str, Any]]:
    """Per objective of a cost report: the largest batch whose compiled peak fits the report's device.

    memory_bytes: overrides the accelerator profile's memory. arguments: those of
    ``pipeline.profile`` that made the report, without ``phases`` and ``batch``. Every size in the
    answer was compiled. Raises ``BadConfig`` where the device's memory is unknown, ``NotCompiled``
    where there is no compiler for it.
    """
    device = report["target"]["name"]
    limit = memory_bytes or (load.accelerator(device).memory_bytes if device in load.accelerator_names() else None)
    if limit is None:
        raise BadConfig(f"--max-batch: the memory of {device} is not in its profile; legal: --memory-gb N")
    seen: dict[int, dict[str, dict[str, Any]]] = {}

    def steps(batch: int) -> dict[str, dict[str, Any]]:
        if batch not in seen:
            found = pipeline.profile(**{**arguments, "phases": ("train",), "batch": batch})
            seen[batch] = {s["labels"]["objective"]: s for s in found["steps"]}
        return seen[batch]

    rows = []
    for step in report["steps"]:
        if step["phase"] != "train":
            continue
        name = step["labels"]["objective"]

        def peak(batch: int, name: str = name) -> int | None:
            entry = steps(batch)[name]
            if entry["compiled"] is None and not _no_room(entry["reason"]):
                raise NotCompiled(f"--max-batch: {entry['name']} at batch {batch} is not compiled: {entry['reason']}")
            return entry["memory"]["peak_bytes"]

        rows.append({"objective": name, "memory_bytes": limit, **search(peak, limit, step["labels"]["batch"]), "tag": "compiler"})
    return rows


def search(peak: Peak, limit: int, start: int) -> dict[str, int | None]:
    """The largest size whose peak is at most ``limit``, and the smallest tried that is not.

    Peaks grow nearly linearly, so the next size follows from the two nearest known; halving and
    doubling help where they do not. ``batch`` is ``None`` when not even one example fits.
    """
    fits: dict[int, int] = {}
    too_large: dict[int, int | None] = {}
    size, compiled = start, 0
    while compiled < COMPILES:
        found = peak(size)
        compiled += 1
        if found is not None and found <= limit:
            fits[size] = found
        else:
            too_large[size] = found
        low, high = max(fits, default=0), min(too_large, default=None)
        if high is not None and high - low <= max(1, int(CLOSE * low)):
            break
        if low >= LARGEST or high == 1:
            break
        size = _next(fits, too_large, limit, low, high, bisect=len(too_large) > 1 and compiled % 2 == 0)
    low, high = max(fits, default=None), min(too_large, default=None)
    return {
        "batch": low,
        "peak_bytes": fits.get(low) if low is not None else None,
        "next_batch": high,
        "next_peak_bytes": too_large.get(high) if high is not None else None,
        "programs_compiled": compiled,
    }


def _next(fits: dict[int, int], too_large: dict[int, int | None], limit: int, low: int, high: int | None, bisect: bool) -> int:
    """The next size: on the line through the two peaks nearest the limit, a little beyond it."""
    step = max(1, int(CLOSE * low))
    known = {b: p for b, p in (fits | too_large).items() if p is not None}
    if not known:
        return (low + high) // 2 if high is not None else 2 * low
    (a, at_a), (b, at_b) = (sorted(sorted(known.items(), key=lambda point: abs(point[1] - limit))[:2]) * 2)[:2]
    line = int(a + (limit - at_a) * (b - a) / (at_b - at_a)) if at_b > at_a else None
    if high is None:
        return min(LARGEST, 2 * low if line is None else min(max(line, low) + step, 1000 * low))
    if bisect or line is None:
        return (low + high) // 2
    return min(max(line, low + step), max(high - step, low + 1))


def _no_room(reason: str | None) -> bool:
    return reason is not None and any(words in reason.lower() for words in ("memory", "resource_exhausted", "hbm"))
