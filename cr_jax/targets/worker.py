"""The process that compiles: ``python -m cr_jax.targets.worker REQUEST.json``.

It reads one request, writes each step's result to a file of its own and reports its progress, one JSON object a line, to its
original standard output. XLA aborts a process on some errors and plugins print at will: both stay here. When its standard input
closes, its caller has ended, and so does it.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

from cr_jax.distillation import Distillation
from cr_jax.json_text import read_json
from cr_jax.printable import named
from cr_jax.records import ArrayShape, Lengths, TextLengths, Workload, plain
from cr_jax.resources import write_atomically
from cr_jax.targets.compilation import to_json
from cr_jax.targets.worker_request import (
    AheadDescription,
    CompileRequest,
    ExportedDescription,
    ModelDescription,
    ProbeRequest,
    SourceDescription,
    TargetDescription,
)

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from cr_jax.steps.step import Step
    from cr_jax.targets.compile import Place
    from cr_jax.targets.device_protocol import Device


def main(arguments: list[str]) -> int:
    """Serve one request and return the exit code."""
    say = _progress_pipe()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    return answer(arguments, say)


def answer(arguments: list[str], say: TextIO) -> int:
    """0 when every step was tried, 2 with one line on standard error where that was not possible."""
    try:
        (file,) = arguments
        request = read_json(file)
        serve = {"probe": _tell_device, "compile": _compile}[request["kind"]]
        serve(request, say)
    except Exception as error:  # of any kind: not a request, or an unavailable model or topology
        print(named(error, 400), file=sys.stderr)
        return 2
    return 0


def _tell_device(request: ProbeRequest, say: TextIO) -> None:
    _say(say, event="device", **_probe(request["platform"]))


def _compile(request: CompileRequest, say: TextIO) -> None:
    from cr_jax.targets.compile import compile_for

    place, source = _place(request["target"]), request["source"]
    steps, precision = traced_steps(source, request["target"].get("mesh", ())), request["precision"]
    for name in request["steps"]:
        _say(say, event="start", step=name)
        file = Path(request["results"]) / f"{request['steps'].index(name)}.json"
        try:
            # An exported step is the caller's own program: there is nothing to trace it again from.
            traced = request["traced_as"][name] if source["kind"] == "exported" else None
            compilation = compile_for(steps[name], place, precision, traced)
            write_atomically(file, json.dumps(to_json(compilation)))
        except Exception as error:
            # Any error of a compiler or a user's model becomes this step's row; the next step is tried.
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            _say(say, event="failed", step=name, reason=named(error, 400))
        else:
            _say(say, event="done", step=name)


def traced_steps(source: SourceDescription, mesh: Sequence[tuple[str, int]] = ()) -> "dict[str, Step]":
    """The steps of a source by name: exported ones, or built anew from a model, its configuration and the workload.

    mesh: axes that a model is split over; an exported step says itself how it is split.
    """
    return _imported(source) if source["kind"] == "exported" else _built(source, dict(mesh))


def _imported(source: ExportedDescription) -> "dict[str, Step]":
    from cr_jax.targets.exporting import imported

    read = {name: Path(one["file"]).read_bytes() for name, one in source["steps"].items()}
    return {
        name: imported(name, read[name], one["names"], one["donated"], one["splits"], one["results"])
        for name, one in source["steps"].items()
    }


def _built(request: ModelDescription, axes: Mapping[str, int]) -> "dict[str, Step]":
    from cr_jax.models import spec as specs
    from cr_jax.steps import check, train, turn
    from cr_jax.steps.sharding import sharded
    from cr_jax.steps.step import abstract_model

    spec = specs.find(request["model"])
    config = spec.config(**{k: _tuples(v) for k, v in request["config"].items()})
    if plain(config) != request["config"]:
        raise ValueError(f"the configuration of {spec.name} does not survive as JSON")
    work = workload(request["work"])
    model = abstract_model(spec, config, work.dtype)
    items = turn.precompute_step(model, work)
    steps = (
        *train.training_steps(model, work),
        *check.check_steps(model, work),
        *([items] if items else []),
        *turn.turn_steps(model, work),
    )
    return {step.name: sharded(step, axes) for step in steps}


def _place(target: TargetDescription) -> "Place":
    import jax
    from jax.experimental import topologies

    from cr_jax.targets.compile import Place

    platform = target["platform"]
    if target["attached"]:
        devices = jax.devices(platform)
    elif platform == "cuda":
        ahead = cast(AheadDescription, target)
        devices = topologies.get_topology_desc(platform="cuda", target_config=ahead["config"], topology=ahead["topology"]).devices
    else:
        ahead = cast(AheadDescription, target)
        chip = {"chip_config_name": ahead["chip"]} if ahead["chip"] else {}
        # One chip a host: some libtpu releases take a host of four chips for granted.
        hosts = ahead.get("chips_per_host") or [1, 1, 1]
        devices = topologies.get_topology_desc(
            platform="tpu", topology_name=ahead["topology"], chips_per_host_bounds=hosts, **chip
        ).devices
    axes = target.get("mesh")
    return Place(platform, devices[0], target["options"], mesh=_mesh(axes, devices) if axes else None)


def _mesh(axes: Sequence[tuple[str, int]], devices: "Sequence[Device]") -> "Mesh":
    """The devices along the axes, in their own order."""
    import numpy as np
    from jax.sharding import Mesh

    names, sizes = zip(*axes, strict=True)
    return Mesh(np.array(devices).reshape(sizes), names)


def _probe(platform: str) -> dict[str, str | None]:
    """Title of the attached device of a platform, ``None`` if there is none."""
    import jax

    try:
        return {"title": jax.devices(platform)[0].device_kind}
    except RuntimeError as error:
        return {"title": None, "reason": named(error, 400)}


def workload(document: dict[str, Any]) -> Workload:
    """The workload from its document by ``records.plain``."""
    lengths = TextLengths(**{name: Lengths(**value) for name, value in document["lengths"].items()})
    histogram = tuple(document["turn_histogram"])
    batches = {
        name: tuple(ArrayShape(one["name"], tuple(one["shape"]), one["dtype"]) for one in arrays)
        for name, arrays in document["batches"].items()
    }
    made = {"lengths": lengths, "turn_histogram": histogram, "batches": batches}
    if given := document["distillation"]:
        made["distillation"] = Distillation(**{**given, "teachers": tuple(given["teachers"])})
    return Workload(**{**document, **made})


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _progress_pipe() -> TextIO:
    """A private copy of standard output; the output of others there goes to standard error."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe


def _say(pipe: TextIO, **event: object) -> None:
    pipe.write(json.dumps(event) + "\n")
    pipe.flush()


def _leave_with_parent() -> NoReturn:
    while os.read(0, 4096):
        pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
