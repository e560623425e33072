"""What becomes of a job when its worker does not behave; the worker here is a fake."""

import dataclasses
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from cr_jax.models.dmn import model as dmn
from cr_jax.profiling.pipeline import read_dataset
from cr_jax.records import ArrayShape, ItemLabels, Target, Workload, plain
from cr_jax.steps.step import abstract_model
from cr_jax.steps.train import training_steps
from cr_jax.steps.turn import ends, turn_steps
from cr_jax.targets.ahead import Job, compile_jobs
from cr_jax.targets.cache import Cache, step_key
from cr_jax.targets.compilation import traced_as
from cr_jax.targets.compile import compile_step
from cr_jax.targets.sources import ModelSource
from cr_jax.targets.supervise import Limits, telling_line
from cr_jax.targets.worker import workload
from cr_jax.targets.worker_process import environment

FAKE = Path(__file__).with_name("fake_worker.py")
TARGET = Target("h100", "cuda", False, kind="H100", autotuned=False, compiler={"nvcc": "12.9"}, problem=None)


@pytest.fixture(scope="module")
def job():
    """Three steps of a small DMN, traced."""
    data, _ = read_dataset("cell-phones")
    work = Workload(turns=1, lengths=data.lengths, turn_histogram=data.turn_histogram)
    config = dmn.Config(classes=30, items=20, facts=2)
    model = abstract_model(dmn.SPEC, config)
    steps = (*training_steps(model, work), *turn_steps(model, work)[:2])
    traced = [compile_step(s, TARGET, "default", compiled=False) for s in steps]
    return Job(ModelSource("dmn", config, work), TARGET, "default", tuple(traced), frozenset(s.name for s in steps))


@pytest.fixture
def play(tmp_path, monkeypatch, job):
    """``play({"train/answer": "abort"})`` -> (steps by name, names in the order they were begun)."""
    log = tmp_path / "log"
    monkeypatch.setenv("FAKE_LOG", str(log))
    told = {step.name: traced_as(step.model_hlo, step.arguments) for step in job.traced}
    monkeypatch.setenv("FAKE_TRACED", json.dumps(told))  # so that the fake can answer for any of them

    def play(plan, jobs=None, **options):
        log.unlink(missing_ok=True)
        command = (sys.executable, str(FAKE), json.dumps(plan))
        options = {"cache": Cache(tmp_path / "cache"), "limits": Limits(seconds=20), "command": command} | options
        made = compile_jobs(jobs or [job], **options)
        begun = [line.split()[:2] for line in log.read_text().splitlines()] if log.exists() else []
        return [{s.name: s for s in steps} for steps in made], begun

    return play


def test_all_is_well_and_the_second_time_from_the_cache(play, job):
    (steps,), begun = play({})
    assert [s.outcome for s in steps.values()] == ["compiled"] * 3
    assert len(begun) == 3
    for step in steps.values():
        assert step.compiled_hlo.startswith("HloModule fake")
        assert step.target.name == "h100"
        assert step.memory.temp_bytes == 7
        assert step.durations_s["compile"] == 0.5
    assert play({"*": "abort"}) == ([steps], [])


@pytest.mark.parametrize(
    ("what", "reason", "limits"),
    [
        ("abort", r"the compiler aborted \(SIGABRT\): Check failed: a == b", Limits(20)),
        ("raise", "JaxRuntimeError: no such thing", Limits(20)),
        ("half", "result is not whole", Limits(20)),
        ("other", "traced another program", Limits(20)),
        ("arguments", "traced arguments of other shapes or types", Limits(20)),
        ("sleep", "not done after 2 s, the time limit", Limits(2)),
        ("memory", r"took 0\.\d GB of memory, the limit is 0.2 GB", Limits(20, 200_000_000)),
    ],
)
def test_one_bad_step_is_one_row(play, job, what, reason, limits):
    bad = job.traced[1].name
    (steps,), begun = play({bad: what}, limits=limits)
    assert steps[bad].outcome == "failed"
    assert steps[bad].compiled_hlo is None
    assert "\n" not in steps[bad].reason
    assert re.search(reason, steps[bad].reason)
    assert [s.outcome for n, s in steps.items() if n != bad] == ["compiled"] * 2
    assert len(begun) == 3  # none was tried twice
    # what was well is kept, what was not is tried again
    (again,), begun = play({})
    assert [name for _, name in begun] == [bad]
    assert {s.outcome for s in again.values()} == {"compiled"}


def test_a_worker_that_does_not_start_fails_every_step_with_its_reason(play):
    (steps,), begun = play({}, command=(sys.executable, "-c", "raise RuntimeError('no such topology')"))
    assert begun == []
    assert {s.outcome for s in steps.values()} == {"failed"}
    assert all("RuntimeError: no such topology" in s.reason for s in steps.values())
    (steps,), _ = play({}, command=("/no/such/python",))
    assert all("did not start" in s.reason for s in steps.values())


def test_one_target_does_not_take_the_other_down(play, job):
    other = dataclasses.replace(job, target=dataclasses.replace(TARGET, name="a100-80gb"))
    lost = dataclasses.replace(job, target=dataclasses.replace(TARGET, name="l4", problem="no compiler for l4 here"))
    made, _ = play({"*": "abort"}, jobs=[lost, job])
    assert {(s.outcome, s.reason) for s in made[0].values()} == {("no compiler", "no compiler for l4 here")}
    assert {s.outcome for s in made[1].values()} == {"failed"}
    made, _ = play({}, jobs=[job, lost, other])
    assert [{s.outcome for s in steps.values()} for steps in made] == [{"compiled"}, {"no compiler"}, {"compiled"}]


