"""What a collective moves: its kind, operands and results, and the bytes that each device sends.

TPU compilers write some collectives into fusions: a reduce-scatter as an all-reduce whose result is sliced, and an asynchronous
one as several fusions (start, steps beside other work, done) that each repeat it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cr_jax.cost.rules import opcode_rules
from cr_jax.hlo.module import Computation, Instruction
from cr_jax.hlo.shapes import Shape

#: The computation that a fusion runs.
Callee = Callable[[Instruction], Computation]
_ALIAS = re.compile(r"\{(\d*)\}: \((\d+), \{\}", re.ASCII)
_START, _DONE = '"AsyncCollectiveStart"', '"AsyncCollectiveDone"'


@dataclass(frozen=True, eq=False)
class Exchange:
    """One collective. instruction: that names its groups. result_bytes: of one execution, on one device, as are operand_bytes.

    asynchronous: it ends in an operation of its own. continued: an earlier fusion has begun it and counts it.
    """

    instruction: Instruction
    kind: str
    operand_bytes: int
    result_bytes: int
    asynchronous: bool = False
    continued: bool = False

    @property
    def payload_bytes(self) -> int:
        """The size as nccl-tests count it: the result of an all-gather, the operands of any other.

        What devices send each other in a ragged-all-to-all depends on the data: its operand is the most.
        """
        return self.result_bytes if self.kind == "all-gather" else self.operand_bytes

    @property
    def at_most(self) -> bool:
        """Whether the bytes depend on the data."""
        return self.kind == "ragged-all-to-all"

    def sent_bytes(self, devices: int) -> int:
        """Bytes that each of ``devices`` sends in a ring, rounded up."""
        share, of = ring_share(self.kind, devices)
        return -(-self.payload_bytes * share // of) if of else 0


def ring_share(kind: str, devices: int) -> tuple[int, int]:
    """What each device of a ring sends of the payload, as a fraction.

    Each of n devices passes on n - 1 parts of the n, of an all-reduce twice. A broadcast and a permutation pass on the whole.
    """
    if devices < 2:
        return 0, 1
    if kind in ("collective-permute", "collective-broadcast", "ragged-all-to-all"):
        return 1, 1
    return (2 if kind == "all-reduce" else 1) * (devices - 1), devices


def plain(instruction: Instruction) -> Exchange | None:
    """The collective that an instruction is; ``None`` for any other."""
    opcode = instruction.opcode
    if opcode not in opcode_rules.COLLECTIVE:
        return None
    kind = opcode.removesuffix("-start")
    sizes = [operand.shape.bytes for operand in instruction.operands]
    given = sizes[0] if kind == "ragged-all-to-all" and sizes else sum(sizes)
    made = sum(leaf.bytes for leaf in results(instruction))
    return Exchange(instruction, kind, given, made, kind != opcode and '"is_sync":true' not in instruction.config)


def results(instruction: Instruction) -> tuple[Shape, ...]:
    """The arrays that a collective makes; a start names its operands first, and contexts last.

    An ``all-reduce-start`` of earlier versions names the results alone, of which there may be several.
    """
    shape, opcode = instruction.shape, instruction.opcode
    if opcode.endswith("-start") and len(shape.parts) > 1 and (opcode != "all-reduce-start" or shape.parts[0].is_tuple):
        return shape.parts[1].leaves
    return shape.leaves


def fused(computation: Computation, callee: Callee) -> Iterator[Exchange]:
    """The collectives in a fused computation and those that it calls."""
    for instruction in computation.instructions:
        if instruction.opcode == "fusion":
            yield from fused(callee(instruction), callee)
        exchange = plain(instruction)
        if exchange is not None:
            yield _in(computation, exchange)


def continued(computation: Computation, instruction: Instruction) -> bool:
    """Whether an earlier fusion has begun the collective of a fused computation."""
    if instruction.opcode not in opcode_rules.COLLECTIVE:
        return False
    chained = "chain_id=" in (instruction.attribute("frontend_attributes") or "")
    return chained and not _given_to(computation, instruction, _START)


def passed_on(fusion: Instruction, computation: Computation) -> tuple[frozenset[int], frozenset[int]]:
    """Numbers of results and operands that a fusion of an asynchronous collective leaves where they are.

    Each fusion after the start hands the buffers on to the next; none of them moves their bytes again.
    """
    begun = [one for one in computation.instructions if _given_to(computation, one, _START)]
    if not begun and not any(continued(computation, one) for one in computation.instructions):
        return frozenset(), frozenset()
    aliases = _ALIAS.findall(fusion.attribute("output_to_operand_aliasing") or "")
    results = frozenset(int(result or 0) for result, _ in aliases)
    if begun:
        return results, frozenset()
    if ended(computation):
        return results, frozenset(range(len(fusion.operands)))
    return results, frozenset(int(operand) for _, operand in aliases)


def ended(computation: Computation) -> list[Instruction]:
    """The asynchronous collectives that a fused computation waits for."""
    collectives = [one for one in computation.instructions if one.opcode in opcode_rules.COLLECTIVE]
    return [one for one in collectives if _given_to(computation, one, _DONE)]


def _in(computation: Computation, exchange: Exchange) -> Exchange:
    """A collective as the fused computation around it means it."""
    instruction = exchange.instruction
    if continued(computation, instruction):
        return replace(exchange, asynchronous=True, continued=True)
    users = [one for one in computation.instructions if instruction in one.operands]
    if exchange.kind == "all-reduce" and len(users) == 1 and users[0].opcode == "dynamic-slice":
        return replace(exchange, kind="reduce-scatter", result_bytes=users[0].shape.bytes)
    return replace(exchange, asynchronous=_given_to(computation, instruction, _START))


def _given_to(computation: Computation, instruction: Instruction, target: str) -> bool:
    return any(
        one.opcode == "custom-call" and instruction in one.operands and one.attribute("custom_call_target") == target
        for one in computation.instructions
    )
