"""Options that commands share, and commands whose options are the fields of a dataclass."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from cr_jax.catalog.topologies import read_mesh
from cr_jax.errors import BadConfig
from cr_jax.named_objects import add_current_folder
from cr_jax.predict.money.pricing import Rates, read_rates
from cr_jax.profiling.request import Request
from cr_jax.records import PHASES

Given = TypeVar("Given", str | None, list[str] | None)


def importable(name: Given) -> Given:
    """The callback of every option that takes ``package.module:NAME``: such a module may lie in the current folder."""
    given = [name] if isinstance(name, str) else name
    if given is not None and any(":" in one for one in given):
        add_current_folder()
    return name


MODEL_HELP = "A name of `crjax list models`, or package.module:SPEC, which imports and runs that module's code."
Model = Annotated[str, typer.Option(help=MODEL_HELP, callback=importable)]
OptionalModel = Annotated[str | None, typer.Option(help=MODEL_HELP, callback=importable)]
Dataset = Annotated[str, typer.Option(help="A data set profile, or a file or folder of conversations.")]
Preset = Annotated[str, typer.Option(help="published, matched or paper.")]
PresetAcross = Annotated[str | None, typer.Option(help="Default: published for one model, matched across models.")]
Batch = Annotated[int | None, typer.Option(help="Examples per training step. Default: as published.")]
Users = Annotated[int, typer.Option(help="Conversations answered at once.")]
Turns = Annotated[int | None, typer.Option(help="The last turn T. Default: 95% of conversations end by it.")]
ItemsScored = Annotated[int | None, typer.Option(help="Items scored per turn. Default: all.")]
Precision = Annotated[str, typer.Option(help="default, high or highest matmul precision.")]
Dtype = Annotated[str, typer.Option(help="float32 or bfloat16.")]
Mesh = Annotated[
    str | None,
    typer.Option(help="Several devices that share each step: data=8, or data=4,model=2 (data splits batches, model tables)."),
]
Run = Annotated[
    Path | None,
    typer.Option(
        help="A folder of `crjax train` or `crjax distil`: its model, configuration, preset and batch; a student's steps."
    ),
]
Settings = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of the model's configuration.")]


@dataclass(frozen=True, kw_only=True)
class CountingOptions:
    """Options of every command that counts programs."""

    batch: Batch = None
    precision: Precision = "default"
    dtype: Dtype = "float32"
    set_: Settings = None

    def settings(self) -> dict[str, str]:
        """The configuration values of ``--set``. Raises ``BadConfig``."""
        return settings(self.set_)


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions(CountingOptions):
    """Options of the commands that count chosen phases."""

    phase: Annotated[list[str] | None, typer.Option(help="train, precompute or infer; repeat it. Default: all.")] = None
    users: Users = 1
    turns: Turns = None
    items_scored: ItemsScored = None
    question_items: Annotated[int, typer.Option(help="Items averaged to choose the next question (MMN, PMMN).")] = 10
    top_k: Annotated[int, typer.Option(help="Items returned per turn.")] = 10
    mesh: Mesh = None

    def request(self, model: str, dataset: str, devices: Sequence[str], preset: str, command: Sequence[str]) -> Request:
        """The workload on a model, a data set and devices. Raises ``UnknownName`` and ``BadConfig``."""
        phases: Any = tuple(self.phase or PHASES)  # checked by the request
        same = {name: getattr(self, name) for name in ("batch", "precision", "dtype", "users", "turns")}
        same |= {name: getattr(self, name) for name in ("items_scored", "question_items", "top_k")}
        same["mesh"] = read_mesh(self.mesh) if self.mesh is not None else ()
        return Request(model, dataset, tuple(devices), phases, preset, settings=self.settings(), command=tuple(command), **same)


@dataclass(frozen=True, kw_only=True)
class PricingOptions:
    """Price, building and grid."""

    price_per_hour: Annotated[
        str | None, typer.Option(help="US dollars per device and hour, or DEVICE=DOLLARS,... Default: the profile's.")
    ] = None
    pue: Annotated[float | None, typer.Option(help="Power of the building over its machines'. Default: 1.")] = None
    host_w: Annotated[float | None, typer.Option(help="Watts of the host per device. Default: 0, not counted.")] = None
    grid_g_per_kwh: Annotated[
        float | None, typer.Option(help="Grams of CO2 equivalent per kWh; without it no carbon is given.")
    ] = None
    grid_source: Annotated[str | None, typer.Option(help="The source of --grid-g-per-kwh; needed with it.")] = None

    def rates(self, devices: Sequence[str]) -> Rates:
        """The user's prices for ``devices``. Raises ``BadConfig`` and ``UnknownName``."""
        return read_rates(self.price_per_hour, self.pue, self.host_w, self.grid_g_per_kwh, self.grid_source, devices)


def add_command(app: typer.Typer, name: str, run: Callable[[Any], None]) -> None:
    """Add the command ``name``: ``run`` is called with its options dataclass, whose fields are the options and arguments.

    The docstring of ``run`` is the command's help.
    """
    app.command(name)(from_fields(run))


def from_fields(run: Callable[..., None]) -> Callable[..., None]:
    """A function for Typer with a parameter per field of the dataclass that ``run`` takes last.

    A ``typer.Context`` that ``run`` takes first is passed on.
    """
    *before, (_, options) = [item for item in get_type_hints(run).items() if item[0] != "return"]
    hints = dict(before) | get_type_hints(options, include_extras=True)
    defaults = {field.name: field.default for field in fields(options)}

    def invoke(**values: Any) -> None:
        run(*(values.pop(name) for name, _ in before), options(**values))

    def parameter(name: str) -> inspect.Parameter:
        default = defaults.get(name, MISSING)
        known = inspect.Parameter.empty if default is MISSING else default
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=known, annotation=hints[name])

    names = [*(name for name, _ in before), *defaults]
    invoke.__doc__, invoke.__name__ = run.__doc__, run.__name__
    invoke.__annotations__ = {name: hints[name] for name in names}
    invoke.__dict__["__signature__"] = inspect.Signature([parameter(name) for name in names])
    return invoke


def names(option: str, text: str) -> list[str]:
    """Names with commas between them, each once. Raises ``BadConfig``."""
    parts = [name.strip() for name in text.split(",")]
    if not all(parts):
        raise BadConfig(f"{option} {text!r}: an empty name; legal: names with commas between them")
    return list(dict.fromkeys(parts))


def settings(pairs: Sequence[str] | None) -> dict[str, str]:
    """``["hops=2"]`` -> ``{"hops": "2"}``. Raises ``BadConfig``."""
    values: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadConfig(f"--set {pair!r}: legal: KEY=VALUE")
        values[key.strip()] = value.strip()
    return values
