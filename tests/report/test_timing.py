"""Predicted times side by side: per turn and per price by hand, ties, reasons told once, capacity."""

import csv
import io

import pytest
from msgspec import structs
from reports import changed, only, sample, second_objective, step, without_predictions

from cr_jax.catalog.load import accelerator
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.predict.money.energy import Site, energy
from cr_jax.predict.money.pricing import Rates, costs, read_rates
from cr_jax.predict.serving_queue import smallest_fleet
from cr_jax.render import compare as rendering
from cr_jax.render.comparison_csv import as_csv
from cr_jax.report import capacity
from cr_jax.report.compare import Cell, compare, saved
from cr_jax.report.document import validate

SHARES = {"compute": 0.2, "memory": 0.3, "overhead": 0.5}
NOWHERE = "not validated on this device class"


def timed(report, seconds, factor=2.0, device="h100", rates=Rates()):
    """The report with every step predicted at ``seconds``, the interval ``factor`` either way."""
    energy_used, price = costs(seconds, SHARES, accelerator(device), rates)
    predicted = {
        "seconds": seconds,
        "low_s": seconds / factor,
        "high_s": seconds * factor,
        "bound": "overhead",
        "shares": SHARES,
        "method": "peaks",
        "reason": None,
        "validated_on": NOWHERE,
        "energy": energy_used,
        "price": price,
    }
    return changed(report, {f"steps.*.prediction.{key}": value for key, value in predicted.items()})


def document(*reports, rates=Rates()):
    found = compare([saved(report, "x") for report in reports], "0", rates=rates)
    validate(found, "comparison")
    return found


def time_of(row, name):
    return next(p for p in row.programs if p.program == name).time


def test_times_energy_price_and_carbon_by_hand():
    rates = Rates(Site(50.0, 1.2, 400.0, "a test"), {"h100": 3.6})
    report = timed(sample(device="h100"), 0.004)
    turns = step(report).labels.batch * step(report).labels.supervised_turns_per_example
    found = time_of(document(report, rates=rates).rows[0], "train/answer")
    assert found.seconds_per_turn == pytest.approx(0.004 / turns)
    assert found.price_usd_per_unit == pytest.approx(0.004 / 3600 * 3.6 / turns * 1e6)
    joules = energy(0.004, SHARES, accelerator("h100"), rates.site).energy_j
    assert found.energy_j_per_turn == pytest.approx(joules / turns)
    assert found.carbon_g_per_unit == pytest.approx(joules / turns * 1e6 / 3.6e6 * 400)
    steps = document(timed(second_objective(sample()), 0.004), rates=Rates(per_hour_usd={"": 3.6})).rows[0]
    other = time_of(steps, "train/other")  # supervises no turns
    assert (other.unit, other.price_usd_per_unit) == ("1000 steps", pytest.approx(0.004))


def test_overlapping_intervals_are_a_tie_with_the_fastest():
    rows = document(timed(sample("a"), 0.001), timed(sample("b"), 0.0039), timed(sample("c"), 0.0041)).rows
    found = [time_of(row, "infer/incremental/last") for row in rows]
    assert [one.standing for one in found] == ["tie", "tie", "slower"]
    assert found[2].times_fastest == pytest.approx(4.1)
    rows = document(timed(sample("a"), 0.001), timed(sample("c"), 0.0041)).rows
    assert [time_of(row, "infer/replay/first").standing for row in rows] == ["fastest", "slower"]
    assert time_of(document(timed(sample(), 1.0)).rows[0], "infer/replay/first").standing is None


def test_objectives_of_several_stand_against_their_own_only():
    rows = document(timed(second_objective(sample("a")), 0.001), timed(sample("b"), 0.1)).rows
    assert time_of(rows[0], "train/answer").standing is None
    rows = document(timed(second_objective(sample("a")), 0.001), timed(second_objective(sample("a", "h100")), 0.1)).rows
    assert [time_of(row, "train/other").standing for row in rows] == ["fastest", "slower"]


def test_what_holds_for_all_is_told_once_and_the_tables_stay_narrow():
    rates = Rates(Site(grid_g_per_kwh=400.0, grid_source="a test"), {"h100": 3.0, "l4": 0.8})
    rows = [timed(sample("dmn", "h100"), 0.00612), timed(sample("srnn-ae", "l4"), 0.012, device="l4"), sample("mmn")]
    text = rendering.as_text(document(*rows, rates=rates))
    assert text.count(NOWHERE) == 1 and text.count("crjax calibrate") == 1
    assert text.count("given by the user") == 2 and "(a test)" in " ".join(text.split())
    lines = text[text.index("Predicted time") :].splitlines()
    assert max(map(len, lines)) <= 120
    row = next(line for line in lines if line.startswith("mmn@cpu"))
    assert "-" in row.split() and "unknown" not in row
    for form in (rendering.as_markdown, rendering.as_latex):
        assert form(document(*rows, rates=rates)).count(NOWHERE) == 1
    written = list(csv.DictReader(io.StringIO(as_csv(document(*rows)))))
    assert float(written[0]["time_seconds"]) == 0.00612 and written[0]["time_validated"] == "no"
    assert written[-1]["time_seconds"] == "" and "crjax calibrate" in written[-1]["time_reason"]


