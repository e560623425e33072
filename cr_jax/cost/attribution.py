"""Attribution of an operation to a module and a pass, by its ``op_name``.

``jit(step)/transpose(jvp(memory.gate))/while/body/dot_general``: the innermost known module path is
the owner (``memory.gate``), the transformations around it name the pass. JAX renames the other
parts between versions, so they are never interpreted where the module paths are known.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from cr_jax.cost.scope_names import ARGUMENT, EXPORTED, JITTED, called_from, scopes
from cr_jax.hlo.module import HloModule, Instruction
from cr_jax.records import Pass

PASSES = ("forward", "backward", "recompute", "optimizer")
NONE = "(none)"
OPTIMIZER = "optimizer"
_OPTIMIZER = re.compile(rf"(^|[/(]){OPTIMIZER}($|[/)])")

#: Operations that XLA puts behind a product whose layout it changes. They keep the name that the product loses.
_LAYOUT = frozenset(("bitcast", "copy", "transpose", "reshape", "fusion"))
_PRODUCT = ("/conv_general_dilated", "/dot_general")
#: Copies that fetch operands ahead of their use, on TPUs, and what may stand between them and the operation that reads the copy.
_FETCH = frozenset(("copy-start", "slice-start"))
_BETWEEN = frozenset(("copy-done", "slice-done", "bitcast", "get-tuple-element", "tuple", "custom-call"))

_TRANSFORMED = re.compile(r"(?<![\w.])(?:jvp|transpose|vmap)\(([^()]*+(?:\([^()]*+\))?[^()]*+)\)")
_TOKEN = re.compile(r"[A-Za-z_][\w.\-\[\]]*")


#: First parts of full names.
Roots = tuple[str, ...]


class Attribution:
    """``modules``: the known module paths; empty: any scope that JAX did not write is a module."""

    def __init__(self, modules: Iterable[str] = ()) -> None:
        self._modules = frozenset(modules)
        self._seen: dict[str, tuple[str, Pass]] = {}

    def of(self, op_name: str) -> tuple[str, Pass]:
        """``(module, pass)``; the module is ``(none)`` where no scope names one."""
        owner = self._seen.get(op_name)
        if owner is None:
            owner = self._seen[op_name] = (self._module(op_name), _pass(op_name))
        return owner

    def _module(self, op_name: str) -> str:
        if not self._modules:
            return "/".join(scopes(op_name)) or NONE
        path, _, _ = JITTED.sub("", op_name).rpartition("/")
        return next((t for t in reversed(_TOKEN.findall(path)) if t in self._modules), NONE)


def _pass(op_name: str) -> Pass:
    if OPTIMIZER in op_name and _OPTIMIZER.search(op_name):
        return "optimizer"
    if "rematted_computation" in op_name:
        return "recompute"
    return "backward" if "transpose(" in op_name else "forward"


def roots_of(module: HloModule) -> Roots:
    """The prefixes of the full names in a program: its own, such as ``jit(step)``, and those of exported functions that it calls.

    In an unoptimised program the names inside a called computation are relative to the call, and may themselves begin with
    ``jit(...)``. An exported function keeps the names of its own program, from its own root.
    """
    exported = (
        computation.instructions
        for caller in module.entry.instructions
        if caller.op_name.endswith(EXPORTED) and (computation := module.computations.get(caller.called("to_apply") or ""))
    )
    found = (root_of(i.op_name for i in instructions) for instructions in (module.entry.instructions, *exported))
    return tuple(dict.fromkeys(root for root in found if root))


def root_of(op_names: Iterable[str]) -> str:
    """The first part of the first full name, "" where there is none."""
    return next((name.partition("/")[0] for name in op_names if JITTED.match(name)), "")


def plain_path(op_name: str, roots: Roots) -> str:
    """The scopes of a full name, without its root and the names of transformations: ``decode/while`` for
    ``jit(step)/transpose(jvp(decode))/while``.
    """
    _, exported, path = op_name.rpartition(f"/{EXPORTED}/")
    first, _, rest = path.partition("/")
    path, changed = rest if first in roots or (roots and exported and JITTED.match(first)) else path, True
    while changed:
        inner = _TRANSFORMED.sub(r"\1", path)
        changed, path = inner != path, inner
    return "/".join(part for part in path.split("/") if part)


class Scope(NamedTuple):
    """The naming context of a called computation.

    roots: see ``roots_of``. context: the caller's full name, which operations without a full name of their own take. own, shared:
    compilers merge equal loop bodies, whose names then contain the first loop (``shared/...``); read for another loop they become
    ``own/...``.
    """

    roots: Roots = ()
    context: str = ""
    own: str = ""
    shared: str = ""

    def rooted(self, op_name: str) -> bool:
        """Whether a name is full. Names of other tools than JAX are, if they have a path."""
        return op_name.startswith(self.roots) if self.roots else "/" in op_name

    def full(self, op_name: str) -> str:
        """The full name of an operation in this computation."""
        if not (op_name.startswith(self.roots) if self.roots else "/" in op_name):
            return f"{self.context}/{op_name}" if self.context else op_name
        if self.shared and op_name.startswith(self.shared):
            return self.own + op_name[len(self.shared) :]
        return op_name

    def inside(self, op_name: str) -> "Scope":
        """The scope of a computation that an operation of this one calls."""
        name = self.full(op_name)
        if not op_name or not (self.rooted(name) or self.context):  # nameless, or named as an argument is
            return self
        return Scope(self.roots, called_from(name), self.own, self.shared)

    def loop(self, own: str, op_names: Iterable[str]) -> "Scope":
        """The scope of a loop's body, whose operations carry ``op_names``; ``own``: the loop's full name."""
        shared = self._shared(own, op_names)
        return Scope(self.roots, own, own, shared) if shared else Scope(self.roots, own, self.own, self.shared)

    def fusion(self, own: str, op_names: Iterable[str]) -> "Scope":
        """The scope of a fused computation. Two loops may share it where their bodies are apart."""
        inside = self.inside(own)
        loop, separator, _ = inside.context.rpartition("/while/")
        shared = self._shared(f"{loop}/while", op_names) if separator else ""
        return Scope(self.roots, inside.context, f"{loop}/while", shared) if shared else inside

    def _shared(self, own: str, op_names: Iterable[str]) -> str:
        """The ``.../while`` that the names in a body carry, if it is not the loop's own."""
        depth = own.count("/while")
        if not own.endswith("/while"):
            return ""
        for name in op_names:
            parts = name.split("/while")
            if len(parts) > depth and self.rooted(name):
                prefix = "/while".join(parts[:depth]) + "/while"
                return prefix if prefix != own else ""
        return ""


