"""The devices that a traced function names itself: the shardings that ``jax.jit`` was given, and meshes in its body."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
from jax.extend.core import jaxpr_as_fun
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, Sharding

from cr_jax.errors import BadConfig


@dataclass(frozen=True)
class JitShardings:
    """arguments, results: the sharding that ``jax.jit`` was given for each array, ``None`` where it says nothing.

    body: the meshes that the function's body names (``shard_map``, ``with_sharding_constraint``, an inner ``jax.jit``, types of
    explicit axes), for which alone it is written. explicit: whether its types name axes.
    """

    arguments: tuple[NamedSharding | None, ...] = ()
    results: tuple[NamedSharding | None, ...] = ()
    body: tuple[Mesh | AbstractMesh, ...] = ()
    explicit: bool = False

    @property
    def named(self) -> tuple[NamedSharding, ...]:
        """The shardings that ``jax.jit`` was given."""
        return tuple(one for one in (*self.arguments, *self.results) if one is not None)


def jit_shardings(traced: jax.stages.Traced) -> JitShardings:
    """What a traced function says. Raises ``BadConfig`` for shardings without named axes and arrays kept in a host's memory."""
    given: dict[str, Any] = traced._params  # JAX tells them nowhere else but in the equation of a second trace
    said = {name: tuple(_named(one, name) for one in given[name]) for name in ("in_shardings", "out_shardings")}
    meshes, types = dict.fromkeys(_meshes(traced.jaxpr.jaxpr)), dict.fromkeys(_typed(traced.jaxpr.jaxpr))
    return JitShardings(said["in_shardings"], said["out_shardings"], (*meshes, *types), bool(types))


def without_jit_shardings(traced: jax.stages.Traced, donated: tuple[int, ...]) -> jax.stages.Traced:
    """The function on flat arguments, which may be placed on any mesh. donated: their numbers."""
    run = jaxpr_as_fun(traced.jaxpr)

    def call(*leaves: jax.Array) -> list[Any]:
        return run(*leaves)

    call.__name__ = call.__qualname__ = traced.fun_name
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=getattr(a, "weak_type", False)) for a in traced.jaxpr.in_avals]
    return jax.jit(call, donate_argnums=donated, keep_unused=traced._params["keep_unused"]).trace(*shapes)


def has_explicit_axes(mesh: Mesh | AbstractMesh) -> bool:
    """Whether types name the axes of a mesh, so that a function must be traced on arguments that say how they are split."""
    return AxisType.Explicit in mesh.axis_types


def _named(given: object, option: str) -> NamedSharding | None:
    if isinstance(given, NamedSharding):
        if given.memory_kind == "pinned_host":
            raise BadConfig(f"{option}: arrays in the memory of the host (pinned_host) are not counted; legal: in the device's")
        return given
    if isinstance(given, Sharding) and given.num_devices > 1:
        raise BadConfig(f"{option}: a {type(given).__name__} names no axes; legal: NamedSharding")
    return None


def _inner(jaxpr: Any) -> Iterator[tuple[str, Any]]:
    """Every parameter of every equation, those of inner programs too."""
    for equation in jaxpr.eqns:
        for name, value in equation.params.items():
            for one in value if isinstance(value, list | tuple) else (value,):
                yield name, one
                inner = getattr(one, "jaxpr", one)
                if hasattr(inner, "eqns"):
                    yield from _inner(inner)


def _meshes(jaxpr: Any) -> Iterator[Mesh | AbstractMesh]:
    for name, value in _inner(jaxpr):
        mesh = value.mesh if isinstance(value, NamedSharding) else value if name == "mesh" else None
        if isinstance(mesh, Mesh | AbstractMesh) and not mesh.empty:
            yield mesh


def _typed(jaxpr: Any) -> Iterator[Mesh | AbstractMesh]:
    for variable in jaxpr.invars:
        mesh = getattr(getattr(variable.aval, "sharding", None), "mesh", None)
        if isinstance(mesh, Mesh | AbstractMesh) and not mesh.empty and has_explicit_axes(mesh):
            yield mesh
