"""Functions of ``jax.pmap``: a jitted ``shard_map`` over this machine's devices, behind a wrapper that is not jitted itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import PyTree

from cr_jax.errors import BadConfig
from cr_jax.printable import named

_LEGAL = "legal: arguments whose mapped axis has length 1, or jax.jit with shardings or jax.shard_map over a mesh"


def is_mapped(function: object) -> bool:
    """Whether ``jax.pmap`` made a function."""
    lower = getattr(function, "lower", None)
    made_by = getattr(lower, "__module__", None) or "", getattr(lower, "__qualname__", "")
    return made_by[0].startswith("jax.") and made_by[1].startswith("pmap.")


@dataclass(frozen=True)
class Mapped:
    """A function made by ``jax.pmap`` in the clothes of a jitted one. static, donate: numbers of its arguments."""

    function: Callable[..., Any]
    title: str
    static: tuple[int, ...]
    donate: tuple[int, ...]

    def trace(self, *arguments: PyTree, **keywords: PyTree) -> jax.stages.Traced:
        """The function traced for one device, with the donation that ``jax.pmap`` was told. Raises ``BadConfig``."""
        try:
            traced = jax.jit(self.function, static_argnums=self.static, donate_argnums=self.donate).trace(*arguments, **keywords)
        except Exception as error:  # the mapped function is the user's and may raise anything
            said = f"cannot be traced on {jax.local_device_count()} device(s): {named(error, 200)}"
            raise BadConfig(f"function {self.title!r}: jax.pmap {said}; {_LEGAL}; --debug shows the traceback") from error
        devices = max((_devices(call) for call in _calls(traced)), default=1)
        if devices > 1:
            raise BadConfig(f"function {self.title!r}: jax.pmap over {devices} devices of this machine; {_LEGAL}")
        donate = _donated(traced, len(arguments), self.static)
        if not donate or self.donate:
            return traced
        return jax.jit(self.function, static_argnums=self.static, donate_argnums=donate).trace(*arguments, **keywords)


def _calls(traced: jax.stages.Traced) -> list[Any]:
    """The jitted calls that the wrapper makes: of the function that it maps, and none but that where it is given shapes."""
    return [equation for equation in traced.jaxpr.eqns if "donated_invars" in equation.params]


def _devices(call: Any) -> int:
    meshes = [equation.params["mesh"] for equation in call.params["jaxpr"].eqns if "mesh" in equation.params]
    return max((mesh.size for mesh in meshes), default=1)


def _donated(traced: jax.stages.Traced, count: int, static: tuple[int, ...]) -> tuple[int, ...]:
    """The arguments that the mapped function donates, of ``count`` with the static ones."""
    given = {
        id(one) for call in _calls(traced) for one, is_ in zip(call.invars, call.params["donated_invars"], strict=True) if is_
    }
    leaves = jax.tree_util.tree_leaves_with_path(traced.args_info, is_leaf=lambda node: hasattr(node, "donated"))
    places = [number for number in range(count) if number not in static]
    owners = [places[path[1].idx] if path[0].idx == 0 else None for path, _ in leaves]
    found = zip(owners, traced.jaxpr.jaxpr.invars, strict=True)
    return tuple(sorted({owner for owner, one in found if owner is not None and id(one) in given}))
