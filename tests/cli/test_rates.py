"""Price, grid and capacity on the real command line: one-line refusals, and what reaches the reports."""

import json

import pytest
from reports import changed, only, sample

from cr_jax.predict.money.pricing import Rates
from cr_jax.profiling import pipeline
from cr_jax.report.document import to_json, validate

BAD = (
    ["--price-per-hour", "dear"],
    ["--price-per-hour", "l4=1"],
    ["--pue", "0.5"],
    ["--host-w", "-1"],
    ["--grid-g-per-kwh", "300"],
    ["--grid-source", "somewhere"],
)


@pytest.mark.parametrize("command", ["profile", "compare", "estimate"])
@pytest.mark.parametrize("options", BAD)
def test_bad_rates_are_one_line(crjax, command, options):
    code, out, err = crjax(command, "--model", "dmn", *options)
    assert (code, out, err.count("\n")) == (2, "", 1), err


@pytest.mark.parametrize(
    "options",
    [
        ["--turns-per-second", "0", "--p95-ms", "100"],
        ["--turns-per-second", "200", "--p95-ms", "-5"],
        ["--turns-per-second", "200"],
        ["--p95-ms", "100"],
        ["--turns-per-second", "200", "--p95-ms", "100", "--phase", "train"],
    ],
)
def test_bad_capacities_are_one_line(crjax, options, tmp_path):
    code, out, err = crjax("compare", "--model", "dmn", *options)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    (tmp_path / "a.json").write_text(to_json(sample()))
    code, out, err = crjax("compare", tmp_path / "a.json", "--turns-per-second", "200", "--p95-ms", "100")
    assert (code, out, err.count("\n")) == (2, "", 1) and "--model" in err


def test_rates_reach_the_profile(crjax, monkeypatch):
    asked = []
    monkeypatch.setattr(pipeline, "profile", lambda request, options, *_: asked.append(options.rates) or sample())
    code, _, _ = crjax(
        "profile",
        "--model",
        "dmn",
        "--price-per-hour",
        "2.5",
        "--pue",
        "1.1",
        "--grid-g-per-kwh",
        "300",
        "--grid-source",
        "a test",
        "--json",
    )
    assert code == 0 and isinstance(asked[0], Rates) and asked[0].hourly("cpu") == 2.5 and asked[0].site.pue == 1.1


def test_capacity_profiles_the_last_turn_at_growing_sizes(crjax, monkeypatch):
    asked = []

    def devices(request, *_):
        asked.append((request.turns_compiled, request.users, request.devices, request.phases))
        seconds = 0.001 * (0.9 + 0.1 * request.users)
        predicted = {
            "seconds": seconds,
            "low_s": seconds / 2,
            "high_s": 2 * seconds,
            "method": "peaks",
            "bound": "overhead",
            "shares": {"overhead": 1.0},
            "reason": None,
        }
        changes = {f"steps.*.prediction.{key}": value for key, value in predicted.items()}
        found = [sample(request.model, device) for device in request.devices]
        if request.turns_compiled == "last":
            found = [only(report, lambda one: one.name == "infer/incremental/t1") for report in found]
            changes["steps.*.labels.users"] = request.users
        return [changed(report, changes) for report in found]

    sample()  # counted before profiling is replaced
    monkeypatch.setattr(pipeline, "profile_devices", devices)
    code, out, _ = crjax(
        "compare",
        "--model",
        "dmn",
        "--device",
        "h100,l4",
        "--turns-per-second",
        "2000",
        "--p95-ms",
        "20",
        "--price-per-hour",
        "h100=2,l4=1",
        "--json",
    )
    document = json.loads(out)
    assert code == 0 and validate(document, "x") == "comparison"
    assert asked[0][0] == "ends"
    assert asked[1:] == [("last", users, ("h100", "l4"), ("infer",)) for users in (1, 2, 4, 8)]
    rows = document["capacity"]["rows"]
    assert [row["devices"] for row in rows] == [1, 1] and rows[0]["users"] == 8
    assert [row["price_usd_per_month"] for row in rows] == pytest.approx([1460.0, 730.0])
    code, out, _ = crjax("compare", "--model", "dmn", "--device", "h100", "--turns-per-second", "2000", "--p95-ms", "1.5")
    assert code == 0 and "even one user at once takes up to 2 ms (predicted 1 ms)" in " ".join(out.split())


def test_time_of_check_is_misuse_or_not_comparable(crjax, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "profile", lambda *_, **__: sample())
    baseline = tmp_path / "a.json"
    baseline.write_text(to_json(sample()))
    code, out, err = crjax("check", "--baseline", baseline, "--time", "-1")
    assert (code, out, err.count("\n")) == (2, "", 1)
    code, out, err = crjax("check", "--baseline", baseline, "--time", "5")
    assert (code, out) == (3, "") and "--keep-programs" in err


def test_misuse_of_estimate(crjax, tmp_path):
    (tmp_path / "a.json").write_text(to_json(sample()))
    for arguments in (
        ["--model", "dmn,"],
        ["--model", "dmm"],
        ["--model", "dmn,mmn", "--set", "hops=1"],
        ["--model", "dmn", "--schedule", "equal-turns=0"],
        ["--model", "dmn", "--measured", tmp_path / "a.json"],
        ["--model", "dmn", "--measured", tmp_path / "none.json"],
    ):
        code, out, err = crjax("estimate", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), arguments
