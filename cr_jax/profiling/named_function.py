"""A user's function by its name, as the command line takes it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from cr_jax.errors import BadConfig
from cr_jax.named_objects import TRACEBACK, find_object, line_of
from cr_jax.printable import one_line
from cr_jax.steps.function import UserFunction

#: Options that ``name()`` may return beside function and arguments.
OPTIONS = tuple(f.name for f in dataclasses.fields(UserFunction) if f.name not in ("function", "arguments"))


def named_function(name: str) -> UserFunction:
    """What ``package.module:name`` returns when it is called: ``(function, arguments)`` or ``(function, arguments, options)``.

    Importing the module and calling ``name()`` run the user's code; the function itself is only traced. Raises ``BadConfig`` for
    a name that is not there, code that fails, and a result of another form.
    """
    made = cast(Any, find_object("function", name, "a function that returns (function, arguments)", callable))
    try:
        result = made()
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        said = one_line(f"{type(error).__name__}: {error}", 300)
        raise BadConfig(f"function {name!r}: calling it raised {said}, {line_of(error)}; {_FORM}; {TRACEBACK}") from error
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        raise BadConfig(f"function {name!r} returned {_kind(result)}; {_FORM}")
    if not callable(result[0]):
        raise BadConfig(f"function {name!r} returned {_kind(result[0])} in the function's place; {_FORM}")
    function, arguments, *rest = result
    if not isinstance(arguments, tuple | list):
        raise BadConfig(f"function {name!r}: its arguments are {_kind(arguments)}; {_FORM}, the arguments a tuple")
    options = rest[0] if rest else {}
    if not isinstance(options, Mapping):
        raise BadConfig(f"function {name!r}: its options are {_kind(options)}; {_FORM}, the options a dict")
    for option in options:
        if option not in OPTIONS:
            raise BadConfig(f"function {name!r}: unknown option {option!r}; legal: {', '.join(OPTIONS)}")
    return UserFunction(function, tuple(arguments), **options)


_FORM = "legal: a function without parameters that returns (function, arguments) or (function, arguments, options)"


def _kind(value: object) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
