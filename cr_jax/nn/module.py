"""Modules whose compiled operations carry their name.

NNX, unlike Linen, puts no module name into the compiled program. A :class:`Module` runs its
``__call__``, and every method marked with :func:`scoped`, inside ``jax.named_scope``. The scope is one
token: the module's dotted path in the model (``memory.gate``), set once by :func:`name_scopes`. The
analyzer finds the innermost known path in ``op_name``, wherever a module is called from.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import jax
import numpy as np
from flax import nnx

_M = TypeVar("_M", bound=nnx.Module)
P = ParamSpec("P")
R = TypeVar("R")

#: By the public implementation's name of a variable: its path here, and the conversion of its array to ours.
PublicNames = dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]]
#: Scopes that are not modules but occur in every step (see ``cr_jax.steps``).
EXTRA_SCOPES = ("loss", "optimizer", "top_k")


class Frozen(nnx.Variable):
    """A weight that no objective trains: reported as frozen."""


def scoped(method: Callable[P, R]) -> Callable[P, R]:
    """Run a method of a :class:`Module` inside the module's scope."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        module = cast(Module, args[0])
        with jax.named_scope(module.scope or type(module).__name__):
            return method(*args, **kwargs)

    return call


class Module(nnx.Module):
    """An NNX module whose ``__call__`` carries its path into the compiled program."""

    scope: str = ""

    def __init_subclass__(cls, **kwargs: bool) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = scoped(cls.__dict__["__call__"])


def name_scopes(model: _M, root: str) -> _M:
    """Give every submodule its dotted path (the model itself is ``root``); returns the model."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, Module):
            module.scope = ".".join(map(str, path)) or root
    return model


def module_paths(model: nnx.Module) -> tuple[str, ...]:
    """The scopes of all modules of ``model``."""
    return tuple(m.scope for _, m in nnx.iter_modules(model) if isinstance(m, Module))
