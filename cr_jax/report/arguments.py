"""A check of a step's arguments against the parameters of its compiled program.

Roles, dtypes and shapes of a report come from the traced step, memory figures from the compiler. Both must describe one program:
every compiled parameter is an argument of the step, in order, of its type and shape (the compiler leaves out arguments that no
result needs), and the compiler's bytes are those of its parameters, except for the tiles that TPUs pad buffers to.
"""

from collections.abc import Sequence

from cr_jax.errors import CrJaxError
from cr_jax.hlo.module import HloModule
from cr_jax.hlo.shapes import Shape
from cr_jax.records import Argument, CompiledStep

#: Argument dtypes in the spelling of HLO. A dtype that is not here is checked by its bytes.
_HLO = {
    "bool": "pred",
    "int8": "s8",
    "uint8": "u8",
    "int16": "s16",
    "uint16": "u16",
    "int32": "s32",
    "uint32": "u32",
    "int64": "s64",
    "uint64": "u64",
    "bfloat16": "bf16",
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
    "complex64": "c64",
    "complex128": "c128",
}
#: Bytes that a compiler may reserve for a parameter beyond its padded size: TPUs give a scalar a tile.
_TILE = 512


class Contradiction(CrJaxError):
    """The compiled program is not the step's: a report of it would contradict itself."""


def kept_bytes(step: CompiledStep, program: HloModule) -> int:
    """Bytes of the arguments that ``program``, compiled from ``step``, takes; without the padding of tiles.

    Raises ``Contradiction`` where it takes other arguments than the step's, or the compiler's own figure is not that of its
    parameters.
    """
    shapes = [program.entry.parameters[number].shape for number in sorted(program.entry.parameters)]
    _parameters_are_arguments(step, shapes)
    unpadded = sum(shape.unpadded_bytes for shape in shapes)
    most = sum(shape.bytes + _TILE for shape in shapes)
    told = step.memory.argument_bytes
    if told is not None and not unpadded <= told <= most:
        raise _contradiction(
            step, f"the compiler gives {told:,} bytes of arguments, its parameters hold {unpadded:,} to {most:,}"
        )
    return unpadded


def _parameters_are_arguments(step: CompiledStep, shapes: Sequence[Shape]) -> None:
    """Every parameter is the next argument of its type and shape."""
    rest = iter(step.local_arguments)
    for number, shape in enumerate(shapes):
        if not any(_same(argument, shape) for argument in rest):
            dims = ",".join(map(str, shape.dims))
            raise _contradiction(
                step, f"its parameter {number}, {shape.dtype}[{dims}], is no argument of the traced step, or not in its place"
            )


def _same(argument: Argument, shape: Shape) -> bool:
    if argument.dtype.startswith("key<"):  # a random key is its whole numbers
        return shape.dtype == "u32" and shape.unpadded_bytes == argument.bytes
    if shape.dims != argument.shape or shape.unpadded_bytes != argument.bytes:
        return False
    return _HLO.get(argument.dtype, shape.dtype) == shape.dtype


def _contradiction(step: CompiledStep, what: str) -> Contradiction:
    return Contradiction(
        f"{step.name}: the compiled program is not that of the traced step: {what} (a bug in cr_jax: please report it)"
    )
