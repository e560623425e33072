"""``crjax new-model``: a model in one file, to be changed into one's own."""

import importlib.util
import keyword
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cr_jax.cli.options import add_command
from cr_jax.cli.paths import check_file
from cr_jax.cli.streams import say
from cr_jax.errors import BadConfig, NotWritten

#: The package's model that is copied, and its name in it.
_TEMPLATE = "model_template"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "new-model", new_model)


@dataclass(frozen=True, kw_only=True)
class NewModelOptions:
    """The options of ``crjax new-model``."""

    name: Annotated[str, typer.Argument(help="The model's name, a Python identifier.")]
    out: Annotated[Path | None, typer.Option(help="The new file (- for stdout). Default: NAME.py in the current folder.")] = None


def new_model(options: NewModelOptions) -> None:
    """Write a small, commented recommender in one file: every part of a Spec, ready to be counted, trained and changed.

    An existing file is never overwritten.
    """
    name, out = options.name, Path(f"{options.name}.py") if options.out is None else options.out
    _check_name(name)
    check_file("--out", out)
    if str(out) == "-":
        sys.stdout.write(_text(name))
        return
    if out.suffix != ".py" or not _identifier(out.stem):
        raise BadConfig(f"--out {str(out)!r}: no module has this name; legal: a Python identifier and .py, such as {name}.py")
    if os.path.lexists(out):
        raise NotWritten(f"{out}: exists already and was left as it is; legal: another NAME, or --out with a new file")
    _check_free(out.stem)
    try:
        with open(out, "x", encoding="utf-8") as file:
            file.write(_text(name))
    except OSError as error:
        raise NotWritten(f"{out}: not written: {error.strerror or error}") from None
    say(f"model written to {out}; {_next(out)}")


def _identifier(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _check_name(name: str) -> None:
    from cr_jax.models import spec

    if not _identifier(name):
        raise BadConfig(f"name {name!r}: not a Python identifier; legal: letters, digits and _, such as my_model")
    if name in spec.names():
        raise BadConfig(f"name {name!r}: a model of this package; legal: a name that is not in `crjax list models`")


def _check_free(module: str) -> None:
    """Refuse a file whose module could never be imported, as an installed one of the same name comes first."""
    try:
        taken = importlib.util.find_spec(module) is not None
    except ValueError:  # a module without a specification, such as __main__
        taken = True
    if taken:
        raise BadConfig(f"{module}.py: the installed module {module!r} would be imported instead; legal: another name")


def _text(name: str) -> str:
    import cr_jax

    text = (Path(cr_jax.__file__).parent / f"{_TEMPLATE}.py").read_text(encoding="utf-8")
    return text.replace(f'NAME = "{_TEMPLATE}"', f'NAME = "{name}"', 1).replace('"""A ', f'"""{name}: a ', 1)


def _next(out: Path) -> str:
    """The commands that use the file, and where they find it."""
    parts = Path(os.path.relpath(out)).with_suffix("").parts
    inside = all(map(_identifier, parts))
    model = f"--model {'.'.join(parts) if inside else out.stem}:SPEC"
    return f"{'' if inside else f'in {out.parent}: '}crjax profile {model} counts it, crjax train {model} trains it"
