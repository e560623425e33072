"""Times of kernels whose cost is stated: by hand from the card's peaks, and what the prediction says they rest on."""

from pathlib import Path

import pytest

from cr_jax.catalog.load import accelerator
from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.kernels import KernelCost
from cr_jax.cost.operations.operation_list import operations
from cr_jax.cost.rules.attention_calls import ATTENTION
from cr_jax.predict.accelerator.card import card
from cr_jax.predict.accelerator.intervals import UNKNOWN_FACTOR
from cr_jax.predict.accelerator.streams import cold_rate
from cr_jax.predict.program_time import predict
from cr_jax.traced_program import TracedKernel

GOLDEN = Path(__file__).parents[2] / "golden" / "hlo"
CALL = """HloModule m, is_scheduled=true

ENTRY e {
  q = {TYPE}[1024,1024] parameter(0)
  ROOT r = f32[1024,1024] custom-call(q), custom_call_target="{TARGET}", metadata={op_name="jit(f)/flash/pallas_call"}
}
"""
H100, V5E = card(accelerator("h100")), card(accelerator("tpu-v5e"))
SHARE, TPU = H100.constants("products_tensor")["utilisation"], V5E.constants("tpu")
MANY, FEW = 10**13, 10**3


def kernel(cost, device="h100", dtype="bf16", precision="default"):
    """The prediction of a program that is one kernel of a stated cost, and the only row of its kernels."""
    target = "tpu_custom_call" if "tpu" in device else "__gpu$xla.gpu.triton"
    text = CALL.replace("{TYPE}", dtype).replace("{TARGET}", target)
    listed = operations(text, Assumptions(kernels={"flash": cost}))
    found = predict(listed, accelerator(device), precision, "float32")
    (row,) = found.kernels.rows
    return found, row


@pytest.mark.parametrize(
    ("dtype", "precision", "peak"),
    [
        ("bf16", "default", H100.peaks["bfloat16"] * SHARE),
        ("f16", "default", H100.peaks["float16"] * SHARE),
        ("f32", "default", H100.peaks["tf32"] * SHARE),
        ("f8e4m3fn", "default", H100.peaks["float8"] * SHARE),
        ("s32", "default", H100.peaks["tf32"] * SHARE),  # of its result, the only floating-point numbers
    ],
)
def test_flops_take_the_rate_of_products_of_their_type(dtype, precision, peak):
    found, row = kernel(KernelCost(MANY, FEW), dtype=dtype, precision=precision)
    assert row.seconds == pytest.approx(MANY / peak) and row.bound == "compute"
    assert found.bound == "compute" and found.seconds > row.seconds  # and a launch


def test_float32_at_the_highest_precision_takes_the_plain_lanes():
    _, row = kernel(KernelCost(MANY, FEW), dtype="f32", precision="highest")
    share = H100.constants("products_plain")["utilisation_128"]
    assert row.seconds == pytest.approx(MANY / (2 * H100.cores * H100.lanes * H100.clock_hz * share))


def test_bytes_take_the_rate_of_the_memory_and_the_longer_counts():
    _, row = kernel(KernelCost(FEW, 10**10))
    assert row.seconds == pytest.approx(10**10 / cold_rate(H100)) and row.bound == "memory"
    both = kernel(KernelCost(MANY, 10**10))[1].seconds
    assert both == pytest.approx(max(row.seconds, MANY / (H100.peaks["bfloat16"] * SHARE)))


def test_transcendentals_take_the_lanes():
    _, row = kernel(KernelCost(FEW, FEW, MANY))
    cycles = H100.constants("streams")["transcendental_cycles"]
    assert row.seconds == pytest.approx(MANY * cycles / (H100.cores * H100.lanes * H100.clock_hz))