def test_steps_that_nobody_asked_for_stay_as_traced(play, job):
    wanted = frozenset([job.traced[0].name])
    (steps,), begun = play({}, jobs=[dataclasses.replace(job, wanted=wanted)])
    assert [name for _, name in begun] == list(wanted)
    assert [s.outcome for s in steps.values()] == ["compiled", "left out", "left out"]


def test_a_full_disk_costs_the_cache_only(play, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    said = []
    (steps,), _ = play({}, warn=said.append)
    assert {s.outcome for s in steps.values()} == {"compiled"}
    assert len(said) == 3 and all("not kept" in line for line in said)


def test_killed_in_mid_compile_the_rest_is_made_by_another(play, job, monkeypatch, tmp_path):
    victim = job.traced[1].name

    def kill():
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            lines = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []
            for line in lines:
                if line.split()[1] == victim:
                    os.kill(int(line.split()[2]), signal.SIGKILL)
                    return
            time.sleep(0.05)

    thread = threading.Thread(target=kill)
    thread.start()
    (steps,), _ = play({victim: "sleep"})
    thread.join()
    assert steps[victim].outcome == "failed"
    assert "killed" in steps[victim].reason
    assert [s.outcome for n, s in steps.items() if n != victim] == ["compiled"] * 2


def test_a_stop_ends_the_workers(play, job, tmp_path):
    """An interrupt in one place (here: in what is told of the progress) leaves no worker behind."""

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play({"*": "sleep"}, progress=interrupt)
    pids = {int(line.split()[2]) for line in (tmp_path / "log").read_text().splitlines()}
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_two_at_once_on_one_cache(play, job, tmp_path):
    found = {}

    def run(number):
        found[number] = compile_jobs([job], cache=Cache(tmp_path / "cache"), command=(sys.executable, str(FAKE), "{}"))[0]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {s.outcome for steps in found.values() for s in steps} == {"compiled"}
    assert len(found) == 2
    assert play({"*": "abort"})[1] == []


def test_the_key_knows_what_decides_a_program(job, monkeypatch):
    step = job.traced[0]
    base = step_key(step, TARGET)
    assert step_key(dataclasses.replace(step, labels=ItemLabels(None), durations_s={}, modules=()), TARGET) == base
    moved = step.model_hlo.replace("stack_frame_id=1", "stack_frame_id=2")
    assert moved != step.model_hlo
    assert step_key(dataclasses.replace(step, model_hlo=moved), TARGET) == base
    others = [
        (dataclasses.replace(step, model_hlo=step.model_hlo.replace("optimizer", "optimiser")), TARGET),
        (dataclasses.replace(step, precision="highest"), TARGET),
        (dataclasses.replace(step, versions=step.versions | {"jaxlib": "0.11"}), TARGET),
        (step, dataclasses.replace(TARGET, name="a100-80gb")),
        (step, dataclasses.replace(TARGET, compiler={"nvcc": "12.8"})),
        (step, dataclasses.replace(TARGET, attached=True)),
    ]
    keys = {step_key(*other) for other in others}
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_hlo_as_text")
    keys.add(step_key(step, TARGET))
    assert len(keys | {base}) == len(others) + 2


def test_the_worker_sees_the_wheels_and_this_path(monkeypatch, tmp_path):
    from cr_jax.targets import overlay

    monkeypatch.setattr(overlay, "find", lambda kind: overlay.Compiler(kind, tmp_path, {}))
    told = environment("cuda", attached=False)
    folders = told["PYTHONPATH"].split(os.pathsep)
    assert folders[0] == str(tmp_path)
    assert set(folders[1:]) == {p or os.getcwd() for p in sys.path}
    assert told["JAX_PLATFORMS"] == "cpu"
    attached = environment("cuda", attached=True)
    assert attached["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert attached["JAX_PLATFORMS"] == "cuda,cpu"
    assert str(tmp_path) not in attached["PYTHONPATH"]


def test_a_workload_survives_the_request():
    data, _ = read_dataset("cell-phones")
    arrays = (ArrayShape("text", (4, 6, 3), "float32"), ArrayShape("target", (4,), "int32"))
    work = Workload(turns=2, lengths=data.lengths, turn_histogram=data.turn_histogram, batches={"answer": arrays})
    assert workload(json.loads(json.dumps(plain(work)))) == work


def test_a_step_compiled_for_the_cpu_is_taken_as_traced(play, job):
    compiled = dataclasses.replace(job.traced[0], compiled_hlo="HloModule cpu", xla_flops=5.0)
    (steps,), _ = play({"*": "raise"}, jobs=[dataclasses.replace(job, traced=(compiled,))])
    assert steps[compiled.name].compiled_hlo is None
    assert steps[compiled.name].xla_flops is None


def test_ends_keeps_the_first_and_the_last_turn():
    data, _ = read_dataset("cell-phones")
    work = Workload(turns=5, lengths=data.lengths, turn_histogram=data.turn_histogram)
    steps = turn_steps(abstract_model(dmn.SPEC, dmn.Config(classes=30, items=20, facts=6)), work)
    names = [s.name for s in steps]
    kept = [n for n in names if n in ends(steps)]
    replay = [n for n in names if "/replay/" in n]
    assert kept == [replay[0], replay[-1], *[n for n in names if "/incremental/" in n]]


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", None),
        ("W a\nF1123 10:00:00.000001 12 b.cc:2] Check failed: x\n  @ 0x1\n", "Check failed: x"),
        ("Traceback:\n  File\nValueError: bad\n", "ValueError: bad"),
        ("hello\n\n", "hello"),
    ],
)
def test_the_telling_line(log, line):
    assert telling_line(log) == line
