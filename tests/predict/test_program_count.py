"""``cr_jax.count_hlo`` of what JAX returns: a compiled program, a lowered one, a text."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cr_jax import KernelCost, count_hlo
from cr_jax.errors import BadConfig, BadHlo, UnknownName

GOLDEN = Path(__file__).parents[1] / "golden" / "hlo"
SIZE = 16
X = jax.ShapeDtypeStruct((SIZE, SIZE), jnp.float32)


def _lowered():
    def layer(w, x):
        with jax.named_scope("layer"):
            return jnp.tanh(x @ w)

    return jax.jit(layer, donate_argnums=1).lower({"w": X}["w"], X)


def test_every_form_of_a_program_has_the_same_products():
    lowered = _lowered()
    compiled = lowered.compile()
    for form in (lowered, compiled, compiled.as_text(), lowered.as_text("hlo", debug_info=True)):
        found = count_hlo(form)
        assert (found.matmul_flops, found.bound) == (2 * SIZE**3, "exact")
        assert found.by("module")["layer"]["matmul_flops"] == 2 * SIZE**3
        assert (found.seconds, found.interval, found.reason) == (None, None, "no device was named")


def test_a_compiled_program_has_the_compilers_memory():
    compiled = _lowered().compile()
    found, account = count_hlo(compiled), compiled.memory_analysis()
    parts = account.argument_size_in_bytes + account.output_size_in_bytes + account.temp_size_in_bytes
    assert found.peak_bytes == parts - account.alias_size_in_bytes
    assert account.alias_size_in_bytes == 4 * SIZE**2  # donated
    assert count_hlo(compiled.as_text()).peak_bytes is None and count_hlo(_lowered()).peak_bytes is None


def test_a_device_gives_the_seconds_of_its_program():
    found = count_hlo((GOLDEN / "gru.cuda_h100.txt").read_text(), device="h100")
    assert found.seconds is not None and found.interval is not None and found.reason is None
    assert found.interval[0] <= found.seconds <= found.interval[1]


def test_without_known_rates_there_is_a_reason():
    found = count_hlo(_lowered().compile(), device="cpu")
    assert found.seconds is None and found.reason is not None and "calibrate" in found.reason


@pytest.mark.parametrize(
    ("form", "device", "error", "said"),
    [
        (lambda: _lowered(), "cpu", BadConfig, "compiled program only"),
        (lambda: _lowered().compile(), "h100", BadConfig, "compiled for cpu"),
        (lambda: _lowered().compile(), "h1000", UnknownName, "did you mean"),
        (lambda: "no program", None, BadHlo, "line 1"),
    ],
)
def test_what_cannot_be_counted_or_timed_is_refused(form, device, error, said):
    with pytest.raises(error, match=said):
        count_hlo(form(), device=device)


def test_assumptions_are_given_as_mappings_and_refused_where_they_mean_nothing():
    def run(x, n):
        with jax.named_scope("decode"):
            return lax.fori_loop(0, n, lambda _, c: c @ c, x)

    compiled = jax.jit(run).lower(X, jax.ShapeDtypeStruct((), jnp.int32)).compile()
    found = count_hlo(compiled, trips={"decode": 9})
    assert (found.matmul_flops, found.bound) == (9 * 2 * SIZE**3, "assumed")
    for options, said in (({"trips": {"encode": 9}}, "decode"), ({"kernels": {"flash": KernelCost(1, 1)}}, "kernel")):
        with pytest.raises(UnknownName, match=said):
            count_hlo(compiled, **options)


def test_a_kernel_that_the_user_knows_has_a_time():
    text = (GOLDEN / "kernel_triton.cuda_h100.txt").read_text()
    assert "not counted" in (count_hlo(text, device="h100").reason or "")
    small, large = (count_hlo(text, device="h100", kernels={"mytrit": KernelCost(n, n)}) for n in (10**6, 10**9))
    assert small.seconds is not None and large.seconds is not None and small.seconds < large.seconds


def test_text_is_counted_without_jax():
    file = GOLDEN / "gru.cuda_h100.txt"
    code = f"import sys, cr_jax; cr_jax.count_hlo(open({str(file)!r}).read(), device='h100'); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
