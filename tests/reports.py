"""One small real report, profiled once per process, and copies of it with other figures."""

from functools import cache

from msgspec import UNSET, structs

from cr_jax.documents.base import decode
from cr_jax.documents.cost_report import CostReport
from cr_jax.profiling.pipeline import profile
from cr_jax.profiling.request import Request

SETTINGS = {"embedding": "6", "hidden": "4"}


def profiled():
    """DMN on two turns, counted anew."""
    command = ("crjax", "profile", "--model", "dmn")
    return profile(Request("dmn", turns=1, settings=SETTINGS, preset="matched", command=command))


_profiled = cache(profiled)


def sample(model="dmn", device="cpu"):
    """DMN on two turns; ``model`` and ``device`` rename it."""
    precision = {"cpu": "float32", "h100": "tf32"}.get(device)
    names = {"model.name": model, "target.name": device, "target.effective_precision": precision}
    return changed(_profiled(), names)


def step(report, name="train/answer"):
    return next(one for one in report.steps if one.name == name)


def changed(value, changes):
    """A copy of a document with other values.

    changes: by dotted path, the new value, or a function of the old one. A part of a path is a field, a key, the name or
    number of an entry, or ``*`` for every entry.
    """
    for path, new in changes.items():
        value = _changed(value, path.split("."), new)
    return value


def _changed(value, path, new):
    if not path:
        return new(value) if callable(new) else new
    key, *rest = path
    if isinstance(value, tuple):
        wanted = [key in ("*", str(number), getattr(one, "name", None)) for number, one in enumerate(value)]
        assert any(wanted), f"{key}: no such entry"
        return tuple(_changed(one, rest, new) if hit else one for one, hit in zip(value, wanted, strict=True))
    if isinstance(value, dict):
        return value | {key: _changed(value.get(key), rest, new)}
    return structs.replace(value, **{key: _changed(getattr(value, key), rest, new)})


def traced(report):
    """The report as it is where nothing was compiled for its target."""
    unknown = ("argument_bytes", "output_bytes", "temp_bytes", "alias_bytes", "peak_bytes", "timeline")
    steps = {
        "compiled": None,
        "outcome": "no compiler",
        "reason": "no compiler for it here",
        **{f"memory.{key}": None for key in unknown},
    }
    every = {f"steps.*.{path}": value for path, value in steps.items()} if report.steps else {}
    return changed(report, {"target.compiled_for": None, **every})


def second_objective(report):
    """With a second objective of another batch, which supervises no turns."""
    labels = {"labels.objective": "other", "labels.batch": 64, "labels.supervised_turns_per_example": None}
    other = changed(step(report), {"name": "train/other", **labels})
    first, *rest = report.steps
    return structs.replace(report, steps=(first, other, *rest))


def only(report, wanted):
    """The report with those of its steps that are ``wanted``."""
    return structs.replace(report, steps=tuple(one for one in report.steps if wanted(one)))


def typed(document):
    """The report that ``cr_jax.profile`` gave as JSON."""
    return decode(document, CostReport, "report")


def without_predictions(report):
    return changed(report, {"steps.*.prediction": UNSET})
