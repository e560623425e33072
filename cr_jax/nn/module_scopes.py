"""Names of modules in compiled programs, for models whose code says nothing about names.

NNX and Equinox put no module name into the compiled program. Inside :func:`scoped_modules` every method of a module runs inside
``jax.named_scope``. The scope is the attribute path by which the executing module holds the called one (``layers.3``), so scopes
nest as modules do: ``Transformer/layers.3/attention``. The outermost module has the name of its class, as in Linen and Haiku,
which name their modules themselves. Updates by Optax and ``nnx.Optimizer`` have the scope ``optimizer``.
"""

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeVar

import jax
import optax
from flax import nnx

from cr_jax.nn.module import Module as NamedModule
from cr_jax.nn.module_paths import Path, is_container, path_of

R = TypeVar("R")
Method = Callable[..., Any]

#: Methods traced with scopes and without must not share JAX's cache.
_TRACED_WITH_SCOPES = jax.make_user_context(False)
_LOCK = threading.RLock()


class _Executing(threading.local):
    """Modules whose methods are running in this thread, the innermost last, each with its call's frame."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, FrameType]] = []
        self.optimizer = False


class _Wrapped:
    """Attributes of classes replaced while a scope is open, as (owner, name) -> (original, replacement)."""

    def __init__(self) -> None:
        self.users = 0
        self.replaced: dict[tuple[Any, str], tuple[Any, Any]] = {}

    def replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        if (owner, name) not in self.replaced:
            original = vars(owner)[name]
            replacement = wrap(original)
            setattr(owner, name, replacement)
            self.replaced[owner, name] = (original, replacement)

    def restore(self) -> None:
        for (owner, name), (original, replacement) in self.replaced.items():
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)
        self.replaced.clear()


_EXECUTING = _Executing()
_WRAPPED = _Wrapped()


@contextlib.contextmanager
def scoped_modules() -> Iterator[None]:
    """Name the operations of NNX and Equinox modules by attribute path, for functions that are traced inside.

    Methods of modules are wrapped for the time of the outermost use, by any thread; classes defined later are not.
    """
    with _LOCK:
        _WRAPPED.users += 1
        try:
            _wrap_everything()
        except BaseException:
            _release()
            raise
    try:
        with _TRACED_WITH_SCOPES(True):
            yield
    finally:
        _release()


def _release() -> None:
    with _LOCK:
        _WRAPPED.users -= 1
        if not _WRAPPED.users:
            _WRAPPED.restore()


def _wrap_everything() -> None:
    for base in module_bases():
        ignored = set(base.__mro__)
        for cls in _subclasses(base):
            if _names_itself(cls):
                continue
            for owner in cls.__mro__:
                if owner not in ignored:
                    ignored.add(owner)
                    _wrap_methods(owner)
    for cls in (nnx.Optimizer, *_subclasses(nnx.Optimizer)):
        if "update" in vars(cls):
            _WRAPPED.replace(cls, "update", _optimizer_scope)
    _WRAPPED.replace(optax, "apply_updates", _optimizer_scope)
    _WRAPPED.replace(optax.GradientTransformation, "update", lambda _: property(lambda self: _optimizer_scope(self[1])))


def module_bases() -> tuple[type, ...]:
    """The base classes of modules: NNX's, and Equinox's where the user's code has imported it."""
    equinox = sys.modules.get("equinox")
    return (nnx.Module,) if equinox is None else (nnx.Module, equinox.Module)


def _subclasses(base: type) -> list[type]:
    found: dict[type, None] = {}
    waiting = list(type.__subclasses__(base))
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found[cls] = None
            waiting += type.__subclasses__(cls)
    return list(found)


def _names_itself(cls: type) -> bool:
    """Whether a class has scopes of its own or is no layer: Equinox's wrappers of functions are modules too."""
    inner = cls.__module__.startswith("equinox.") and not cls.__module__.startswith("equinox.nn")
    return inner or is_container(cls) or issubclass(cls, NamedModule)


def _wrap_methods(owner: type) -> None:
    if owner.__module__ in ("builtins", "typing", "abc", "collections.abc") or owner.__module__.startswith("equinox._"):
        return
    for name, value in list(vars(owner).items()):
        plain = callable(value) and hasattr(value, "__get__") and not isinstance(value, type | staticmethod | classmethod)
        if plain and (name == "__call__" or not name.startswith("_")):
            _WRAPPED.replace(owner, name, _module_scope)


def _module_scope(method: Method) -> Method:
    """``method`` in the scope of its module, where that is not the executing one."""
    bare = _without_own_scope(method)

    @functools.wraps(method)
    def call(self: object, *args: object, **kwargs: object) -> object:
        bound = bare.__get__(self, type(self))
        executing_modules = _EXECUTING.calls
        if not isinstance(self, module_bases()) or (executing_modules and executing_modules[-1][0] is self):
            return bound(*args, **kwargs)
        # The frame is kept in the list alone: a variable for it would be a cycle that keeps tracers alive.
        scopes = _names(self, executing_modules, sys._getframe())
        executing_modules.append((self, sys._getframe()))
        try:
            with _scopes(scopes):
                return bound(*args, **kwargs)
        finally:
            executing_modules.pop()

    return call


def _names(module: object, executing: list[tuple[object, FrameType]], call: FrameType) -> Path:
    if not executing:
        return (type(module).__name__,)
    return path_of(module, [holder for holder, _ in executing], call, executing[-1][1])


def _without_own_scope(method: Any) -> Any:
    """Equinox's layers are decorated with a scope named by their class (``eqx.nn.Linear``), which would come twice."""
    inner = getattr(method, "__wrapped__", None)
    by_jax = getattr(method, "__globals__", {}).get("__name__", "").startswith(("jax.", "contextlib"))
    return inner if by_jax and getattr(inner, "__module__", "").startswith("equinox.nn") else method


@contextlib.contextmanager
def _scopes(path: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name in path:
            stack.enter_context(jax.named_scope(name))
        yield


def _optimizer_scope(update: Callable[..., R]) -> Callable[..., R]:
    @functools.wraps(update)
    def call(*args: object, **kwargs: object) -> R:
        if _EXECUTING.optimizer:
            return update(*args, **kwargs)
        _EXECUTING.optimizer = True
        try:
            with jax.named_scope("optimizer"):
                return update(*args, **kwargs)
        finally:
            _EXECUTING.optimizer = False

    return call
