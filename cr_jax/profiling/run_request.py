"""The request that counts what a finished run trained: its model, configuration and, of a student, its teachers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cr_jax.distillation import Distillation
from cr_jax.documents.base import decode, known
from cr_jax.documents.training_report import TrainingReport
from cr_jax.errors import BadConfig, BadInput
from cr_jax.files import expanded, is_folder
from cr_jax.json_text import read_json
from cr_jax.profiling.request import Request

REPORT = "report.json"


def of_run(request: Request, run: str | Path) -> Request:
    """``request`` with model, configuration, preset and batch of ``run``, a folder of ``crjax train`` or ``crjax distil`` or its
    report; settings of ``request`` change the configuration. A student's training steps are those against its teachers.

    ``request.model`` is ``package.module:SPEC`` for a run whose model is not in the package, else empty. Raises ``BadInput`` for
    anything but such a report, and ``BadConfig`` for another model.
    """
    place = expanded(run)
    file = place / REPORT if is_folder(place) else place
    document = read_json(file)
    if not isinstance(document, dict) or document.get("kind") != "training-report":
        raise BadInput(str(file), "no training report; legal: a folder of crjax train or distil, or its report.json")
    report = decode(document, TrainingReport, str(file))
    if request.model and ":" not in request.model and request.model != report.model.name:
        raise BadConfig(f"model {request.model!r}: {file} is of {report.model.name!r}; legal: --run without --model")
    batches = {stage.batch for stage in report.stages}
    return replace(
        request,
        model=request.model or report.model.name,
        preset=report.model.preset,
        batch=request.batch or (batches.pop() if len(batches) == 1 else None),
        settings=_settings(report.model.config) | dict(request.settings),
        distillation=_distillation(report),
    )


def _distillation(report: TrainingReport) -> Distillation | None:
    found = known(report.distillation)
    if found is None:
        return None
    teachers = tuple(teacher.config for teacher in found.teachers)
    return Distillation(found.temperature, found.weight, teachers, found.on_the_fly, found.augment)


def _settings(config: Mapping[str, object]) -> dict[str, str]:
    """A configuration as ``--set`` takes it."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in config.items() if value is not None
    }
