"""Whose work an operation is: module and pass, from its ``op_name``.

``jit(step)/transpose(jvp(memory.gate))/while/body/dot_general``: the innermost known module path is
the owner (``memory.gate``), the transformations around it name the pass. JAX renames the other
parts between versions, so they are never interpreted where the module paths are known.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cr_jax.hlo.parse import Instruction

PASSES = ("forward", "backward", "recompute", "optimizer")
NONE = "(none)"
OPTIMIZER = "optimizer"
_OPTIMIZER = re.compile(rf"(^|[/(]){OPTIMIZER}($|[/)])")

_JITTED = re.compile(r"\b(?:jit|pjit|xla_call)\([^()]*\)")
#: A name that starts at the program, not at the computation it stands in.
_ROOTED = re.compile(r"(?:jit|pjit|pmap|xla_call)\(")
_TOKEN = re.compile(r"[A-Za-z_][\w.\-\[\]]*")
#: Parts of a name stack that JAX itself writes; used only for programs whose modules are unknown.
_NOISE = frozenset({
    "jit", "pjit", "jvp", "transpose", "vmap", "while", "body", "cond", "closed_call", "eval_jaxpr", "checkpoint",
    "rematted_computation", "remat", "custom_jvp", "custom_vjp", "custom_jvp_call", "custom_vjp_call", "core_call",
    "branch_0_fun", "branch_1_fun", "scan", "shard_map", "pmap", "xla_call", "main", "named",
})  # fmt: skip


class Attribution:
    """``modules``: the known module paths; empty: any scope that JAX did not write is a module."""

    def __init__(self, modules: Iterable[str] = ()):
        self._modules = frozenset(modules)
        self._seen: dict[str, tuple[str, str]] = {}

    def of(self, op_name: str) -> tuple[str, str]:
        """``(module, pass)``; the module is ``(none)`` where no scope says."""
        found = self._seen.get(op_name)
        if found is None:
            found = self._seen[op_name] = (self._module(op_name), _pass(op_name))
        return found

    def _module(self, op_name: str) -> str:
        path, _, _ = _JITTED.sub("", op_name).rpartition("/")
        tokens = _TOKEN.findall(path)
        if self._modules:
            return next((t for t in reversed(tokens) if t in self._modules), NONE)
        return "/".join(t for t in tokens if t not in _NOISE and not t.startswith("branch_")) or NONE


def _pass(op_name: str) -> str:
    if OPTIMIZER in op_name and _OPTIMIZER.search(op_name):
        return "optimizer"
    if "rematted_computation" in op_name:
        return "recompute"
    return "backward" if "transpose(" in op_name else "forward"


@dataclass(frozen=True)
class Scope:
    """Where a computation is called from, as far as names are concerned.

    context: the caller's full name; an operation without a full name of its own belongs there.
    own, shared: compilers merge equal loop bodies, whose names then say the first loop
    (``shared/...``); read for another loop they say ``own/...``.
    """

    context: str = ""
    own: str = ""
    shared: str = ""

    def full(self, op_name: str) -> str:
        """The full name of an operation in this computation."""
        if not op_name.startswith("jit(") and not _ROOTED.match(op_name):
            return f"{self.context}/{op_name}" if self.context else op_name
        if self.shared and op_name.startswith(self.shared):
            return self.own + op_name[len(self.shared) :]
        return op_name

    def inside(self, op_name: str) -> "Scope":
        """The scope of what an operation of this computation calls."""
        return Scope(self.full(op_name) if op_name else self.context, self.own, self.shared)

    def loop(self, own: str, shared: str) -> "Scope":
        """The scope of a loop's body whose names carry ``shared`` (empty: the loop's own)."""
        return Scope(own, own, shared) if shared else Scope(own, self.own, self.shared)


def loop_prefix(op_names: Iterable[str], own: str) -> str:
    """The ``.../while`` that the names in a body carry, if it is not the loop's own."""
    depth = own.count("/while")
    if not own.endswith("/while"):
        return ""
    for name in op_names:
        parts = name.split("/while")
        if len(parts) > depth and _ROOTED.match(name):
            prefix = "/while".join(parts[:depth]) + "/while"
            return prefix if prefix != own else ""
    return ""


#: Names already found, by instruction and depth.
Origins = dict[tuple[int, int], str]


def origin(instruction: Instruction, known: Origins, depth: int = 4) -> str:
    """The operation's own name, or where the compiler gave it none, that of what it works on.

    A weight among the operands names its owner (``answer`` for ``weights['answer']['kernel']``).
    Otherwise, of several operands the first of the latest pass decides: the gradient of a product
    reads forward values too. ``known`` keeps the search linear: one dictionary for a module.
    """
    if _ROOTED.match(instruction.op_name) or depth == 0:
        return instruction.op_name
    key = (id(instruction), depth)
    found = known.get(key)
    if found is None:
        found = known[key] = _search(instruction, known, depth)
    return found


def _search(instruction: Instruction, known: Origins, depth: int) -> str:
    if instruction.opcode == "parameter":
        return instruction.op_name if "[" in instruction.op_name else ""
    names = [name for o in instruction.operands if (name := origin(o, known, depth - 1))]
    rooted = [n for n in names if _ROOTED.match(n)]
    backward = next((n for n in rooted if "transpose(" in n), "")
    weight = next((n for n in names if "[" in n and not _ROOTED.match(n)), "")
    if weight and rooted:
        path = re.findall(r"\[\\?'?(\w+)\\?'?\]", weight)
        owners = "/".join(".".join(path[: n + 1]) for n in range(len(path)))
        return f"jit(inferred)/{'transpose(jvp())/' if backward else ''}{owners}/{instruction.opcode}"
    return backward or (rooted[0] if rooted else weight or instruction.op_name)
