"""What the trace of a program says of it, beside its text: matrix products, and kernels with the costs that they declare."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JaxprCount:
    """Matmul FLOPs of the traced program, loops multiplied by their ``scan`` lengths.

    ``unknown_loops`` counts ``while`` primitives, whose trip count a jaxpr does not state.
    """

    matmul_flops: int
    unknown_loops: int


@dataclass(frozen=True)
class TracedKernel:
    """A Pallas kernel of a traced program.

    names: by which a custom call may know it. operands, results: types as HLO writes them, ``f32[256,128]``; in a program for
    several devices, of one device where the program says so. declared: (FLOPs, bytes, transcendentals) of one execution;
    ``None``: nothing is declared.
    """

    names: tuple[str, ...]
    operands: tuple[str, ...]
    results: tuple[str, ...]
    declared: tuple[int, int, int] | None
