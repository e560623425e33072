"""No two files of the package import each other, directly or through others."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def imports_of(file: Path, modules: frozenset[str]) -> set[str]:
    """Modules of the package that a file imports when it runs; imports for the type checker alone do not count."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules or {node.module}
        waiting += ast.iter_child_nodes(node)
    return found & modules


def graph(root: Path) -> dict[str, set[str]]:
    """Each module with those it imports; a package imports what its ``__init__`` does."""
    files = {}
    for file in sorted((root / "cr_jax").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    modules = frozenset(files)
    return {name: imports_of(file, modules) - {name} for name, file in files.items()}


def test_no_file_imports_itself_through_others():
    TopologicalSorter(graph(ROOT)).prepare()  # raises CycleError with the circle


def test_a_circle_would_be_found(tmp_path):
    package = tmp_path / "cr_jax"
    package.mkdir()
    for name, text in {"__init__": "", "a": "def f():\n    from cr_jax import b\n", "b": "from cr_jax.a import f\n"}.items():
        (package / f"{name}.py").write_text(text)
    with pytest.raises(CycleError):
        TopologicalSorter(graph(tmp_path)).prepare()
