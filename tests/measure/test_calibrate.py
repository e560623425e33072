"""Calibration: the points, the block they become, and what is refused before a minute is spent."""

import json
import os
from types import SimpleNamespace

import pytest
from msgspec import structs
from typer.testing import CliRunner

from cr_jax.catalog import load
from cr_jax.cli.main import app
from cr_jax.cost.operations.operation_list import operations
from cr_jax.documents.calibration import Canary
from cr_jax.documents.check import check
from cr_jax.errors import CrJaxError
from cr_jax.measure import calibrate, calibration_cases
from cr_jax.predict.cpu.calibration_tables import Tables
from cr_jax.predict.program_time import predict
from cr_jax.resources import shipped_profile

VALIDATED = json.loads(shipped_profile("accelerators", "cpu").read_text())["validated_on"]


def block(seconds=1e-3, canary=1.1):
    """The block of a machine on which every program takes ``seconds``, the pass before half as long again, and the
    canary's second run ``canary`` times its first."""
    ready = [calibrate._Ready(p, lambda: None, [seconds * 1.5, seconds, seconds * 0.9]) for p in calibrate.all_points()]
    return calibrate._block(ready, [seconds, seconds * canary], 3, 60.0, SimpleNamespace(device_kind="cpu"), "median")


def test_no_point_is_measured_twice():
    seen = [
        json.dumps(p.facts, sort_keys=True) + p.table
        for p in calibration_cases.overhead_points()
        + calibration_cases.stream_points()
        + calibration_cases.fresh_points()
        + calibration_cases.gather_points()
        + calibration_cases.element_points()
    ]
    assert len(seen) == len(set(seen))
    grid = [p.facts for p in calibration_cases.matmul_points() if p.facts["kind"] == "nn" and p.facts["batch"] == 1]
    assert {f["m"] for f in grid} >= set(calibration_cases.ROWS)


def test_the_medians_of_the_passes_are_kept_with_their_spread():
    found = block()
    assert found.fit.median_spread == pytest.approx(1.25 - 0.95)
    assert found.canary.spread == pytest.approx(0.05 / 1.05)
    row = next(r for r in found.tables.matmul if (r.m, r.n, r.k) == (1024, 256, 1024))
    call = found.overheads["call_s"]
    assert row.flops_per_s == pytest.approx(2 * 1024 * 256 * 1024 / max(1e-3 - call, 1e-4))


def test_a_single_pass_is_not_apart_from_anything():
    ready = [calibrate._Ready(p, lambda: None, [1e-3]) for p in calibrate.all_points()]
    found = calibrate._block(ready, [1e-3, 1e-3], 1, 9.0, SimpleNamespace(device_kind="cpu"), "median")
    assert found.fit.median_spread == found.canary.spread == 0.0


def test_overheads_are_found_again_in_the_times_they_make():
    known = {
        "call_s": 8.0,
        "argument_s": 0.2,
        "donated_s": 0.9,
        "operation_s": 0.1,
        "product_s": 0.45,
        "iteration_s": 0.05,
        "loop_s": 2.0,
        "base_s": 1.0,
        "hand_off_s": 10.0,
        "straight_s": 0.4,
        "cold_straight_s": 1.5,
    }
    k = {name.removesuffix("_s"): value for name, value in known.items()}
    loops, pair = calibration_cases.LOOPS, k["product"] + k["operation"]
    turn = 2 * k["product"] + k["iteration"]  # of a loop with one product, and the tiny one beside it
    seconds = {
        "call": k["call"],
        "call_40_arguments": k["call"] + 39 * k["argument"],
        "call_40_donated": k["call"] + 39 * k["argument"] + 40 * (k["donated"] + k["operation"]),
        "products_1": k["call"] + loops * turn,
        "products_9": k["call"] + loops * (turn + 8 * k["product"]),
        "pairs_9": k["call"] + loops * (turn + 8 * k["product"] + 9 * k["operation"]),
        "straight_9": k["call"] + k["hand_off"] + 9 * (pair + 2 * k["straight"]),
        "straight_40": k["call"] + k["hand_off"] + 40 * (pair + 2 * k["straight"]),
        "cold_40": 900.0 + 40 * (pair + 2 * k["cold_straight"]),
        "cold_320": 900.0 + 320 * (pair + 2 * k["cold_straight"]),
        "base": k["call"] + loops * k["base"],
        "loop_of_one": k["call"] + k["hand_off"] + k["loop"] + turn,
    }
    assert calibrate._overheads(seconds) == pytest.approx(known)


