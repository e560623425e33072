"""Matmul FLOPs of a traced program, an independent check of the HLO counter.

A jaxpr states the length of every ``scan``; a ``while`` states none, so it is counted once and
reported.
"""

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from cr_jax.traced_program import JaxprCount
from cr_jax.units import FLOPS_PER_MULTIPLY_ADD

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, Jaxpr

#: Primitives of Pallas: ``pl.pallas_call``, and kernels of several programs such as ``plgpu.kernel``.
_PALLAS = ("pallas_call", "mpmd_map")


def count_jaxpr(jaxpr: "Jaxpr | ClosedJaxpr") -> JaxprCount:
    """Count a (closed) jaxpr without its kernels: products, loops times their length, the most expensive branch of a ``cond``."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    flops = loops = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            flops += _dot(equation)
        elif name == "conv_general_dilated":
            flops += _convolution(equation)
        elif name == "cond":
            branches = [count_jaxpr(branch) for branch in params["branches"]]
            flops += max(b.matmul_flops for b in branches)
            loops += max(b.unknown_loops for b in branches)
        elif not is_kernel(equation):  # what a kernel does is for its device's compiler to say, and not counted as products
            times = _times(name, params)
            for inner in inner_jaxprs(params):
                found = count_jaxpr(inner)
                flops += times * found.matmul_flops
                loops += found.unknown_loops
            loops += name == "while"
    return JaxprCount(flops, loops)


def _devices(params: Mapping[str, Any]) -> int:
    """The devices that each run the body of a ``shard_map`` on a part of its operands."""
    return prod(params["mesh"].shape[axis] for axis in params["newly_manual_axes"])


def is_kernel(equation: Any) -> bool:
    """Whether an equation is a Pallas kernel that is compiled for a device, rather than interpreted as other operations."""
    return equation.primitive.name in _PALLAS and not equation.params.get("interpret")


def _times(name: str, params: Mapping[str, Any]) -> int:
    """Runs of an equation's body: of a ``scan``, on the devices of a ``shard_map``, and for each place of a kernel's grid."""
    if name == "scan":
        return params["length"]
    if name == "shard_map":
        return _devices(params)
    grid = getattr(params.get("grid_mapping"), "grid", ()) if name in _PALLAS else ()
    return prod(size for size in grid if isinstance(size, int))


def product_types(jaxpr: "Jaxpr | ClosedJaxpr") -> set[tuple[str, str]]:
    """(type of the operands, precision asked for) of every matrix product; operands of two types are ``mixed``."""
    found: set[tuple[str, str]] = set()
    equations: list[Any] = getattr(jaxpr, "jaxpr", jaxpr).eqns
    for equation in equations:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            types = {str(operand.aval.dtype) for operand in equation.invars}
            found.add((types.pop() if len(types) == 1 else "mixed", str(equation.params["precision"])))
        for inner in inner_jaxprs(equation.params):
            found |= product_types(inner)
    return found


def inner_jaxprs(params: Mapping[str, Any]) -> "list[Jaxpr | ClosedJaxpr]":
    """The (closed) jaxprs among an equation's parameters: bodies, branches, called functions."""
    items = [item for value in params.values() for item in (value if isinstance(value, list | tuple) else (value,))]
    return [item for item in items if hasattr(item, "eqns") or hasattr(getattr(item, "jaxpr", None), "eqns")]


def _dot(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    products = prod(equation.outvars[0].aval.shape) * prod(left[d] for d in contracted)
    return FLOPS_PER_MULTIPLY_ADD * _real_products(equation) * products


def _real_products(equation: Any) -> int:
    """Real multiply-adds in one of the product's: four where it is complex."""
    return 4 if equation.outvars[0].aval.dtype.kind == "c" else 1


def _convolution(equation: Any) -> int:
    """Valid positions only, by enumeration: deliberately not the counter's own arithmetic."""
    params = equation.params
    numbers = params["dimension_numbers"]
    image, kernel = (v.aval.shape for v in equation.invars)
    result = equation.outvars[0].aval.shape
    flops = FLOPS_PER_MULTIPLY_ADD * _real_products(equation) * result[numbers.out_spec[1]]
    flops *= image[numbers.lhs_spec[0]] // params["batch_group_count"]
    flops *= image[numbers.lhs_spec[1]] // params["feature_group_count"]
    for n in range(len(params["window_strides"])):
        size = (image[numbers.lhs_spec[n + 2]] - 1) * params["lhs_dilation"][n] + 1
        flops *= sum(
            0 <= (at := o * params["window_strides"][n] + k * params["rhs_dilation"][n] - params["padding"][n][0]) < size
            and at % params["lhs_dilation"][n] == 0
            for o in range(result[numbers.out_spec[n + 2]])
            for k in range(kernel[numbers.rhs_spec[n + 2]])
        )
    return flops
