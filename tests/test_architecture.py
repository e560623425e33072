"""``docs/architecture.md`` has the layers of the import contract and the docstrings of the rooms."""

import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
main = runpy.run_path(str(ROOT / "tools" / "draw_architecture.py"))["main"]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the tool reads."""
    shutil.copytree(ROOT / "cr_jax", tmp_path / "cr_jax", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    for name in ("pyproject.toml", "docs/architecture.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_page_is_that_of_the_contracts(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_a_changed_layer_is_found_and_drawn(checkout, capsys):
    contracts = checkout / "pyproject.toml"
    contracts.write_text(
        contracts.read_text().replace('"cr_jax.serving",\n', "").replace('"cr_jax.cli"', '"cr_jax.cli | cr_jax.serving"')
    )
    assert main(["--check"], checkout) == 1 and "differs from the contracts" in capsys.readouterr().out
    assert main([], checkout) == 0
    assert main(["--check"], checkout) == 0
    page = (checkout / "docs" / "architecture.md").read_text()
    assert "  layer0 --> layer1\n" in page and "  cli --> serving\n" not in page


def test_a_room_in_no_layer_is_named(checkout, capsys):
    (checkout / "cr_jax" / "attic").mkdir()
    (checkout / "cr_jax" / "attic" / "__init__.py").write_text('"""Old things."""\n')
    assert main(["--check"], checkout) == 1
    assert capsys.readouterr().out == "cr_jax/attic: in no layer of pyproject.toml, [tool.importlinter]\n"


def test_a_page_without_the_blocks_is_refused(checkout):
    (checkout / "docs" / "architecture.md").write_text("# Architecture\n")
    with pytest.raises(ValueError, match="0 blocks 'diagram'"):
        main([], checkout)