def test_a_report_without_predictions_says_so():
    assert "no prediction" in time_of(document(without_predictions(sample())).rows[0], "train/answer").reason


@pytest.mark.parametrize(
    "options",
    [
        ("x", None, None, None, None),
        ("-1", None, None, None, None),
        ("nan", None, None, None, None),
        ("2,3", None, None, None, None),
        ("=2", None, None, None, None),
        ("2", None, None, None, None),
        (None, 0.9, None, None, None),
        (None, None, -1.0, None, None),
        (None, None, None, 400.0, None),
        (None, None, None, 400.0, " "),
        (None, None, None, None, "somewhere"),
        (None, None, None, -4.0, "somewhere"),
    ],
)
def test_rates_that_are_refused(options):
    with pytest.raises((BadConfig, UnknownName), match="legal"):
        read_rates(*options, ["h100", "l4"])


def test_prices_by_device():
    rates = read_rates("h100=2,l4=0.5", 1.1, 20.0, 300.0, "a test", ["h100", "l4", "cpu"])
    assert [rates.hourly(d) for d in ("h100", "l4", "cpu")] == [2.0, 0.5, None]
    assert rates.site == Site(20.0, 1.1, 300.0, "a test") and rates.given
    assert read_rates("2", None, None, None, None, ["h100"]).hourly("h100") == 2.0
    assert not read_rates(None, None, None, None, None, ["h100"]).given
    with pytest.raises(UnknownName, match="gpu"):
        read_rates("gpu=2", None, None, None, None, ["gpu", "l4"])


def last_turn(users, seconds, peak=1000):
    report = only(sample(device="h100"), lambda one: one.name == "infer/incremental/t1")
    return timed(changed(report, {"steps.*.labels.users": users, "steps.*.memory.peak_bytes": peak}), seconds)


def searched(times, rate=1000.0, p95=0.1, **options):
    search = capacity.Search("m@h100", "h100", capacity.Target(rate, p95))
    while search.next is not None:
        search.add(last_turn(search.next, times(search.next), **options))
    return search


def test_capacity_takes_the_size_with_the_fewest_devices():
    search = searched(lambda users: 0.010 + 0.0002 * users)
    row = search.row(Rates(per_hour_usd={"h100": 2.0}))
    by_size = {users: smallest_fleet(1000.0, users, 2 * (0.010 + 0.0002 * users), 0.1) for users in (1, 2, 4, 8, 16, 32, 64)}
    fewest = min(fleet.devices for fleet in by_size.values() if fleet is not None)
    assert row.devices == fewest == min(t.devices for t in row.tried if t.devices)
    assert row.status == "met" and row.p95_s <= 0.1
    assert row.service_s == pytest.approx(2 * (0.010 + 0.0002 * row.users))
    assert row.price_usd_per_month == pytest.approx(row.devices * 2.0 * 730)
    assert row.users == min(users for users, fleet in by_size.items() if fleet is not None and fleet.devices == fewest)


def test_one_device_that_is_enough_ends_the_search():
    assert [t.users for t in searched(lambda users: 1e-4).tried] == [1]


def test_what_cannot_be_met_says_why():
    slow = searched(lambda users: 0.07).row(Rates())
    assert slow.status == "not met" and "even one user at once takes up to 140 ms" in slow.reason
    large = searched(lambda users: 0.001, peak=10**15).row(Rates())
    assert large.status == "not met" and "more than the device has" in large.reason
    search = capacity.Search("m@cpu", "cpu", capacity.Target(1.0, 0.1))
    search.add(only(sample(), lambda one: one.name == "infer/incremental/t1"))
    assert search.row(Rates()).status == "unknown" and "calibrate" in search.row(Rates()).reason


def test_capacity_in_the_document_and_its_table():
    found = compare([Cell("m", "h100", timed(sample("m", "h100"), 0.01))], "0")
    rows = [searched(lambda users: 0.010 + 0.0002 * users), searched(lambda users: 0.07)]
    block = capacity.capacity(rows, capacity.Target(1000.0, 0.1), Rates(per_hour_usd={"h100": 2.0}))
    found = structs.replace(found, capacity=block)
    validate(found, "comparison")
    text = rendering.as_text(found)
    assert "Answering 1000 turns/s, 95% within 100 ms" in text and "USD/month" in text and "even one user" in text
    assert "Bailey 1954" in rendering.as_markdown(found)


@pytest.mark.parametrize("question", [(200.0, None), (None, 100.0), (0.0, 100.0), (200.0, -1.0), (200.0, float("nan"))])
def test_half_a_question_and_bad_numbers_are_refused(question):
    with pytest.raises(BadConfig, match="legal"):
        capacity.target(*question, ("infer",), True)


def test_a_capacity_needs_the_infer_phase_and_a_model():
    with pytest.raises(BadConfig, match="phase infer"):
        capacity.target(200.0, 100.0, ("train",), True)
    with pytest.raises(BadConfig, match="--model"):
        capacity.target(200.0, 100.0, ("infer",), False)
    assert not capacity.target(None, None, ("train",), False)
