"""The bench report: what was measured, beside what was counted. No JAX: numbers in, a document out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.printable import named, one_line, redacted
from cr_jax.records import TrainingLabels, labels_document

SCHEMA_VERSION = "1.0"
SCHEMA_ID = f"urn:cr-jax:schema:bench-report:{SCHEMA_VERSION}"
#: A p value below is called a difference.
SIGNIFICANT = 0.05

DEFINITIONS = {
    "step": "train: one optimizer step of one objective; infer: one answered turn for every user of the batch",
    "turn": "one question-answer pair; turn 0 is the user's request q0",
    "time": "seconds of one call, waited for; the first call and the warm-up are apart",
    "median_interval_s": "95% block bootstrap interval of the median of this run",
    "repeat_interval_s": "where the median of another run of this bench is expected, nine times of ten",
    "percentile": "null where the samples are too few to have one beyond it",
    "flops_per_s": "counted floating-point operations, a multiply-add is 2, over the median",
    "bytes_per_s": "counted bytes at fusion boundaries over the median; what stays in a cache counts too",
    "matmul_utilisation": "matmul operations per second over the profile's peak; null where that is unknown",
}


def document(
    head: Mapping[str, Any], version: str, versions: Mapping[str, Any], machine: Mapping[str, Any], command: Sequence[str] | None
) -> dict[str, Any]:
    """A report without steps; ``head`` has its case, model, dataset, device and plan. version: ours."""
    return {
        "schema": SCHEMA_ID,
        "kind": "bench-report",
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "cr-jax", "version": version},
        "versions": dict(versions),
        "command": redacted(command),
        **head,
        "machine": dict(machine),
        "definitions": DEFINITIONS,
        "status": "measured",
        "error": None,
        "steps": [],
        "comparisons": [],
        "warnings": [],
    }


def step_entry(
    step: Mapping[str, Any],
    count: HloCount,
    predicted_peak: int | None,
    turns: float | None,
    stages: Mapping[str, float | None],
    samples: Mapping[str, Any],
    peaks: Mapping[str, Any],
) -> dict[str, Any]:
    """One step's figures.

    step: name, labels, program_sha256. turns: conversational turns per step. samples:
    times_s, warmup_s, stopped, warnings and ``figures``, what the samples say. peaks: profile,
    matmul_type, flops_per_s and bytes_per_s, ``None`` where unknown.
    """
    figures = samples["figures"]
    median = figures["median_s"]
    total = count.total
    achieved = _achieved(total.flops, count.matmul_flops, count.hbm_bytes, median, peaks)
    labels = step["labels"]
    examples = labels.batch if isinstance(labels, TrainingLabels) else None
    return {
        "name": step["name"],
        "phase": labels.phase,
        "labels": labels_document(labels),
        "stages_s": dict(stages) | {"tag": "measured"},
        "time": figures | {"stopped": samples["stopped"], "tag": "measured"},
        "rates": {
            "steps_per_s": 1 / median if median else None,
            "turns_per_s": turns / median if median and turns else None,
            "examples_per_s": examples / median if median and examples else None,
            "s_per_turn": median / turns if median and turns else None,
            "tag": "measured",
        },
        "counted": {
            "flops": total.flops,
            "matmul_flops": count.matmul_flops,
            "transcendentals": total.transcendentals,
            "hbm_bytes": count.hbm_bytes,
            "bound": count.bound,
            "program_sha256": step["program_sha256"],
            "tag": "counted",
        },
        "achieved": achieved,
        "memory": memory_entry(predicted_peak, None, None),
        "energy": None,
        "conditions": None,
        "warmup_samples_s": list(samples["warmup_s"]),
        "samples_s": list(samples["times_s"]),
        "warnings": [*samples["warnings"], *_outliers(figures), *_beyond(achieved)],
    }


def memory_entry(predicted: int | None, measured: int | None, method: str | None) -> dict[str, Any]:
    """Peak memory beside the compiler's account of it. error_share: (predicted − measured) / measured."""
    share = (predicted - measured) / measured if predicted is not None and measured else None
    return {
        "peak_bytes": measured,
        "method": method,
        "predicted_peak_bytes": predicted,
        "predicted_rule": "arguments + outputs + temporaries - aliased, as the compiler allots them",
        "error_share": share,
        "tag": "measured",
    }


