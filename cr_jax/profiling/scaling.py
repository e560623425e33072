"""An amount of training, or of calls of a function, on growing numbers of devices."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from cr_jax.catalog import load
from cr_jax.documents.base import known
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.prediction import StepPrediction
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.documents.scaling_estimate import Growth, ScalingEstimate, ScalingRow
from cr_jax.errors import BadConfig, CrJaxError
from cr_jax.predict.money.pricing import Rates
from cr_jax.printable import one_line
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.pipeline import configure, profile_devices, read_dataset
from cr_jax.profiling.request import SILENT, Listener, Request
from cr_jax.profiling.stages import Failed
from cr_jax.report.document import validate
from cr_jax.report.prediction import Options
from cr_jax.steps.function import examples, with_batch
from cr_jax.targets.compile import versions

#: The largest number of devices.
MOST = 4096
_Money = Literal["price", "energy"]


@dataclass(frozen=True)
class ScalingRequest:
    """The question. request: of one model or function; its mesh and devices are those of the rows.

    counts: numbers of devices, growing. amount: epochs of a model's training, or calls of a function. deadline_s: of the whole
    work. Raises ``BadConfig``.
    """

    request: Request | FunctionRequest
    counts: tuple[int, ...] = (1,)
    growth: Growth = "strong"
    amount: float = 1.0
    deadline_s: float | None = None
    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        if not self.counts or list(self.counts) != sorted(set(self.counts)) or not 1 <= self.counts[0] <= self.counts[-1] <= MOST:
            shown = ",".join(map(str, self.counts))
            raise BadConfig(f"--scaling {shown}: legal: growing numbers of devices from 1 to {MOST}, such as 1,2,4,8")


def scaling(question: ScalingRequest, listener: Listener = SILENT) -> ScalingEstimate:
    """A row per device and number of devices; one that cannot be had is a row with its reason. Raises ``CrJaxError``."""
    request = question.request
    rows: list[ScalingRow] = []
    for device in request.devices:
        own: list[ScalingRow] = []
        for count in question.counts:
            if listener.progress:
                listener.progress(f"{count} x {device}")
            own.append(_row(question, device, count, own[0] if own else None))
        rows += own
    function = isinstance(request, FunctionRequest)
    unit = "call" if function else "epoch"
    document = ScalingEstimate(
        subject=request.model,
        dataset=None if function else _dataset_name(request),
        work=f"{question.amount:,g} {unit}{'' if question.amount == 1 else 's'}",
        growth=question.growth,
        versions=versions(),
        rows=tuple(rows),
        deadline_s=question.deadline_s,
        cheapest=_cheapest(rows, question.deadline_s),
        communication=next((n for n, row in enumerate(rows) if row.alone_share is not None and row.alone_share > 0.5), None),
    )
    validate(document, "the estimate (a bug in cr_jax: please report it)")
    return document


def _dataset_name(request: Request) -> str:
    return read_dataset(request.dataset)[0].name


def _cost(prediction: StepPrediction, kind: _Money) -> float | None:
    """US dollars or joules of one step."""
    if kind == "price":
        return prediction.price.price_usd if prediction.price else None
    return prediction.energy.energy_j if prediction.energy else None


def _row(question: ScalingRequest, device: str, count: int, first: ScalingRow | None) -> ScalingRow:
    try:
        (result,) = profile_devices(_on(question, device, count), Options(question.rates))
        report = _report(result)
        if (own := report.target.devices) and own != count:
            raise BadConfig(f"--scaling {count}: the function's own shardings are of {own} devices; legal: --scaling {own}")
    except CrJaxError as error:
        return _failed(device, count, one_line(error))
    steps = report.steps
    unpredicted = next((step for step in steps if _prediction(step) is None or _prediction(step).seconds is None), None)  # type: ignore[union-attr]
    times = [(step, _repeats(step, question.amount)) for step in steps]
    peaks = [step.memory.peak_bytes for step in steps]
    peak = None if None in peaks else max(p for p in peaks if p is not None)
    accelerator = load.accelerator_or_none(report.target.name)
    size = accelerator.memory_bytes if accelerator else None
    batches = {known(step.labels.batch) for step in steps}
    common = {
        "device": device,
        "devices": count,
        "batch": next(iter(batches)) if len(batches) == 1 else None,
        "steps": sum(repeats for _, repeats in times),
        "flops_per_device": sum(step.compiled.flops for step in steps if step.compiled)
        if all(step.compiled for step in steps)
        else None,
        "peak_bytes": peak,
        "fits": None if peak is None or size is None else peak <= size,
        "tag": "predicted",
    }
    if unpredicted is not None:
        found = _prediction(unpredicted)
        reason = unpredicted.reason or (found.reason if found else None) or "no prediction"
        return ScalingRow(**common, **dict.fromkeys(_TIMES), reason=reason)
    predictions = [(prediction, repeats) for step, repeats in times if (prediction := _prediction(step)) is not None]
    seconds = _sum([p.seconds for p, _ in predictions])
    alone = sum(c.exposed_s if (c := known(p.collectives)) else 0.0 for p, _ in predictions)
    row = ScalingRow(
        **common,
        step_seconds=seconds,
        step_low_s=_sum([p.low_s for p, _ in predictions]),
        step_high_s=_sum([p.high_s for p, _ in predictions]),
        alone_share=min(1.0, alone / seconds) if seconds else None,
        efficiency=None,
        seconds=_sum([_times(p.seconds, n) for p, n in predictions]),
        energy_j=_sum([_times(_cost(p, "energy"), n) for p, n in predictions]),
        price_usd=_sum([_times(_cost(p, "price"), n) for p, n in predictions]),
        reason=None,
    )
    return _with_efficiency(row, first, question.growth)


_TIMES = ("step_seconds", "step_low_s", "step_high_s", "alone_share", "efficiency", "seconds", "energy_j", "price_usd")


def _with_efficiency(row: ScalingRow, first: ScalingRow | None, growth: Growth) -> ScalingRow:
    """The row with the work of a device and second over that of the first row's."""
    from msgspec import structs

    start = row if first is None else first
    if start.step_seconds is None or not row.step_seconds:
        return row
    ratio = start.step_seconds / row.step_seconds
    return structs.replace(row, efficiency=ratio if growth == "weak" else ratio * start.devices / row.devices)


