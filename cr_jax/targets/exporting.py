"""A traced step as StableHLO that another process compiles, without the code that it came from (``jax.export``)."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax import export
from jax.sharding import PartitionSpec

from cr_jax.errors import ExportRefused
from cr_jax.printable import one_line
from cr_jax.records import OTHER, FunctionLabels
from cr_jax.steps.step import Step

_CUSTOM_CALL = re.compile(r"stablehlo\.custom_call @([\w.$]+)")


@dataclass(frozen=True)
class ExportedProgram:
    """A step lowered for one platform. sha256: of its StableHLO without names and places in files."""

    exported: export.Exported
    sha256: str

    def serialized(self) -> bytes:
        """The program as bytes, arguments and results as flat lists: a worker does not know the user's types."""
        count, results = len(self.exported.in_avals), len(self.exported.out_avals)
        flat = jax.tree.structure(((0,) * count, {}))
        plain = replace(self.exported, in_tree=flat, out_tree=jax.tree.structure((0,) * results))
        return bytes(plain.serialize())


class _Retraced:
    """A traced function in the clothes of a jitted one, which ``jax.export`` asks for."""

    def __init__(self, traced: jax.stages.Traced) -> None:
        self._traced = traced

    def trace(self, *_: object, **__: object) -> jax.stages.Traced:
        return self._traced

    def __call__(self, *_: object, **__: object) -> Any:
        raise NotImplementedError

    lower = eval_shape = __call__


def exported(step: Step, platform: str, precision: str) -> ExportedProgram:
    """``step`` lowered for ``platform``. Raises ``ExportRefused``."""
    with jax.default_matmul_precision(precision):
        traced = step.trace()
        try:
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            # The worker has the same versions: their promises for later ones are not needed.
            unchecked = [export.DisabledSafetyCheck.custom_call(name) for name in sorted(set(_CUSTOM_CALL.findall(text)))]
            program = export.export(_Retraced(traced), platforms=(platform,), disabled_checks=unchecked)()
        except Exception as error:  # of lowering rules, of the user's own primitives too
            calls = "it calls back to Python, which no other process can compile: " if "callback" in str(traced.jaxpr) else ""
            raise ExportRefused(f"{step.name} cannot be lowered for {platform}: {calls}{one_line(error, 300)}") from error
    return ExportedProgram(program, hashlib.sha256(text.encode()).hexdigest())


#: The axes of the mesh that split each dimension of an array.
_Split = Sequence[Sequence[str]]


def imported(
    name: str,
    blob: bytes,
    names: Sequence[str],
    donated: Sequence[int],
    split: Sequence[_Split] = (),
    results: Sequence[_Split | None] = (),
) -> Step:
    """The step of an exported program. names: of its arguments, a leaf each. split, results: as ``splits`` and
    ``result_splits`` give them.

    Arguments that no result needs are dropped, as ``jax.jit`` drops them.
    """
    program = export.deserialize(bytearray(blob))
    kept = frozenset(program.module_kept_var_idx)

    def call(*leaves: jax.Array) -> Any:
        return program.call(*(leaf if number in kept else _unused(leaf) for number, leaf in enumerate(leaves)))

    call.__name__ = call.__qualname__ = program.fun_name
    arguments = tuple(jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type) for aval in program.in_avals)
    specs = tuple(map(_spec, split)) or None
    returned = tuple(None if one is None else _spec(one) for one in results) or None
    roles = (OTHER,) * len(names)
    return Step(name, FunctionLabels(), call, arguments, tuple(names), roles, tuple(donated), (), specs, returned)


def _spec(split: _Split) -> PartitionSpec:
    return PartitionSpec(*(tuple(axes) or None for axes in split))


def _unused(leaf: jax.Array) -> jax.Array:
    """A value for an argument that the program does not read: a constant, so that the argument is dropped."""
    return leaf if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key) else jax.numpy.zeros(leaf.shape, leaf.dtype)
