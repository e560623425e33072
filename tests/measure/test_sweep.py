"""A sweep with made-up cells: it resumes, failures are results."""

import importlib
import io
import json
import sys

import pytest

from cr_jax.documents.bench_report import BenchError
from cr_jax.errors import BadInput
from cr_jax.measure.case import Case
from cr_jax.measure.clock import Plan
from cr_jax.measure.sweep import Budget, cells, finished, sweep
from cr_jax.report.bench import Doing, error_of
from cr_jax.report.document import validate

CASES = cells(["dmn", "aim"], ["cell-phones"], ["train", "infer"], [1, 32], [None], ["float32"])
#: Stands for the worker: fails, dies or writes nothing for some cases; counts its starts.
CELL = """
import json, os, sys
request = json.load(open(sys.argv[1]))
case = request["case"]
with open({log!r}, "a") as log:
    log.write(case["model"] + case["phase"] + "\\n")
print(json.dumps({{"event": "compiled", "step": "s", "predicted_peak_bytes": 123}}), flush=True)
if case["model"] == "aim" and case["phase"] == "train":
    os.kill(os.getpid(), 9)
if case["users"] == 32:
    sys.exit("RESOURCE_EXHAUSTED: no room")
sys.path[:0] = {path!r}
from msgspec import convert
from cr_jax.documents.base import plain
from cr_jax.documents.bench_report import BenchCase, MachineFacts, SamplingPlan
from cr_jax.report.bench import Subject, bench_report
subject = Subject(convert(case, BenchCase), convert(request["plan"], SamplingPlan))
machine = MachineFacts(cpu="c", cores=1, memory_bytes=1, system="s")
json.dump(plain(bench_report(subject, "1", {{}}, machine, None)), open(request["result"], "w"))
"""


@pytest.fixture
def command(tmp_path):
    script, log = tmp_path / "cell.py", tmp_path / "log"
    script.write_text(CELL.format(log=str(log), path=sys.path))
    return [sys.executable, str(script)], log


def test_every_program_once_and_every_file_name_another():
    assert len(CASES) == 6 == len({case.slug() for case in CASES})
    assert all("/" not in case.slug() for case in CASES)
    assert Case("m:SPEC", "a/b.txt", settings={"x": "1"}).slug() == "m-SPEC_a-b.txt_infer_x-1_cpu"
    long = [Case("dmn", "d" * 300 + end).slug() for end in "ab"]
    assert len(set(long)) == 2 and max(map(len, long)) < 200


def test_failing_cells_are_results_and_a_second_run_does_nothing(tmp_path, command):
    start, log = command
    told = []
    found = sweep(CASES, Plan(), tmp_path / "out", Budget(60), lambda *facts: told.append(facts[2]), start)
    by = {(d.case.model, d.case.phase, d.case.users): d for d in found}
    for document in found:
        validate(document, "a cell")
    assert by["dmn", "train", 1].status == by["dmn", "infer", 1].status == "measured"
    killed, full = by["aim", "train", 1].error, by["dmn", "infer", 32].error
    assert killed.kind == full.kind == "out of memory" and "SIGKILL" in killed.reason
    assert killed.predicted_peak_bytes == full.predicted_peak_bytes == 123 and killed.step == "s"
    assert told == [False] * 6 and len(log.read_text().split()) == 6
    again = sweep(CASES, Plan(), tmp_path / "out", Budget(60), lambda *facts: told.append(facts[2]), start)
    assert again == found and told[6:] == [True] * 6 and len(log.read_text().split()) == 6


def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path, command):
    start, log = command

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(CASES, Plan(), tmp_path / "out", Budget(60), stop, start)
    assert len(list((tmp_path / "out").iterdir())) == 1
    assert len(sweep(CASES, Plan(), tmp_path / "out", Budget(60), None, start)) == 6
    assert len(log.read_text().split()) == 6


def test_a_file_that_is_no_report_is_refused_and_left_alone(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"kind": "cost-report"}))
    with pytest.raises(BadInput, match=r"x\.json"):
        finished(tmp_path / "x.json")
    assert finished(tmp_path / "none.json") is None


def test_errors_are_named_by_what_they_are():
    error = RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating")
    full = error_of(error, Doing("s", 9))
    assert full == BenchError(
        kind="out of memory",
        reason="RuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating",
        step="s",
        predicted_peak_bytes=9,
    )
    assert error_of(MemoryError(), Doing()).kind == "out of memory"
    assert error_of(RuntimeError("INTERNAL: no"), Doing()).kind == "failed"


@pytest.mark.parametrize("module", ["cr_jax.measure.worker", "cr_jax.targets.worker"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "3",
        '{"kind": "nothing"}',
        '{"kind": []}',
        "{}",
        '{"kind": "bench"}',
        '{"kind": "compile", "target": 3, "work": {}}',
        None,
    ],
)
def test_a_request_that_is_none_is_one_line(module, text, tmp_path, capsys):
    worker, said = importlib.import_module(module), io.StringIO()
    file = tmp_path / "request.json"
    if text is not None:
        file.write_text(text)
    assert worker.answer([str(file)], said) == worker.answer([], said) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2 and said.getvalue() == ""
