"""The arrays that a traced function takes, with the places of its arguments as the caller counts them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.tree_util import SequenceKey
from jaxtyping import PyTree

from cr_jax.errors import BadConfig
from cr_jax.steps.nnx_arguments import variables

#: The arguments of a note that are named.
_NAMED = 4


def program_arguments(traced: jax.stages.Traced, arguments: Sequence[PyTree]) -> list[tuple[tuple[Any, ...], Any]]:
    """(path in ``(arguments, keywords)``, what JAX knows of the array) for every array, in the program's order.

    JAX counts arguments without the static ones, which a jitted function does not name: they are those that no place is left for.
    Raises ``BadConfig`` where the places cannot be told.
    """
    leaves = jax.tree_util.tree_leaves_with_path(traced.args_info, is_leaf=_is_info)
    positional, _ = traced.args_info
    if len(positional) == len(arguments):
        return leaves
    places = _places(positional, arguments)
    return [((path[0], SequenceKey(places[path[1].idx]), *path[2:]) if path[0].idx == 0 else path, leaf) for path, leaf in leaves]


def note_on_wide_types(tree: PyTree, name: Callable[[tuple[Any, ...]], str]) -> str | None:
    """A line on the arrays of a tree whose 64 bits JAX does not keep, ``None``: there are none. name: of a leaf, by its path."""
    held: dict[str, list[str]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        dtype = getattr(leaf, "dtype", None)
        if isinstance(dtype, np.dtype) and (kept := jax.dtypes.canonicalize_dtype(dtype)) != dtype:
            held.setdefault(f"({dtype}) as {kept}", []).append(name(path))
    if not held:
        return None
    told = "; ".join(f"{', '.join(names[:_NAMED])}{', ...' if names[_NAMED:] else ''} {types}" for types, names in held.items())
    return f"JAX holds {told}; JAX_ENABLE_X64=1 or jax.config.update('jax_enable_x64', True) keeps 64 bits"


def _places(dynamic: Sequence[PyTree], arguments: Sequence[PyTree]) -> list[int]:
    """The argument that each dynamic one is: the next of its shapes."""
    places: list[int] = []
    for number, info in enumerate(dynamic):
        start = places[-1] + 1 if places else 0
        last = len(arguments) - (len(dynamic) - number)
        found = next((place for place in range(start, last + 1) if _same(info, arguments[place])), None)
        if found is None:
            raise BadConfig("the static arguments of a jitted function cannot be told; legal: pass them by keyword")
        places.append(found)
    return places


def _same(info: PyTree, argument: PyTree) -> bool:
    given = jax.tree.leaves(info, is_leaf=_is_info)
    own = variables(argument)
    if own is not None:
        return len(own) == len(given)
    leaves = jax.tree.leaves(argument)
    if any(
        isinstance(leaf, str) or (not hasattr(leaf, "shape") and not isinstance(leaf, int | float | complex)) for leaf in leaves
    ):
        return False
    return [tuple(np.shape(leaf)) for leaf in leaves] == [tuple(leaf.shape) for leaf in given]


def _is_info(leaf: object) -> bool:
    return hasattr(leaf, "donated")
