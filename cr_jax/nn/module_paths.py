"""The attribute path of a called module, seen from the module that calls it."""

import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

import jax
from flax import nnx

#: One name per module on the way: ("encoder", "layers.3").
Path = tuple[str, ...]
#: The variable of ``module_scopes`` that holds the executing modules: they say nothing about the called one.
EXECUTING = "executing_modules"


def is_container(cls: type) -> bool:
    """Whether instances only hold other modules: their place in it is part of a name, and they have none."""
    return cls in (nnx.List, nnx.Dict)


def is_module(value: object) -> bool:
    """Whether ``value`` is a module of NNX or Equinox that can be executed."""
    equinox = sys.modules.get("equinox")
    return isinstance(value, nnx.Module if equinox is None else (nnx.Module, equinox.Module)) and not is_container(type(value))


def path_of(module: object, executing: Sequence[object], call: FrameType, caller: FrameType) -> Path:
    """The path from the innermost executing module to ``module``, else the name of its class.

    Transformations (``nnx.remat``, ``nnx.scan``, ``nnx.merge``, ``eqx.combine``) rebuild modules. Such a one is identified by its
    arrays, then by the variables of the frames from ``call`` out to ``caller``, the call of the innermost executing module, and
    then by its class, where only one attribute has it.
    """
    for holder in reversed(executing):
        path = _path(holder, module)
        if path is not None:
            return path
    top = executing[-1]
    if type(module) is type(top) and not list(_of_type(top, type(module))):
        return ()
    return _by_leaves(module, top) or _by_frames(module, top, call, caller) or (type(module).__name__,)


def _path(holder: object, module: object) -> Path | None:
    return next((path for path, found in _descendants(holder) if found is module), None)


def _of_type(holder: object, cls: type) -> Iterator[tuple[Path, object]]:
    return ((path, found) for path, found in _descendants(holder) if type(found) is cls)


def _by_type(module: object, top: object) -> Path:
    alike = [path for path, _ in _of_type(top, type(module))]
    return alike[0] if len(alike) == 1 else ()


def _by_leaves(module: object, top: object) -> Path:
    """The path of a module with the same arrays: a copy, made in the same trace."""
    arrays = list(map(id, jax.tree.leaves(module)))
    return next((path for path, m in _of_type(top, type(module)) if arrays and list(map(id, jax.tree.leaves(m))) == arrays), ())


def _by_frames(module: object, top: object, call: FrameType, caller: FrameType) -> Path:
    """The path of the module that ``module`` was rebuilt from, or that its holder was rebuilt from, else ()."""
    rebuilt: list[tuple[object, Path]] = [(module, ())]  # the outermost last, with the path from it to ``module``
    frame: FrameType | None = call.f_back
    while frame is not None:
        variables = [value for name, value in list(frame.f_locals.items()) if name != EXECUTING]
        local = [m for value in variables for _, m in _modules_in(value, "")]
        for holder in local:
            wanted, suffix = rebuilt[-1]
            inside = _path(holder, wanted) if holder is not wanted and holder is not top else None
            if inside is not None:
                rebuilt.append((holder, inside + suffix))
                if type(holder) is type(top):
                    return inside + suffix
        for wanted, suffix in reversed(rebuilt):
            alike = [m for m in local if type(m) is type(wanted)] + [m for held in local for m in _held(held, type(wanted), top)]
            originals = {path for m in alike if (path := _path(top, m) or _by_leaves(m, top))}
            if originals:
                return originals.pop() + suffix if len(originals) == 1 else ()
        frame = None if frame is caller else frame.f_back
    return next((path + suffix for wanted, suffix in reversed(rebuilt) if (path := _by_type(wanted, top))), ())


def _held(holder: object, cls: type, top: object) -> list[object]:
    """What a module outside the model holds, such as Equinox's wrapper of a checkpointed module."""
    outside = holder is not top and _path(top, holder) is None
    return [m for _, m in _of_type(holder, cls)] if outside else []


def _descendants(holder: object) -> Iterator[tuple[Path, object]]:
    """Every module below ``holder``, with its path, the nearest first."""
    seen = {id(holder)}
    waiting: deque[tuple[Path, object]] = deque([((), holder)])
    while waiting:
        path, module = waiting.popleft()
        for name, value in list(vars(module).items()):
            for inner, child in _modules_in(value, _token(name)):
                if id(child) not in seen:
                    seen.add(id(child))
                    found = ((*path, inner), child)
                    yield found
                    waiting.append(found)


def _modules_in(value: object, name: str, depth: int = 4) -> Iterator[tuple[str, object]]:
    """The modules in an attribute, through containers: ``layers`` -> ``layers.0``, ``layers.1``."""
    if is_module(value):
        yield name, value
    elif depth:
        for key, inner in _items(value):
            yield from _modules_in(inner, f"{name}.{_token(key)}", depth - 1)


def _items(value: object) -> Iterator[tuple[object, object]]:
    if is_container(type(value)):
        yield from list(vars(value).items())
    elif isinstance(value, Mapping):
        yield from list(value.items())
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _token(key: object) -> str:
    return re.sub(r"[^\w\-]", "_", str(key))
