"""Pallas kernels of a traced program with the costs that they declare.

On TPUs a compiled call carries its ``cost_estimate``; Triton and Mosaic GPU drop it, and only the trace has it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cr_jax.targets.jaxpr import inner_jaxprs, is_kernel
from cr_jax.traced_program import TracedKernel

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, Jaxpr

#: Types in the spelling of HLO, where it is not the first letter and the size.
_HLO = {"bool": "pred", "bfloat16": "bf16"}
_LETTERS = {"float": "f", "int": "s", "uint": "u", "complex": "c"}


def traced_kernels(jaxpr: "Jaxpr | ClosedJaxpr") -> tuple[TracedKernel, ...]:
    """Every distinct kernel of a (closed) jaxpr, in loops, branches and called functions too, also those that declare nothing."""
    return tuple(dict.fromkeys(map(_kernel, _equations(jaxpr, set()))))


def _equations(jaxpr: Any, seen: set[int]) -> Iterator[Any]:
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    if id(jaxpr) in seen:  # a function that is called twice
        return
    seen.add(id(jaxpr))
    for equation in jaxpr.eqns:
        if is_kernel(equation):
            yield equation
            continue
        for inner in inner_jaxprs(equation.params):
            yield from _equations(inner, seen)


def _kernel(equation: Any) -> TracedKernel:
    estimate = equation.params.get("cost_estimate")
    figures = () if estimate is None else (estimate.flops, estimate.bytes_accessed, estimate.transcendentals)
    declared = figures if figures and min(figures) >= 0 else None  # whole numbers, as Pallas checks
    operands, results = (tuple(_type(one.aval) for one in several) for several in (equation.invars, equation.outvars))
    return TracedKernel(_names(equation), operands, results, declared)


def _names(equation: Any) -> tuple[str, ...]:
    """The kernel's own name; without one Triton takes that of its function, Mosaic none, so that its scope stands for it."""
    name = equation.params.get("name")
    if name:
        return (name,)
    jaxprs = equation.params.get("jaxprs") or (equation.params.get("jaxpr"),)
    info = getattr(jaxprs[0], "debug_info", None)
    scope = str(equation.source_info.name_stack).rpartition("/")[2].strip("()").rpartition("(")[2]
    return tuple(filter(None, (getattr(info, "func_name", ""), scope)))


def _type(aval: Any) -> str:
    """``f32[256,128]``. Types without a name in HLO, such as semaphores, stay what they are and fit no call."""
    name = str(getattr(aval, "dtype", aval))
    letter = next((short for long, short in _LETTERS.items() if name.startswith(long) and name[len(long) :].isdigit()), "")
    if name.startswith("float8_"):
        name, letter = f"f8{name[7:]}", ""
    spelt = _HLO.get(name) or (letter + name.lstrip("abcdefghijklmnopqrstuvwxyz") if letter else name)
    return f"{spelt}[{','.join(map(str, getattr(aval, 'shape', ())))}]"
