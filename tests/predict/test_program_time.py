"""Predicted times, worked out by hand from round tables and peaks."""

import dataclasses
import json

import pytest
from msgspec import convert
from round_tables import BANDWIDTH, RATE, calibration, typed

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.load import accelerator, load_accelerator
from cr_jax.cost.operations.operation_list import operations
from cr_jax.cost.operations.products import Product
from cr_jax.documents.base import plain
from cr_jax.documents.calibration import Validation
from cr_jax.errors import BadInput
from cr_jax.predict import program_time
from cr_jax.predict.cpu.calibration_tables import Curve, MatmulRates, Tables
from cr_jax.resources import shipped_profile

MICRO = 1e-6
DOT = """HloModule m

ENTRY e {
  a = f32[64,256]{1,0} parameter(0)
  b = f32[256,64]{1,0} parameter(1)
  ROOT d = f32[64,64]{1,0} dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""
FLOPS = 2 * 64 * 64 * 256
COPY = """HloModule m

ENTRY e {
  a = f32[1000000]{0} parameter(0)
  ROOT c = f32[1000000]{0} copy(a)
}
"""


def host(**changes) -> Accelerator:
    return dataclasses.replace(accelerator("cpu"), calibration=typed(calibration(**changes)))


def predict(text: str, device: Accelerator, **options):
    return program_time.predict(operations(text), device, "default", "float32", **options)


def test_a_product_takes_its_rate_and_the_call():
    found = predict(DOT, host())
    assert found.seconds == pytest.approx(FLOPS / RATE + (1 + 2) * MICRO)  # the call and two arguments
    assert (found.bound, found.method) == ("compute", "calibrated")
    assert sum(found.shares.values()) == pytest.approx(1)


def test_a_copy_takes_its_bytes_over_the_bandwidth_and_an_operation():
    found = predict(COPY, host())
    assert found.seconds == pytest.approx(8e6 / BANDWIDTH + (1 + 1 + 1) * MICRO)
    assert found.bound == "memory"


def test_fresh_buffers_over_32_mb_cost_pages_smaller_ones_do_not():
    text = COPY.replace("1000000", "10000000")
    plain, paged = predict(COPY, host()), predict(text, host())
    assert plain.extras["page faults"] == 0
    assert paged.extras["page faults"] == pytest.approx(40e6 * 1e-9)
    assert predict(COPY, host(), temp_bytes=10**8).extras["page faults"] == pytest.approx(0.1)
    assert predict(COPY, host(), temp_bytes=10**7).extras["page faults"] == 0


def test_a_product_reads_cold_weights_at_their_own_rate():
    text = DOT.replace("64,256", "1,8192").replace("256,64", "8192,2048").replace("64,64", "1,2048")
    block = calibration()
    block["elements_s"]["cold_vector_byte"] = 1e-7  # far dearer than the arithmetic
    found = predict(text, dataclasses.replace(accelerator("cpu"), calibration=typed(block)))
    weights, row = 4 * 8192 * 2048, 4 * 8192
    assert found.bound == "memory"
    assert found.seconds == pytest.approx((weights + row) * 1e-7 + 4 * 2048 / BANDWIDTH + 3 * MICRO)


def test_a_product_of_many_rows_fetches_cold_weights_before_it_multiplies():
    text = DOT.replace("64,256", "64,8192").replace("256,64", "8192,2048").replace("64,64", "64,2048")
    found = predict(text, host())
    weights, flops = 4 * 8192 * 2048, 2 * 64 * 8192 * 2048
    assert found.bound == "compute"
    assert found.seconds == pytest.approx(flops / RATE + weights / BANDWIDTH + 3 * MICRO)


def test_a_byte_written_elsewhere_takes_what_two_at_the_fresh_rate_leave():
    block = calibration()
    block["tables"]["fresh"][0]["bytes_per_s"] = BANDWIDTH / 2
    found = predict(COPY, dataclasses.replace(accelerator("cpu"), calibration=typed(block)))
    assert found.seconds == pytest.approx(4e6 / BANDWIDTH + 3 * 4e6 / BANDWIDTH + 3 * MICRO)


def test_short_rows_of_tanhs_have_a_rate_of_their_own():
    text = COPY.replace("f32[1000000]{0} copy(a)", "f32[1000000]{0} tanh(a)")
    block = calibration()
    block["elements_s"]["narrow_tanh"] = 1e-6
    device = dataclasses.replace(accelerator("cpu"), calibration=typed(block))
    assert predict(text, device).seconds == pytest.approx(1e6 * 1e-9 + 3 * MICRO)
    short = text.replace("f32[1000000]{0}", "f32[31250,32]{1,0}")
    assert predict(short, device).seconds == pytest.approx(1e6 * 1e-6 + 3 * MICRO)
    summed = """HloModule m

