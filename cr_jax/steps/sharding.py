"""How a model's arrays are split over the devices of a mesh: the one place that says so, for training and for counting.

The axis ``data`` splits the examples of a batch and the users of a turn. The axis ``model`` splits tables, whose rows or columns
are words, items or users (``table_axis`` in the metadata of a weight), with the optimizer's moments of each, and the item side.
Everything else is whole on every device.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from cr_jax.errors import BadConfig
from cr_jax.records import Splits, TurnLabels
from cr_jax.steps.step import AbstractModel, Step

#: Tables of at least this many rows are split.
SHARDED_ROWS = 256
#: The largest size of an axis that is named as legal.
_MOST = 64
WHOLE = PartitionSpec()


@dataclass(frozen=True)
class Sharding:
    """The rules on a mesh. axes: the size of each axis by name. tables: the axis that splits tables."""

    axes: Mapping[str, int]
    tables: str = "model"

    def weights(self, tree: PyTree) -> PyTree:
        """The ``PartitionSpec`` of every array in a tree of weights or of an optimizer's moments, in the same structure."""
        return jax.tree.map(self._weight, tree, is_leaf=lambda node: isinstance(node, nnx.Variable))

    def _weight(self, node: PyTree) -> PyTree:
        dimension = node.get_metadata().get("table_axis") if isinstance(node, nnx.Variable) else None
        return jax.tree.map(lambda leaf: WHOLE if dimension is None else self._along(leaf.shape, dimension), node)

    def items(self, tree: PyTree) -> PyTree:
        """The specs of the item side: arrays with a row per item or word."""
        return jax.tree.map(lambda leaf: self._along(leaf.shape, 0), tree)

    def rows(self, tree: PyTree, number: int) -> PyTree:
        """The specs of arrays with a row for each of ``number`` examples or users; others are whole."""
        size = self.axes.get("data", 1)
        split = PartitionSpec("data") if size > 1 and number % size == 0 else WHOLE
        return jax.tree.map(lambda leaf: split if leaf.shape[:1] == (number,) else WHOLE, tree)

    def _along(self, shape: tuple[int, ...], dimension: int) -> PartitionSpec:
        size, length = self.axes.get(self.tables, 1), shape[dimension] if dimension < len(shape) else 0
        split = size > 1 and length >= SHARDED_ROWS and length % size == 0
        return PartitionSpec(*[None] * dimension, self.tables) if split else WHOLE


def over_mesh(model: AbstractModel, steps: Sequence[Step], mesh: Sequence[tuple[str, int]]) -> list[Step]:
    """The steps with their shardings over the axes and sizes of ``mesh``; as they are where it has none.

    Raises ``BadConfig`` for an axis that does not divide what it is to split. A single user is whole on every device, and so is
    a table that its axis does not divide, as long as there is one that it does.
    """
    axes = dict(mesh)
    if not axes:
        return list(steps)
    data, tables = axes.get("data", 1), axes.get("model", 1)
    for step in steps:
        labels = step.labels
        users = labels.users if isinstance(labels, TurnLabels) else 1
        for name, number in (("batch", getattr(labels, "batch", data)), ("users", data if users == 1 else users)):
            if number % data:
                legal = f"--{name} {data}, {2 * data}, {3 * data}, ..., or data={_divisors(number)}"
                raise BadConfig(f"--mesh data={data}: does not divide the {name} of {number} of {step.name}; legal: {legal}")
    lengths = _table_lengths(model)
    if tables > 1 and not any(length % tables == 0 for length in lengths.values()):
        found = "; ".join(f"{name} has {length:,} rows: {_divisors(length)}" for name, length in lengths.items())
        none = f"without that axis: it has no table of {SHARDED_ROWS} rows or more"
        raise BadConfig(f"--mesh model={tables}: divides no table of {model.spec.name}; legal: {found or none}")
    return [sharded(step, axes) for step in steps]


def _table_lengths(model: AbstractModel) -> dict[str, int]:
    """Rows or columns of the tables that are large enough to be split, by the weight's path."""
    found: dict[str, int] = {}
    for path, variable in nnx.to_flat_state(nnx.state(model.module)):
        dimension = variable.get_metadata().get("table_axis")
        if dimension is not None and (length := variable.get_value().shape[dimension]) >= SHARDED_ROWS:
            found[".".join(map(str, path))] = length
    return found


def _divisors(number: int) -> str:
    """The divisors of a number that a mesh can have."""
    return ", ".join(str(part) for part in range(1, min(number, _MOST) + 1) if number % part == 0)


def sharded(step: Step, axes: Mapping[str, int]) -> Step:
    """``step`` with the shardings of its arguments, by their roles; its donated arguments come back as they were given."""
    if not axes:
        return step
    rules, labels = Sharding(axes), step.labels
    number = labels.users if isinstance(labels, TurnLabels) else getattr(labels, "batch", 0)
    by_role = {
        "weights": rules.weights,
        "frozen": rules.weights,
        "optimizer": rules.weights,
        "items": rules.items,
        "batch": lambda tree: rules.rows(tree, number),
        "state": lambda tree: rules.rows(tree, number),
    }
    whole = lambda tree: jax.tree.map(lambda _: WHOLE, tree)  # noqa: E731
    shardings = tuple(by_role.get(role, whole)(given) for role, given in zip(step.roles, step.arguments, strict=True))
    rest = WHOLE if step.phase == "train" else None
    results = (*(shardings[number] for number in step.donated), rest) if step.donated else None
    return dataclasses.replace(step, shardings=shardings, results=results)


def splits(step: Step) -> tuple[Splits, ...]:
    """Per array of the step's arguments, the axes of the mesh that split each of its dimensions."""
    if step.shardings is None:
        return ()
    found: list[Splits] = []
    for given, specs in zip(step.arguments, step.shardings, strict=True):
        for leaf, spec in zip(jax.tree.leaves(given), jax.tree.leaves(_spread(specs, given)), strict=True):
            axes = split_by(spec)
            found.append((*axes, *[()] * (len(leaf.shape) - len(axes))))
    return tuple(found)


def result_splits(step: Step) -> tuple[Splits | None, ...]:
    """The same per result of a function's step, as its ``jax.jit`` was given it: ``None`` where the compiler chooses."""
    return tuple(None if spec is None else split_by(spec) for spec in step.results or ())


def split_by(spec: PartitionSpec) -> Splits:
    """The axes of a mesh that split each dimension which ``spec`` names."""
    return tuple(() if axes is None else (axes,) if isinstance(axes, str) else tuple(axes) for axes in spec)


def on_mesh(step: Step, mesh: Mesh) -> tuple[tuple[PyTree, ...], dict[str, PyTree]]:
    """The arguments of a step on the devices of a mesh, and the option of ``jax.jit`` that says where its results go."""
    assert step.shardings is not None, "a step for a mesh has shardings"
    arguments = tuple(
        jax.tree.map(lambda x, spec: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec)), given, specs)
        for given, specs in zip(step.arguments, map(_spread, step.shardings, step.arguments), strict=True)
    )
    if step.results is None:
        return arguments, {}
    return arguments, {"out_shardings": jax.tree.map(lambda spec: NamedSharding(mesh, spec), step.results)}


def _spread(specs: PyTree, tree: PyTree) -> PyTree:
    """A spec for every leaf of ``tree`` from a prefix of it; ``None``: whole."""
    return jax.tree.map(
        lambda spec, part: jax.tree.map(lambda _: WHOLE if spec is None else spec, part),
        specs,
        tree,
        is_leaf=lambda node: node is None or isinstance(node, PartitionSpec),
    )
