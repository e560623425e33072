"""The gate's verdict on time: two programs that ran in turn, never means of two moments."""

from collections.abc import Mapping
from typing import Any

#: A p value below is a difference.
SIGNIFICANT = 0.05


def verdict(step: str, found: Mapping[str, Any] | None, limit_percent: float, skipped: str | None) -> dict[str, Any]:
    """One step. found: ratio now / baseline with its 95% interval and p value, from interleaved samples;
    ``None``: not run, because the programs are the same, or for the reason ``skipped``.

    breach: the whole interval lies above the limit, and the difference is significant. within: the
    whole interval lies at or below it. undecided: it holds the limit; neither is shown.
    """
    row = {
        "step": step,
        "status": "same program" if skipped is None else "skipped",
        "ratio": None,
        "ratio_interval": None,
        "p_value": None,
        "samples": None,
        "reason": skipped,
    }
    if found is None:
        return row
    low, high = found["ratio_interval"]
    bound = 1 + limit_percent / 100
    significant = found["p_value"] < SIGNIFICANT
    if low > bound and significant:
        status = "breach"
    elif high < 1 and significant:
        status = "faster"
    else:
        status = "within" if high <= bound else "undecided"
    return row | {
        "status": status,
        "ratio": found["ratio"],
        "ratio_interval": [low, high],
        "p_value": found["p_value"],
        "samples": found["samples"],
    }


def add(document: dict[str, Any], block: dict[str, Any]) -> None:
    """Put the ``time`` block into a gate's result, its breaches among the others."""
    limit = block["limit_percent"]
    document["time"] = block
    document["limits_percent"]["time"] = limit
    for row in block["steps"]:
        if row["status"] == "skipped":
            document["skipped"].append({"what": f"{row['step']}: time", "reason": row["reason"]})
            continue
        document["compared"] += 1
        if row["status"] == "same program":
            continue
        low, high = row["ratio_interval"]
        percent = (row["ratio"] - 1) * 100
        interval = f"{row['step']}: time {percent:+.3g}% ({(low - 1) * 100:+.3g} to {(high - 1) * 100:+.3g}%)"
        text = f"{interval} of {row['samples']} pairs run in turn, limit +{limit:g}%"
        finding = {
            "where": row["step"],
            "metric": "time",
            "baseline": 1.0,
            "now": row["ratio"],
            "percent": percent,
            "limit_percent": limit,
            "text": text,
        }
        if row["status"] == "breach":
            document["breaches"].append(finding)
        elif row["status"] == "faster":
            document["improvements"].append(finding)
        elif row["status"] == "undecided":
            document["compared"] -= 1
            document["skipped"].append({"what": f"{row['step']}: time", "reason": f"undecided: {text}"})
    document["notes"] += block["warnings"]
    document["status"] = "regression" if document["breaches"] else "within"