def test_the_block_is_a_valid_profile_that_the_predictor_reads():
    base = json.loads(shipped_profile("accelerators", "cpu").read_text())
    document = calibrate.profile(block(), "mine", base)
    check(document, "accelerator-profile", "a test")
    tables = Tables(block())
    needed = {
        "arithmetic",
        "transcendental",
        "narrow_tanh",
        "root",
        "scalar_transcendental",
        "scalar_arithmetic",
        "argmax",
        "reduce_minor",
        "reduce_major",
        "sum_minor",
        "sum_major",
        "library_reduce",
        "library_reduce_single",
        "transpose",
        "top_k",
        "scatter",
        "convolution",
        "cold_product_byte",
        "cold_vector_byte",
        "page_fault",
    }
    assert set(tables.element) == needed
    assert tables.row_s(1 << 20, 128) > 0


@pytest.mark.parametrize("what", ["scalar_transcendental", "library_reduce_single", "top_k"])
def test_a_point_compiles_and_runs_more_than_once(what):
    point = next(p for p in calibration_cases.element_points() if p.facts["what"] == what)
    ready = calibrate._prepare(point)
    assert calibrate._measure(ready, 0.0, min) > 0  # four calls


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--limit", "0"], "above 0"), (["--statistic", "mean"], "legal: fastest, median"), (["--out", "No Name"], "No Name")],
)
def test_misuse_is_refused_before_anything_is_measured(arguments, said, monkeypatch):
    monkeypatch.setattr(calibrate, "calibrate", lambda *a, **k: pytest.fail("measured"))
    result = CliRunner().invoke(app, ["calibrate", *arguments])
    assert isinstance(result.exception, CrJaxError)
    assert said in str(result.exception)


def alone(monkeypatch, folder, found):
    """``crjax calibrate`` on a machine whose measuring gives ``found``; where the profile goes."""
    monkeypatch.setenv("CRJAX_PROFILES", str(folder))
    monkeypatch.setattr(calibrate, "calibrate", lambda *a, **k: found)
    return folder / "accelerators" / "mine.json"


def test_a_disturbed_calibration_is_not_kept_and_the_one_before_stays(monkeypatch, tmp_path):
    place = alone(monkeypatch, tmp_path, block())
    assert CliRunner().invoke(app, ["calibrate", "--out", "mine"]).exit_code == 0
    before = place.read_bytes()
    alone(monkeypatch, tmp_path, block(canary=2.0))
    result = CliRunner().invoke(app, ["calibrate", "--out", "mine"])
    assert isinstance(result.exception, CrJaxError)
    assert "spread by 33%, more than 15%" in str(result.exception) and "--keep-unreliable" in str(result.exception)
    assert place.read_bytes() == before


@pytest.mark.parametrize("wrong", [{"canary": Canary(what="", seconds=(), spread=0.2)}, {"passes": 1}])
def test_predictions_by_an_unreliable_calibration_are_not_validated(monkeypatch, tmp_path, wrong):
    hlo = (
        "HloModule m\n\nENTRY e {\n  p = f32[64,64]{1,0} parameter(0)\n  ROOT d = f32[64,64]{1,0} dot(p, p), "
        "lhs_contracting_dims={1}, rhs_contracting_dims={0}\n}\n"
    )
    place = alone(monkeypatch, tmp_path, block())
    assert CliRunner().invoke(app, ["calibrate", "--out", "mine"]).exit_code == 0
    good = predict(operations(hlo), load.accelerator("mine"), "default", "float32")
    assert good.coverage == 0.9 and not isinstance(good.validated_on, str)

    alone(monkeypatch, tmp_path, structs.replace(block(), **wrong))
    result = CliRunner().invoke(app, ["calibrate", "--out", "mine", "--keep-unreliable"])
    assert result.exit_code == 0 and "not validated" in result.stderr
    assert json.loads(place.read_text())["validated_on"] == []
    kept = [place.read_text(), json.dumps(json.loads(place.read_text()) | {"validated_on": VALIDATED})]
    for text in kept:  # the second: as a version before kept it
        place.write_text(text)
        found = predict(operations(hlo), load.accelerator("mine"), "default", "float32")
        assert found.validated_on == "not validated on this device class" and found.coverage is None
        assert found.seconds == good.seconds
        assert found.low_s < good.low_s and found.high_s > good.high_s


@pytest.mark.parametrize("harm", ["file", "read-only", "folder", "long", "no home"])
def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_measured(monkeypatch, tmp_path, harm):
    monkeypatch.setattr(calibrate, "calibrate", lambda *a, **k: pytest.fail("measured"))
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    name = "mine"
    if harm == "file":
        (tmp_path / "accelerators").write_text("")
    elif harm == "read-only":
        (tmp_path / "accelerators").mkdir(mode=0o500)
        if os.access(tmp_path / "accelerators", os.W_OK):  # root's writing is refused by nothing
            monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: os.listdir(tmp_path / "not there"))
    elif harm == "folder":
        (tmp_path / "accelerators" / "mine.json").mkdir(parents=True)
    elif harm == "long":
        name = "m" * 5000
    else:
        monkeypatch.delenv("CRJAX_PROFILES")
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    result = CliRunner().invoke(app, ["calibrate", "--out", name])
    assert isinstance(result.exception, CrJaxError), result.exception
    assert "legal" in str(result.exception)
