"""Costs of calls that do not follow from their shapes alone: declared by the call, or a textbook formula.

Mosaic kernels, Pallas's among them, carry a ``cost_estimate`` in their configuration (JAX,
``_src/tpu_custom_call.py``). Linear algebra is counted by the leading terms of G. Golub and C. Van Loan, *Matrix
Computations*, and LAPACK Working Note 41; iterative ones (eigenvalues, singular values) with vectors.
"""

import re
from dataclasses import dataclass, field
from math import prod
from typing import Literal

from cr_jax.cost.attribution import plain_path
from cr_jax.cost.cost import Cost
from cr_jax.cost.rules.attention_calls import ATTENTION, attention
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.shapes import Shape

#: The most digits of a declared figure; a longer one is no count of operations.
_ESTIMATE = re.compile(r'\\?"cost_estimate\\?"\s*:\s*\{([^{}]*)\}')
_FIGURE = re.compile(r'\\?"(\w+)\\?"\s*:\s*\\?"?(\d{1,24})(?!\d)', re.ASCII)
_ROUTINE = re.compile(
    r"(?:lapack|(?:cu|hip|gpu)solver|(?:cu|hip)blas|(?:cu|hip)sparse|magma|(?:cu|hip)hybrid)_"
    r"([a-z]+?)[23]?(?:_batched)?(?:_ffi)?\Z",
    re.ASCII,
)
_NAMED = {
    "__cusolver$cholesky": "potrf",
    "Cholesky": "potrf",
    "__cublas$triangularSolve": "trsm",
    "LuDecomposition": "getrf",
    "LuDecompositionBlock": "getrf",
    "Qr": "geqrf",
    "QrDecompositionBlock": "geqrf",
    "ProductOfElementaryHouseholderReflectors": "orgqr",
    "HouseholderProduct": "orgqr",
    "Eigh": "syevd",
    "EighTpu": "syevd",
    "InvertDiagBlocksLowerTriangular": "trtri",
    "InvertDiagBlocksUpperTriangular": "trtri",
    "cuhybrid_eig_real": "geev",
    "cuhybrid_eig_comp": "geev",
    "hiphybrid_eig_real": "geev",
    "hiphybrid_eig_comp": "geev",
}
_OPERATIONS = {"cholesky": "potrf", "triangular-solve": "trsm"}
#: Other precisions and algorithms of a routine.
_SAME = {
    "ungqr": "orgqr",
    "unmqr": "ormqr",
    "heevd": "syevd",
    "syevj": "syevd",
    "heevj": "syevd",
    "gesdd": "gesvd",
    "gesvdj": "gesvd",
    "gesvdp": "gesvd",
    "gesvdx": "gesvd",
    "hetrd": "sytrd",
    "geqp": "geqrf",
}
_ROUTINES = frozenset(
    {"potrf", "getrf", "geqrf", "orgqr", "ormqr", "syevd", "sytrd", "gehrd", "gesvd", "geev", "gees", "trsm", "trtri", "gtsv"}
)
#: Targets of calls that run a kernel of the user's, and its name in their configuration.
KERNELS = ("tpu_custom_call", "__gpu$xla.gpu.triton", "mosaic_gpu")
_KERNEL = re.compile(r"\"?\bname\"?\s*[:=]\s*\"([\w.\-]{1,80})\"", re.ASCII)
_SCOPE = re.compile(r"[A-Za-z_][\w.\-]*", re.ASCII)
#: A complex multiply-add is four real ones.
_COMPLEX = 4


@dataclass(frozen=True)
class Stated:
    """The stated cost of a call. source: ``declared`` or ``formula``; moved_bytes: as declared, else 0. least: what the call does
    in any case, beside ``cost``.
    """

    source: Literal["declared", "formula"]
    cost: Cost
    moved_bytes: int = 0
    least: Cost = field(default_factory=Cost)


