"""HLO text of a module that runs one operation in a loop of its own."""

import numpy as np

from cr_jax.hlo.shapes import Shape

#: Types with values for operands.
TYPES = {
    "pred": np.bool_,
    "f32": np.float32,
    "s32": np.int32,
    "u32": np.uint32,
    "bf16": "bfloat16",
    "f16": np.float16,
    "u8": np.uint8,
    "s8": np.int8,
    "f64": np.float64,
    "s64": np.int64,
    "u64": np.uint64,
}
_TINY = "f32[8,8]"


def loop_module(computations: list[str], work: str, result: Shape, shapes: list[Shape], back: int | None) -> str:
    """An HLO module that runs ``work`` as often as its first argument says.

    computations: those that ``work`` calls. work: the instruction ``%w`` of ``%p0``, ``%p1``, ... of these shapes. back: the
    operand that is the result of the previous iteration; ``None``: no operand. The loop's state is (turn, turns, tiny, result,
    operands...).
    """
    kinds = ["s32[]", "s32[]", _TINY, result.plain, *(shape.plain for shape in shapes)]
    state = f"({', '.join(kinds)})"
    body = _turn(work, kinds, shapes, back, _poked(shapes, back, result))
    entry = [
        "%n = s32[] parameter(0)",
        "%i = s32[] constant(0)",
        "%half = f32[] constant(0.01)",
        f"%t = {_TINY} broadcast(%half), dimensions={{}}",
        *_empty(result),
    ]
    entry += [f"%a{n} = {s.plain} parameter({n + 1})" for n, s in enumerate(shapes)]
    start = ", ".join(["%i", "%n", "%t", "%e", *(f"%a{n}" for n in range(len(shapes)))])
    entry += [
        f"%start = {state} tuple({start})",
        f"%end = {state} while(%start), condition=%crjax_test, body=%crjax_turn",
        f"ROOT %r = {result.plain} get-tuple-element(%end), index={3 if back is None else 4 + back}",
    ]
    test = [
        f"%s = {state} parameter(0)",
        "%turn = s32[] get-tuple-element(%s), index=0",
        "%turns = s32[] get-tuple-element(%s), index=1",
        "ROOT %more = pred[] compare(%turn, %turns), direction=LT",
    ]
    parts = ["HloModule replay\n", *computations]
    for head, lines in (("%crjax_turn", body), ("%crjax_test", test), ("ENTRY %main", entry)):
        parts.append(f"{head} {{\n  " + "\n  ".join(lines) + "\n}\n")
    return "\n".join(parts)


def _turn(work: str, kinds: list[str], shapes: list[Shape], back: int | None, poked: int | None) -> list[str]:
    """The loop's body. poked: the operand that changes in every iteration."""
    state = f"({', '.join(kinds)})"
    body = [f"%s = {state} parameter(0)"]
    names = ["turn", "turns", "tiny", "before", *(f"q{n}" for n in range(len(shapes)))]
    body += [f"%{n} = {k} get-tuple-element(%s), index={i}" for i, (n, k) in enumerate(zip(names, kinds, strict=True))]
    body += [
        "%one = s32[] constant(1)",
        "%next = s32[] add(%turn, %one)",
        f"%dot = {_TINY} dot(%tiny, %tiny), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}",
    ]
    for n, shape in enumerate(shapes):
        if n == poked:
            rank = len(shape.dims)
            unit = f"{shape.dtype}[{','.join(['1'] * rank)}]"
            body += [
                "%corner = f32[1,1] slice(%tiny), slice={[0:1], [0:1]}",
                f"%cornered = f32[{','.join(['1'] * rank)}] reshape(%corner)",
                f"%poke = {unit} convert(%cornered)",
                "%zero = s32[] constant(0)",
            ]
            places = "".join(", %zero" for _ in range(rank))
            body.append(
                f"%p{n} = {shape.plain} dynamic-update-slice(%q{n}, %poke{places})"
                if rank
                else f"%p{n} = {shape.plain} reshape(%poke)"
            )
        else:
            body.append(f"%p{n} = {shape.plain} reshape(%q{n})")
    body.append(work)
    carried = [("w" if n == back else f"p{n}") for n in range(len(shapes))]
    operand = "before" if back is not None else "w"
    last = ", ".join(f"%{n}" for n in ["next", "turns", "dot", operand, *carried])
    return [*body, f"ROOT %out = {state} tuple({last})"]


def _poked(shapes: list[Shape], back: int | None, result: Shape) -> int | None:
    """The operand that changes in every iteration, so that the work stays in the loop: the largest one. Where part of an array
    larger than the result is picked, it is the index, because changing the whole array would copy it.
    """
    if back is not None:
        return None
    places = [n for n, s in enumerate(shapes) if not s.dims and s.dtype in ("s32", "u32")]
    if places and max(s.bytes for s in shapes) > 2 * sum(leaf.bytes for leaf in result.leaves):
        return places[0]
    floats = [n for n, s in enumerate(shapes) if s.is_float]
    ranked = sorted(floats or range(len(shapes)), key=lambda n: (not shapes[n].dims, -shapes[n].elements))
    return ranked[0]


def _empty(result: Shape) -> list[str]:
    """A zero of the result's shape, named ``%e``."""
    if not result.parts:
        return [*_zeros("e", result)]
    lines: list[str] = []
    for n, part in enumerate(result.parts):
        if part.parts:
            raise ValueError("the result is a tuple of tuples")
        lines += _zeros(f"e{n}", part)
    names = ", ".join(f"%e{n}" for n in range(len(result.parts)))
    return [*lines, f"%e = {result.plain} tuple({names})"]


def _zeros(name: str, shape: Shape) -> list[str]:
    zero = "false" if shape.dtype == "pred" else "0"
    return [
        f"%{name}_zero = {shape.dtype}[] constant({zero})",
        f"%{name} = {shape.plain} broadcast(%{name}_zero), dimensions={{}}",
    ]
