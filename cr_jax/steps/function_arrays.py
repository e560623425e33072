"""The arrays of a function that is run: those that its user gave, and the results that take the place of donated ones."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.steps.function import UserFunction
from cr_jax.steps.program_arguments import program_arguments

#: Shape and type of an array, and the parts of its path in a tree.
_Placed = tuple[tuple[tuple[int, ...], str], tuple[str, ...]]
_NUMBERS = (bool, int, float, complex)


def given_arrays(traced: jax.stages.Traced, user: UserFunction) -> list[Any]:
    """The value of every array that the program takes, in its order; ``None`` for one that was given as a shape.

    Raises ``BadConfig`` where the place of an array cannot be told, as in NNX modules that share variables.
    """
    wanted = [(jax.tree_util.keystr(path), leaf) for path, leaf in program_arguments(traced, user.arguments)]
    known: dict[str, Any] = {}
    given = (user.arguments, dict(user.keywords))
    for path, node in jax.tree_util.tree_leaves_with_path(given, is_leaf=_is_module):
        where = jax.tree_util.keystr(path)
        if _is_module(node):
            known |= _variables(node, f"{where}.states[0]", [name for name, _ in wanted])
        else:
            known[where] = node
    names = {name for name, _ in wanted}
    for name, value in known.items():
        if name not in names and isinstance(value, jax.Array | np.ndarray):
            raise BadConfig(f"argument {name}: its array has no place in the program; legal: a shape in its place")
    return [_value(known.get(name), leaf, name) for name, leaf in wanted]


def _variables(module: Any, where: str, wanted: Sequence[str]) -> dict[str, Any]:
    """The variables of a module by the paths that ``nnx.jit`` gives them below ``where``."""
    values = [variable.get_value() for _, variable in nnx.to_flat_state(nnx.state(module))]
    taken = sum(name.startswith(where) for name in wanted)
    if taken != len(values) and any(map(_is_value, values)):
        raise BadConfig(
            f"a {type(module).__name__} shares variables with another argument, so its arrays cannot be told apart; "
            "legal: nnx.eval_shape of it"
        )
    return {f"{where}[{number}]": value for number, value in enumerate(values)}


def _value(value: Any, leaf: Any, name: str) -> Any:
    if not _is_value(value):
        return None
    if not isinstance(value, _NUMBERS) and tuple(value.shape) != tuple(leaf.shape):
        raise BadConfig(f"argument {name}: {value.shape} in the place of {leaf.shape}; legal: shapes in the place of its arrays")
    return value


def _is_value(leaf: object) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, *_NUMBERS))


def _is_module(node: object) -> bool:
    return isinstance(node, nnx.Module | nnx.Optimizer)


def continuations(traced: jax.stages.Traced, user: UserFunction, donated: Sequence[int]) -> tuple[int | None, ...]:
    """For every result the donated array, by number, that it replaces at the next call; ``None``: it is dropped.

    A result belongs to the argument of its shape and type whose path ends most like its own (``opt_state.mu.w``); a donated array
    that is nobody's takes any result of its kind, as the compiler does with its buffer. One without such a result is not taken.
    """
    arguments = [_placed(path, leaf) for path, leaf in program_arguments(traced, user.arguments)]
    results = [_placed(path, leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(traced.out_info)]
    first = sorted(range(len(arguments)), key=lambda number: number not in donated)
    owners = _paired([(number, arguments[number]) for number in first], results)
    replaced = {result: number for result, number in owners.items() if number in donated}
    left = [(number, (arguments[number][0], ())) for number in donated if number not in replaced.values()]
    free = [((kind, ()) if result not in replaced else (None, ())) for result, (kind, _) in enumerate(results)]
    replaced |= _paired(left, free)
    return tuple(replaced.get(result) for result in range(len(results)))


def _paired(arguments: Sequence[tuple[int, _Placed]], results: Sequence[Any]) -> dict[int, int]:
    """Argument by result, both at most once, the longest common ends of paths first."""
    owners: dict[int, int] = {}
    free = dict(arguments)
    for length in range(max((len(path) for _, path in results), default=0), -1, -1):
        ends: dict[Any, list[int]] = {}
        for result, (kind, path) in enumerate(results):
            if result not in owners and len(path) >= length:
                ends.setdefault((kind, path[len(path) - length :]), []).append(result)
        for number, (kind, path) in list(free.items()):
            found = ends.get((kind, path[len(path) - length :])) if len(path) >= length else None
            if found:
                owners[found.pop(0)] = number
                del free[number]
    return owners


def _placed(path: Sequence[Any], leaf: Any) -> _Placed:
    return (tuple(leaf.shape), str(leaf.dtype)), tuple(jax.tree_util.keystr((part,), simple=True) for part in path)
