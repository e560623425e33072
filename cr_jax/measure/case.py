"""A case: one model, data set, device, phase and workload, to be benchmarked, swept or compared."""

import dataclasses
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from msgspec import convert, structs

from cr_jax.catalog.dataset import Dataset
from cr_jax.documents.bench_report import BenchCase, BenchData, BenchModel
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.measure import inputs, run
from cr_jax.measure.clock import Clock
from cr_jax.profiling.pipeline import configure, read_dataset
from cr_jax.profiling.request import Request
from cr_jax.records import MODES, Mode, Phase, Workload, plain
from cr_jax.report.build import dataset_entry, digest
from cr_jax.steps import train, turn
from cr_jax.steps.step import AbstractModel, Step, abstract_model
from cr_jax.targets.device_protocol import Device

#: Letters of a case's file name at most, before a digest of the rest.
_LONGEST = 150


@dataclass(frozen=True)
class Case:
    """One model, data set, device, phase and workload."""

    model: str
    dataset: str = "cell-phones"
    device: str = "cpu"
    phase: str = "infer"
    preset: str = "published"
    dtype: str = "float32"
    precision: str = "default"
    batch: int | None = None
    """Examples of a training step; ``None``: as published."""
    users: int = 1
    """Conversations answered at once."""
    turns: int | None = None
    """The last turn T; ``None``: 95% of the conversations end by it."""
    turn: int | None = None
    """The turn t that is answered; ``None``: the last."""
    mode: str | None = None
    """``replay`` or ``incremental``; ``None``: both."""
    objective: str | None = None
    """The objective of a training step; ``None``: each."""
    items_scored: int | None = None
    question_items: int = 10
    top_k: int = 10
    settings: Mapping[str, str] = field(default_factory=dict)

    def slug(self) -> str:
        """A file name for the case: its values that are not the default, in order."""
        parts = [self.model, self.dataset, self.phase]
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if entry.name in ("model", "dataset", "phase", "device", "settings") or value == entry.default:
                continue
            parts.append(f"{entry.name}-{value}")
        parts += [f"{key}-{value}" for key, value in sorted(self.settings.items())] + [self.device]
        name = "_".join(re.sub(r"[^A-Za-z0-9.\-]+", "-", part).strip("-.") for part in parts)
        if len(name) <= _LONGEST:
            return name
        # File systems take no longer names; the digest keeps two of them apart.
        return f"{name[:_LONGEST]}-{hashlib.sha256('_'.join(parts).encode()).hexdigest()[:12]}"

    @classmethod
    def of(cls, request: Request, phase: str) -> "Case":
        """The case of one phase of ``request``, on its first device."""
        names = {field.name for field in dataclasses.fields(Request)} & {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: getattr(request, name) for name in names}, device=request.devices[0], phase=phase)

    def request(self) -> Request:
        """The request that the case stands for. Raises ``UnknownName``."""
        shared = {field.name for field in dataclasses.fields(Request)} & {field.name for field in dataclasses.fields(self)}
        phases = cast(tuple[Phase, ...], (self.phase,))  # checked by the request
        return Request(**{name: getattr(self, name) for name in shared}, devices=(self.device,), phases=phases)

    def differences(self) -> str:
        """What is not the default, in words."""
        entries = {entry.name: entry.default for entry in dataclasses.fields(self) if entry.name != "settings"}
        changes = {name: getattr(self, name) for name, default in entries.items() if getattr(self, name) != default}
        return " ".join(f"{key}={value}" for key, value in (changes | dict(self.settings)).items())

    def entry(self) -> BenchCase:
        """The case as a bench report has it."""
        return convert(plain(self), BenchCase)

    def changed(self, pairs: Mapping[str, str]) -> "Case":
        """The case with fields changed by name (``dtype=bfloat16``); other names are configuration keys."""
        fields, settings = {}, dict(self.settings)
        known = {entry.name: entry for entry in dataclasses.fields(self) if entry.name != "settings"}
        for key, text in pairs.items():
            if key not in known:
                settings[key] = text
            elif "int" in str(known[key].type):
                fields[key] = _whole(key, text)
            else:
                fields[key] = text
        return dataclasses.replace(self, **fields, settings=settings)


@dataclass(frozen=True)
class Prepared:
    """A case with its abstract model and the steps that its phase runs."""

    case: Case
    work: Workload
    data: Dataset
    model: AbstractModel
    steps: tuple[Step, ...]

    def dtype(self, step: Step) -> str:
        """The type of the operands of matrix products."""
        return self.case.dtype

    def compile(self, step: Step, device: Device, clock: Clock) -> run.Compiled:
        """The program of a step for ``device``."""
        return run.compile_step(step, device, self.case.precision, clock)

    def starter(self) -> Callable[[run.Compiled], run.Program]:
        """Makes a program with its arguments on its device; the weights are drawn here, once."""
        values = inputs.weights(self.model)
        return lambda compiled: run.start(compiled, self.model, values)

    def described(self) -> dict[str, Any]:
        """The fields of a bench report that are about the model."""
        spec = self.model.spec
        config, data = plain(self.model.config), dataset_entry(self.data)
        return {
            "case": structs.replace(self.case.entry(), turns=self.work.turns),
            "model": BenchModel(name=spec.name, title=spec.title, config=config, config_sha256=digest(config)),
            "dataset": BenchData(name=data.name, title=data.title, sha256=data.sha256),
        }


def prepare(case: Case) -> Prepared:
    """Look everything up and build the steps. Raises ``CrJaxError`` for anything a caller can mend."""
    request = case.request()
    if case.mode is not None and case.mode not in MODES:
        raise UnknownName("mode", case.mode, MODES)
    data, _ = read_dataset(case.dataset)
    configured = configure(request, data)
    work, config = configured.work, configured.config
    model = abstract_model(configured.spec, config, case.dtype)
    turn.check_turns(model, work, getattr(config, "items", data.items))  # --set may change it
    return Prepared(case, work, data, model, _steps(case, model, work))


def _steps(case: Case, model: AbstractModel, work: Workload) -> tuple[Step, ...]:
    if case.phase == "train":
        train.check_trainable(model)
        steps = train.training_steps(model, work)
        if case.objective is None:
            return steps
        chosen = tuple(s for s in steps if s.objective == case.objective)
        if not chosen:
            raise UnknownName("objective", case.objective, [s.objective for s in steps])
        return chosen
    if case.phase == "precompute":
        items = turn.precompute_step(model, work)
        if items is None:
            raise BadConfig(f"phase 'precompute': {model.spec.name} has no item side; legal: train, infer")
        return (items,)
    t = work.turns if case.turn is None else case.turn
    if not 0 <= t <= work.turns:
        raise BadConfig(f"turn={t}: must be 0 to {work.turns}, the last turn")
    modes: list[Mode] = [mode for mode in MODES if case.mode in (None, mode)]
    steps = turn.turn_steps(model, work)
    return tuple(step for mode in modes for step, labels in turn.answering(steps, mode) if t in labels.turns)


def _whole(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadConfig(f"{key}={text!r}: legal: a whole number") from None
