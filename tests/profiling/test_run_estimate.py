"""Whole runs: the published schedules times the cost of a step."""

import io
import json

import jax
import pytest
from flax import nnx
from reports import changed, sample, typed
from reports import step as trained_step
from tiny import SMALL
from train.corpora import dialogue, redial_file

from cr_jax import count_hlo, profile
from cr_jax.catalog import load
from cr_jax.data.corpus import read_corpus
from cr_jax.data.demo import demo_text
from cr_jax.data.examples.batch_shapes import taken
from cr_jax.data.examples.batches import Batches
from cr_jax.documents.prediction import StepPrediction, Utilisation
from cr_jax.errors import BadConfig, BadInput
from cr_jax.predict.money.energy import Site
from cr_jax.predict.money.pricing import Rates, costs
from cr_jax.profiling import pipeline, run_estimate
from cr_jax.profiling.pipeline import configure
from cr_jax.profiling.request import Request
from cr_jax.profiling.run_estimate import RunRequest, estimates
from cr_jax.render.cost import show
from cr_jax.render.estimate import duration, render_estimate
from cr_jax.report.build import dataset_entry
from cr_jax.report.measured import measured_steps
from cr_jax.report.run_estimate import length, read_schedule, states_by_turn
from cr_jax.train.evaluate import ROWS

#: Schedules, shares and sums do not depend on these.
ONE_HOP = {"hops": "1"}
SRNN_AE = SMALL["srnn-ae"] | {"conversation_layers": "1"}
TABLE = SRNN_AE | {"encoder": "table"}


def estimate(model, dataset="cell-phones", schedule="published", device="cpu", measured=None, rates=Rates(), **choices):
    request = Request(model, dataset, (device,), **choices)
    return run_estimate.estimate(RunRequest(request, schedule, measured or {}, rates))


