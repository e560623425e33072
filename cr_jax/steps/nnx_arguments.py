"""Names and roles of the arrays in an NNX module that is an argument of a function."""

from typing import Any

from flax import nnx

from cr_jax.records import OTHER


def variables(argument: Any) -> list[tuple[str, str]] | None:
    """(dotted path, role) of each array, in the order in which ``nnx.jit`` passes them; ``None``: not an NNX module."""
    if not isinstance(argument, nnx.Module | nnx.Optimizer):
        return None
    flat = nnx.to_flat_state(nnx.state(argument))
    return [(".".join(map(str, path)), _role(path, variable)) for path, variable in flat]


def _role(path: tuple[Any, ...], variable: Any) -> str:
    if isinstance(variable, nnx.optimizer.OptState) or "opt_state" in map(str, path):
        return "optimizer"
    if isinstance(variable, nnx.Param):
        return "weights"
    if isinstance(variable, nnx.RngState):
        return "key"
    return "state" if isinstance(variable, nnx.Variable) else OTHER
