"""How the arguments of a user's function are split over a mesh of devices."""

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from cr_jax.catalog.topologies import Mesh, mesh_text
from cr_jax.errors import BadConfig
from cr_jax.steps.jit_shardings import JitShardings, has_explicit_axes
from cr_jax.steps.sharding import split_by

WHOLE = PartitionSpec()
#: A function that says nothing of devices.
NONE = JitShardings()
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


def mesh_of(shardings: Mapping[Path, NamedSharding], given: Mesh, function: JitShardings = NONE) -> tuple[Mesh, str | None]:
    """The mesh of the devices, and a note where the function names another one or nobody asked for it.

    It is the one that is asked for, else that of the arguments' own shardings, of the function's body, or of its ``jax.jit``.
    Raises ``BadConfig`` where the arguments or the body are made for another mesh, and where ``jax.jit`` names other axes.
    """
    arguments = dict.fromkeys(_axes_of(one.mesh) for one in shardings.values())
    shown = [mesh_text(mesh) for mesh in (*arguments, *([given] if given else ()))]
    if len(dict.fromkeys(shown)) > 1:
        raise BadConfig(f"mesh {shown[-1]}: the arguments are split over {shown[0]}; legal: one mesh, that of the arguments")
    asked = given or next(iter(arguments), ())
    body = dict.fromkeys(_axes_of(mesh) for mesh in function.body)
    for mesh in body:
        if asked and mesh != asked:
            raise BadConfig(
                f"mesh {mesh_text(asked)}: the function's body names {mesh_text(mesh)} (shard_map, with_sharding_constraint, "
                f"an inner jit, jax.set_mesh); legal: {mesh_text(mesh)}"
            )
    jitted = dict.fromkeys(_axes_of(one.mesh) for one in function.named)
    if len(made := dict.fromkeys((*body, *jitted))) > 1 and (body or not asked):
        raise BadConfig(f"the function names several meshes: {' and '.join(map(mesh_text, made))}; legal: one")
    own = next((mesh for mesh in made if prod(size for _, size in mesh) > 1), ())
    if not asked:
        source = "in its body" if body else "in the shardings of its jit"
        return own, f"the mesh {mesh_text(own)} is the one that the function names {source}" if own else None
    for mesh in jitted:
        if arguments and mesh not in arguments:
            raise BadConfig(
                f"mesh {mesh_text(asked)}: the arguments are split over it, but the function's jit names {mesh_text(mesh)}; "
                "legal: one mesh"
            )
        _refuse_other_axes(asked, mesh, function)
    if jitted and asked not in jitted:
        named = " and ".join(map(mesh_text, jitted))
        return asked, f"the shardings of the function's jit name the mesh {named}: their axes are those of {mesh_text(asked)}"
    return asked, None


def _refuse_other_axes(asked: Mesh, own: Mesh, function: JitShardings) -> None:
    names = {name for name, _ in asked}
    used = {axis for one in function.named for axes in axes_by_dimension(one.spec) for axis in axes}
    if names - {name for name, _ in own} or used - names:
        legal = ", ".join(name for name, _ in own)
        raise BadConfig(f"mesh {mesh_text(asked)}: the shardings of the function's jit name other axes; legal: {legal}")


def _axes_of(mesh: Any) -> Mesh:
    return tuple((str(name), int(size)) for name, size in mesh.shape.items())


