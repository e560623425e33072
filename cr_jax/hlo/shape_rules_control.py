"""Shape rules of tuples, calls, loops, conditionals, asynchronous copies and collectives."""

from math import prod

from cr_jax.hlo.module import Computation, Instruction
from cr_jax.hlo.shape_checks import Called, Mismatch, fits, require, same
from cr_jax.hlo.shapes import Shape


def copy_start(i: Instruction, called: Called) -> None:
    """(copy, operand, context)."""
    parts, operand = i.shape.parts, i.operands[0].shape
    agree = len(parts) == 3 and all(part.plain == operand.plain for part in parts[:2])
    require(agree, i, f"({operand.plain}, {operand.plain}, u32[])")


def copy_done(i: Instruction, called: Called) -> None:
    """The result is the first part of what ``copy-start`` made."""
    started = i.operands[0].shape
    if not started.parts:
        raise Mismatch(f"waits for {started.plain[:60]}; legal: the result of a copy-start")
    require(same(i.shape, started.parts[0]), i, started.parts[0].plain)


def async_start(i: Instruction, called: Called) -> None:
    """((operands), result, contexts)."""
    operands = [o.shape for o in i.operands]
    if not operands:
        return  # TPU compilers print the operands at the update
    parts = i.shape.parts
    if len(parts) < 2 or [part.plain for part in parts[0].parts] != [o.plain for o in operands]:
        raise Mismatch(f"is {i.shape.plain[:80]}; its operands make it (({', '.join(o.plain for o in operands)[:80]}), ...)")
    _calls(i, called["calls"][0], operands, parts[1])


def async_done(i: Instruction, called: Called) -> None:
    """The result is the second part of what ``async-start`` made."""
    started = i.operands[0].shape
    if len(started.parts) < 2:
        raise Mismatch(f"waits for {started.plain[:60]}; legal: the result of an async-start")
    require(same(i.shape, started.parts[1]), i, started.parts[1].plain)


def tuple_of(i: Instruction, called: Called) -> None:
    """The result is the tuple of the operands' shapes."""
    shapes = [o.shape for o in i.operands]
    require(
        i.shape.is_tuple and len(i.shape.parts) == len(shapes) and all(map(same, i.shape.parts, shapes)),
        i,
        f"({', '.join(s.plain for s in shapes)})",
    )


def get_tuple_element(i: Instruction, called: Called) -> None:
    """The result is the part of the operand at ``index``."""
    (index,), source = i.numbers("index"), i.operands[0].shape
    if not source.is_tuple or not 0 <= index < len(source.parts):
        raise Mismatch(f"takes element {index} of {source.plain[:80]}")
    require(same(i.shape, source.parts[index]), i, source.parts[index].plain)


def _calls(i: Instruction, body: Computation, arguments: list[Shape], result: Shape) -> None:
    """A computation takes these arguments and gives this result."""
    parameters = [body.parameters[n].shape for n in range(len(body.parameters))]
    if len(parameters) != len(arguments):
        raise Mismatch(f"gives {len(arguments)} operands to {body.name[:60]}, which has {len(parameters)} parameters")
    for number, (parameter, argument) in enumerate(zip(parameters, arguments, strict=True)):
        if not same(parameter, argument):
            raise Mismatch(f"gives {argument.plain[:60]} to parameter {number} of {body.name[:60]}: {parameter.plain[:60]}")
    if not same(body.result.shape, result):
        raise Mismatch(f"calls {body.name[:60]}, which gives {body.result.shape.plain[:60]} for {result.plain[:60]}")


def fusion(i: Instruction, called: Called) -> None:
    """The fused computation takes the operands and gives the result."""
    _calls(i, called["calls"][0], [o.shape for o in i.operands], i.shape)


def call(i: Instruction, called: Called) -> None:
    """The called computation takes the operands and gives the result."""
    _calls(i, called["to_apply"][0], [o.shape for o in i.operands], i.shape)


def while_loop(i: Instruction, called: Called) -> None:
    """The body takes the state and gives it; the condition takes it and gives ``pred[]``."""
    state = i.operands[0].shape
    require(same(i.shape, state), i, state.plain)
    _calls(i, called["body"][0], [state], state)
    (condition,) = called["condition"]
    _calls(i, condition, [state], condition.result.shape)
    if condition.result.shape.plain != "pred[]":
        raise Mismatch(f"has a condition {condition.name[:60]} that gives {condition.result.shape.plain[:60]}; legal: pred[]")


def conditional(i: Instruction, called: Called) -> None:
    """Each branch takes its operand and gives the result; ``s32[]`` or ``pred[]`` chooses one."""
    chosen = i.operands[0].shape
    if "branch_computations" in called:
        branches = called["branch_computations"]
        legal = chosen.plain == "s32[]"
    else:
        if "true_computation" not in called or "false_computation" not in called:
            raise Mismatch("names no branches; legal: branch_computations, or true_computation and false_computation")
        branches = [*called["true_computation"], *called["false_computation"]]
        legal = chosen.plain == "pred[]"
    if not legal or len(branches) != len(i.operands) - 1:
        raise Mismatch(f"chooses one of {len(branches)} branches by {chosen.plain[:40]} and gives {len(i.operands) - 1} operands")
    for branch, operand in zip(branches, i.operands[1:], strict=True):
        _calls(i, branch, [operand.shape], i.shape)


def collective(i: Instruction, called: Called) -> None:
    """The result of a reduction over devices has the operands' shapes; on a TPU floats may change their precision."""
    shapes = [o.shape for o in i.operands]
    parts = list(i.shape.parts) if i.shape.is_tuple else [i.shape]
    require(len(parts) == len(shapes) and all(map(fits, parts, shapes)), i, shapes[0].plain if shapes else "nothing")


def elements(i: Instruction, called: Called) -> None:
    """Elements are neither lost nor made: a gather has more, a scatter fewer, by a whole factor."""
    given = prod(o.shape.elements for o in i.operands[:1])
    made = sum(leaf.elements for leaf in i.shape.leaves) if len(i.operands) == 1 else None
    if made is not None and given and made and max(given, made) % min(given, made):
        raise Mismatch(f"makes {i.shape.plain[:60]} of {i.operands[0].shape.plain[:60]}")
