"""The requests that a worker process serves, as JSON carries them."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

#: Options of a compiler by name.
Options = dict[str, str | int | bool]


class CompilerDescription(TypedDict):
    """A platform and the versions of its compiler. mesh: axes and their sizes, chips_per_host: of a TPU along x, y and z, both of
    several devices only.
    """

    platform: str
    attached: bool
    compiler: Mapping[str, str] | None
    mesh: NotRequired[list[tuple[str, int]]]
    chips_per_host: NotRequired[list[int] | None]


class HostDescription(CompilerDescription):
    """The CPU of this machine. host: its properties that XLA's compiler depends on."""

    options: Options
    host: list[str]


class AttachedDescription(CompilerDescription):
    """An attached GPU or TPU, by its driver's title."""

    options: Options
    title: str


class AheadDescription(CompilerDescription):
    """A GPU or TPU that is compiled for ahead of time. config: the text proto of a GPU; chip: a TPU's configuration."""

    options: Options
    topology: str
    chip: str | None
    config: str | None


#: A target, for a worker and for a cache key.
TargetDescription = HostDescription | AttachedDescription | AheadDescription


class ProbeRequest(TypedDict):
    """The title of the attached device of a platform is asked for."""

    kind: Literal["probe"]
    platform: str


class ModelDescription(TypedDict):
    """A model, which the worker imports by name and traces itself."""

    kind: Literal["model"]
    model: str
    config: dict[str, Any]
    work: dict[str, Any]


class ExportedStep(TypedDict):
    """A step as StableHLO in a file. names: of its arguments, a leaf each. donated: their numbers. splits: per
    argument and dimension, the axes of the mesh that split it; empty: a single device. results: the same per result, ``None``
    where the compiler chooses; empty: for every result.
    """

    file: str
    names: list[str]
    donated: list[int]
    splits: list[list[list[str]]]
    results: list[list[list[str]] | None]


class ExportedDescription(TypedDict):
    """Steps that were traced and exported by the caller."""

    kind: Literal["exported"]
    steps: dict[str, ExportedStep]


SourceDescription = ModelDescription | ExportedDescription


class CompileRequest(TypedDict):
    """Steps are to be compiled, each result written to a file in the folder ``results``.

    traced_as: by step, SHA-256 of the traced program and of its arguments as the caller has them.
    """

    kind: Literal["compile"]
    source: SourceDescription
    precision: str
    steps: list[str]
    traced_as: dict[str, tuple[str, str]]
    target: TargetDescription
    results: str
