"""Predicted times of one report on the terminal, and small numbers as text."""

import io

import pytest
from msgspec import convert
from reports import changed, sample

from cr_jax.catalog.load import accelerator
from cr_jax.documents.prediction import KernelTimes
from cr_jax.predict.money.energy import Site
from cr_jax.predict.money.pricing import Rates, costs
from cr_jax.render.cost import render_cost, show
from cr_jax.render.phrases import interval
from cr_jax.units import plain_number, small, time_text


def printed(report):
    text = io.StringIO()
    show(render_cost(report), text)
    return text.getvalue()


def test_a_report_without_times_says_why_once():
    text = printed(sample())
    assert text.count("no predicted time: cpu: no rates are known; crjax calibrate") == 1 and "Predicted time" not in text


def test_the_time_that_rests_on_stated_costs_is_named():
    rows = [
        {"name": "triton flash", "source": "declared", "times": 3, "seconds": 0.001, "bound": "compute"},
        {"name": "scan", "source": "assumed", "times": 1, "seconds": 0.0005, "bound": "memory"},
        {"name": "__cudnn$fmhaSoftmax", "source": "formula", "times": 2, "seconds": 0.002, "bound": "compute"},
    ]
    predicted = {"seconds": 0.01, "low_s": 0.004, "high_s": 0.025, "bound": "compute", "method": "model", "reason": None}
    predicted["kernels"] = convert({"stated_s": 0.0015, "attention_s": 0.002, "rows": rows}, KernelTimes)
    report = changed(sample(device="h100"), {f"steps.*.prediction.{key}": value for key, value in predicted.items()})
    text = " ".join(printed(report).split())
    stated = "1.5 ms (15% of the step) rests on what kernels declare or the user says: triton flash (declared), scan (assumed)"
    assert f"train/answer: {stated}" in text
    assert "2 ms (20% of the step) is cuDNN's attention, at the rate of products" in text


def test_times_energy_price_and_carbon_of_a_report():
    rates = Rates(Site(grid_g_per_kwh=360.0, grid_source="a test"), {"h100": 3.6})
    energy, price = costs(0.004, {"memory": 1.0}, accelerator("h100"), rates)
    predicted = {
        "seconds": 0.004,
        "low_s": 0.001,
        "high_s": 0.01,
        "bound": "memory",
        "method": "peaks",
        "shares": {"memory": 1.0},
        "reason": None,
        "seconds_per_turn": 0.00025,
        "energy": energy,
        "price": price,
    }
    report = changed(sample(device="h100"), {f"steps.*.prediction.{key}": value for key, value in predicted.items()})
    text = printed(report)
    row = next(line for line in text.splitlines() if line.startswith("train/answer") and "memory" in line)
    joules = 0.004 * (105 + 0.6 * 595)
    assert row.split()[1:] == [
        "4",
        "ms",
        "1",
        "to",
        "10",
        "ms",
        "memory",
        "250",
        "µs",
        f"{joules:.3g}",
        "J",
        "0.004",
        f"{1000 * joules / 3.6e6 * 360:.3g}",
    ]
    assert text.count("not validated on this device class") == 1 and "3.6 USD an hour, given by the user" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 s"),
        (2e-9, "2 ns"),
        (4.56e-7, "456 ns"),
        (1.234e-3, "1.23 ms"),
        (0.99999, "1 s"),
        (59.0, "59 s"),
        (90.0, "1.5 min"),
        (7200.0, "2 h"),
        (200_000.0, "2.31 d"),
        (1e-12, "0.001 ns"),
    ],
)
def test_seconds_as_text(seconds, text):
    assert time_text(seconds) == text


def test_small_and_plain_numbers_as_text():
    assert [small(v, "J") for v in (None, 0.0, 0.0123, 1.5, 1234.0)] == ["-", "0 J", "12.3 mJ", "1.5 J", "1.23 kJ"]
    assert [plain_number(v) for v in (None, 0.01234, 12.0, 12345.6)] == ["-", "0.0123", "12", "12,346"]
    assert interval(1e-4, 2e-4) == "100 to 200 µs" and interval(1e-4, 2e-3) == "100 µs to 2 ms" and interval(None, 1) == "-"
