"""The regression gate: a baseline report compared with the same workload counted again.

Parameters and model FLOPs are exact: they come from the traced program and may not change at all. Figures that depend on the
compiler (its FLOPs, bytes moved, peak memory) may rise by a limit per metric, and are compared only where the same toolchain
compiled for the same target.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cr_jax.documents.base import constants, decode, known
from cr_jax.documents.cost_report import CostReport, ReportedFunction
from cr_jax.documents.fields import Tool
from cr_jax.documents.gate_result import Finding, GateResult, SkippedComparison
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.errors import BadConfig, BadInput, CrJaxError, UnknownName
from cr_jax.json_text import read_json

#: Percent that a compiled figure may rise by.
LIMITS = {"compiled_flops": 1.0, "hbm_bytes": 2.0, "peak_bytes": 2.0}
_EXACT = ("flops", "matmul_flops", "complete")
_PARAMETERS = ("trainable", "frozen", "total")
#: The schema version of the reports of this crjax.
_REPORT_VERSION = constants(CostReport)["schema_version"]


class NotComparable(CrJaxError):
    """The baseline cannot be compared with the current figures: another schema version or another data set."""


def read_baseline(path: str | Path) -> CostReport:
    """The baseline in a file. Raises ``BadInput``, and ``NotComparable`` for another schema version."""
    document = read_json(path)
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind != "cost-report":
        raise BadInput(str(path), f"kind: {kind!r} is no baseline; legal: a cost report, as crjax profile --out writes")
    version = document.get("schema_version")
    if isinstance(version, str) and version != _REPORT_VERSION:
        raise NotComparable(f"{path}: schema version {version!r}, this crjax writes {_REPORT_VERSION!r}: make the baseline anew")
    return decode(document, CostReport, str(path))


def read_limits(pairs: Sequence[str]) -> dict[str, float]:
    """``["hbm_bytes=5"]`` over the default limits. Raises ``BadConfig`` and ``UnknownName``."""
    limits = dict(LIMITS)
    for pair in pairs:
        metric, equals, text = pair.partition("=")
        if equals and metric not in LIMITS:
            raise UnknownName("metric with a limit", metric, LIMITS)
        try:
            percent = float(text.removesuffix("%"))
        except ValueError:
            percent = math.nan
        if not equals or not math.isfinite(percent) or percent < 0:
            raise BadConfig(f"--limit {pair!r}: legal: METRIC=PERCENT, 0 or more, METRIC one of {', '.join(LIMITS)}")
        limits[metric] = percent
    return limits


def gate(baseline: CostReport, now: CostReport, limits: Mapping[str, float], where: str, version: str) -> GateResult:
    """The gate's result: breaches, improvements, skipped comparisons with reasons. version: crjax's own.

    Raises ``NotComparable`` where the two are of different data sets or models.
    """
    if now.dataset and baseline.dataset and now.dataset.sha256 != baseline.dataset.sha256:
        raise NotComparable(f"{where}: the sizes of data set {baseline.dataset.name!r} have changed since (sha256)")
    if now.model.name != baseline.model.name:
        raise NotComparable(f"{where}: model {baseline.model.name!r} is now {now.model.name!r}")
    if (old_call := known(baseline.function)) and (new_call := known(now.function)):
        _same_arguments(old_call, new_call, where)
    findings = _Findings(limits)
    before, after = baseline.parameters, now.parameters
    if before and after:
        for key in _PARAMETERS:
            findings.exact("parameters", key, getattr(before, key), getattr(after, key))
    elif before or after:
        findings.skip("parameters", f"the function's weights are unknown in {'this run' if before else 'the baseline'}")
    old, new = ({step.name: step for step in report.steps} for report in (baseline, now))
    other = other_toolchain(baseline, now)
    if other:
        findings.skip("compiled FLOPs, bytes and peak memory of every step", other)
    for name in dict.fromkeys([*old, *new]):
        if name not in new or name not in old:
            findings.step_gone(name, gone=name not in new)
            continue
        for key in _EXACT:
            findings.exact(name, f"model_{key}", getattr(old[name].model, key), getattr(new[name].model, key))
        if not other:
            _compiled(findings, name, old[name], new[name])
    return GateResult(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=Tool(name="cr-jax", version=version),
        baseline=where,
        model=now.model.name,
        device=now.target.name,
        dataset=now.dataset.name if now.dataset else None,
        status="regression" if findings.breaches else "within",
        limits_percent=dict(limits),
        compared=findings.compared,
        breaches=tuple(findings.breaches),
        improvements=tuple(findings.improvements),
        skipped=tuple(findings.skipped),
        notes=_notes(baseline, now),
        time=None,
        updated=False,
    )


def _same_arguments(old: ReportedFunction, new: ReportedFunction, where: str) -> None:
    """Raise ``NotComparable`` where a function was traced on arguments of other shapes or types."""
    before, after = ({a.name: f"{a.dtype}{list(a.shape)}" for a in call.arguments} for call in (old, new))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            raise NotComparable(f"{where}: argument {name} is {before.get(name, 'not there')}, now {after.get(name, 'gone')}")


def other_toolchain(baseline: CostReport, now: CostReport) -> str | None:
    """The reason why compiled figures cannot be compared, or ``None`` where they can."""
    old, new = (_toolchain(report) for report in (baseline, now))
    changed = [f"{key} {old.get(key)} -> {new.get(key)}" for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    return f"another toolchain: {', '.join(changed)}" if changed else None


def _toolchain(report: CostReport) -> Mapping[str, object]:
    target = report.target
    # Python compiles nothing; libtpu compiles for TPUs only.
    ignored = {"python"} | (set() if target.platform == "tpu" else {"libtpu"})
    versions = {key: value for key, value in report.versions.items() if key not in ignored}
    where = {key: getattr(target, key) for key in ("name", "kind", "attached", "autotuned")}
    return (
        versions
        | (target.compiler or {})
        | {f"target {key}": value for key, value in where.items()}
        | {"flags": target.flags or None}
    )


def _compiled(findings: "_Findings", name: str, old: ReportedStep, new: ReportedStep) -> None:
    if old.compiled is None or new.compiled is None:
        sides = [side for side, step in (("the baseline", old), ("this run", new)) if step.compiled is None]
        findings.skip(f"{name}: compiled figures", f"not compiled in {' and '.join(sides)}")
        return
    findings.limited(name, "compiled_flops", old.compiled.flops, new.compiled.flops)
    findings.limited(name, "hbm_bytes", old.compiled.hbm_bytes, new.compiled.hbm_bytes)
    findings.limited(name, "peak_bytes", old.memory.peak_bytes, new.memory.peak_bytes)


def _notes(baseline: CostReport, now: CostReport) -> tuple[str, ...]:
    old, new = baseline.model.config, now.model.config
    return tuple(
        f"configuration {key}: {old.get(key)} in the baseline, {new.get(key)} now"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    )


class _Findings:
    """Comparisons sorted into breaches, improvements and skips."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self.limits, self.compared = limits, 0
        self.breaches: list[Finding] = []
        self.improvements: list[Finding] = []
        self.skipped: list[SkippedComparison] = []

    def skip(self, what: str, reason: str) -> None:
        self.skipped.append(SkippedComparison(what=what, reason=reason))

    def exact(self, where: str, metric: str, old: int, new: int) -> None:
        self.compared += 1
        if old != new:
            self.breaches.append(_finding(where, metric, old, new, None))

    def limited(self, where: str, metric: str, old: int | None, new: int | None) -> None:
        if old is None or new is None:
            side = "the baseline" if old is None else "this run"
            self.skip(f"{where}: {metric}", f"unknown in {side}")
            return
        self.compared += 1
        limit = self.limits[metric]
        if new > old and (new - old) * 100 > limit * old:
            self.breaches.append(_finding(where, metric, old, new, limit))
        elif new < old:
            self.improvements.append(_finding(where, metric, old, new, limit))

    def step_gone(self, name: str, gone: bool) -> None:
        self.compared += 1
        text = f"{name}: the step is {'in the baseline but not in this run' if gone else 'new: the baseline has none'}"
        self.breaches.append(
            Finding(where=name, metric="step", baseline=None, now=None, percent=None, limit_percent=None, text=text)
        )


def _finding(where: str, metric: str, old: int, new: int, limit: float | None) -> Finding:
    numbers = not isinstance(old, bool) and not isinstance(new, bool)
    percent = (new - old) / old * 100 if numbers and old else None
    shown = [f"{value:,}" if numbers else str(value).lower() for value in (old, new)]
    moved = f" ({percent:+.3g}%)" if percent is not None else ""
    bound = "must be equal" if limit is None else f"limit +{limit:g}%"
    text = f"{where}: {metric} {shown[0]} -> {shown[1]}{moved}, {bound}"
    return Finding(where=where, metric=metric, baseline=old, now=new, percent=percent, limit_percent=limit, text=text)
