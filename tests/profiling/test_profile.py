"""The whole line, for every model: contracts of the report, and DMN's leaves by hand."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from reports import typed

from cr_jax import profile
from cr_jax.data.demo import demo_text
from cr_jax.errors import CrJaxError
from cr_jax.models import spec
from cr_jax.models.dmn import model as dmn
from cr_jax.profiling.pipeline import read_dataset
from cr_jax.records import Workload, bucket
from cr_jax.render.cost import render_cost, show
from cr_jax.report.document import to_json, validate, without_times
from cr_jax.steps.step import abstract_model
from cr_jax.steps.train import training_steps
from cr_jax.steps.turn import turn_steps
from cr_jax.targets.resolve import COUNT_OPTIONS

#: The published sizes but for the hops, whose weights are shared.
TWO_HOPS = {"turns": 2, "settings": {"hops": "2"}}


@pytest.fixture(scope="module")
def dmn_report():
    return profile("dmn", **TWO_HOPS)


def _step(report, name):
    return next(s for s in report["steps"] if s["name"] == name)


def _flops(step, which):
    return {row["module"]: row["matmul_flops"] for row in step["modules"] if row["pass"] == which and row["matmul_flops"]}


def test_report_is_valid_complete_and_attributed(dmn_report):
    assert validate(dmn_report, "report") == "cost-report"
    for step in dmn_report["steps"]:
        assert step["coverage"]["complete"]
        assert step["coverage"]["unattributed_share"] < 0.01
        assert step["jaxpr"]["agrees"]
        assert step["model"]["matmul_flops"] > 0
        modules = sum(row["matmul_flops"] for row in step["modules"])
        assert modules == step["compiled"]["matmul_flops"]
        assert sum(row["hbm_bytes"] for row in step["modules"]) == step["compiled"]["hbm_bytes"]


def _dmn_by_hand(c: dmn.Config, batch: int, text: int, question: int) -> dict[str, int]:
    """Forward matmul FLOPs of each leaf module from named factors."""
    product = lambda rows, inner, columns: 2 * rows * inner * columns  # noqa: E731
    e, h, f, features, gates = c.embedding, c.hidden, c.facts, 7, 3
    gru = lambda words, width: product(batch * words, width, gates * h) + product(batch * words, h, gates * h)  # noqa: E731
    return {
        "input_module.encoder": gru(text, e) + gru(question, e),
        "episodic.gate": c.hops * (product(batch * f, features * h, h) + product(batch * f, h, 1)),
        # the facts' projection is computed once for all hops, the recurrence at every hop
        "episodic.episode": product(batch * f, h, gates * h) + c.hops * product(batch * f, h, gates * h),
        "episodic.memory": c.hops * (product(batch, h, gates * h) + product(batch, h, gates * h)),
        "answer": product(batch, h, c.classes),
    }


def test_dmn_leaves_equal_their_formulas(dmn_report):
    data, _ = read_dataset("cell-phones")
    config = dmn.Config(**dmn_report["model"]["config"])
    lengths = data.lengths
    text = bucket(lengths.request.p95 + 1 + 2 * lengths.turn_words)
    question = max(bucket(lengths.request.p95), bucket(lengths.question.p95))
    by_hand = _dmn_by_hand(config, 16, text, question)
    step = _step(dmn_report, "train/answer")
    traced = {row["module"]: row["model_matmul_flops"] for row in step["modules"] if row["pass"] == "forward"}
    assert {name: flops for name, flops in traced.items() if flops} == by_hand
    assert _flops(step, "forward") == by_hand
    # Backward: two products per product, but none for the word vectors, which are inputs, none for
    # the first state of a sequence's input; the gate's outer product with w2 becomes a multiplication.
    e, h, f, gates, batch = config.embedding, config.hidden, config.facts, 3, 16
    words = text + question
    back = {name: 2 * flops for name, flops in by_hand.items()}
    back["input_module.encoder"] -= 2 * batch * words * e * gates * h
    assert {
        r["module"]: r["model_matmul_flops"] for r in step["modules"] if r["pass"] == "backward" and r["model_matmul_flops"]
    } == back
    back["episodic.gate"] -= config.hops * 2 * batch * f * h
    assert _flops(step, "backward") == back


def test_precision_of_the_turn_rows(dmn_report):
    rows = dmn_report["turns"]
    assert {(r["t"], r["mode"]) for r in rows} == {(t, m) for t in range(3) for m in ("replay", "incremental")}
    for row in rows:
        assert 0 <= row["padding_share"] < 1
        assert row["useful_positions"] <= row["executed_positions"]


def test_units_of_training(dmn_report):
    per = _step(dmn_report, "train/answer")["per"]
    data, _ = read_dataset("cell-phones")
    assert per["flops_per_example"] * 16 == per["flops_per_step"]
    assert per["flops_per_supervised_turn"] == per["flops_per_example"]
    assert per["steps_per_epoch"] == -(-data.turns // 16)
    assert per["flops_per_epoch"] == per["flops_per_step"] * per["steps_per_epoch"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "printed"),
    [("electronics", 8_177_095), ("cds-vinyl", 5_896_327), ("kindle-store", 5_262_151), ("cell-phones", 979_687)],
)
def test_papers_count(name, printed):
    report = profile("dmn", name, preset="paper", phases=["train"], turns=1, settings={"hops": "1"})
    assert report["parameters"]["as_the_paper_counted"] == report["summary"]["paper_parameters"] == printed
    paper = report["parameters"]["paper"]
    assert paper == {
        "counted": printed,
        "printed": printed,
        "solved": ["classes"],
        "note": "Table II's figure, which classes was solved from",
    }
    classes = report["model"]["config"]["classes"]
    assert report["parameters"]["trainable"] == 27_681 + 32 * classes


@pytest.mark.slow
def test_counting_options_leave_the_program_as_it_is():
    data, _ = read_dataset("cell-phones")
    work = Workload(turns=1, lengths=data.lengths, turn_histogram=data.turn_histogram)
    model = abstract_model(dmn.SPEC, dmn.Config(classes=30, items=20, facts=2))
    for step in (*training_steps(model, work), *turn_steps(model, work)):
        lowered = jax.jit(step.function, donate_argnums=step.donated).lower(*step.arguments)
        plain, counted = lowered.compile(), lowered.compile(compiler_options=COUNT_OPTIONS)
        assert plain.as_text() == counted.as_text()
        ours, theirs = counted.memory_analysis(), plain.memory_analysis()
        assert (ours.temp_size_in_bytes, ours.argument_size_in_bytes, ours.alias_size_in_bytes) == (
            theirs.temp_size_in_bytes,
            theirs.argument_size_in_bytes,
            theirs.alias_size_in_bytes,
        )


@pytest.mark.slow
def test_same_inputs_same_bytes_from_another_folder(tmp_path):
    code = (
        "from cr_jax.profiling.pipeline import profile; from cr_jax.profiling.request import Request;"
        "from cr_jax.report.document import to_json, without_times;"
        "print(to_json(without_times(profile(Request('dmn', turns=1, phases=('train',), settings={'hops': '1'})))))"
    )
    root = Path(__file__).resolve().parents[2]
    texts = []
    for folder in (root, tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": str(len(texts))},
        )
        texts.append(done.stdout)
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["kind"] == "cost-report"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "dnm"}, "dmn"),
        ({"dataset": "cell-phone"}, "cell-phones"),
        ({"device": "h10"}, "h100"),
        ({"preset": "publishd"}, "published"),
        ({"phases": ["infr"]}, "infer"),
        ({"precision": "max"}, "highest"),
        ({"batch": 0}, "batch=0"),
        ({"turns": 0}, "turns=0"),
        ({"users": -1}, "users=-1"),
        ({"top_k": 9293}, "9292"),
        ({"items_scored": 5}, "all 9292 items"),
        ({"settings": {"hop": "2"}}, "'hop'"),
        ({"settings": {"hops": "two"}}, "a whole number"),
        ({"settings": {"hidden": "0"}}, "hidden=0"),
        ({"model": "no.such.module:SPEC"}, "no"),
    ],
)
def test_misuse_is_refused_before_tracing(arguments, words):
    with pytest.raises(CrJaxError, match=words) as caught:
        profile(**{"model": "dmn", "turns": 1} | arguments)
    assert "\n" not in str(caught.value)


def test_without_a_compiler_the_traced_program_is_counted(monkeypatch, tmp_path):
    monkeypatch.setenv("CRJAX_CACHE", str(tmp_path))
    monkeypatch.setattr("cr_jax.targets.overlay._of_the_environment", lambda kind: None)
    report = profile("dmn", turns=1, phases=["train"], device="h100")
    assert report["target"]["compiled_for"] is None
    assert "crjax targets install gpu" in report["target"]["problem"]
    step = _step(report, "train/answer")
    assert step["compiled"] is None
    assert step["outcome"] == "no compiler"
    assert step["memory"]["peak_bytes"] is None
    assert report["summary"]["peak_bytes"] is None
    assert step["per"]["flops_per_step"] == step["model"]["flops"]


def test_names_are_found_by_their_spec():
    assert "dmn" in spec.names()
    assert spec.find("cr_jax.models.dmn:SPEC") is dmn.SPEC


def test_two_reports_of_one_process_are_equal(dmn_report):
    assert to_json(without_times(typed(profile("dmn", **TWO_HOPS)))) == to_json(without_times(typed(dmn_report)))


def test_no_paper_figure_on_data_the_paper_never_saw(tmp_path):
    (tmp_path / "talks.txt").write_text(demo_text())
    report = profile("dmn", tmp_path / "talks.txt", phases=["train"], turns=1, settings={"hidden": "4", "hops": "1"})
    assert report["parameters"]["paper"] is report["parameters"]["as_the_paper_counted"] is None
    assert report["summary"]["paper_parameters"] is None
    out = io.StringIO()
    show(render_cost(typed(report)), out)
    assert "by the paper's account" not in out.getvalue()


def test_the_papers_account_stands_beside_table_ii(dmn_report):
    assert dmn_report["summary"]["paper_parameters"] is None  # 989,479: another preset's sizes
    out = io.StringIO()
    show(render_cost(typed(dmn_report)), out)
    assert "989,479 by the paper's account: Table II has 979,687, of other sizes\n" in out.getvalue()
