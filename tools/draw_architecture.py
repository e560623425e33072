"""Draw the diagram and the table of rooms in ``docs/architecture.md`` from the import contracts of ``pyproject.toml``.

    python tools/draw_architecture.py [--check]

The diagram has the layers of the contract; the table has the first line of each room's docstring. With ``--check`` nothing is
written; the exit code is 1 where the page differs, or where a room of the package is in no layer.
"""

import argparse
import ast
import itertools
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PREFIX = "cr_jax."


def layers(root: Path) -> list[list[str]]:
    """The rooms of each layer, from the command line down: room names without ``cr_jax.``."""
    lines = next(c["layers"] for c in _contracts(root) if c["name"] == "Imports run one way")
    return [[room.strip().removeprefix(_PREFIX) for room in line.split("|")] for line in lines]


def text_half(root: Path) -> set[str]:
    """The rooms that import no JAX. A contract on files inside a room says nothing of the whole room."""
    modules = next(c["source_modules"] for c in _contracts(root) if c["name"] == "The text half imports no JAX")
    return {module.removeprefix(_PREFIX) for module in modules}


def diagram(root: Path) -> str:
    """A Mermaid flow chart: a box per layer, an arrow from each layer to the one that it stands on."""
    light, lines = text_half(root), ["```mermaid", "flowchart TB", "  classDef text fill:#e8f1fb,stroke:#35608f,color:#111"]
    rows = layers(root)
    for number, rooms in enumerate(rows):
        boxes = [f"{room}{':::text' if room in light else ''}" for room in rooms]
        many = [f'subgraph layer{number}[" "]', "  direction LR", *(f"  {box}" for box in boxes), "end"]
        lines += [f"  {line}" for line in (many if len(boxes) > 1 else boxes)]
    names = [f"layer{number}" if len(rooms) > 1 else rooms[0] for number, rooms in enumerate(rows)]
    lines += [f"  {upper} --> {lower}" for upper, lower in itertools.pairwise(names)]
    return "\n".join([*lines, "```"])


def table(root: Path) -> str:
    """A Markdown table of the rooms, from the top layer down: name and the first line of the docstring."""
    lines = ["| room | what it holds |", "|---|---|"]
    for room in (room for rooms in layers(root) for room in rooms):
        file = root / "cr_jax" / room / "__init__.py"
        file = file if file.is_file() else root / "cr_jax" / f"{room}.py"
        title = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        place = file.relative_to(root / "cr_jax").as_posix().removesuffix("__init__.py")
        lines.append(f"| `{place}` | {title.replace('``', '`')} |")
    return "\n".join(lines)


def missing(root: Path) -> set[str]:
    """Rooms of the package that are in no layer."""
    files = {file.stem for file in (root / "cr_jax").glob("*.py")} - {"__init__", "__main__"}
    folders = {file.parent.name for file in (root / "cr_jax").glob("*/__init__.py")}
    return (files | folders) - {room for rooms in layers(root) for room in rooms}


def redrawn(page: str, root: Path) -> str:
    """The page with its two generated blocks as they should be. Raises ``ValueError`` for a block that is not there."""
    for name, block in (("diagram", diagram(root)), ("rooms", table(root))):
        start, end = f"<!-- {name}: python tools/draw_architecture.py -->\n", f"\n<!-- end of {name} -->"
        page, times = re.subn(f"{re.escape(start)}.*?{re.escape(end)}", lambda _, t=start + block + end: t, page, flags=re.S)
        if times != 1:
            raise ValueError(f"docs/architecture.md has {times} blocks {name!r}; legal: one")
    return page


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args(arguments).check
    homeless = missing(root)
    for room in sorted(homeless):
        print(f"cr_jax/{room}: in no layer of pyproject.toml, [tool.importlinter]")
    file = root / "docs" / "architecture.md"
    page = file.read_text(encoding="utf-8")
    new = redrawn(page, root)
    if new != page and not check:
        file.write_text(new, encoding="utf-8")
    if new != page:
        print(f"{file.name}: {'differs from the contracts; run python tools/draw_architecture.py' if check else 'written'}")
    return int(bool(homeless) or (check and new != page))


def _contracts(root: Path) -> list[dict]:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


if __name__ == "__main__":
    sys.exit(main())
