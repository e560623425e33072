"""Whole programs on accelerators that are not attached: real texts of two backends, and what is missing."""

import dataclasses
from pathlib import Path

import pytest

from cr_jax.catalog.load import accelerator, accelerator_names
from cr_jax.catalog.times import shipped
from cr_jax.cost.operations.operation_list import operations
from cr_jax.predict.accelerator import step
from cr_jax.predict.program_time import predict

GOLDEN = Path(__file__).parents[2] / "golden" / "hlo"
GPUS = [name for name in accelerator_names() if accelerator(name).platform == "cuda"]
TPUS = [name for name in accelerator_names() if accelerator(name).platform == "tpu"]


def program(name):
    return operations((GOLDEN / f"{name}.txt").read_text())


@pytest.mark.parametrize("name", GPUS)
def test_every_gpu_has_a_time_and_says_what_it_stands_on(name):
    found = predict(program("gru.cuda_h100"), accelerator(name), "default", "float32")
    assert found.reason is None and found.method == "model" and 1e-5 < found.seconds < 1e-1
    assert found.low_s < found.seconds < found.high_s
    assert sum(found.shares.values()) == pytest.approx(1)
    classes = found.validated_on.classes
    assert sum(one.seconds for one in classes) == pytest.approx(found.seconds)
    assert {"launches"} < {one.class_ for one in classes}
    (loop,) = [one for one in found.loops if one.iterations == 24]
    assert loop.seconds < found.seconds and not loop.waits


@pytest.mark.parametrize("name", TPUS)
def test_every_tpu_has_a_time(name):
    found = predict(program("gru.tpu_v5e"), accelerator(name), "default", "float32")
    assert found.reason is None and 1e-5 < found.seconds < 1e-1 and found.coverage is None
    assert {one.class_ for one in found.validated_on.classes} == {"tpu", "tpu_products"}


def test_operations_and_what_is_left_add_up():
    text = program("gru_nested.cuda_h100")
    found = step.timed(text, accelerator("h100"), "default")
    executed = sum(parts.seconds * operation.times for operation, parts in found.operations)
    assert executed + found.starting_s == pytest.approx(found.seconds)
    # The conditions of loops that XLA counts never run.
    assert len(found.operations) < len(text.operations)


def test_what_a_product_is_computed_in_decides_its_time():
    text = operations("""HloModule m

ENTRY e {
  a = f32[4096,4096]{1,0} parameter(0)
  b = f32[4096,4096]{1,0} parameter(1)
  ROOT d = f32[4096,4096]{1,0} dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
""")
    default, highest = (predict(text, accelerator("h100"), p, "float32").seconds for p in ("default", "highest"))
    assert 4 < highest / default < 15  # tf32 against the plain lanes
    least = 2 * 4096**3 / accelerator("h100").matmul_flops_per_s["tf32"]
    assert least < default < 3 * least


def test_a_profile_that_lacks_a_number_gives_no_time_and_names_it():
    device = dataclasses.replace(accelerator("h100"), lanes_per_core=None)
    found = predict(program("gru.cuda_h100"), device, "default", "float32")
    assert found.seconds is None and "lanes_per_core" in found.reason and "data sheet" in found.reason
    unknown = dataclasses.replace(accelerator("tpu-v5e"), generation="tpu-v4", matmul_flops_per_s={})
    found = predict(program("gru.tpu_v5e"), unknown, "default", "float32")
    assert found.seconds is None and "peak rate" in found.reason


def test_a_utilisation_over_100_percent_is_an_error_of_the_profile():
    copy = operations("""HloModule m

ENTRY e {
  a = f32[1000000000]{0} parameter(0)
  ROOT c = f32[1000000000]{0} copy(a)
}
""")
    wrong = dataclasses.replace(accelerator("h100"), measured={"copy_bytes_per_s": 1e15}, clock_hz=1e15)
    assert "over 100%" in (predict(copy, wrong, "default", "float32").profile_error or "")


def test_every_constant_has_a_unit_a_meaning_and_a_source():
    for name, one in shipped().constants.items():
        assert one.unit and one.meaning and one.source and one.would_give, name
        assert one.value is not None or one.by, name