f {
  p = f32[31250,32]{1,0} parameter(0)
  s = f32[31250,32]{1,0} add(p, p)
  ROOT t = f32[31250,32]{1,0} tanh(s)
}

ENTRY e {
  a = f32[31250,32]{1,0} parameter(0)
  ROOT r = f32[31250,32]{1,0} fusion(a), kind=kLoop, calls=f
}
"""
    block["elements_s"]["arithmetic"] = 1e-3  # the sum under a tanh is in its rate
    assert predict(summed, device).seconds == pytest.approx(1e6 * 1e-6 + 3 * MICRO)


def test_a_program_for_the_threads_is_handed_over():
    lines = [f"  x{n} = f32[256]{{0}} {'parameter(0)' if n == 0 else f'copy(x{n - 1})'}" for n in range(11)]
    text = "HloModule m\n\nENTRY e {\n" + "\n".join([*lines[:-1], "  ROOT" + lines[-1][1:]]) + "\n}\n"
    assert predict(text, host()).extras["hand-off"] == pytest.approx((1 + 10) * MICRO)  # once, and each of 10 copies
    assert predict(text.replace("256", "128"), host()).extras["hand-off"] == 0  # 512 bytes
    assert predict(COPY, host()).extras["hand-off"] == 0


def test_without_rates_there_is_no_time_and_a_reason():
    found = predict(DOT, accelerator("cpu"))
    assert found.seconds is None and "crjax calibrate" in (found.reason or "")
    h100 = accelerator("h100")
    unknown = dataclasses.replace(h100, matmul_flops_per_s=h100.matmul_flops_per_s | {"tf32": None})
    found = predict(DOT, unknown)
    assert found.seconds is None and "tf32" in (found.reason or "")
    found = predict(DOT, dataclasses.replace(h100, memory_bandwidth_bytes_per_s=None))
    assert found.seconds is None and "bandwidth" in (found.reason or "")


def test_an_unknown_trip_count_gives_no_time():
    text = """HloModule m

body {
  s = (s32[], s32[]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] get-tuple-element(s), index=1
  j = s32[] multiply(i, i)
  ROOT t = (s32[], s32[]) tuple(j, n)
}

test {
  s = (s32[], s32[]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] get-tuple-element(s), index=1
  ROOT c = pred[] compare(i, n), direction=LT
}

