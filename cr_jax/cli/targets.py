"""``crjax targets``: compilers for hardware that is not attached."""

import sys
from typing import Annotated

import typer

from cr_jax.errors import BadConfig
from cr_jax.units import scaled

targets = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Compilers for hardware that is not attached.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(targets, name="targets")


@targets.command("status")
def status() -> None:
    """Where each compiler is, its version and size, or the line that installs it."""
    from cr_jax.targets import overlay

    for kind in overlay.KINDS:
        found = overlay.find(kind)
        if found is None:
            print(f"{kind}: not installed; {overlay.command(kind)}")
            continue
        versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        where = "in this environment" if found.folder is None else f"{found.folder} ({scaled(overlay.size(found.folder), 'B')})"
        print(f"{kind}: {versions}; {where}")


@targets.command("install")
def install(kinds: Annotated[list[str], typer.Argument(help="gpu, tpu or both.")]) -> None:
    """Install compilers into a folder of their own; this environment stays as it is."""
    from cr_jax.targets import overlay

    for kind in kinds:
        overlay.requirements(kind)  # every name is known before the first download
    for kind in kinds:
        if overlay.find(kind) is None:
            print(f"crjax: installing {', '.join(overlay.requirements(kind))}", file=sys.stderr)
        overlay.install(kind)
    status()


@targets.command("remove")
def remove(kinds: Annotated[list[str], typer.Argument(help="gpu, tpu or both.")]) -> None:
    """Delete installed compilers of this jaxlib version."""
    from cr_jax.targets import overlay

    for kind in kinds:
        if not overlay.remove(kind):
            raise BadConfig(f"{kind}: nothing installed at {overlay.folder(kind)}")
        print(f"{kind}: removed")
