"""The command line, called in the tests' own process."""

import sys

import pytest

from cr_jax.cli import main as cli


@pytest.fixture
def crjax(monkeypatch, capsys):
    """``crjax("compare", ...)`` -> exit code, stdout, stderr; in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["crjax", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run
