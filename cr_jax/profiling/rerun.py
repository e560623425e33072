"""The request that makes a saved cost report again."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from msgspec import UNSET, structs

from cr_jax.cost.assumptions import Assumptions, parse_kernels, parse_trips
from cr_jax.distillation import Distillation
from cr_jax.documents.base import known
from cr_jax.documents.cost_report import CostReport, ReportedWorkload
from cr_jax.errors import BadConfig
from cr_jax.profiling.request import Request
from cr_jax.records import Precision
from cr_jax.report.rows import LEFT_OUT

if TYPE_CHECKING:
    from cr_jax.profiling.function_request import FunctionRequest

#: Names that mean different devices on different machines.
BARE = ("gpu", "tpu")


def rerun(
    baseline: CostReport,
    where: str,
    known_datasets: Sequence[str],
    dataset: str | None = None,
    device: str | None = None,
    model: str | None = None,
) -> Request:
    """The request that runs the baseline's own workload again.

    A document chooses neither an import nor a file to read: the user does. known_datasets: names of data set profiles. dataset:
    the file, where the baseline's is no profile. device: the device to run for instead. model: the place of a model outside the
    package, which must be the baseline's. Raises ``BadConfig`` where one of these is missing or contradicts the baseline, and for
    a device without a fixed meaning.
    """
    work = baseline.workload
    same = ("preset", "batch", "users", "turns", "items_scored", "question_items", "top_k", "precision", "dtype")
    return Request(
        _model(baseline, where, model),
        _dataset(baseline, where, known_datasets, dataset),
        (_device(baseline, where, device),),
        work.phases,
        settings=_settings(baseline),
        mesh=tuple(baseline.target.mesh.items()) if baseline.target.mesh else (),
        turns_compiled="ends" if any(step.outcome == LEFT_OUT for step in baseline.steps) else "all",
        command=baseline.command,
        distillation=_distillation(work),
        **{key: getattr(work, key) for key in same},
    )


def _distillation(work: ReportedWorkload) -> Distillation | None:
    found = known(work.distillation)
    return None if found is None else Distillation(**structs.asdict(found))


def rerun_function(baseline: CostReport, where: str, function: str | None, device: str | None = None) -> "FunctionRequest":
    """The request that traces the function of a baseline again. function: ``module:name``, whose code is run: the user names it.

    Raises ``BadConfig`` as :func:`rerun` does.
    """
    call = known(baseline.function)
    if call is None:
        raise BadConfig(f"--function {function!r}: {where} is of a model; legal: without --function")
    if call.call is None:
        raise BadConfig(f"{where}: its function was given in Python, not by a name; legal: a report by --function module:NAME")
    if function is None or function != call.call:
        given = "would be run" if function is None else f"is not {function!r}"
        raise BadConfig(f"{where}: its function {call.call!r} {given}; legal: --function {call.call}")
    from cr_jax.profiling.function_request import FunctionRequest  # with JAX, which a look at a baseline does not need
    from cr_jax.profiling.named_function import named_function

    command = baseline.command or ()
    trips, kernels = ([*_option(baseline, name)] for name in ("--trips", "--kernel"))
    return FunctionRequest(
        named_function(function),
        (_device(baseline, where, device),),
        cast(Precision, baseline.workload.precision),
        tuple(baseline.target.mesh.items()) if baseline.target.mesh else (),
        Assumptions(parse_trips(trips), parse_kernels(kernels)),
        command=command or None,
        call=function,
    )


def _option(baseline: CostReport, name: str) -> list[str]:
    """Every value of an option in the baseline's command line."""
    command = baseline.command or ()
    pairs = [value for flag, value in pairwise(command) if flag == name]
    return pairs + [part.partition("=")[2] for part in command if part.startswith(f"{name}=")]


def _model(baseline: CostReport, where: str, given: str | None) -> str:
    """A model in the package by its name; one from outside, whose code is run, only if the user names it."""
    saved = next((name for name in reversed(_option(baseline, "--model")) if ":" in name), baseline.model.name)
    if given is None and ":" in saved:
        raise BadConfig(f"{where}: its model {saved!r} is a module of yours, whose code would be run; legal: --model {saved}")
    if given is None or given == saved:
        return saved
    if ":" in given and ":" not in saved:  # a report made in Python does not say where its model was found
        return given
    raise BadConfig(f"--model {given!r}: {where} is of {saved!r}; legal: --model {saved}")


def _dataset(baseline: CostReport, where: str, known: Sequence[str], given: str | None) -> str:
    """A profile by its name; a file only if the user names it."""
    if given is not None:
        return given
    name, asked = baseline.data.name, _option(baseline, "--dataset")[-1:]
    if name in known and set(asked) <= set(known):
        return name
    said = f" ({asked[0]!r})" if asked else ""
    raise BadConfig(f"{where}: its data set {name!r} was read from a file{said}, no profile here; legal: --dataset FILE")


def _device(baseline: CostReport, where: str, given: str | None) -> str:
    asked = [given] if given is not None else [baseline.target.name, *_option(baseline, "--device")[-1:]]
    for name in asked:
        if name in BARE:
            what = "--device" if given is not None else f"{where}: device"
            raise BadConfig(
                f"{what} {name!r} means another device on another machine; legal: a full name, such as "
                f"{'h100' if name == 'gpu' else 'tpu-v5e'}"
            )
    return asked[0]


def _settings(baseline: CostReport) -> dict[str, str]:
    stored = baseline.workload.settings
    if stored is not UNSET:
        return dict(stored)
    pairs = (pair.partition("=") for pair in _option(baseline, "--set"))
    return {key.strip(): value.strip() for key, _, value in pairs}