def split_arguments(
    leaves: Sequence[tuple[Path, Any]],
    own: Mapping[Path, NamedSharding],
    batch: Collection[int],
    mesh: Mesh,
    function: JitShardings = NONE,
) -> tuple[PartitionSpec, ...]:
    """A spec per leaf: its own, else the one of ``jax.jit``, else over ``data`` for arrays of the batch arguments, else whole.

    leaves: of ``(arguments, keywords)`` with their paths. own: from :func:`own_shardings`; where any array has one, the batch is
    not split besides. batch: numbers of the arguments with a row per example. Raises ``BadConfig`` where nothing says what to
    split, an axis does not divide an array, or an argument and ``jax.jit`` disagree.
    """
    size = dict(mesh).get("data", 1)
    if not own and not function.named and not function.body and (not batch or size == 1):
        raise BadConfig(
            "mesh: nothing says how the function's arguments are split; legal: arguments with a NamedSharding, a jit with "
            "in_shardings, or an axis data and batch= the argument that it splits"
        )
    given = function.arguments or (None,) * len(leaves)
    specs, arrays = [], []
    for (path, leaf), jitted in zip(leaves, given, strict=True):
        mine = own.get(path)
        place = jax.tree_util.keystr(path[1:], simple=True, separator=".")
        if mine is not None and jitted is not None and axes_by_dimension(mine.spec) != axes_by_dimension(jitted.spec):
            raise BadConfig(
                f"argument {place}: split by {mine.spec}, but by {jitted.spec} in its jit; legal: one of them, or the same"
            )
        found = mine or jitted
        if found is not None:
            specs.append(found.spec)
        elif not own and path[0].idx == 0 and path[1].idx in batch and leaf.shape:
            if leaf.shape[0] % size:
                raise BadConfig(f"mesh data={size}: does not divide the batch of {leaf.shape[0]}; legal: its divisors")
            specs.append(PartitionSpec("data") if size > 1 else WHOLE)
        else:
            specs.append(WHOLE)
        arrays.append((f"argument {place}", leaf.shape, specs[-1]))
    _refuse_uneven(arrays, mesh)
    results = [one for one in function.results if one is not None and any(axes_by_dimension(one.spec))]
    if not any(any(axes_by_dimension(spec)) for spec in specs) and not function.body and not results:
        raise BadConfig("mesh: no array of the program is split; legal: a batch that the function reads, with a row per example")
    return tuple(specs)


def split_results(traced: jax.stages.Traced, mesh: Mesh, function: JitShardings) -> tuple[PartitionSpec | None, ...] | None:
    """A spec per result as ``jax.jit`` was given it; ``None``: the compiler chooses. Raises ``BadConfig`` for uneven parts."""
    if not any(function.results):
        return None
    specs = tuple(None if one is None else one.spec for one in function.results)
    shapes = [one.shape for one in jax.tree.leaves(traced.out_info)]
    named = [(f"result {number}", shape, spec) for number, (shape, spec) in enumerate(zip(shapes, specs, strict=True)) if spec]
    _refuse_uneven(named, mesh)
    return specs


def _refuse_uneven(arrays: Sequence[tuple[str, Sequence[int], PartitionSpec]], mesh: Mesh) -> None:
    """Raise ``BadConfig`` where the axes that split a dimension of a named array do not divide it."""
    sizes = dict(mesh)
    for name, shape, spec in arrays:
        for length, axes in zip(shape, axes_by_dimension(spec), strict=False):
            if length % (parts := prod(sizes[axis] for axis in axes)):
                told = ",".join(f"{axis}={sizes[axis]}" for axis in axes)
                raise BadConfig(f"mesh {told}: {parts} does not divide {length}, a dimension of {name}; legal: its divisors")


def axes_by_dimension(spec: PartitionSpec) -> tuple[tuple[str, ...], ...]:
    """The axes that split each dimension, without those at the end that nothing splits."""
    found = list(split_by(spec))
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def without_shardings(tree: Any) -> Any:
    """The tree as shapes that say nothing of devices: the function is traced as a whole, and split where it is compiled.

    Shardings with explicit axes stay: they are part of the types that the function is traced on.
    """

    def bare(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        explicit = isinstance(leaf.sharding, NamedSharding) and has_explicit_axes(leaf.sharding.mesh)
        kept = leaf.sharding if explicit else None
        dtype = jax.dtypes.canonicalize_dtype(leaf.dtype) if isinstance(leaf.dtype, np.dtype) else leaf.dtype  # as JAX holds it
        return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=kept, weak_type=leaf.weak_type)

    return jax.tree.map(bare, tree)
