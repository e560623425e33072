"""What a turn costs: counted, predicted on devices, and measured here."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET, structs

from cr_jax.catalog.dataset import Dataset
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.remedy_report import CountedTurn, MeasuredTurn, PredictedTurn
from cr_jax.documents.reported_step import ReportedStep
from cr_jax.measure import device as devices
from cr_jax.measure import inputs, run
from cr_jax.measure.clock import Plan, interleave
from cr_jax.measure.statistics import median_interval
from cr_jax.predict.money.pricing import Rates
from cr_jax.printable import one_line
from cr_jax.profiling.pipeline import configure, profile_devices
from cr_jax.profiling.request import SILENT, Listener, Request
from cr_jax.profiling.stages import Failed
from cr_jax.records import Mode, TurnLabels
from cr_jax.report.prediction import Options
from cr_jax.steps.step import abstract_model
from cr_jax.steps.turn import answering, turn_steps

#: Of the clock.
HOW = "{} programs in turn, the last turn for one user with its state, waited for; median of the samples"
_MILLION = 1e6
#: What a prediction has per turn.
_PER_TURN = ("hbm_bytes", "seconds", "low_s", "high_s", "joules_per_million_turns", "usd_per_million_turns")


@dataclass(frozen=True)
class TurnCost:
    """The last turn, answered for one user: counted once, predicted on every device, measured here."""

    counted: CountedTurn
    predicted: tuple[PredictedTurn, ...]
    measured: MeasuredTurn | None = None

    def times(self, share: float) -> "TurnCost":
        """Where only ``share`` of the turns is computed, and the others repeat an answer."""
        counted, clock = self.counted, self.measured
        return TurnCost(
            structs.replace(counted, flops=counted.flops * share),
            tuple(structs.replace(one, **{key: _times(getattr(one, key), share) for key in _PER_TURN}) for one in self.predicted),
            clock
            and structs.replace(
                clock,
                median_us=clock.median_us * share,
                interval_us=(clock.interval_us[0] * share, clock.interval_us[1] * share),
                how=f"{clock.how}; times the share of turns that is computed, {share:.3f}",
            ),
        )


def _times(value: float | None, share: float) -> float | None:
    return None if value is None else value * share


@dataclass(frozen=True)
class Workplace:
    """Where turns are counted: model, data and devices. The CPU comes first."""

    model: str
    data: Dataset
    preset: str
    devices: tuple[str, ...]
    rates: Rates
    listener: Listener = SILENT

    def request(self, settings: Mapping[str, str]) -> Request:
        """Of the configuration with ``settings``."""
        few = min(10, self.data.items)
        names = tuple(dict.fromkeys(("cpu", *self.devices)))
        return Request(
            self.model, self.data, names, ("infer",), self.preset, settings=dict(settings), top_k=few, question_items=few
        )

    def turn(self, settings: Mapping[str, str], mode: Mode = "incremental") -> TurnCost:
        """The last turn's cost. Raises ``CrJaxError`` where the CPU has none."""
        request = dataclasses.replace(self.request(settings), turns_compiled="last" if mode == "incremental" else "ends")
        results = profile_devices(request, Options(self.rates), self.listener)
        first = results[0]
        if isinstance(first, Failed):
            raise first.reason
        last = _last(first, mode)
        counted = CountedTurn(
            parameters=first.parameters.total if first.parameters else None,
            weight_bytes=first.parameters.trainable_bytes + first.parameters.frozen_bytes if first.parameters else None,
            flops=last.model.flops,
            share_of_teacher=None,
            tag="counted",
        )
        return TurnCost(counted, tuple(_predicted(name, one, mode) for name, one in zip(request.devices, results, strict=True)))


def _last(report: CostReport, mode: Mode) -> ReportedStep:
    steps = [one for one in report.steps if one.labels.mode == mode]
    return max(steps, key=lambda one: max(one.labels.turns or ()))


def _predicted(device: str, report: CostReport | Failed, mode: Mode) -> PredictedTurn:
    if isinstance(report, Failed):
        return _unknown(device, one_line(report.reason), None)
    step = _last(report, mode)
    said = step.prediction
    if step.compiled is None or said is UNSET or said.seconds is None:
        reason = step.reason or (None if said is UNSET else said.reason) or "not compiled"
        return _unknown(device, reason, None if step.compiled is None else float(step.compiled.hbm_bytes))
    energy = None if said.energy is None else said.energy.energy_j
    usd = None if said.price is None else said.price.price_usd
    return PredictedTurn(
        device=device,
        hbm_bytes=float(step.compiled.hbm_bytes),
        seconds=said.seconds,
        low_s=said.low_s,
        high_s=said.high_s,
        joules_per_million_turns=None if energy is None else energy * _MILLION,
        usd_per_million_turns=None if usd is None else usd * _MILLION,
        reason=None,
        tag="predicted",
    )


def _unknown(device: str, reason: str, hbm_bytes: float | None) -> PredictedTurn:
    return PredictedTurn(
        device=device,
        hbm_bytes=hbm_bytes,
        seconds=None,
        low_s=None,
        high_s=None,
        joules_per_million_turns=None,
        usd_per_million_turns=None,
        reason=reason,
        tag="predicted",
    )


def measured_turns(place: Workplace, wanted: Sequence[tuple[Mapping[str, str], Mode]], plan: Plan = Plan()) -> list[MeasuredTurn]:
    """The last turn of every configuration by the clock on this machine's CPU, all in turn. Weights are random: time does not
    depend on them.
    """
    here = devices.attached("cpu")
    programs = []
    for settings, mode in wanted:
        configured = configure(place.request(settings), place.data)
        model = abstract_model(configured.spec, configured.config, configured.work.dtype)
        steps = answering(turn_steps(model, configured.work), mode)
        step = max(steps, key=lambda pair: max(pair[1].turns))[0]
        assert isinstance(step.labels, TurnLabels)
        compiled = run.compile_step(step, here.device, configured.work.precision)
        programs.append(run.start(compiled, model, inputs.weights(model)))
    rows = []
    for samples in interleave(programs, plan):
        low, median, high = median_interval(samples.valid_s)
        rows.append(
            MeasuredTurn(
                median_us=median * 1e6,
                interval_us=(low * 1e6, high * 1e6),
                samples=len(samples.valid_s),
                device=here.kind,
                how=HOW.format(len(programs)),
                tag="measured",
            )
        )
    return rows


def share_of_turns(lengths: np.ndarray, stop: int) -> float:
    """The share of conversations' turns, t = 0 to the last, that are answered up to ``stop``."""
    return float((np.minimum(lengths, stop) + 1).sum() / (lengths + 1).sum())