def error_entry(error: BaseException, doing: Mapping[str, Any] | None) -> dict[str, Any]:
    """Why a case has no (further) figures: kind ``out of memory`` or ``failed``, in one line, with the
    step that was measured and the peak predicted for it."""
    said = one_line(error)
    full = isinstance(error, MemoryError) or any(t in said.lower() for t in ("resource_exhausted", "out of memory"))
    return failure("out of memory" if full else "failed", named(error, 400), doing)


def failure(kind: str, reason: str, doing: Mapping[str, Any] | None) -> dict[str, Any]:
    """The ``error`` of a report."""
    doing = doing or {}
    return {"kind": kind, "reason": reason, "step": doing.get("step"), "predicted_peak_bytes": doing.get("predicted_peak_bytes")}


def comparison_entry(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], against: str, result: Mapping[str, Any] | None
) -> dict[str, Any]:
    """One step against another: ratio ours / theirs with interval and test, and a verdict in words."""
    empty = {"ratio": None, "ratio_interval": None, "p_value": None, "test": None, "interleaved": False}
    found = dict(result or empty)
    return {
        "step": ours["name"],
        "against": against,
        "against_step": theirs["name"],
        "median_s": ours["time"]["median_s"],
        "against_median_s": theirs["time"]["median_s"],
        "against_samples_s": list(theirs["samples_s"]),
        "program_equal": ours["counted"]["program_sha256"] == theirs["counted"]["program_sha256"],
        **found,
        "verdict": _verdict(found),
        "warnings": [] if found["interleaved"] else ["not interleaved: what else ran then and now enters the ratio"],
        "tag": "measured",
    }


def _verdict(found: Mapping[str, Any]) -> str:
    ratio = found["ratio"]
    if ratio is None:
        return "not comparable: too few samples"
    low, high = found["ratio_interval"]
    if found["p_value"] >= SIGNIFICANT or low <= 1 <= high:
        return "no difference shown"
    return f"{1 / ratio:.2f} times as fast" if ratio < 1 else f"{ratio:.2f} times as slow"


def _achieved(flops: int, matmul: int, moved: int, median: float | None, peaks: Mapping[str, Any]) -> dict[str, Any]:
    def rate(amount: int) -> float | None:
        return amount / median if median else None

    def share(amount: int, peak: float | None) -> float | None:
        return amount / median / peak if median and peak else None

    return {
        "flops_per_s": rate(flops),
        "matmul_flops_per_s": rate(matmul),
        "bytes_per_s": rate(moved),
        "matmul_utilisation": share(matmul, peaks["flops_per_s"]),
        "bandwidth_utilisation": share(moved, peaks["bytes_per_s"]),
        "peak_profile": peaks["profile"],
        "matmul_type": peaks["matmul_type"],
        "tag": "measured",
    }


def _beyond(achieved: Mapping[str, Any]) -> list[str]:
    shares = {"matmul": achieved["matmul_utilisation"], "bandwidth": achieved["bandwidth_utilisation"]}
    return [
        f"{name} utilisation {share:.0%} is over 100%: an error of the profile {achieved['peak_profile']!r}, not a fast device"
        for name, share in shares.items()
        if share is not None and share > 1
    ]


def _outliers(figures: Mapping[str, Any]) -> list[str]:
    far, n = figures["outliers"], figures["samples"]
    if not far or far < max(1, 0.01 * n):
        return []
    return [f"{far} of {n} samples are outliers (further than 5 scaled median absolute deviations): read the median"]
