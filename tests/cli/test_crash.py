"""An exception that nobody expected is one line with a log file; streams may be closed or know ASCII alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cr_jax import printable
from cr_jax.cli import streams

ROOT = Path(__file__).resolve().parents[2]
HLO = ROOT / "tests/corpus/hlo/whole/dot.traced.txt"


@pytest.fixture
def faulty(monkeypatch, tmp_path):
    """``crjax list models`` fails as a bug would; the cache is a folder of the test's own."""
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CRJAX_DEBUG", raising=False)

    def fail(*_, **__):
        raise ZeroDivisionError("seven\n\x1b[31mhalves " + "x" * 5000)

    monkeypatch.setattr("cr_jax.render.catalog.models", fail)
    monkeypatch.setattr("cr_jax.models.spec.names", fail)
    return tmp_path


def test_a_fault_is_one_line_that_names_its_log(crjax, faulty):
    code, out, err = crjax("list", "models")
    assert code == 70 and not out
    assert err.startswith("crjax: a fault of crjax itself: ZeroDivisionError: seven ") and err.count("\n") == 1
    assert "\x1b" not in err and len(err) < 600 and "report it" in err
    (log,) = (faulty / "cache" / "logs").iterdir()
    assert str(log) in err
    text = log.read_text()
    assert "arguments ['list', 'models']" in text and "\njax 0." in text and "\npython 3." in text
    assert "Traceback (most recent call last)" in text and "ZeroDivisionError" in text


def test_without_a_cache_the_log_is_in_the_temporary_folder(crjax, faulty, monkeypatch):
    (faulty / "file").touch()
    monkeypatch.setenv("CRJAX_CACHE", str(faulty / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(faulty))
    _, _, err = crjax("list", "models")
    (log,) = faulty.glob("crjax-*.log")
    assert str(log) in err


def test_where_no_log_can_be_written_the_line_says_where_it_was_raised(crjax, faulty, monkeypatch):
    (faulty / "file").touch()
    monkeypatch.setenv("CRJAX_CACHE", str(faulty / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(faulty / "file"))
    code, _, err = crjax("list", "models")
    assert code == 70 and "in fail;" in err and "CRJAX_DEBUG=1" in err and err.count("\n") == 1


def test_debugging_shows_the_traceback(faulty, monkeypatch):
    from cr_jax.cli.main import main

    monkeypatch.setenv("CRJAX_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["crjax", "list", "models"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_file_that_an_argument_names_is_no_fault_of_ours(crjax, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "/some/folder/report.json")

    monkeypatch.setattr("cr_jax.report.document.validate_file", refuse)
    assert crjax("validate", "/some/folder") == (2, "", "crjax: /some/folder/report.json: Permission denied\n")
    assert crjax("validate", "/another")[0] == 70


def run(command: str, **environment: str) -> tuple[int, str, str]:
    """A true process, started by a shell so that its streams can be closed."""
    keep = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m cr_jax.cli.main {command}"],
        capture_output=True,
        text=True,
        env=keep | {"PYTHONPATH": str(ROOT)} | environment,
        encoding="utf-8",
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_closed_output_is_told_and_a_file_is_written_all_the_same(tmp_path):
    code, _, err = run(f"hlo {HLO} >&-")
    assert (code, err) == (2, "crjax: the output was not written: standard output is closed\n")
    assert run(f"hlo {HLO} 2>&- >/dev/null")[0] == 0
    assert run("list nothing 2>&-")[0] == 2


def test_a_closed_input_is_an_empty_one():
    code, _, err = run("hlo - <&-")
    assert code == 2 and err.startswith("crjax: standard input: ") and "empty" in err


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["asked", "C"],
)
def test_an_output_of_ascii_spells_what_it_lacks(environment, tmp_path):
    code, out, err = run("list accelerators", **environment)
    assert (code, err) == (0, "") and out.isascii()
    (tmp_path / "é×.txt").write_text(HLO.read_text())
    code, out, err = run(f"hlo {tmp_path}/é×.txt --json", **environment)
    assert code == 0 and out.isascii()
    code, out, err = run("hlo /nowhere/é×", **environment)
    assert code == 2 and err.isascii() and err.count("\n") == 1


def test_json_for_an_output_of_ascii_is_the_same_json(monkeypatch):
    import io
    import json

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    streams.write_json(json.dumps({"title": "é × µ 𝄞"}, ensure_ascii=False))
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"title": "é × µ 𝄞"}


def test_a_user_without_a_home_counts_and_lists(tmp_path):
    assert run(f"hlo {HLO} --json")[0] == 0
    assert run("list datasets")[0] == 0


def test_messages_are_one_line_of_a_length_that_can_be_read():
    text = printable.line("a\nb\tc \x1b[31m\u202e " + "n" * 5000 + "; legal: one of these")
    assert text.startswith("a b c \\x1b[31m\\u202e nnn") and text.endswith("nnn; legal: one of these")
    assert len(text) <= printable.LINE and text.isprintable()
