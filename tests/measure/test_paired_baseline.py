"""Kept programs: equal ones are known without running, others run in turn, and what cannot be is refused."""

import json
import shutil
from dataclasses import replace

import pytest
from tiny import SMALL

from cr_jax.errors import BadInput
from cr_jax.measure import paired_baseline
from cr_jax.measure.clock import Plan
from cr_jax.profiling.request import Request
from cr_jax.report.gate import NotComparable

REQUEST = Request("dmn", preset="matched", turns=1, settings=SMALL["dmn"] | {"hops": "1"})
#: One step alone.
TRAIN = replace(REQUEST, phases=("train",))
QUICK = Plan(warmup=1, runs=4, seconds=0.0, limit_s=0.5, tightness=1.0)


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
    file = tmp_path_factory.mktemp("costs") / "dmn.json"
    paired_baseline.keep(file, REQUEST)
    return file


@pytest.fixture
def copied(baseline, tmp_path):
    """The baseline's programs beside a file that a test may spoil."""
    shutil.copytree(paired_baseline.folder(baseline), paired_baseline.folder(tmp_path / "copied.json"))
    return tmp_path / "copied.json"


def test_the_same_source_gives_the_same_programs_and_nothing_runs(baseline):
    found = paired_baseline.timed(baseline, REQUEST, 5.0, QUICK, clock=None)  # a clock that is asked would fail
    assert {row.step: row.status for row in found.steps} == dict.fromkeys(
        ("train/answer", "infer/replay/t1", "infer/incremental/t1"), "same program"
    )


def test_kept_programs_name_no_folder_of_this_machine(baseline):
    import cr_jax

    home = cr_jax.__file__.rpartition("/cr_jax/")[0].encode()
    files = list(paired_baseline.folder(baseline).iterdir())
    assert len(files) == 4 and not any(home in file.read_bytes() for file in files)


@pytest.mark.slow
def test_another_program_runs_in_turn_with_the_kept_one(baseline):
    changed = replace(REQUEST, settings=SMALL["dmn"] | {"hops": "3"})
    found = paired_baseline.timed(baseline, changed, 5.0, QUICK)
    for row in found.steps:
        assert row.status in ("within", "faster", "breach", "undecided") and row.samples >= 4
        low, high = row.ratio_interval
        assert 0 < low <= row.ratio <= high


def test_other_shapes_are_skipped(baseline):
    found = paired_baseline.timed(baseline, replace(TRAIN, settings={"embedding": "8", "hidden": "4", "hops": "1"}), 5.0, QUICK)
    assert {row.status for row in found.steps} == {"skipped"} and "other shapes" in found.steps[0].reason
    assert [row.reason for row in found.steps[1:]] == ["the step is gone"] * 2


def test_what_cannot_run_in_turn_is_not_comparable(copied, tmp_path):
    with pytest.raises(NotComparable, match="legal: a baseline with programs kept by crjax check --keep-programs"):
        paired_baseline.timed(tmp_path / "none.json", REQUEST, 5.0, QUICK)
    with pytest.raises(NotComparable, match="none attached"):
        paired_baseline.timed(copied, replace(REQUEST, devices=("h100",)), 5.0, QUICK)
    (paired_baseline.folder(copied) / "train_answer.stablehlo").write_bytes(b"nothing")
    with pytest.raises(NotComparable, match="cannot be read by jax"):
        paired_baseline.timed(copied, TRAIN, 5.0, QUICK)
    listed = paired_baseline.folder(copied) / "programs.json"
    listed.write_text(json.dumps(json.loads(listed.read_text()) | {"platform": "tpu"}))
    with pytest.raises(NotComparable, match="kept for tpu"):
        paired_baseline.timed(copied, TRAIN, 5.0, QUICK)


def test_the_list_of_programs_chooses_no_file(copied):
    listed = paired_baseline.folder(copied) / "programs.json"
    about = json.loads(listed.read_text())
    for one in about["steps"].values():
        one["file"] = "/etc/hostname"
    listed.write_text(json.dumps(about))
    found = paired_baseline.timed(copied, TRAIN, 5.0, QUICK, clock=None)
    assert [row.status for row in found.steps if row.reason != "the step is gone"] == ["same program"]
    for text in (
        "[]",
        "{}",
        '{"platform": "cpu", "jax": "1", "steps": []}',
        '{"platform": 1, "jax": "1", "steps": {}}',
        '{"platform": "cpu", "jax": "1", "steps": {"train/answer": 3}}',
    ):
        listed.write_text(text)
        with pytest.raises(BadInput, match="legal: a file written by crjax check --keep-programs"):
            paired_baseline.timed(copied, TRAIN, 5.0, QUICK)


def test_a_kept_program_that_calls_what_todays_does_not_is_not_run(baseline, monkeypatch):
    texts = {}

    def text(program):
        """The second text of a step is the kept program's; it makes one call more."""
        times = texts[len(program.in_avals)] = texts.get(len(program.in_avals), 0) + 1
        return "%0 = stablehlo.add %1" + ("\n%2 = stablehlo.custom_call @run_this(%0)" if times == 1 else "")

    monkeypatch.setattr(paired_baseline, "_read", lambda file, like: like)
    monkeypatch.setattr(paired_baseline, "_text", text)
    monkeypatch.setattr(paired_baseline, "_program", lambda *_: pytest.fail("run"))
    (row,) = [r for r in paired_baseline.timed(baseline, TRAIN, 5.0, QUICK).steps if r.step == "train/answer"]
    assert row.status == "skipped" and "calls 'run_this'" in row.reason


@pytest.mark.parametrize(
    ("line", "called"),
    [
        ('%0 = stablehlo.custom_call @run_this(%arg0) {backend_config = ""}', {"run_this"}),
        ('%0 = "stablehlo.custom_call"(%1) <{call_target_name = "a b", api_version = 4 : i32}>', {"a b"}),
        (
            "%0 = stablehlo.custom_call @lapack_sgeqrf_ffi(%1), %2 = stablehlo.custom_call @Sharding(%0)",
            {"lapack_sgeqrf_ffi", "Sharding"},
        ),
        ("%0 = custom_call something else", {"%0 = custom_call something else"}),
        ("%0 = stablehlo.add %1, %2", set()),
    ],
)
def test_the_targets_of_calls_are_read(line, called):
    assert paired_baseline._called(f"module {{\n{line}\n}}") == called
