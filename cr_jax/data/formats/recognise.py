"""Recognition of the formats of conversation files, for profiles, training and recommending alike."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from cr_jax.data import formats
from cr_jax.data.formats.format import Format, Place
from cr_jax.errors import BadInput
from cr_jax.files import is_file, is_folder


@cache
def known_formats() -> tuple[Format, ...]:
    """The ``FORMAT`` of every module of the package that has one, by the modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(formats.__path__))
    modules = (importlib.import_module(f"{formats.__name__}.{name}") for name in names)
    return tuple(module.FORMAT for module in modules if hasattr(module, "FORMAT"))


def format_of(path: Path) -> Format:
    """The format that a file or folder fits best. Raises ``BadInput`` for one that cannot be read or has no conversations."""
    place = Place(path)
    best = max(known_formats(), key=lambda one: one.recognises(place))
    if best.refusal is not None:
        raise BadInput(str(path), best.refusal)
    return best


def files_of(path: Path) -> list[Path]:
    """The files that a file or folder of conversations consists of, in order."""
    if not is_folder(path):
        return [path]
    return sorted(path.glob("*.jsonl*")) or sorted(file for file in path.rglob("*") if is_file(file))