ENTRY e {
  s = (s32[], s32[]) parameter(0)
  ROOT w = (s32[], s32[]) while(s), condition=test, body=body
}
"""
    found = predict(text, host())
    assert found.seconds is None and "trip count of w" in (found.reason or "")


def test_a_validated_method_gives_a_covered_interval_and_overlap_is_a_tie():
    about = {
        "devices": ["a test"],
        "method": "calibrated",
        "n": 30,
        "median_error": 0.1,
        "p90_error": 0.25,
        "worst_error": 0.4,
        "ratio_low": 0.8,
        "ratio_high": 1.25,
        "source": "a test",
        "date": "2026",
    }
    device = dataclasses.replace(
        host(), validated_on=convert([about | {"method": "replay", "ratio_low": 0.9}, about], tuple[Validation, ...])
    )
    a, b = predict(DOT, device), predict(DOT.replace("64", "512"), device)
    assert (a.low_s, a.high_s, a.coverage) == pytest.approx((a.seconds * 0.8, a.seconds * 1.25, 0.9))
    assert plain(a.validated_on) == about
    assert program_time.tie(a, a) and not program_time.tie(a, b)


def test_rates_are_interpolated_between_shapes_and_level_beyond():
    rates = MatmulRates(typed(calibration()).tables.matmul)
    assert rates(Product(1, 64, 64, 1, "nn", "f32")) == pytest.approx(RATE / 2)
    assert rates(Product(8, 64, 64, 1, "nn", "f32")) == pytest.approx(RATE / 2**0.5)  # halfway on a logarithmic axis
    assert rates(Product(9999, 9999, 1, 1, "nn", "f32")) == pytest.approx(RATE)
    assert Curve.of({1: 10.0, 100: 1000.0})(10) == pytest.approx(100)


def test_kinds_and_batches_use_the_nearest_measured_shape():
    block = calibration()
    rows = block["tables"]["matmul"]
    rows += [
        {"m": 64, "n": 64, "k": 256, "batch": 1, "kind": "tn", "dtype": "float32", "flops_per_s": RATE / 4},
        {"m": 1, "n": 64, "k": 16, "batch": 64, "kind": "nn", "dtype": "float32", "flops_per_s": 3 * RATE},
    ]
    matmul = Tables(typed(block)).matmul
    assert matmul(Product(64, 64, 256, 1, "tn", "f32")) == pytest.approx(RATE / 4)
    assert matmul(Product(1, 64, 16, 64, "nn", "f32")) == pytest.approx(3 * RATE)


def test_a_calibrated_profile_is_read_and_a_broken_one_is_refused(tmp_path):
    base = json.loads(shipped_profile("accelerators", "cpu").read_text())
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(base | {"name": "mine", "calibration": calibration()}))
    assert load_accelerator(file).calibration == typed(calibration())
    broken = calibration()
    broken["tables"]["matmul"][0]["flops_per_s"] = 0
    file.write_text(json.dumps(base | {"name": "mine", "calibration": broken}))
    with pytest.raises(BadInput, match="calibration"):
        load_accelerator(file)


def test_operations_outside_loops_find_their_code_in_the_caches_of_a_small_program_only():
    block = calibration()
    block["overheads"] |= {"straight_s": 1.0, "cold_straight_s": 5.0}
    tables = Tables(typed(block))
    assert [tables.straight_s(n << 20) for n in (0, 4, 8, 16, 64)] == pytest.approx([1, 1, 3, 5, 5])


GATE = """HloModule m

f {{
  p = f32[8,1000,96]{{2,1,0}} parameter(0)
  h = f32[1000,32]{{1,0}} parameter(1)
  i = s32[] parameter(2)
  z = s32[] constant(0)
  d = f32[1,1000,96]{{2,1,0}} dynamic-slice(p, i, z, z), dynamic_slice_sizes={{1,1000,96}}
  b = f32[1000,96]{{1,0}} bitcast(d)
  s = f32[1000,32]{{1,0}} slice(b), slice={{[0:1000], [0:32]}}
  t = f32[1000,32]{{1,0}} slice(b), slice={{[0:1000], [32:64]}}
  ROOT m = f32[1000,32]{{1,0}} multiply(s, {second})
}}

ENTRY e {{
  p = f32[8,1000,96]{{2,1,0}} parameter(0)
  h = f32[1000,32]{{1,0}} parameter(1)
  i = s32[] parameter(2)
  ROOT r = f32[1000,32]{{1,0}} fusion(p, h, i), kind=kLoop, calls=f
}}
"""


@pytest.mark.parametrize(("second", "rate"), [("t", 1e-6), ("h", 1e-9)])
def test_arithmetic_loses_vector_code_where_a_dynamic_slice_is_cut_in_two(second, rate):
    block = calibration()
    block["elements_s"]["scalar_arithmetic"] = 1e-6
    text = GATE.format(second=second)
    if second == "h":
        text = "\n".join(line for line in text.split("\n") if not line.startswith("  t ="))
    found = predict(text, dataclasses.replace(accelerator("cpu"), calibration=typed(block)))
    (operation,) = found.operations
    assert operation.parts.compute_s == pytest.approx(32_000 * rate, rel=1e-3)
