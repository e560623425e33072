"""Every program of the battery by name: the functions that return a ``Program``, of every module in this folder."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path

from battery.program import Program

_HELPERS = ("program", "registry", "check", "compile_sharded", "test_battery")


def kinds() -> tuple[str, ...]:
    """The modules of programs."""
    return tuple(name for _, name, _ in pkgutil.iter_modules([str(Path(__file__).parent)]) if name not in _HELPERS)


def makers(*only: str) -> dict[str, Callable[[], Program]]:
    """The functions that make the programs, by ``kind.name``; of the kinds in ``only``, else of all."""
    found: dict[str, Callable[[], Program]] = {}
    for kind in only or kinds():
        for name, value in vars(importlib.import_module(f"battery.{kind}")).items():
            if inspect.isfunction(value) and inspect.signature(value).return_annotation is Program:
                found[f"{kind}.{name}"] = value
    return found
