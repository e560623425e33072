"""The gate's verdict on time: from two programs that ran in turn, never from means of two moments."""

from typing import NamedTuple

from msgspec import structs

from cr_jax.documents.gate_result import Finding, GateResult, SkippedComparison, StepTimeVerdict, TimeVerdicts

#: The p value below which a ratio is a difference.
SIGNIFICANT = 0.05


class TimeRatio(NamedTuple):
    """Time now over the baseline's with its 95% interval and p value, and the number of interleaved pairs."""

    ratio: float
    ratio_interval: tuple[float, float]
    p_value: float
    samples: int


def verdict(step: str, measured: TimeRatio | None, limit_percent: float, skipped: str | None) -> StepTimeVerdict:
    """The verdict on one step. measured: ``None``: not run, because the programs are the same, or for the reason ``skipped``.

    breach: the whole interval lies above the limit, and the difference is significant. within: the whole interval lies at or
    below it. undecided: it contains the limit.
    """
    if measured is None:
        return StepTimeVerdict(
            step=step,
            status="same program" if skipped is None else "skipped",
            ratio=None,
            ratio_interval=None,
            p_value=None,
            samples=None,
            reason=skipped,
        )
    low, high = measured.ratio_interval
    bound = 1 + limit_percent / 100
    significant = measured.p_value < SIGNIFICANT
    if low > bound and significant:
        status = "breach"
    elif high < 1 and significant:
        status = "faster"
    else:
        status = "within" if high <= bound else "undecided"
    return StepTimeVerdict(step=step, status=status, **measured._asdict(), reason=skipped)


def with_times(result: GateResult, times: TimeVerdicts) -> GateResult:
    """A gate's result with the verdicts on time, its breaches among the others."""
    compared = result.compared
    breaches, improvements, skipped = list(result.breaches), list(result.improvements), list(result.skipped)
    for row in times.steps:
        what = f"{row.step}: time"
        if row.status == "skipped":
            skipped.append(SkippedComparison(what=what, reason=row.reason or "no reason stated"))
            continue
        if row.status == "same program":
            compared += 1
            continue
        finding = _finding(row, times.limit_percent)
        if row.status == "undecided":
            skipped.append(SkippedComparison(what=what, reason=f"undecided: {finding.text}"))
            continue
        compared += 1
        if row.status == "breach":
            breaches.append(finding)
        elif row.status == "faster":
            improvements.append(finding)
    return structs.replace(
        result,
        time=times,
        limits_percent=result.limits_percent | {"time": times.limit_percent},
        compared=compared,
        breaches=tuple(breaches),
        improvements=tuple(improvements),
        skipped=tuple(skipped),
        notes=(*result.notes, *times.warnings),
        status="regression" if breaches else "within",
    )


def _finding(row: StepTimeVerdict, limit: float) -> Finding:
    assert row.ratio is not None and row.ratio_interval is not None, "a step that was run has a ratio"
    low, high = row.ratio_interval
    percent = (row.ratio - 1) * 100
    interval = f"{row.step}: time {percent:+.3g}% ({(low - 1) * 100:+.3g} to {(high - 1) * 100:+.3g}%)"
    text = f"{interval} of {row.samples} pairs run in turn, limit +{limit:g}%"
    return Finding(where=row.step, metric="time", baseline=1.0, now=row.ratio, percent=percent, limit_percent=limit, text=text)
