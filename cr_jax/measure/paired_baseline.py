"""A baseline's programs, kept as portable StableHLO and timed later in turn with the current ones.

A mean of last week against a mean of today measures the machine. Two programs that run in turn on one machine meet the same busy
moments. So a baseline keeps its programs as traced (the versioned StableHLO of ``jax.export``), and both sides are compiled now,
by one toolchain: the only difference is the program that the source makes of the same workload. The effect of another compiler is
not seen here.
"""

import contextlib
import dataclasses
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
from jax import export

from cr_jax.documents.gate_result import TimeVerdicts
from cr_jax.errors import BadInput, NotWritten
from cr_jax.json_text import read_json
from cr_jax.measure import device as devices
from cr_jax.measure import inputs, run
from cr_jax.measure import machine as machines
from cr_jax.measure.case import Case, Prepared, prepare
from cr_jax.measure.clock import Clock, Plan, interleave
from cr_jax.measure.statistics import compare
from cr_jax.printable import one_line
from cr_jax.profiling.request import Request
from cr_jax.report.gate import NotComparable
from cr_jax.report.gate_time import TimeRatio, verdict
from cr_jax.resources import write_atomically
from cr_jax.steps.step import Step
from cr_jax.targets.device_protocol import Device

#: Samples per pair of programs: a second of each at least, ten seconds for both at most.
PLAN = Plan(warmup=3, runs=20, seconds=1.0, limit_s=10.0, tightness=0.01)
_LIST = "programs.json"
#: The target of a call to code outside the program, in either of its spellings.
_TARGET = re.compile(r'custom_call @("[^"]*"|[\w.$-]+)|call_target_name = "([^"]*)"')
#: Where an operation came from, at the end of its line or of an argument.
_LOCATION = re.compile(r' loc\((?:[^()"]|"[^"]*"|\([^()]*\))*\)')


def folder(baseline: Path) -> Path:
    """The folder of a baseline's programs: ``dmn.json`` -> ``dmn.programs``."""
    return baseline.with_suffix(".programs")


def cases(request: Request) -> list[Prepared]:
    """The steps of a workload that are timed: every objective, the item side, the last turn in both modes."""
    prepared = [prepare(Case.of(request, phase)) for phase in ("train", "infer") if phase in request.phases]
    if {"precompute", "infer"} & set(request.phases) and _has_items(request):
        prepared.append(prepare(Case.of(request, "precompute")))
    return prepared


def _has_items(request: Request) -> bool:
    prepared = prepare(Case.of(request, "infer"))
    return prepared.model.spec.conversation.items(prepared.model.config, prepared.work) is not None


def keep(baseline: Path, request: Request) -> Path:
    """Write the programs of a workload beside its baseline and return the folder. Raises ``NotComparable`` for a device that is
    not attached, where its programs could never run in turn.
    """
    place = _place(request.devices[0])
    where = folder(baseline)
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(f"{where}: no folder: {error.strerror}") from None
    steps = {}
    for prepared in cases(request):
        for step in prepared.steps:
            file = _file(step)
            program = exported(step, prepared.case.precision, place.device)
            write_atomically(where / file, program.mlir_module_serialized)
            steps[step.name] = {"file": file, **_signature(program)}
    about = {"platform": place.platform, "jax": jax.__version__, "steps": steps}
    write_atomically(where / _LIST, json.dumps(about, indent=2) + "\n")  # last: it proves that the others are whole
    return where


def _file(step: Step) -> str:
    return f"{step.name.replace('/', '_')}.stablehlo"


def exported(step: Step, precision: str, device: Device) -> export.Exported:
    """A step over its flat arguments, all of them kept, as portable StableHLO."""
    leaves, tree = jax.tree.flatten(step.arguments)

    def flat(*leaves: jax.Array) -> list[jax.Array]:
        return jax.tree.leaves(step.function(*jax.tree.unflatten(tree, leaves)))

    with jax.default_matmul_precision(precision), jax.default_device(device), _no_paths():
        return export.export(jax.jit(flat, keep_unused=True), platforms=(_jax_platform(device),))(*leaves)


@contextlib.contextmanager
def _no_paths() -> Iterator[None]:
    """Programs without the names of source files and lines, which name the machine's folders."""
    option = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, option)
    jax.config.update(option, 0)
    try:
        yield
    finally:
        jax.config.update(option, before)


def _signature(program: export.Exported) -> dict[str, object]:
    """The properties that two programs must share to run on the same arguments."""
    return {
        "calling_convention": program.calling_convention_version,
        "arguments": [str(a) for a in program.in_avals],
        "results": [str(a) for a in program.out_avals],
    }


