"""The modules of a step as a tree with subtotals; input is the document alone."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET
from rich.table import Table

from cr_jax.documents.prediction import ModuleSeconds
from cr_jax.documents.reported_step import ModuleCosts, ReportedStep
from cr_jax.render.numbered_siblings import numbered
from cr_jax.units import count, scaled, time_text

#: Levels shown unless the user asks for more.
DEPTH = 2
_INDENT = "  "
#: Siblings from which a row is made of equal ones, and the most by which their FLOPs may differ.
_MANY, _SPREAD = 3, 0.1
_NUMBER = re.compile(r"_?\d+")


@dataclass
class Node:
    """A module with everything inside it. parameters: ``None`` where no weights are known to be its own or inside it."""

    name: str
    flops: int = 0
    matmul_flops: int = 0
    bytes: int = 0
    seconds: float = 0.0
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

    @property
    def shown(self) -> bool:
        """Whether it costs anything."""
        return bool(self.flops or self.bytes or self.seconds or self.parameters)

    def like(self, other: "Node") -> bool:
        """Whether both hold the same modules, as many weights, and nearly as many FLOPs."""
        same = self.parameters == other.parameters and _inside(self) == _inside(other)
        return same and abs(self.flops - other.flops) <= _SPREAD * max(self.flops, other.flops)


def _inside(node: Node) -> list[str]:
    """The modules inside, without their numbers: Haiku counts on from one parent to the next."""
    return sorted(_NUMBER.sub("", name) for name, child in node.children.items() if child.flops)


def module_tree(modules: Sequence[ModuleCosts], parameters: Mapping[str, int], seconds: Sequence[ModuleSeconds] = ()) -> Node:
    """The modules below a nameless root, which holds the sums. Paths of scopes have ``/`` between their parts.

    parameters: by module, with dots (``layers.0``). They belong to the scope of the same path, with or without its outermost
    part, which is the class of the whole model; others count at the root alone.
    """
    root = Node("")
    scopes: dict[str, list[Node]] = {}
    for row in modules:
        nodes, parts = _path(root, row.module), row.module.split("/")
        for number in range(len(parts)):
            for known in (parts[: number + 1], parts[1 : number + 1]):
                if known:
                    scopes.setdefault(".".join(known), nodes[: number + 2])
        for node in nodes:
            node.add(row)
    for time in seconds:
        for node in _path(root, time.module):
            node.seconds += time.seconds
    for module, size in parameters.items():
        for node in scopes.get(module, [root]):
            node.weigh(size)
    return root


def _path(root: Node, module: str) -> list[Node]:
    """The nodes from the root to a module."""
    nodes = [root]
    for part in module.split("/"):
        nodes.append(nodes[-1].children.setdefault(part, Node(part)))
    return nodes


def rolled_up(children: Sequence[Node]) -> list[Node]:
    """The nodes, with one in the place of many that are alike but for a number in their names: ``layers.0-31 (32 x)``."""
    left, rows = {node.name: node for node in children}, list[Node]()
    for label, names in numbered(list(left)):
        groups: list[list[tuple[int, Node]]] = []
        for number, name in names:
            group = next((one for one in groups if one[0][1].like(left[name])), None)
            if group is None:
                groups.append([(number, left[name])])
            else:
                group.append((number, left[name]))
        for group in groups:
            if len(group) >= _MANY:
                nodes = [left.pop(node.name) for _, node in group]
                rows.append(_sum(f"{label([number for number, _ in group])} ({len(group)} x)", nodes))
    return [*left.values(), *rows]


def _sum(name: str, nodes: Sequence[Node]) -> Node:
    """One node with the sums of several, and of their children by name."""
    known = [node.parameters for node in nodes if node.parameters is not None]
    inside: dict[str, list[Node]] = {}
    for node in nodes:
        for child in node.children.values():
            inside.setdefault(child.name, []).append(child)
    return Node(
        name,
        sum(node.flops for node in nodes),
        sum(node.matmul_flops for node in nodes),
        sum(node.bytes for node in nodes),
        sum(node.seconds for node in nodes),
        sum(known) if known else None,
        {child: _sum(child, several) for child, several in inside.items()},
    )


def render_modules(step: ReportedStep, parameters: Mapping[str, int], depth: int, grid: Callable[..., Table]) -> Table:
    """A row per module to ``depth`` levels; each holds what is inside it, and many equal siblings share one. 0: all levels and
    every module by itself. grid: makes a table of a title and columns.
    """
    seconds, whole = module_seconds(step)
    root = module_tree(step.modules, parameters, seconds)
    weights, times = ["parameters"] if root.parameters else [], ["time", "of time"] if seconds else []
    table = grid(f"Modules of {step.name}", "module", "share", "FLOP", "matmul FLOP", "bytes", "of bytes", *weights, *times)

    def show(node: Node, level: int) -> None:
        shown = [child for child in node.children.values() if child.shown]
        for child in sorted(rolled_up(shown) if depth else shown, key=lambda one: (-one.flops, -one.bytes, one.name)):
            own = ["-" if child.parameters is None else count(child.parameters)] if weights else []
            shares = [_share(child.flops, root.flops), scaled(child.flops), scaled(child.matmul_flops)]
            moved = [scaled(child.bytes, "B"), _share(child.bytes, root.bytes)]
            its = time_cells(child.seconds, whole) if times else []
            table.add_row(f"{_INDENT * level}{child.name}", *shares, *moved, *own, *its)
            if not depth or level + 1 < depth:
                show(child, level + 1)

    show(root, 0)
    for name, outside_s in outside_modules(step).items():
        table.add_row(name, *[""] * (5 + len(weights)), *time_cells(outside_s, whole))
    return table


def module_seconds(step: ReportedStep) -> tuple[tuple[ModuleSeconds, ...], float]:
    """Predicted seconds of the modules and of the whole step; none without a prediction."""
    predicted = step.prediction
    if predicted is UNSET or not predicted.seconds or predicted.modules is UNSET:
        return (), 0.0
    return predicted.modules, predicted.seconds


def outside_modules(step: ReportedStep) -> dict[str, float]:
    """Seconds that belong to no module, the longest first, under the names of their rows."""
    predicted = step.prediction
    if predicted is UNSET or not predicted.seconds or predicted.outside_modules is UNSET:
        return {}
    ranked = sorted(predicted.outside_modules.items(), key=lambda item: -item[1])
    return {f"({name})": seconds for name, seconds in ranked if seconds}


def time_cells(seconds: float, whole: float) -> tuple[str, str]:
    """A module's time and its share of the step's."""
    return time_text(seconds), _share(seconds, whole)


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "-"
