"""Arithmetic of one instruction; its bytes are in ``cr_jax.cost.rules.traffic``.

Conventions follow XLA's own (``HloCostAnalysis``) where both count, so that loop-free modules can be compared exactly: a
reduction applies its computation once per element that it folds, a scatter once per update, a sort costs n*ceil(log2 n).
"""

from collections.abc import Callable
from math import log2, prod

from cr_jax.cost.cost import Cost
from cr_jax.cost.rules import matmul, opcode_rules, replaced_products
from cr_jax.cost.rules.custom_calls import call_target, title
from cr_jax.cost.rules.windows import reduction_windows
from cr_jax.hlo.module import Instruction
from cr_jax.hlo.windows import window
from cr_jax.units import FLOPS_PER_MULTIPLY_ADD

#: Cost of one application of a called computation, by its name.
Applied = Callable[[str | None, Instruction], Cost]


class Uncounted(Exception):
    """An operation with unknown arithmetic; its name for the report."""


def arithmetic(instruction: Instruction, applied: Applied) -> Cost:
    """The operations of one instruction. Raises ``Uncounted``."""
    opcode = instruction.opcode
    kind = opcode_rules.PER_ELEMENT.get(opcode)
    if kind is not None:
        return per_element(instruction, kind)
    rule = _RULES.get(opcode)
    if rule is not None:
        return rule(instruction, applied)
    if opcode in opcode_rules.COLLECTIVE:
        return _collective(instruction, applied)
    raise Uncounted(opcode)


def per_element(instruction: Instruction, kind: str) -> Cost:
    """An operation with equal work for every element of its result; ``kind`` is from ``opcode_rules.PER_ELEMENT``."""
    elements = instruction.shape.elements
    if kind == "other_flops":
        if instruction.opcode == "multiply" and replaced_products.is_product(instruction):
            return Cost(other_flops=elements, replaced_matmul_flops=FLOPS_PER_MULTIPLY_ADD * elements)
        return Cost(other_flops=elements) if instruction.shape.is_float else Cost(integer_ops=elements)
    if kind == "integer_ops":
        return Cost(integer_ops=elements)
    return Cost(transcendentals=elements) if kind else Cost()


def _scaled(cost: Cost, times: int) -> Cost:
    return Cost(
        matmul_flops=cost.matmul_flops * times,
        other_flops=cost.other_flops * times,
        integer_ops=cost.integer_ops * times,
        transcendentals=cost.transcendentals * times,
    )


def _reduce(instruction: Instruction, applied: Applied) -> Cost:
    folded = instruction.operands[0].shape.elements - instruction.shape.leaves[0].elements
    cost = _scaled(applied(instruction.called("to_apply"), instruction), max(0, folded))
    product = replaced_products.product_of_sum(instruction)
    if product is not None:
        cost.replaced_matmul_flops = FLOPS_PER_MULTIPLY_ADD * product.shape.elements
    return cost


def _reduce_window(instruction: Instruction, applied: Applied) -> Cost:
    """One application less than there are elements, for every window; padding is no element.

    Windows over the same elements count once: TPU compilers write the maximum of a row, spread out over the row, as a window of
    twice its length. (XLA's own analysis counts every window, and its padding.)
    """
    windows = reduction_windows(window(instruction), instruction.operands[0].shape.dims)
    return _scaled(applied(instruction.called("to_apply"), instruction), windows.elements - windows.count)


def _select_and_scatter(instruction: Instruction, applied: Applied) -> Cost:
    source = instruction.operands[1].shape.elements
    size = prod(axis.size for axis in window(instruction))
    chosen = _scaled(applied(instruction.called("select"), instruction), (size - 1) * source)
    return chosen.add(_scaled(applied(instruction.called("scatter"), instruction), source))


