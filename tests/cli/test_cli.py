"""The command as a user meets it: one line for every mistake, whole files, clean pipes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import dataset_file

from cr_jax.cli.main import main
from cr_jax.profiling import pipeline
from cr_jax.profiling.request import Request
from cr_jax.report.document import to_json, validate

ROOT = Path(__file__).resolve().parents[2]
HLO = """HloModule tiny
ENTRY main {
  a = f32[3,5]{1,0} parameter(0)
  b = f32[5,7]{1,0} parameter(1)
  ROOT dot = f32[3,7]{1,0} dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""
PROFILE = [
    "profile",
    "--model",
    "dmn",
    "--dataset",
    "tiny",
    "--turns",
    "1",
    "--phase",
    "train",
    "--set",
    "hidden=4",
    "--set",
    "embedding=6",
]


@pytest.fixture(autouse=True)
def profiles(tmp_path, monkeypatch):
    """A folder of the user's own with the data set ``tiny``."""
    folder = tmp_path / "profiles"
    dataset_file(folder)
    monkeypatch.setenv("CRJAX_PROFILES", str(folder))
    return folder


@pytest.fixture
def crjax(capsys, monkeypatch):
    """``crjax("profile", ...)`` -> (exit code, stdout, stderr), in this process."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["crjax", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        captured = capsys.readouterr()
        return done.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiles")
    path = dataset_file(folder)
    return pipeline.profile(Request("dmn", path, turns=1, phases=("train",), settings={"hidden": "4", "embedding": "6"}))


@pytest.fixture
def counted(report, monkeypatch):
    """``crjax profile`` without the counting."""
    monkeypatch.setattr(pipeline, "profile", lambda *_, **__: report)


def process(*arguments, **options):
    """A true process; ``stderr`` as text."""
    command = [sys.executable, "-m", "cr_jax.cli.main", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


def one_line(code, error, *words):
    """Exit code 2 and one line, which says all of ``words``."""
    assert code == 2
    assert error.startswith("crjax: ") and error.count("\n") == 1 and error.endswith("\n"), error
    assert "Traceback" not in error
    assert all(word in error for word in words), error


WITHOUT_JAX = """
import sys
from cr_jax.cli.main import main
try:
    main()
except SystemExit as done:
    heavy = sorted({"jax", "jaxlib", "flax", "optax"} & set(sys.modules))
    print(done.code, heavy, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["profile", "--help"], ["validate", "PROFILE"], ["list", "datasets"], ["list", "accelerators"], ["hlo", "HLO"]],
)
def test_what_reads_documents_imports_no_jax(arguments, profiles, tmp_path):
    (tmp_path / "text.hlo").write_text(HLO)
    places = {"PROFILE": profiles / "datasets" / "tiny.json", "HLO": tmp_path / "text.hlo"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JAX, *[str(places.get(a, a)) for a in arguments]],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stderr == "0 []\n" and done.stdout


