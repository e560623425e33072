"""``cr_jax.analyze``: the cost of a function from Python."""

import jax
import jax.numpy as jnp
import pytest

import cr_jax
from cr_jax.documents.base import plain
from cr_jax.report.document import read_report
from cr_jax.targets import overlay

X = jax.ShapeDtypeStruct((32, 64), jnp.float32)
PARAMS = {"first": jax.ShapeDtypeStruct((64, 128), jnp.float32), "second": jax.ShapeDtypeStruct((128, 8), jnp.float32)}
#: Multiply-adds of the two layers, two operations each.
MATMUL = 2 * 32 * (64 * 128 + 128 * 8)


def layers(params, x):
    with jax.named_scope("first"):
        x = jnp.tanh(x @ params["first"])
    with jax.named_scope("second"):
        return x @ params["second"]


@pytest.fixture(scope="module")
def analysis():
    return cr_jax.analyze(layers, PARAMS, X, batch="x")


def test_the_figures_have_names_a_person_can_read(analysis):
    assert analysis.matmul_flops == MATMUL and analysis.flops >= MATMUL
    assert analysis.bound == "exact"
    assert analysis.parameters == 64 * 128 + 128 * 8
    assert analysis.peak_bytes >= 4 * (32 * 64 + 64 * 128 + 128 * 8 + 32 * 8)
    assert {row.path: row.matmul_flops for row in analysis.modules if row.matmul_flops} == {
        "first": 2 * 32 * 64 * 128,
        "second": 2 * 32 * 128 * 8,
    }
    assert analysis.modules[0].path == "first"


def test_no_time_has_a_reason(analysis):
    assert analysis.seconds is None and analysis.interval is None
    assert "crjax calibrate" in analysis.reason
    assert all(row.seconds is None for row in analysis.modules)


def test_the_report_is_saved_and_read_again(analysis, tmp_path):
    analysis.save(tmp_path / "report.json")
    assert plain(read_report(tmp_path / "report.json")) == analysis.as_dict()
    assert (tmp_path / "report.json").read_text() == analysis.to_json()
    assert analysis.as_dict()["kind"] == "cost-report"
    assert analysis.get("peak_bytes") == analysis.peak_bytes


def test_it_shows_itself(analysis):
    assert "One call" in str(analysis)
    assert analysis._repr_html_().startswith("<pre") and "layers" in analysis._repr_html_()


def test_names_of_functions_are_shown_as_text():
    hostile = cr_jax.analyze(lambda x: x + 1, X, name="[red]<script>\x1b[31m")
    assert "<script>" not in hostile._repr_html_() and "\x1b" not in str(hostile)
    assert "[red]" in str(hostile)


def test_notes_on_types_are_shown():
    narrowed = cr_jax.analyze(lambda x: x + 1, jax.ShapeDtypeStruct((2,), jnp.float64))
    assert narrowed.report.function.notes[0] in str(narrowed)
    assert "lambda at test_analysis.py:" in str(narrowed)


def test_several_devices_give_a_list():
    both = cr_jax.analyze(layers, PARAMS, X, device=("cpu", "cpu"))
    assert [one.matmul_flops for one in both] == [MATMUL, MATMUL]


def test_gradients_of_a_scan_are_multiplied_by_its_length():
    def loss(kernel, x):
        carry, _ = jax.lax.scan(lambda carry, _: (jnp.tanh(carry @ kernel), None), x, length=10)
        return carry.sum()

    found = cr_jax.analyze(
        jax.grad(loss), jax.ShapeDtypeStruct((16, 16), jnp.float32), jax.ShapeDtypeStruct((4, 16), jnp.float32)
    )
    # Forward, gradient by the carry and by the kernel in each step; the first carry needs none.
    assert found.matmul_flops in (10 * 3 * 2 * 4 * 16 * 16, (10 * 3 - 1) * 2 * 4 * 16 * 16)
    assert found.bound == "exact"


def test_what_is_wrong_is_raised():
    with pytest.raises(cr_jax.CrJaxError, match="unknown device 'h1000'"):
        cr_jax.analyze(layers, PARAMS, X, device="h1000")
    with pytest.raises(cr_jax.CrJaxError, match="missing 1 required positional argument"):
        cr_jax.analyze(layers, PARAMS)
    with pytest.raises(cr_jax.CrJaxError, match="kernel of unknown cost"):
        cr_jax.analyze(layers, PARAMS, X, kernels={"flash": (1, 2)})


@pytest.mark.slow
@pytest.mark.parametrize("device", ["h100", "tpu-v5e"])
def test_for_devices_that_are_not_there(device, analysis):
    if overlay.find("tpu" if "tpu" in device else "gpu") is None:
        pytest.skip(f"no compiler for {device} here")
    found = cr_jax.analyze(jax.jit(layers), PARAMS, X, device=device)
    assert found.matmul_flops == MATMUL and found.bound == "exact"
    assert found.seconds > 0 and found.interval[0] <= found.seconds <= found.interval[1]
    assert {row.path for row in found.modules if row.matmul_flops} == {"first", "second"}
    outside = found.report.steps[0].prediction.outside_modules
    assert sum(row.seconds for row in found.modules) + sum(outside.values()) == pytest.approx(found.seconds, rel=1e-12)
    assert max(row.seconds for row in found.modules) > 0


@pytest.mark.slow
def test_a_mesh_shares_the_products_of_a_batch():
    found = cr_jax.analyze(layers, PARAMS, X, batch="x", mesh={"data": 4})
    assert 4 * found.matmul_flops == MATMUL
    assert found.report.target.devices == 4
