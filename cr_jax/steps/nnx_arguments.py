"""Names and roles of the arrays in an NNX module that is an argument of a function."""

from typing import Any

from flax import nnx

from cr_jax.records import OTHER


def variables(argument: Any, sharding: Any = None) -> dict[tuple[int, int], tuple[str, str]] | None:
    """(dotted path, role) of each array by the place where ``nnx.jit`` passes it: number of the state, and in it.

    sharding: of ``in_shardings``; a ``StateSharding`` makes a state for each of its filters. ``None``: not an NNX module.
    """
    if not isinstance(argument, nnx.Module | nnx.Optimizer):
        return None
    filters = sharding.filters if isinstance(sharding, nnx.StateSharding) else (...,)
    _, *states = nnx.split(argument, *filters)
    return {
        (number, place): (".".join(map(str, path)), _role(path, variable))
        for number, state in enumerate(states)
        for place, (path, variable) in enumerate(nnx.to_flat_state(state))
    }


def shardings_of(function: Any, arguments: int) -> tuple[Any, ...]:
    """The ``in_shardings`` of ``nnx.jit`` for each positional argument; ``None`` where it was given none."""
    given = getattr(function, "in_shardings", None)
    return tuple(given) if isinstance(given, tuple | list) and len(given) == arguments else (given,) * arguments


def _role(path: tuple[Any, ...], variable: Any) -> str:
    if isinstance(variable, nnx.optimizer.OptState) or "opt_state" in map(str, path):
        return "optimizer"
    if isinstance(variable, nnx.Param):
        return "weights"
    if isinstance(variable, nnx.RngState):
        return "key"
    return "state" if isinstance(variable, nnx.Variable) else OTHER
