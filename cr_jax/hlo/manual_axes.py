"""Programs before partitioning, with parts that are written for one device of several (``jax.shard_map``)."""

import re
from math import prod

from cr_jax.hlo.module import HloModule, Instruction

_MESH = re.compile(r"([\w.]+) = #sdy\.mesh<\[([^]]*)\]")
_SIZE = re.compile(r'"([^"\\]+)\\?"=(\d{1,9})')
_NAME = re.compile(r'"([^"\\]+)\\?"')
_MANUAL = re.compile(r"xla\.sdy\.manual_axes=\"#sdy<manual_axes\{([^}]*)\}")
_USED = re.compile(r"<@([\w.]+)")


def devices_of_call(module: HloModule, call: Instruction) -> int:
    """The devices that each run a call's computation on a part of its operands; 1 for a call like any other.

    A computation without operands is not told from others.
    """
    for operand in call.operands:
        source = operand.operands[0] if operand.opcode == "get-tuple-element" else operand
        if source.opcode == "custom-call" and source.attribute("custom_call_target") == '"xla.sdy.GlobalToLocalShape"':
            said = source.attribute("frontend_attributes") or ""
            manual, used = _MANUAL.search(said), _USED.search(said)
            sizes = _meshes(module).get(used[1] if used else "", {})
            return prod(sizes.get(axis, 1) for axis in _NAME.findall(manual[1])) if manual else 1
    return 1


def _meshes(module: HloModule) -> dict[str, dict[str, int]]:
    """Sizes of axes by mesh."""
    said = module.attribute("frontend_attributes") or ""
    return {name: {axis: int(size) for axis, size in _SIZE.findall(axes)} for name, axes in _MESH.findall(said)}
