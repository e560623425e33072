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
    """Show the folder, version and size of each compiler, or the command that installs it."""
    from cr_jax.targets import overlay

    for kind in overlay.KINDS:
        compiler = overlay.find(kind)
        if compiler is None:
            print(f"{kind}: not installed; {overlay.command(kind)}")
            continue
        versions = ", ".join(f"{name} {version}" for name, version in compiler.versions.items())
        where = (
            "in this environment"
            if compiler.folder is None
            else f"{compiler.folder} ({scaled(overlay.size(compiler.folder), 'B')})"
        )
        unchecked = "; installed unpinned, its hashes unchecked" if compiler.pinned is False else ""
        print(f"{kind}: {versions}; {where}{unchecked}")


@targets.command("install")
def install(
    kinds: Annotated[list[str], typer.Argument(help="gpu, tpu or both.")],
    unpinned: Annotated[
        bool,
        typer.Option(
            "--unpinned",
            help="Take and later run the wheels that the package index has for this jaxlib, without a check of "
            "their hashes; for a jaxlib that is not locked.",
        ),
    ] = False,
) -> None:
    """Install compilers into a folder of their own; this environment stays as it is.

    Only wheels whose hashes are locked in this release are taken.
    """
    from cr_jax.targets import overlay

    missing = [kind for kind in dict.fromkeys(kinds) if overlay.find(kind) is None]
    wanted = {kind: overlay.requirements(kind, unpinned) for kind in missing}  # all are known before the first download
    for kind, names in wanted.items():
        print(f"crjax: installing {', '.join(names)}{', hashes unchecked' if unpinned else ''}", file=sys.stderr)
        overlay.install(kind, unpinned)
    status()


@targets.command("remove")
def remove(kinds: Annotated[list[str], typer.Argument(help="gpu, tpu or both.")]) -> None:
    """Delete installed compilers of this jaxlib version."""
    from cr_jax.targets import overlay

    for kind in kinds:
        if not overlay.remove(kind):
            raise BadConfig(f"{kind}: nothing installed at {overlay.folder(kind)}")
        print(f"{kind}: removed")
