"""Costs of custom kernels as a user gives them: figures, or a function of the call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from cr_jax.errors import BadConfig
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.shapes import Shape
from cr_jax.named_objects import TRACEBACK, line_of
from cr_jax.printable import named

#: The largest trip count, and the largest figure of a kernel: no device ends more, and every count can be written.
MOST = 10**18 - 1
_FORM = "legal: cr_jax.KernelCost, (FLOPS, BYTES) or (FLOPS, BYTES, TRANSCENDENTALS) of one execution, or None"


@dataclass(frozen=True)
class KernelCost:
    """Cost of one execution of a kernel: floating-point operations, bytes moved to and from main memory, transcendentals."""

    flops: int
    bytes: int
    transcendentals: int = 0


@dataclass(frozen=True)
class KernelArray:
    """An array that a kernel reads or writes; on a mesh, one device's part. dtype: as HLO names it: ``f32``, ``bf16``, ``s8``."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Bytes of its elements, without the padding of layouts."""
        return Shape(self.dtype, self.shape, "").unpadded_bytes


@dataclass(frozen=True)
class KernelCall:
    """A call of a custom kernel in a traced or a compiled program.

    name: as the table of calls has it. target: of the custom call, such as ``__gpu$xla.gpu.triton`` or ``tpu_custom_call``.
    operands, results: in the order of the call. config: the call's backend configuration as text; "" where it has none.
    """

    name: str
    target: str
    operands: tuple[KernelArray, ...]
    results: tuple[KernelArray, ...]
    config: str


#: The cost of one execution of a call; ``None``: the function does not know, and the call counts as if nothing were given.
KernelHook: TypeAlias = Callable[[KernelCall], KernelCost | Sequence[int] | None]


def kernel_call(instruction: Instruction, name: str, target: str) -> KernelCall:
    """What a user's function is told of a custom call."""
    operands = (array for operand in instruction.operands for array in arrays(operand.shape))
    return KernelCall(name, target, tuple(operands), arrays(instruction.shape), instruction.config)


def arrays(shape: Shape) -> tuple[KernelArray, ...]:
    """The arrays of a shape: one, or those of a tuple."""
    return tuple(KernelArray(leaf.dims, leaf.dtype) for leaf in shape.leaves)


def ask(hook: KernelHook, call: KernelCall) -> KernelCost | None:
    """The cost that a user's function gives a call. Raises ``BadConfig`` where it raises, or returns anything else."""
    try:
        result = hook(call)
    except Exception as error:  # the user's code may raise anything
        said = named(error, 200)
        raise BadConfig(f"kernel {call.name!r}: its cost function raised {said}, {line_of(error)}; {TRACEBACK}") from error
    return None if result is None else read_cost(f"kernel {call.name!r}", result)


def read_cost(what: str, given: object) -> KernelCost:
    """A cost from figures. Raises ``BadConfig`` for anything but whole numbers from 0 to ``MOST``."""
    if isinstance(given, KernelCost):
        cost = given
    else:
        figures = cast(Sequence[Any], given) if isinstance(given, tuple | list) else ()
        if len(figures) not in (2, 3):
            raise BadConfig(f"{what}: {given!r:.80} is no cost; {_FORM}")
        cost = KernelCost(*figures)
    for figure in (cost.flops, cost.bytes, cost.transcendentals):
        check_whole(what, figure)
    return cost


def check_whole(what: str, figure: object) -> None:
    """Raise ``BadConfig`` for anything but a whole number from 0 to ``MOST``."""
    if isinstance(figure, bool) or not isinstance(figure, int) or not 0 <= figure <= MOST:
        raise BadConfig(f"{what}: {figure!r} is no whole number from 0 to {MOST}")