def _on(question: ScalingRequest, device: str, count: int) -> Request | FunctionRequest:
    """The request on ``count`` devices. With one there is no mesh: it is the program that is compiled without."""
    request, first = question.request, question.counts[0]
    mesh = (("data", count),) if count > 1 else ()
    grown = count // first if question.growth == "weak" else 1
    if question.growth == "weak" and count % first:
        raise BadConfig(f"--scaling with --weak: {count} is no multiple of {first}; legal: multiples of the first number")
    if isinstance(request, FunctionRequest):
        user = request.function
        if user.batch is None and count > 1:
            raise BadConfig(
                f"--scaling: no argument of {user.title!r} is named as its batch; legal: batch=NAME among its options"
            )
        if grown > 1:
            user = with_batch(user, examples(user) * grown)
        return replace(request, function=user, devices=(device,), mesh=mesh)
    data, _ = read_dataset(request.dataset)
    configured = configure(request, data)
    batches = {one.batch for one in configured.spec.objectives(configured.config)}
    batch = request.batch or (batches.pop() if len(batches) == 1 else None)
    if grown > 1 and batch is None:
        raise BadConfig("--weak: the objectives have batches of their own; legal: --batch N")
    whole = batch * grown if batch is not None and grown > 1 else request.batch
    return replace(request, phases=("train",), batch=whole, devices=(device,), mesh=mesh)


def _report(result: CostReport | Failed) -> CostReport:
    if isinstance(result, Failed):
        raise result.reason
    return result


def _prediction(step: ReportedStep) -> StepPrediction | None:
    return known(step.prediction)


def _repeats(step: ReportedStep, amount: float) -> float:
    """Executions of a step in the whole work: of a function's call, or in epochs."""
    if step.phase == "step":
        return amount
    return amount * (known(step.per.steps_per_epoch) or 0.0)


def _times(value: float | None, number: float) -> float | None:
    return None if value is None else value * number


def _sum(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) if len(found) == len(values) else None


def _failed(device: str, count: int, reason: str) -> ScalingRow:
    unknown = dict.fromkeys(("batch", "flops_per_device", "peak_bytes", "fits", *_TIMES))
    return ScalingRow(device=device, devices=count, steps=0.0, **unknown, reason=reason, tag="predicted")


def _cheapest(rows: Sequence[ScalingRow], deadline_s: float | None) -> int | None:
    able = [
        (row.price_usd, number)
        for number, row in enumerate(rows)
        if row.price_usd is not None
        and row.seconds is not None
        and row.fits is not False
        and (deadline_s is None or row.seconds <= deadline_s)
    ]
    return min(able)[1] if able else None