def timed(
    baseline: Path, request: Request, limit_percent: float, plan: Plan = PLAN, clock: Clock = time.perf_counter
) -> TimeVerdicts:
    """Each kept program of ``baseline`` timed in turn with the current one of its name.

    Raises ``NotComparable`` where there are no programs, this JAX cannot read them, or the device is not attached.
    """
    place, where = _place(request.devices[0]), folder(baseline)
    if not (where / _LIST).is_file():
        raise NotComparable(
            f"--time: {where} does not exist, and times of another moment cannot be compared; legal: a baseline with "
            "programs kept by crjax check --keep-programs"
        )
    about = _about(where / _LIST)
    if about["platform"] != place.platform:
        raise NotComparable(f"--time: {where} was kept for {about['platform']}, the device here is {place.platform}")
    before, rows, matched = machines.read(), [], set()
    for prepared in cases(request):
        weights = cache(partial(inputs.weights, prepared.model))
        for step in prepared.steps:
            matched.add(step.name)
            if step.name not in about["steps"]:
                rows.append(verdict(step.name, None, limit_percent, "the baseline kept no program of it"))
                continue
            new = exported(step, prepared.case.precision, place.device)
            old = _read(where / _file(step), new)  # by its step's name: the list chooses no file
            reason = _not_run(about["steps"][step.name], old, new)
            result = None
            if reason is None and _text(old) != _text(new):
                programs = [_program(one, step, prepared, weights(), place.device) for one in (new, old)]
                result = _paired(programs, plan, clock)
            rows.append(verdict(step.name, result, limit_percent, reason))
    rows += [verdict(name, None, limit_percent, "the step is gone") for name in about["steps"] if name not in matched]
    _, busy = machines.contention(before, machines.read(), machines.machine().cores or 1)
    return TimeVerdicts(
        limit_percent=limit_percent,
        programs=str(where),
        kept_with_jax=about["jax"],
        steps=tuple(rows),
        warnings=tuple(busy),
        tag="measured",
    )


def _not_run(kept_program: Mapping[str, object], old: export.Exported, new: export.Exported) -> str | None:
    """The reason why a kept program cannot run in turn with the current one; ``None``: it can."""
    if any(kept_program.get(key) != value for key, value in _signature(new).items()):
        return "its arguments or results have other shapes now"
    calls = sorted(_called(_text(old)) - _called(_text(new)))
    return f"the kept program calls {calls[0]!r}, which today's does not: it is not run" if calls else None


def _paired(programs: Sequence[run.Program], plan: Plan, clock: Clock) -> TimeRatio:
    """Both programs run in turn: the ratio of the first to the second, with its interval."""
    samples = interleave(programs, plan, clock)
    pairs = [(a, b) for a, b in zip(*(s.times_s for s in samples), strict=True) if a and b]
    found = compare([a for a, _ in pairs], [b for _, b in pairs], paired=True)
    return TimeRatio(found.ratio, found.ratio_interval, found.p_value, len(pairs))


def _about(file: Path) -> dict[str, Any]:
    """The list of kept programs. Raises ``BadInput`` for a file that ``keep`` did not write."""
    about = read_json(file)
    if isinstance(about, dict) and isinstance(about.get("platform"), str) and isinstance(about.get("jax"), str):
        steps = about.get("steps")
        if isinstance(steps, dict) and all(isinstance(one, dict) for one in steps.values()):
            return about
    raise BadInput(str(file), "not a list of kept programs; legal: a file written by crjax check --keep-programs")


def _called(text: str) -> set[str]:
    """Targets of the calls that leave a program; a call without a readable target is its own name."""
    targets: set[str] = set()
    for line in text.splitlines():
        if "custom_call" in line:
            targets |= {one or other for one, other in _TARGET.findall(line)} or {line.strip()[:60]}
    return targets


def _place(device: str) -> devices.Attached:
    try:
        return devices.attached(device)
    except Exception as error:
        raise NotComparable(f"--time: {error}") from None


def _jax_platform(device: Device) -> str:
    return "cuda" if device.platform == "gpu" else device.platform


def _read(file: Path, like: export.Exported) -> export.Exported:
    """The kept program, with the arguments and results of ``like``. Raises ``NotComparable``."""
    try:
        exported_program = dataclasses.replace(like, mlir_module_serialized=file.read_bytes())
        _text(exported_program)
        return exported_program
    except Exception as error:  # of any kind: bytes of another format, or none
        said = one_line(error, 200)
        raise NotComparable(
            f"--time: {file} cannot be read by jax {jax.__version__}: {said}; legal: keep the programs again"
        ) from None


def _text(program: export.Exported) -> str:
    """The program without its locations, so that moved source is no change."""
    lines = (line for line in program.mlir_module().splitlines() if not line.startswith("#loc"))
    return "\n".join(_LOCATION.sub("", line) for line in lines)


def _program(
    program: export.Exported, step: Step, prepared: Prepared, values: Mapping[str, inputs.Held], device: Device
) -> run.Program:
    """Both sides are made here, so that nothing but the program differs."""
    leaves = jax.tree.leaves(step.arguments)
    offsets: Sequence[int] = [0]
    for argument in step.arguments:
        offsets = [*offsets, offsets[-1] + len(jax.tree.leaves(argument))]
    donated = [leaf for number in step.donated for leaf in range(offsets[number], offsets[number + 1])]
    with jax.default_device(device):
        executable = jax.jit(program.call, donate_argnums=donated).lower(*leaves).compile()
    compiled = run.Compiled(step, executable, device, tuple(donated), (True,) * len(leaves), {})
    return run.start(compiled, prepared.model, values)