def test_published_steps_and_epochs():
    dmn = estimate("dmn", turns=1, settings=ONE_HOP)
    (row,) = dmn.objectives
    step = profile("dmn", turns=1, phases=["train"], settings=ONE_HOP)["steps"][0]
    assert row.optimizer_steps == 100_000  # the public configuration
    assert row.flops == 100_000 * step["compiled"]["flops"]
    assert row.hbm_bytes == 100_000 * step["compiled"]["hbm_bytes"]
    assert row.epochs == pytest.approx(100_000 / -(-68_709 // 16))
    assert dmn.total.flops == row.flops
    assert (row.seconds is None) == (row.reason is not None)


def test_epochs_of_both_objectives_of_a_stage_add_up():
    found = estimate("aim", "cell-phones", "epochs=2", turns=1, device="h100", settings={"words": "50", "embedding": "8"})
    rows = found.objectives
    assert [r.objective for r in rows] == ["discriminator", "generator"]
    assert {r.optimizer_steps for r in rows} == {2 * -(-68_709 // 32)}
    assert found.total.flops == sum(r.flops for r in rows)
    assert found.total.optimizer_steps == sum(r.optimizer_steps for r in rows)


@pytest.mark.parametrize("schedule", ["epochs=0", "epochs=x", "forever", "", "equal-turns=0", "equal-turns=1.5", "published=2"])
def test_other_schedules_are_refused(schedule):
    with pytest.raises(BadConfig, match="legal: published"):
        estimate("dmn", schedule=schedule)


def test_durations():
    assert [duration(s) for s in (None, 0.5, 90, 5400, 180_000)] == ["unknown", "0.5 s", "1.5 min", "1.5 h", "2.08 d"]


def _fast(monkeypatch, seconds=0.002):
    """Every prediction becomes ``seconds``, on any device."""

    def predicted(step, accelerator, dtype, options, *_):
        shares = {"compute": 1.0}
        energy, price = costs(seconds, shares, accelerator, options.rates)
        return StepPrediction(
            seconds=seconds,
            seconds_per_turn=None,
            low_s=seconds / 2,
            high_s=seconds * 2,
            coverage=None,
            bound="compute",
            shares=shares,
            method="peaks",
            reason=None,
            validated_on="not validated on this device class",
            utilisation=Utilisation(matmul=None, memory=None),
            profile_error=None,
            calibration=None,
            operations=(),
            energy=energy,
            price=price,
            tag="predicted",
        )

    monkeypatch.setattr(pipeline, "step_prediction", predicted)


def test_equal_turns_gives_every_model_the_data_sets_turns():
    turns = load.dataset("cell-phones").turns
    dmn = estimate("dmn", schedule="equal-turns=2", turns=1, settings=ONE_HOP).objectives[0]
    assert dmn.optimizer_steps == -(-2 * turns // 16) and 2 * turns <= dmn.supervised_turns < 2 * turns + 16
    assert read_schedule("equal-turns") == ("equal-turns", 1)
    step = changed(trained_step(sample()), {"labels.batch": 16, "labels.supervised_turns_per_example": 2.5})
    assert length(None, step, 7.0, "equal-turns", 3, 1000) == 75  # 75 batches of 40 turns
    step = changed(step, {"labels.supervised_turns_per_example": None})
    assert length(None, step, 7.0, "equal-turns", 3, 1000) == 21


def test_conversation_states_by_turn_are_counted():
    # Of 1, 2, 3 and 4 turns; 10 seen, 20 in all.
    dataset = changed(sample().dataset, {"sizes": {"conversations": 20}, "turn_histogram": (2, 4, 1, 3)})
    by_hand = [sum(2 * n for turns, n in ((1, 2), (2, 4), (3, 1), (4, 3)) if turns >= t) for t in range(5)]
    assert states_by_turn(dataset, 4) == by_hand == [20, 20, 16, 8, 6]
    assert states_by_turn(dataset, 2) == [20, 20, 16 + 8 + 6]
    assert states_by_turn(dataset, 6) == [20, 20, 16, 8, 6, 0, 0]


@pytest.mark.parametrize("model", ["dmn", pytest.param("mmn", marks=pytest.mark.slow)])
def test_evaluation_replays_every_state_once_a_pass(monkeypatch, model):
    """DMN has no item side, MMN has one."""
    _fast(monkeypatch)
    found = estimate(model, schedule="epochs=2", turns=1, settings=SMALL[model])
    judged, data = found.evaluation, load.dataset("cell-phones")
    assert judged.batch == ROWS and (judged.validation_passes, judged.test_passes) == (2, 1)
    report = profile(model, turns=1, phases=["infer"], users=ROWS, settings=SMALL[model])
    steps = {step["name"]: step["compiled"]["flops"] for step in report["steps"]}
    side = steps.get("precompute/items")
    by_turn = {row["t"]: steps[row["step"]] for row in report["turns"] if row["mode"] == "replay"}
    total = sum(data.turn_histogram)
    states = {0: data.conversations, 1: sum(n * t for t, n in enumerate(data.turn_histogram, 1)) * data.conversations / total}
    batches = {t: -(-round(0.1 * n) // ROWS) for t, n in states.items()}
    assert judged.flops == 3 * (sum(by_turn[t] * n for t, n in batches.items()) + (side or 0))
    assert judged.seconds == pytest.approx(3 * (sum(batches.values()) + (side is not None)) * 0.002)
    assert (side is not None) == (model == "mmn")
    assert side == (found.item_side.flops if found.item_side else None)
    whole = [*found.objectives, judged, *([found.item_side] if found.item_side else [])]
    for key in ("flops", "seconds", "low_s", "high_s"):
        assert getattr(found.whole, key) == pytest.approx(sum(getattr(one, key) for one in whole))
    assert found.frozen is None


@pytest.mark.slow
def test_validation_by_own_forwards_is_counted():
    """An objective's forward over a tenth of its examples after every epoch; it and the ranking once on the test part."""
    found = estimate("srnn-ae", turns=1, schedule="epochs=3", settings=SRNN_AE)
    data = load.dataset("cell-phones")
    asked = configure(Request("srnn-ae", settings=SRNN_AE, turns=1, batch=ROWS), data)
    spec, work, config = asked.spec, asked.work, asked.config
    model = nnx.eval_shape(lambda: spec.build(config, nnx.Rngs(0)))
    graph, weights = nnx.split(model)
    (replay, *rest) = (
        s for s in profile("srnn-ae", turns=1, phases=["infer"], users=ROWS, settings=SRNN_AE, turns_compiled="replay")["steps"]
    )
    by_turn = {t: step["compiled"]["flops"] for step in (replay, *rest) for t in step["labels"]["turns"]}
    total = sum(-(-round(0.1 * n, 6) // ROWS) * by_turn[t] for t, n in enumerate(states_by_turn(dataset_entry(data), 1)))
    for objective in spec.objectives(config):
        forward, batch = spec.training.checks[objective.name], dict(objective.inputs(config, work, ROWS))
        program = jax.jit(lambda weights, batch, forward=forward: forward(nnx.merge(graph, weights), batch)).lower(weights, batch)
        examples = objective.examples_per_epoch(config, data)
        per_epoch = -(-examples // objective.batch) * objective.batch  # the last batch is filled up
        total += (3 + 1) * -(-round(0.1 * per_epoch, 6) // ROWS) * count_hlo(program.compile().as_text()).total.flops
    assert found.evaluation.flops == pytest.approx(total, rel=1e-3)
    assert found.whole.flops == found.total.flops + found.evaluation.flops
    assert (found.evaluation.validation_passes, found.evaluation.test_passes) == (6, 1)
    assert "sentiment and autorec are validated by forwards of their own" in printed(found)


def test_dialogues_are_validated_and_not_ranked(tmp_path):
    path = redial_file(tmp_path, 200)
    found = estimate("srnn-ae", path, "epochs=2", settings=TABLE)
    corpus = read_corpus(path)
    forms = {part: sum(len(one.forms) for one in corpus.dialogues[part]) for part in ("train", "validation", "test")}
    sentiment, autorec = found.objectives
    assert sentiment.optimizer_steps >= 2 * forms["train"] / 16 and autorec.epochs == 2
    more = estimate("srnn-ae", path, "epochs=4", settings=TABLE).evaluation.flops - found.evaluation.flops
    assert more == pytest.approx(2 / 3 * found.evaluation.flops, rel=0.3)  # the test part is as large


@pytest.mark.slow
def test_a_check_without_examples_costs_nothing(tmp_path):
    """Users of one rating have none left to hold out: AutoRec is not tested, however large it is."""
    form, path = {"suggested": 1, "seen": 1, "liked": 1}, tmp_path / "single.jsonl"
    forms = [{str(100 + number % 7): form} for number in range(150)]
    made = [dialogue(number, initiatorQuestions=one, respondentQuestions=one) for number, one in enumerate(forms)]
    path.write_text("".join(json.dumps(one) + "\n" for one in made), encoding="utf-8")
    small, large = (estimate("srnn-ae", path, "epochs=1", settings=TABLE | {"autorec_layers": size}) for size in ("5", "50"))
    assert small.objectives[1].flops < large.objectives[1].flops
    assert 0 < small.evaluation.flops == large.evaluation.flops


def test_of_few_items_fewer_are_listed(tmp_path):
    path = tmp_path / "few.txt"
    lines = [f"U{user}@I{user % 7},size|small|1:screen|good|1" for user in range(60)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert estimate("dmn", path, "epochs=1", settings=ONE_HOP).evaluation.flops > 0


def test_frozen_modules_stand_apart():
    found = estimate("srnn-ae", turns=1, schedule="epochs=3", settings=SRNN_AE)
    frozen, rows = found.frozen, {r.objective: r for r in found.objectives}
    assert any("words" in name for name in frozen.modules)
    assert 0 < frozen.flops < rows["sentiment"].flops and frozen.flops == 3 * frozen.flops_once
    assert found.total.flops == sum(r.flops for r in rows.values())


@pytest.mark.slow
def test_a_file_is_counted_as_training_pads_its_batches(tmp_path):
    path = tmp_path / "talks.txt"
    path.write_text(demo_text(seed=3, conversations=400) + "no turns here\n", encoding="utf-8")
    corpus, options = read_corpus(path), {"batch": 8, "settings": SMALL["dmn"]}
    asked = configure(Request("dmn", **options), corpus.dataset)
    spec, config = asked.spec, asked.config
    batches = Batches(spec.training.examples(corpus, config, 0).pools["answer"], 8, 0)
    shapes = taken(batches, batches.per_epoch)
    assert len(shapes) > 2
    by_hand = dict.fromkeys(("flops", "hbm_bytes"), 0)
    for one in shapes:  # every shape compiled, none between two others
        report = profile("dmn", corpus.dataset, phases=("train",), batches={"answer": one.batch}, **options)
        by_hand = {key: value + 2 * one.steps * report["steps"][0]["compiled"][key] for key, value in by_hand.items()}
    found = estimate("dmn", path, "epochs=2", **options)
    (row,) = found.objectives
    assert (row.optimizer_steps, row.epochs) == (2 * batches.per_epoch, 2)
    assert row.flops == pytest.approx(by_hand["flops"], rel=0.01)
    assert row.hbm_bytes == pytest.approx(by_hand["hbm_bytes"], rel=0.05)
    quantile = profile("dmn", corpus.dataset, phases=("train",), **options)
    assert row.flops < 0.9 * row.optimizer_steps * quantile["steps"][0]["compiled"]["flops"]
    assert len(found.dataset.problems) == 1 and "skipped: " in printed(found)


def test_rates_reach_energy_price_and_carbon(monkeypatch):
    _fast(monkeypatch)
    rates = Rates(Site(100.0, 1.5, 360.0, "a test"), {"h100": 3.6})
    found = estimate("dmn", schedule="epochs=1", device="h100", rates=rates, turns=1, settings=ONE_HOP)
    seconds = found.objectives[0].seconds
    assert found.objectives[0].price_usd == pytest.approx(seconds / 1000)
    watts = (0.15 * 700 + 0.9 * 0.85 * 700 + 100) * 1.5  # idle, active, host, building
    assert found.total.energy_j == pytest.approx(watts * seconds)
    assert found.total.carbon_g == pytest.approx(watts * seconds / 3.6e6 * 360)
    text = printed(found)
    assert "3.6 USD an hour, given by the user" in text and "PUE 1.5" in text and "(a test)" in text


def bench_report(report, seconds):
    """What measured_steps reads of a bench report."""
    step = {"phase": "train", "labels": {"objective": "answer", "batch": 16}, "time": {"median_s": seconds}}
    return {
        "kind": "bench-report",
        "model": dict(report["model"]),
        "dataset": {"name": report["dataset"]["name"]},
        "device": {"platform": "cpu", "kind": "cpu", "profile": None},
        "steps": [step],
        "case": {key: report["workload"][key] for key in ("dtype", "precision", "preset")},
    }


@pytest.mark.slow
def test_a_measured_step_stands_beside_the_prediction_and_makes_the_price(monkeypatch):
    _fast(monkeypatch)
    report = profile("dmn", turns=1, phases=["train"], settings=ONE_HOP)
    options = {"turns": 1, "settings": ONE_HOP, "schedule": "epochs=1", "rates": Rates(per_hour_usd={"": 3.6})}
    row = (found := estimate("dmn", measured={"b.json": bench_report(report, 0.01)}, **options)).objectives[0]
    assert row.measured.seconds == pytest.approx(4295 * 0.01) and row.seconds == pytest.approx(4295 * 0.002)
    assert row.price_usd == pytest.approx(4295 * 0.01 / 1000) and found.total.measured_s == row.measured.seconds
    assert "measured" in printed(found) and "b.json" in printed(found)
    for change in (
        ("model", {"name": "mmn", "config": report["model"]["config"]}),
        ("dataset", {"name": "other"}),
        ("device", {"platform": "gpu", "kind": "x", "profile": "h100"}),
        ("steps", []),
    ):
        other = bench_report(report, 0.01) | dict([change])
        with pytest.raises(BadInput, match="legal"):
            estimate("dmn", measured={"b.json": other}, **options)
    other = bench_report(report, 0.01)
    other["steps"][0]["labels"]["batch"] = 32
    with pytest.raises(BadInput, match="batch of answer: 32 was measured, 16 is estimated"):
        estimate("dmn", measured={"b.json": other}, **options)


def test_a_training_report_gives_its_seconds_per_step_and_a_shared_time_is_refused():
    report = profile("dmn", turns=1, phases=["train"], settings=ONE_HOP)
    document = {
        "kind": "training-report",
        "model": report["model"],
        "dataset": {"name": report["dataset"]["name"]},
        "target": {"platform": "cpu", "kind": "cpu", "devices": 1},
        "stages": [{"objectives": ["answer"], "batch": 16}],
        "cost": {"measured": {"training_s": 30.0, "steps": 1500}},
    }
    assert measured_steps(document, "t.json", typed(report))["answer"].seconds_per_step == pytest.approx(0.02)
    document["stages"][0]["objectives"] = ["discriminator", "generator"]
    with pytest.raises(BadInput, match="one time for discriminator, generator together"):
        measured_steps(document, "t.json", typed(report))


@pytest.mark.slow
def test_runs_side_by_side_and_one_that_fails():
    request = Request("dmn", devices=("cpu", "h100"), turns=1, preset="matched")
    found = estimates(RunRequest(request, "epochs=1"), ["dmn", "mmn"])
    assert [(r.model.name, r.target.name) for r in found.runs] == [
        ("dmn", "cpu"),
        ("dmn", "h100"),
        ("mmn", "cpu"),
        ("mmn", "h100"),
    ]
    alone = estimate("mmn", turns=1, preset="matched", schedule="epochs=1")
    assert found.runs[2].whole == alone.whole
    text = printed(found)
    assert all(name in text for name in ("dmn@cpu", "mmn@h100")) and max(map(len, text.splitlines())) <= 140
    failing = estimates(RunRequest(Request("dmn", devices=("cpu", "h1000"), turns=1)), ["dmn"])
    assert "h1000" in failing.runs[1].error and "failed" in printed(failing)


def printed(document):
    text = io.StringIO()
    show(render_estimate(document), text)
    return text.getvalue()
