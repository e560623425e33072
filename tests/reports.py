"""One small real report, profiled once per process, and copies of it to change."""

import copy
from functools import cache

from cr_jax import profile

SETTINGS = {"embedding": "6", "hidden": "4"}


@cache
def _profiled():
    return profile("dmn", turns=1, settings=SETTINGS, preset="matched", command=["crjax", "profile", "--model", "dmn"])


def sample(model="dmn", device="cpu"):
    """DMN on two turns; ``model`` and ``device`` rename it."""
    report = copy.deepcopy(_profiled())
    report["model"]["name"], report["target"]["name"] = model, device
    report["target"]["effective_precision"] = {"cpu": "float32", "h100": "tf32"}.get(device)
    return report


def step(report, name="train/answer"):
    return next(one for one in report["steps"] if one["name"] == name)


def traced(report):
    """The report as it is where nothing was compiled for its target."""
    report["target"]["compiled_for"] = None
    for one in report["steps"]:
        one["compiled"] = None
        one["memory"].update(
            dict.fromkeys(("argument_bytes", "output_bytes", "temp_bytes", "alias_bytes", "peak_bytes", "timeline"))
        )
        one.update(outcome="no compiler", reason="no compiler for it here") if "outcome" in one else None
    return report


def second_objective(report):
    """With a second objective of another batch, which supervises no turns."""
    other = copy.deepcopy(step(report))
    other["name"], other["labels"]["objective"], other["labels"]["batch"] = "train/other", "other", 64
    other["labels"]["supervised_turns_per_example"] = None
    report["steps"].insert(1, other)
    return report