def test_json_is_the_report_and_nothing_else(crjax):
    code, out, err = crjax(*PROFILE, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert validate(found, "stdout") == "cost-report"
    assert found["command"] == ["crjax", *PROFILE, "--json"]
    assert found["model"]["config"]["hidden"] == 4 and [s["name"] for s in found["steps"]] == ["train/answer"]


def test_get_prints_one_field(crjax, counted, report):
    trainable = report.parameters.trainable
    for field in ("trainable_parameters", "parameters.trainable", "summary.trainable_parameters"):
        assert crjax(*PROFILE, "--get", field) == (0, f"{trainable}\n", "")
    assert crjax(*PROFILE, "--get", "model.name")[1] == "dmn\n"
    assert crjax(*PROFILE, "--get", "infer_flops_per_turn")[1] == "null\n"
    flops = report.steps[0].model.flops
    assert crjax(*PROFILE, "--get", "steps.train/answer.model.flops")[1] == f"{flops}\n"
    code, out, err = crjax(*PROFILE, "--get", "parameters.trainabel")
    one_line(code, err, "'trainabel'", "did you mean trainable")
    assert not out


def test_out_writes_what_validates(crjax, counted, report, tmp_path):
    target = tmp_path / "report.json"
    code, out, err = crjax(*PROFILE, "--out", target)
    assert code == 0 and str(target) in err and "DMN" in out
    assert target.read_text() == to_json(report)
    assert crjax("validate", target) == (0, f"{target}: valid cost-report\n", "")
    assert crjax(*PROFILE, "--out", "-") == (0, to_json(report), "")


def test_what_cannot_be_written_is_said_in_a_line(crjax, counted, tmp_path):
    (tmp_path / "folder").mkdir()
    for place in ("/dev/full", tmp_path / "no" / "report.json", tmp_path / "folder"):
        code, out, err = crjax(*PROFILE, "--out", place)
        one_line(code, err, str(place), "not written")
        assert not out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "profiles"]


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_an_interrupted_write_leaves_the_old_file(crjax, counted, tmp_path, monkeypatch, fault):
    target = tmp_path / "report.json"
    target.write_text("the old one")

    def fails(*_):
        raise fault

    monkeypatch.setattr(os, "fsync", fails)
    code, _, err = crjax(*PROFILE, "--out", target)
    if isinstance(fault, OSError):
        one_line(code, err, "No space left")
    else:
        assert code == 130 and "Traceback" not in err
    assert target.read_text() == "the old one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["profiles", "report.json"], "no temporary file is left"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["profile", "--model", "dnm"], ["'dnm'", "did you mean dmn"]),
        (["profile", "--model", "dmn", "--dataset", "cell-phone"], ["'cell-phone'", "did you mean cell-phones"]),
        (["profile", "--model", "dmn", "--device", "h10"], ["'h10'", "h100"]),
        (["profile", "--model", "dmn", "--preset", "publishd"], ["'publishd'", "did you mean published"]),
        (["profile", "--model", "dmn", "--phase", "infr"], ["'infr'", "did you mean infer"]),
        ([*PROFILE, "--set", "hop=2"], ["'hop'", "hops"]),
        ([*PROFILE, "--set", "hops"], ["'hops'", "KEY=VALUE"]),
        ([*PROFILE, "--set", "hops=2.5"], ["hops='2.5'", "a whole number"]),
        ([*PROFILE, "--set", "learning_rate=nan"], ["learning_rate='nan'"]),
        ([*PROFILE, "--top-k", "13"], ["top_k=13", "12"]),
        (["profile", "--model", "no.such:SPEC"], ["no.such"]),
        (["profile", "--model", "json:loads"], ["json:loads"]),
        (["profile", "--model", ":SPEC"], [":SPEC"]),
        (["profile", "--model", ".x:SPEC"], [".x:SPEC"]),
        (["profile"], ["--model"]),
        (["profile", "--modl", "dmn"], ["--modl"]),
        (["profile", "--model", "dmn", "--users", "two"], ["--users", "integer"]),
        (["profil"], ["profil"]),
        (["list", "model"], ["'model'", "did you mean models"]),
        (["validate", "absent.json"], ["absent.json", "No such file"]),
        (["hlo", "absent.hlo"], ["absent.hlo", "No such file"]),
        (["hlo", "/"], ["/", "directory"]),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_misuse_is_one_line(crjax, arguments, words):
    code, out, err = crjax(*arguments)
    one_line(code, err, *words)
    assert not out


def test_hlo_from_a_file_and_from_stdin(crjax, tmp_path):
    place = tmp_path / "tiny.hlo"
    place.write_text(HLO)
    code, out, err = crjax("hlo", place, "--json")
    assert (code, err) == (0, "")
    done = process("hlo", "-", "--json", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    piped, error = done.communicate(HLO)
    assert (done.returncode, error) == (0, "")
    assert json.loads(piped) == json.loads(out)
    assert str(2 * 3 * 5 * 7) in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["line 1", "empty"]),
        (b"{}", ["line 1"]),
        (HLO.replace("parameter(1)", "parameter(1").encode(), ["line"]),
        (HLO.replace("f32[5,7]", "f99[5,7]").encode(), ["line 4"]),
        (HLO.replace("dot(a, b)", "dot(a, c)").encode(), ["line 5"]),
        (HLO[: HLO.rindex("}")].encode(), ["line"]),
        (b"\x7fELF\x02\x01\x01\0\0", ["binary"]),
        (b"PK\x03\x04zip", ["binary"]),
        (HLO.encode("utf-16"), ["binary"]),
        (b"\xff\xfe\xfd", ["line 1"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_broken_hlo_is_one_line(crjax, tmp_path, content, words):
    place = tmp_path / "broken.hlo"
    place.write_bytes(content)
    code, out, err = crjax("hlo", place)
    one_line(code, err, str(place), *words)
    assert not out


def test_ctrl_c_exits_with_130(crjax, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "profile", interrupted)
    code, out, err = crjax(*PROFILE)
    assert (code, out) == (130, "") and "Traceback" not in err
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # A shell's background jobs, tests among them, ignore the signal and hand that down.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = process("hlo", pipe, stdout=subprocess.PIPE)
    signal.signal(signal.SIGINT, before)
    with open(pipe, "w"):  # opens once the command reads it
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "") and "Traceback" not in err


@pytest.mark.parametrize("arguments", [["--help"], ["list", "accelerators"], ["hlo", "HLO", "--json"]])
def test_a_reader_who_leaves_and_a_full_disk(arguments, tmp_path):
    (tmp_path / "text.hlo").write_text(HLO)
    arguments = [str(tmp_path / "text.hlo") if a == "HLO" else a for a in arguments]
    reading, writing = os.pipe()
    os.close(reading)
    left = process(*arguments, stdout=writing)
    os.close(writing)
    _, err = left.communicate()
    assert (left.returncode, err) == (141, "")  # as a program that SIGPIPE ended
    with open("/dev/full", "w") as full:
        done = process(*arguments, stdout=full)
        _, err = done.communicate()
    one_line(done.returncode, err, "No space left")