@pytest.mark.parametrize(("dtype", "precision", "passes"), [("bf16", "default", 1), ("f32", "default", 1), ("f32", "highest", 6)])
def test_a_tpu_takes_its_own_rates(dtype, precision, passes):
    found, row = kernel(KernelCost(MANY, FEW), "tpu-v5e", dtype, precision)
    assert row.seconds == pytest.approx(passes * MANY / (V5E.peaks["bfloat16"] * TPU["matrix_share"]))
    _, row = kernel(KernelCost(FEW, 10**10), "tpu-v5e")
    assert row.seconds == pytest.approx(10**10 / (V5E.bandwidth * TPU["bandwidth_share"]))
    assert kernel(KernelCost(1, 1), "tpu-v5e")[1].seconds == TPU["floor_s"]
    assert "kernels_assumed" in {one.class_ for one in found.validated_on.classes}


def test_the_interval_says_that_no_such_kernel_was_compared():
    found, row = kernel(KernelCost(MANY, FEW))
    (one,) = [one for one in found.validated_on.classes if one.class_ == "kernels_assumed"]
    assert one.kinship is None and one.seconds == pytest.approx(row.seconds)
    assert (one.ratio_low, one.ratio_high) == (1 / UNKNOWN_FACTOR, UNKNOWN_FACTOR)
    assert found.coverage is None and found.low_s < row.seconds / 2 and found.high_s > 2 * row.seconds
    assert (found.kernels.stated_s, found.kernels.attention_s) == (row.seconds, 0.0)


def test_what_is_declared_and_what_is_assumed_take_the_same_time():
    text = CALL.replace("{TYPE}", "bf16").replace("{TARGET}", "__gpu$xla.gpu.triton")
    declared = TracedKernel(("flash",), ("bf16[1024,1024]",), ("f32[1024,1024]",), (MANY, 10**8, 0))
    found = predict(operations(text, Assumptions(traced=(declared,))), accelerator("h100"), "default", "float32")
    (row,) = found.kernels.rows
    assert row.source == "declared" and row.seconds == kernel(KernelCost(MANY, 10**8))[1].seconds


def test_a_kernel_that_states_nothing_has_no_time():
    text = CALL.replace("{TYPE}", "bf16").replace("{TARGET}", "__gpu$xla.gpu.triton")
    found = predict(operations(text), accelerator("h100"), "default", "float32")
    assert found.seconds is None and "flash is not counted" in found.reason


def attention(name):
    """The operations of a recorded program with attention, and its prediction."""
    listed = operations((GOLDEN / f"{name}.cuda_h100.txt").read_text())
    return listed, predict(listed, accelerator("h100"), "default", "float32")


@pytest.mark.parametrize("name", ["attention_window", "attention_causal_gradient", "attention_bias_gradient"])
def test_attention_is_the_longest_of_products_softmax_and_bytes(name):
    listed, found = attention(name)
    calls = [o for o in listed.operations if o.kernel and o.kernel.name.startswith(ATTENTION)]
    lanes = H100.cores * H100.lanes * H100.clock_hz
    streams = H100.constants("streams")
    expected = 0.0
    for call in calls:
        products = call.cost.matmul_flops / (H100.peaks["bfloat16" if call.kernel.dtype == "bf16" else "float16"] * SHARE)
        softmax = call.cost.other_flops * streams["flop_cycles"] + call.cost.transcendentals * streams["transcendental_cycles"]
        expected += max(products, softmax / lanes, call.cost.hbm_bytes / cold_rate(H100))
    assert found.kernels.attention_s == pytest.approx(expected) and found.kernels.stated_s == 0
    assert {one.source for one in found.kernels.rows} == {"formula"}


def test_the_low_end_of_masked_attention_is_that_of_the_pairs_it_allows():
    listed, _ = attention("attention_causal_gradient")
    whole, least = listed.total().matmul_flops, listed.cheapest.total().matmul_flops
    assert least < 0.51 * whole  # of 128 positions, those up to the own one
    unmasked, _ = attention("attention_bias_gradient")
    assert unmasked.cheapest is None


def test_linear_algebra_has_no_time_yet():
    text = """HloModule m

ENTRY e {
  a = f32[64,64] parameter(0)
  ROOT c = (f32[64,64], s32[]) custom-call(a), custom_call_target="cusolver_potrf_ffi"
}
"""
    found = predict(operations(text), accelerator("h100"), "default", "float32")
    assert found.seconds is None and "cusolver_potrf_ffi is not counted" in found.reason
