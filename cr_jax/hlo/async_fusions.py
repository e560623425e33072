"""Fusions that run beside others: XLA for GPUs prints the start of an asynchronous fusion as ``fusion-start``.

That is short for an ``async-start`` of a computation with the fusion as its only operation, and is read as such.
"""

from cr_jax.hlo.module import Computation, HloModule, Instruction

_LONG = {"fusion-start": "async-start", "fusion-update": "async-update", "fusion-done": "async-done"}


def write_out(module: HloModule) -> None:
    """Replace the short forms of a module by the long ones. A start without its parts stays as it is."""
    for computation in list(module.computations.values()):
        for instruction in computation.instructions:
            if instruction.opcode == "fusion-start":
                _start(module, computation, instruction)
            elif instruction.opcode in _LONG:
                instruction.opcode = _LONG[instruction.opcode]


def _start(module: HloModule, computation: Computation, start: Instruction) -> None:
    if len(start.shape.parts) < 2 or not start.called("calls"):
        return
    name = f"{computation.name}.{start.name}.wrapped"
    parameters = tuple(
        Instruction(f"parameter.{number}", "parameter", operand.shape, str(number), "", "", start.line)
        for number, operand in enumerate(start.operands)
    )
    fusion = Instruction(
        start.name, "fusion", start.shape.parts[1], "", start.attributes, start.op_name, start.line, start.config, start.cycles
    )
    fusion.operands = parameters
    module.computations[name] = Computation(name, [*parameters, fusion], fusion, dict(enumerate(parameters)), computation.depth)
    start.opcode, start.attributes, start.cycles = "async-start", f", calls=%{name}", 0
