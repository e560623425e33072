"""The README shows what the commands print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
#: The release of JAX whose programs the figures are of.
JAX = "0.10"
SHOWN = re.findall(r"<!-- output of: (.*?) -->\n```text\n(.*?)```", README, re.S)


def test_an_output_is_shown():
    assert SHOWN


@pytest.mark.slow
@pytest.mark.skipif(not jax.__version__.startswith(f"{JAX}."), reason=f"the README's figures are of JAX {JAX}")
@pytest.mark.parametrize(("command", "text"), SHOWN)
def test_a_shown_output_is_what_the_command_prints(command, text, tmp_path):
    program, *arguments = shlex.split(command)
    assert program == "crjax"
    # Lines of a terminal as wide as the README's longest.
    environment = os.environ | {"COLUMNS": "140", "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "cr_jax.cli.main", *arguments], env=environment, capture_output=True, text=True, check=True
    )
    assert [line.rstrip() for line in done.stdout.splitlines() if line.strip()] == [
        line.rstrip() for line in text.splitlines() if line.strip()
    ]