def stated(instruction: Instruction, target: str) -> Stated | None:
    """The cost that a custom call declares, or a formula for its routine; ``None`` where there is neither.

    target: of a custom call, else "", for the operations ``cholesky`` and ``triangular-solve``.
    """
    if target.startswith(ATTENTION):
        fused = attention(instruction, target)
        return None if fused is None else Stated("formula", fused.rest, least=fused.least)
    estimate = _ESTIMATE.search(instruction.config)
    if estimate is not None:
        figures = {name: int(value) for name, value in _FIGURE.findall(estimate[1])}
        if "flops" in figures:
            cost = Cost(other_flops=figures["flops"], transcendentals=figures.get("transcendentals", 0))
            return Stated("declared", cost, figures.get("bytes_accessed", 0))
    flops = _formula(instruction, target)
    return None if flops is None else Stated("formula", Cost(other_flops=flops))


def call_target(instruction: Instruction) -> str:
    """The ``custom_call_target`` without quotes; "" for any other operation."""
    return (instruction.attribute("custom_call_target") or "").strip('"') if instruction.opcode == "custom-call" else ""


def kernel_name(call: Instruction, target: str) -> str:
    """The name by which a user knows a custom call: the kernel's own for Mosaic and Triton kernels, else the call's target."""
    return (_own_name(call) or call.name) if target.startswith(KERNELS) else target[:80]


def title(instruction: Instruction, target: str) -> str:
    """What tables call an operation: the target, and for a kernel with a name that name; else the opcode."""
    own = _own_name(instruction) if target.startswith(KERNELS) else ""
    return f"{target[:80]} {own}".strip() or instruction.opcode


def _own_name(call: Instruction) -> str:
    """The kernel's name: in its configuration, else the innermost scope around the call; "" where there is none."""
    named = _KERNEL.search(call.config)
    scopes = _SCOPE.findall(kernel_path(call).rpartition("/")[2])
    return named[1] if named else scopes[-1] if scopes else ""


def kernel_path(call: Instruction) -> str:
    """The scopes of a custom call, without the primitive that made it and the names of transformations."""
    return plain_path(call.op_name, ()).removesuffix("/pallas_call").removesuffix("/mpmd_map")


def _formula(instruction: Instruction, target: str) -> int | None:
    routine = _routine(target) if target else _OPERATIONS.get(instruction.opcode, "")
    matrices = [o.shape for o in instruction.operands if len(o.shape.dims) >= 2]
    if not routine or not matrices:
        return None
    first = matrices[0]
    if routine == "gtsv":  # tridiagonal: elimination and back substitution
        return _times(first, 8 * first.elements)
    if routine == "trsm":
        return _times(first, matrices[-1].elements * first.dims[-1]) if len(matrices) > 1 else None
    if routine == "ormqr":
        return _reflections(first, matrices[-1])
    tall, wide = max(first.dims[-2:]), min(first.dims[-2:])
    flops = _flops(routine, tall, wide)
    return None if flops is None else _times(first, prod(first.dims[:-2]) * flops // 3)


def _reflections(reflectors: Shape, matrix: Shape) -> int:
    """The product with Q of k reflectors of length m, from the side where ``matrix`` has m rows or columns."""
    length, count = reflectors.dims[-2:]
    others = prod(matrix.dims) // max(1, length)
    return _times(matrix, max(0, 2 * others * count * (2 * length - count)))


def _routine(target: str) -> str:
    """The routine behind a call, without the letter for its precision; "" for another call."""
    named = _ROUTINE.match(target)
    name = _NAMED.get(target) or (named[1] if named else "")
    for candidate in (name, name[1:] if name[:1] in tuple("sdcz") else ""):
        routine = _SAME.get(candidate, candidate)
        if routine in _ROUTINES:
            return routine
    return ""


def _flops(routine: str, m: int, n: int) -> int | None:
    """Three times the operations on one matrix of m rows and n columns, m >= n."""
    return {
        "potrf": n**3,
        "trtri": n**3,
        "getrf": 3 * m * n**2 - n**3,
        "geqrf": 6 * m * n**2 - 2 * n**3,
        "orgqr": 6 * m * n**2 - 2 * n**3,
        "syevd": 27 * n**3,
        "sytrd": 4 * n**3,
        "gehrd": 10 * n**3,
        "gesvd": min(42 * m * n**2 + 24 * n**3, 18 * m * n**2 + 60 * n**3),
        "geev": 75 * n**3,
        "gees": 75 * n**3,
    }.get(routine)


def _times(matrix: Shape, flops: int) -> int:
    return flops * (_COMPLEX if matrix.dtype.startswith("c") else 1)