#: Matrix products by (elements of the result, FLOPs) -> their owners, as (module, pass).
Products = Mapping[tuple[int, int], frozenset[tuple[str, str]]]


class Origins:
    """Names for operations that the compiler left without a name. products: see ``Walk``."""

    def __init__(self, module: HloModule, products: Products | None = None) -> None:
        self._module, self._products = module, products or {}
        roots = roots_of(module)
        self._scope, self._root = Scope(roots), roots[0] if roots else ""
        self._known: dict[tuple[int, int], str] = {}

    def rooted(self, op_name: str) -> bool:
        """Whether a name is full, as for :class:`Scope`."""
        return self._scope.rooted(op_name)

    def name(self, instruction: Instruction, matmul_flops: int = 0) -> str:
        """The operation's name; where the compiler gave it none, the name that the copy of its result, its size or its operands
        suggest, in this order.
        """
        name, roots = instruction.op_name, self._scope.roots
        if roots and name.startswith(roots):
            return name
        product = ""
        if matmul_flops:
            product = self._relaid.get(id(instruction), "") if not name else ""
            product = product or self.product(instruction.shape.leaves[0].elements, matmul_flops)
        return product or self.of(instruction)

    def reader(self, instruction: Instruction) -> str:
        """The name of the first operation that reads what a copy without a name fetches ahead, else ""."""
        return self._fetched_for.get(id(instruction), "") if instruction.opcode in _FETCH and not instruction.op_name else ""

    @cached_property
    def _fetched_for(self) -> dict[int, str]:
        """The names of the first operations that read what nameless copies fetch, by the identity of the copy."""
        names: dict[int, str] = {}
        for computation in self._module.computations.values():
            waiting: dict[int, tuple[int, ...]] = {}  # copies that a value holds
            for one in computation.instructions:
                held = tuple(copy for operand in one.operands for copy in waiting.get(id(operand), ()))
                if self.rooted(one.op_name):
                    for copy in held:
                        names.setdefault(copy, one.op_name)
                elif one.opcode in _FETCH:
                    waiting[id(one)] = (id(one), *held)
                elif held and one.opcode in _BETWEEN:
                    waiting[id(one)] = held
        return names

    @cached_property
    def _relaid(self) -> dict[int, str]:
        """The names of products that only the changes of their results' layouts carry, by the identity of the product."""
        names: dict[int, str] = {}
        for computation in self._module.computations.values():
            for user in computation.instructions:
                inside = user.callee.instructions if user.opcode == "fusion" and user.callee else ()
                for one in (user, *inside):
                    if one.opcode in _LAYOUT and len(one.operands) == 1 and one.op_name.endswith(_PRODUCT):
                        source = one.operands[0]
                        if one is not user and source.opcode == "parameter":
                            source = user.operands[int(source.literal)]
                        if not source.op_name:
                            names[id(source)] = one.op_name
        return names

    def product(self, elements: int, flops: int) -> str:
        """The name of a matrix product that only one module of the traced program has, else ""."""
        owners = self._products.get((elements, flops), frozenset())
        if len(owners) != 1:
            return ""
        module, which = next(iter(owners))
        wrapped = {"backward": "transpose(jvp())/", "recompute": "rematted_computation/"}.get(which, "")
        return f"{self._root}/{wrapped}{module}/dot_general"

    def of(self, instruction: Instruction, depth: int = 4) -> str:
        """The operation's own name, or where the compiler gave it none, the name of its operands.

        A weight among the operands names its owner (``answer`` for ``weights['answer']['kernel']``). Otherwise, of several
        operands the first of the latest pass decides: the gradient of a product reads forward values too.
        """
        if self._scope.rooted(instruction.op_name) or depth == 0:
            return instruction.op_name
        key = (id(instruction), depth)
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = self._search(instruction, depth)
        return name

    def _search(self, instruction: Instruction, depth: int) -> str:
        if instruction.opcode == "parameter":
            return instruction.op_name if "[" in instruction.op_name else ""
        names = [name for o in instruction.operands if (name := self.of(o, depth - 1))]
        rooted = [n for n in names if self._scope.rooted(n)]
        backward = next((n for n in rooted if "transpose(" in n), "")
        weight = next((n for n in names if "[" in n and not self._scope.rooted(n)), "")
        if weight:
            path = re.findall(r"\[\\?'?(\w+)\\?'?\]", weight)
            owners = "/".join(".".join(path[: n + 1]) for n in range(len(path)))
            return f"{self._root}/{'transpose(jvp())/' if backward else ''}{ARGUMENT}({owners})/{instruction.opcode}"
        return backward or (rooted[0] if rooted else instruction.op_name)
