"""Objects of the user's own code, named as ``package.module:NAME``. Finding one imports its module, which runs that code."""

import difflib
import functools
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from cr_jax.errors import BadConfig
from cr_jax.printable import named

TRACEBACK = "--debug shows the traceback"


def add_current_folder() -> None:
    """Make modules of the current folder importable, after all that is installed, which they never shadow."""
    try:
        folder = os.getcwd()
    except OSError:  # the folder was deleted
        return
    if not {folder, ""} & set(sys.path):
        sys.path.append(folder)


def find_object(what: str, name: str, kind: str, wanted: Callable[[object], bool], submodule: str = "") -> object:
    """The object at ``package.module:NAME``; where a package itself lacks it, in its ``submodule``.

    what: the use of the object, for errors, such as ``model``. kind: what it has to be, in words; wanted: whether an object is of
    that kind. Raises ``BadConfig`` for a name of another form, a module that is not there or fails, a missing attribute and an
    object of another kind; the error has the exception of the user's code as its cause.
    """
    module, attribute = name_parts(what, name)
    owner = _module(what, name, module)
    inner = f"{module}.{submodule}"
    if submodule and not hasattr(owner, attribute) and hasattr(owner, "__path__") and importlib.util.find_spec(inner):
        owner = _module(what, name, inner)
    if not hasattr(owner, attribute):
        raise BadConfig(f"{what} {name!r}: {_place(owner)} has no {attribute!r}; {_near(attribute, owner, kind, wanted)}")
    value = getattr(owner, attribute)
    if not wanted(value):
        raise BadConfig(f"{what} {name!r} is a {type(value).__name__}; {_near('', owner, kind, wanted)}")
    return value


def name_parts(what: str, name: str) -> tuple[str, str]:
    """Module and name of ``package.module:NAME``, which is not imported. Raises ``BadConfig`` for another form."""
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise BadConfig(f"{what} {name!r}: not a module and a name in it; legal: package.module:NAME")
    return module, attribute


def _module(what: str, name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{module}.".startswith(f"{missing}."):
            raise BadConfig(
                f"{what} {name!r}: there is no module {missing!r}; "
                "legal: package.module:NAME of a file in the current folder or of an installed package"
            ) from None
        raise BadConfig(
            f"{what} {name!r}: {line_of(error)}, imports {missing!r}, which is not installed: install it, "
            f"or import it only where it is used; {TRACEBACK}"
        ) from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise BadConfig(f"{what} {name!r}: {line_of(error)}: {named(error, 200)}; {TRACEBACK}") from error


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of an exception outside this package and Python's import machinery."""
    others = (str(Path(__file__).resolve().parent) + os.sep, "<frozen", importlib.__file__ or "<frozen")
    return [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]


def line_of(error: BaseException) -> str:
    """The file and line of the user's code that raised ``error``."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}, line {error.lineno}"
    frames = own_frames(error) or list(traceback.extract_tb(error.__traceback__))
    frame = ([one for one in frames if "site-packages" not in one.filename] or frames)[-1]  # not a library that it called
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def function_name(function: object) -> str:
    """What reports and messages call a function: its name; for a lambda its file and line, for a partial that of its function."""
    if isinstance(function, functools.partial):
        return f"functools.partial of {function_name(function.func).removeprefix('functools.partial of ')}"
    wrapped = getattr(function, "__wrapped__", None)
    own = getattr(function, "__name__", "")
    if wrapped is not None and (isinstance(wrapped, functools.partial) or own in ("", "<lambda>")):
        return function_name(wrapped)
    code = getattr(function, "__code__", None)
    if own == "<lambda>" and code is not None:
        return f"lambda at {Path(code.co_filename).name}:{code.co_firstlineno}"
    return own or type(function).__name__


def _place(owner: ModuleType) -> str:
    file = getattr(owner, "__file__", None)
    return f"module {owner.__name__!r}" + (f" ({Path(file).name})" if file else "")


def _defined(value: object, owner: ModuleType) -> bool:
    """Whether a class or a function is the module's own; any other value is."""
    return not hasattr(value, "__name__") or getattr(value, "__module__", None) in (None, owner.__name__)


def _near(attribute: str, owner: ModuleType, kind: str, wanted: Callable[[object], bool]) -> str:
    found = [name for name, value in vars(owner).items() if not name.startswith("_") and wanted(value)]
    # What a module imports is named only where it defines nothing of that kind itself.
    found = [name for name in found if _defined(vars(owner)[name], owner)] or found
    near = difflib.get_close_matches(attribute, found, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}legal: {kind}" + (f", here {', '.join(found)}" if found else "")
