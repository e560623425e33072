"""The modules of a step as a tree with subtotals; input is the document alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from cr_jax.documents.reported_step import ModuleCosts, ReportedStep
from cr_jax.units import count, scaled

#: Levels shown unless the user asks for more.
DEPTH = 2
_INDENT = "  "


@dataclass
class Node:
    """A module with everything inside it. parameters: ``None`` where no weights are known to be its own or inside it."""

    name: str
    flops: int = 0
    matmul_flops: int = 0
    bytes: int = 0
    parameters: int | None = None
    children: dict[str, "Node"] = field(default_factory=dict)

    def add(self, row: ModuleCosts) -> None:
        """Add the costs of one module in one pass."""
        self.flops += row.matmul_flops + row.other_flops
        self.matmul_flops += row.matmul_flops
        self.bytes += row.hbm_bytes

    def weigh(self, size: int) -> None:
        """Add weights."""
        self.parameters = size + (self.parameters or 0)


def module_tree(modules: Sequence[ModuleCosts], parameters: Mapping[str, int]) -> Node:
    """The modules below a nameless root, which holds the sums. Paths of scopes have ``/`` between their parts.

    parameters: by module, with dots (``layers.0``). They belong to the scope of the same path, with or without its outermost
    part, which is the class of the whole model; others count at the root alone.
    """
    root = Node("")
    scopes: dict[str, list[Node]] = {}
    for row in modules:
        nodes, parts = [root], row.module.split("/")
        for number, part in enumerate(parts):
            nodes.append(nodes[-1].children.setdefault(part, Node(part)))
            for known in (parts[: number + 1], parts[1 : number + 1]):
                if known:
                    scopes.setdefault(".".join(known), list(nodes))
        for node in nodes:
            node.add(row)
    for module, size in parameters.items():
        for node in scopes.get(module, [root]):
            node.weigh(size)
    return root


def render_modules(step: ReportedStep, parameters: Mapping[str, int], depth: int, grid: Callable[..., Table]) -> Table:
    """A row per module to ``depth`` levels, 0: all; each holds what is inside it. grid: makes a table of a title and columns."""
    root = module_tree(step.modules, parameters)
    weights = ["parameters"] if root.parameters else []
    table = grid(f"Modules of {step.name}", "module", "share", "FLOP", "matmul FLOP", "bytes", "of bytes", *weights)

    def show(node: Node, level: int) -> None:
        for child in sorted(node.children.values(), key=lambda one: (-one.flops, -one.bytes, one.name)):
            if not (child.flops or child.bytes or child.parameters):
                continue
            own = ["-" if child.parameters is None else count(child.parameters)] if weights else []
            shares = [_share(child.flops, root.flops), scaled(child.flops), scaled(child.matmul_flops)]
            moved = [scaled(child.bytes, "B"), _share(child.bytes, root.bytes)]
            table.add_row(f"{_INDENT * level}{child.name}", *shares, *moved, *own)
            if not depth or level + 1 < depth:
                show(child, level + 1)

    show(root, 0)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
