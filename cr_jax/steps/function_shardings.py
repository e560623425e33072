"""How the arguments of a user's function are split over a mesh of devices."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from cr_jax.catalog.topologies import Mesh
from cr_jax.errors import BadConfig

WHOLE = PartitionSpec()
#: The path of a leaf in ``(arguments, keywords)``.
Path = tuple[Any, ...]


def own_shardings(tree: Any) -> dict[Path, NamedSharding]:
    """The shardings over several devices that arrays or shapes of a tree bring, by path."""
    found: dict[Path, NamedSharding] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        sharding = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and sharding.mesh.size > 1:
            found[path] = sharding
    return found


def mesh_of(shardings: Mapping[Path, NamedSharding], given: Mesh) -> Mesh:
    """The mesh of the arguments' own shardings, or the one that is asked for. Raises ``BadConfig`` where the two differ."""
    meshes = dict.fromkeys(tuple((str(name), int(size)) for name, size in one.mesh.shape.items()) for one in shardings.values())
    shown = [",".join(f"{name}={size}" for name, size in mesh) for mesh in (*meshes, *([given] if given else ()))]
    if len(dict.fromkeys(shown)) > 1:
        raise BadConfig(f"mesh {shown[-1]}: the arguments are split over {shown[0]}; legal: one mesh, that of the arguments")
    return given or next(iter(meshes), ())


def split_arguments(
    leaves: Sequence[tuple[Path, Any]], own: Mapping[Path, NamedSharding], batch: Collection[int], mesh: Mesh
) -> tuple[PartitionSpec, ...]:
    """A spec per leaf: its own, else over ``data`` for the arrays of the batch argument, else whole.

    leaves: of ``(arguments, keywords)`` with their paths. own: from :func:`own_shardings`. batch: numbers of the arguments
    with a row per example. Raises ``BadConfig`` where nothing says what to split, or the axis does not divide the batch.
    """
    size = dict(mesh).get("data", 1)
    if not own and (not batch or size == 1):
        raise BadConfig(
            "mesh: nothing says how the function's arguments are split; legal: arguments with a NamedSharding, "
            "or an axis data and batch= the argument that it splits"
        )
    specs = []
    for path, leaf in leaves:
        if path in own:
            specs.append(own[path].spec)
        elif not own and path[0].idx == 0 and path[1].idx in batch and leaf.shape:
            if leaf.shape[0] % size:
                raise BadConfig(f"mesh data={size}: does not divide the batch of {leaf.shape[0]}; legal: its divisors")
            specs.append(PartitionSpec("data"))
        else:
            specs.append(WHOLE)
    if all(spec == WHOLE for spec in specs):
        raise BadConfig("mesh: no array of the program is split; legal: a batch that the function reads, with a row per example")
    return tuple(specs)


def without_shardings(tree: Any) -> Any:
    """The tree as shapes that say nothing of devices: the function is traced as a whole, and split where it is compiled."""
    return jax.tree.map(
        lambda leaf: (
            jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, weak_type=leaf.weak_type)
            if isinstance(leaf, jax.ShapeDtypeStruct)
            else leaf
        ),
        tree,
    )