def _scatter(instruction: Instruction, applied: Applied) -> Cost:
    updates = instruction.operands[len(instruction.operands) // 2 + 1].shape.elements
    return _scaled(applied(instruction.called("to_apply"), instruction), updates)


def _map(instruction: Instruction, applied: Applied) -> Cost:
    return _scaled(applied(instruction.called("to_apply"), instruction), instruction.shape.elements)


def _comparisons(elements: int, among: int) -> Cost:
    return Cost(integer_ops=elements * (among - 1).bit_length())


def _sort(instruction: Instruction, applied: Applied) -> Cost:
    n = instruction.operands[0].shape.elements
    return _comparisons(n, n)


def _top_k(instruction: Instruction, applied: Applied) -> Cost:
    """One comparison per element and level of a heap of k."""
    largest = instruction.shape.leaves[0]
    return _comparisons(instruction.operands[0].shape.elements, max(2, largest.dims[-1] if largest.dims else 1))


def _random(instruction: Instruction, applied: Applied) -> Cost:
    return Cost(integer_ops=instruction.shape.leaves[-1].elements)


def _fft(instruction: Instruction, applied: Applied) -> Cost:
    """5 n log2 n per transform of n points, whether its input or result is real or not."""
    points = prod(instruction.numbers("fft_length"))
    whole = instruction.shape if instruction.attribute("fft_type") == "IRFFT" else instruction.operands[0].shape
    transforms = whole.elements // max(1, points)
    return Cost(other_flops=round(transforms * 5 * points * log2(points))) if points > 1 else Cost()


def _by_formula(instruction: Instruction, applied: Applied) -> Cost:
    """Linear algebra, in ``cr_jax.cost.rules.custom_calls`` with the calls of the same routines."""
    raise Uncounted(instruction.opcode)


def _collective(instruction: Instruction, applied: Applied) -> Cost:
    moved = sum(o.shape.bytes for o in instruction.operands)
    cost = Cost(collective_bytes=moved)
    if instruction.attribute("to_apply"):
        elements = sum(o.shape.elements for o in instruction.operands)
        cost.add(_scaled(applied(instruction.called("to_apply"), instruction), elements))
    return cost


def body_of_call(instruction: Instruction) -> str | None:
    """The computation that a custom call without a rule of its own names as its body, such as a gather that a TPU's compiler
    gives to the sparse cores; ``None`` for any other instruction.
    """
    if instruction.opcode != "custom-call":
        return None
    target = call_target(instruction)
    known = (
        target in opcode_rules.FREE_CALLS or target in opcode_rules.TOP_K_CALLS or target.startswith(("__cudnn$", "__cublas$"))
    )
    names = [] if known else instruction.all_called("called_computations")
    return names[0] if len(names) == 1 else None


def _custom_call(instruction: Instruction, applied: Applied) -> Cost:
    target = call_target(instruction)
    if target in opcode_rules.FREE_CALLS:
        return Cost()
    if target in opcode_rules.TOP_K_CALLS:
        return _top_k(instruction, applied)
    if target.startswith("__cudnn$conv"):
        return Cost(matmul_flops=matmul.convolution_call(instruction, target))
    if target.startswith("__cublas$"):
        flops = matmul.gemm_call(instruction)
        if flops is not None:
            return Cost(matmul_flops=flops)
    if target in opcode_rules.INTEGER_CALLS:
        return Cost(integer_ops=instruction.shape.leaves[0].elements)
    raise Uncounted(f"custom-call {title(instruction, target)}")


#: The rule of every operation in ``opcode_rules.SPECIAL``.
_RULES: dict[str, Callable[[Instruction, Applied], Cost]] = {
    "dot": lambda i, _: Cost(matmul_flops=matmul.dot(i)),
    "convolution": lambda i, _: Cost(matmul_flops=matmul.convolution(i)),
    "reduce": _reduce,
    "reduce-window": _reduce_window,
    "select-and-scatter": _select_and_scatter,
    "scatter": _scatter,
    "map": _map,
    "sort": _sort,
    "topk": _top_k,
    "rng": _random,
    "rng-bit-generator": _random,
    "rng-get-and-update-state": lambda i, _: Cost(),
    "fft": _fft,
    "cholesky": _by_formula,
    "triangular-solve": _by_formula,
    "custom-call": _custom_call,
}
