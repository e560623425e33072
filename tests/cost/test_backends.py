"""Texts of three backends with hand-derived truths (T=24 steps, B=32, H=128, input 128)."""

import re
from pathlib import Path

import pytest

from cr_jax import count_hlo

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "hlo"
BACKENDS = ("cpu", "cuda_h100", "tpu_v5e")

STEPS, BATCH, HIDDEN = 24, 32, 128
PRODUCT = 2 * BATCH * HIDDEN * 3 * HIDDEN  # x·Wi or h·Wh of one step
GRU = STEPS * 2 * PRODUCT
NESTED = GRU + 6 * 2 * BATCH * HIDDEN * HIDDEN
#: Convolution gradients: valid positions only; the TPU and strided cuDNN programs are padded.
TRUTH = {
    "gru": GRU,
    "gru_reversed": GRU,
    "gru_grad": 3 * GRU,
    "gru_reversed_grad": 3 * GRU,
    "gru_nested": NESTED,
    "gru_nested_grad": 3 * NESTED,
    "batched_dot": 8 * 2 * 64 * 96 * 32,
    "conv_grad": {"cpu": 108_576_768, "cuda_h100": 108_576_768, "tpu_v5e": 138_608_640},
    "conv_s2_grad": {"cpu": 27_144_192, "cuda_h100": 28_311_552, "tpu_v5e": 36_769_792},
    "embed_grad": 0,
    "topk": 0,
    "layernorm_grad": 0,
    "dynamic_loop": 0,  # it may never run
    "conditional": 2 * 2 * 64**3,
}


def _text(name, backend, shared):
    own = GOLDEN / f"{name}.{backend}.txt"
    return (own if own.exists() else shared(f"hlo/{name}.{backend}.txt")).read_text()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TRUTH)
def test_matmul_flops(name, backend, shared):
    found = count_hlo(_text(name, backend, shared))
    truth = TRUTH[name]
    assert found.matmul_flops == (truth[backend] if isinstance(truth, dict) else truth)
    assert found.complete == (name != "dynamic_loop")
    if name == "dynamic_loop":
        assert [loop.matmul_flops_per_iteration for loop in found.loops] == [2 * 64**3]
    assert found.bound == {"dynamic_loop": "lower", "conditional": "range"}.get(name, "exact")
    assert not found.uncounted


@pytest.mark.parametrize("backend", ["cpu", "cuda_h100"])
@pytest.mark.parametrize("name", ["gru", "gru_nested", "gru_reversed_grad", "gru_nested_grad"])
def test_inferred_trip_counts_equal_the_compilers(name, backend, shared):
    text = _text(name, backend, shared)
    stripped = re.sub(r'"known_trip_count":\{"n":"\d+"\},?', "", text)
    assert stripped != text
    annotated, inferred = count_hlo(text), count_hlo(stripped)
    assert {loop.source for loop in annotated.loops} == {"annotated"}
    assert {loop.source for loop in inferred.loops} == {"inferred"}
    assert annotated.total == inferred.total


def test_tpu_scratchpad_is_not_main_memory():
    found = count_hlo((GOLDEN / "gru.tpu_v5e.txt").read_text())
    arguments = 4 * (2 * HIDDEN * 3 * HIDDEN + STEPS * BATCH * HIDDEN + BATCH * HIDDEN)
    result = 4 * 2 * BATCH * HIDDEN
    loose = found.hbm_bytes - arguments - result
    assert 0 <= loose < 32 * STEPS  # the loop counter: a few words an iteration
    assert found.total.onchip_bytes > 10 * found.hbm_bytes


def test_bytes_of_a_product_are_its_operands_and_result():
    left, right, result = 8 * 64 * 96, 8 * 96 * 32, 8 * 64 * 32
    for backend in ("cpu", "cuda_h100"):
        assert count_hlo((GOLDEN / f"batched_dot.{backend}.txt").read_text()).hbm_bytes == 4 * (left + right + result)


def test_top_k_custom_call_is_counted():
    found = count_hlo((GOLDEN / "topk.cpu.txt").read_text())
    assert found.complete
    assert found.integer_ops > 0


def test_the_tpu_compilers_cycles_are_multiplied_by_the_loops():
    text = (GOLDEN / "gru.tpu_v5e.txt").read_text()
    body = sum(int(n) for n in re.findall(r'"estimated_cycles":"(\d+)"', text[: text.index("ENTRY")]))
    entry = sum(int(n) for n in re.findall(r'"estimated_cycles":"(\d+)"', text[text.index("ENTRY") :]))
    assert count_hlo(text).estimated_cycles == STEPS * body + entry > 0
    assert count_hlo((GOLDEN / "gru.cpu.txt").read_text()).estimated_cycles is None
