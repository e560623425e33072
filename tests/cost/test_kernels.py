"""The cost of a kernel by a function of its call: what the function is told, what it may say, and its errors."""

from pathlib import Path

import pytest

from cr_jax import KernelArray, KernelCall, KernelCost, count_hlo
from cr_jax.errors import BadConfig, UnknownName

GOLDEN = Path(__file__).parents[1] / "golden" / "hlo"
TRITON = (GOLDEN / "kernel_triton.cuda_h100.txt").read_text()
DECLARED = (GOLDEN / "kernel_declared.tpu_v5e.txt").read_text()
SIDE = 64
MATRIX = KernelArray((SIDE, SIDE), "f32")


def products(call: KernelCall) -> KernelCost:
    """The cost of a product of the two operands, from their shapes."""
    (m, k), (_, n) = (operand.shape for operand in call.operands)
    return KernelCost(2 * m * k * n, sum(array.bytes for array in call.operands + call.results))


def test_a_function_is_told_the_call():
    told: list[KernelCall] = []
    count_hlo(TRITON, kernels=told.append)
    (call,) = told
    assert (call.name, call.target) == ("mytrit", "__gpu$xla.gpu.triton")
    assert (call.operands, call.results) == ((MATRIX, MATRIX), (MATRIX,))
    assert 'name = "mytrit"' in call.config


@pytest.mark.parametrize("kernels", [products, {"mytrit": products}, {"mytrit": lambda call: (2 * SIDE**3, 12 * SIDE**2, 0)}])
def test_what_it_returns_counts_as_assumed(kernels):
    found = count_hlo(TRITON, kernels=kernels, device="h100")
    (row,) = found.declared
    assert (row.source, row.flops, row.hbm_bytes) == ("assumed", 2 * SIDE**3, 12 * SIDE**2)
    assert (found.bound, found.total.flops, found.hbm_bytes) == ("assumed", 2 * SIDE**3, 12 * SIDE**2)
    assert [one.source for one in found.prediction.kernels.rows] == ["assumed"]


@pytest.mark.parametrize("kernels", [lambda call: None, {"mytrit": lambda call: None}])
def test_a_function_that_does_not_know_leaves_the_call_as_it_is(kernels):
    found = count_hlo(TRITON, kernels=kernels)
    assert (found.bound, found.declared) == ("lower", ())
    assert found.uncounted == count_hlo(TRITON).uncounted
    own = count_hlo(DECLARED, kernels=lambda call: None)
    assert (own.bound, own.declared) == ("range", count_hlo(DECLARED).declared)


def test_a_function_for_a_kernel_that_is_not_there_is_refused():
    with pytest.raises(UnknownName, match="legal: mytrit"):
        count_hlo(TRITON, kernels={"another": products})


def fails(call):
    raise ValueError(f"no rule for {call.name}")


@pytest.mark.parametrize(
    ("kernels", "message"),
    [
        (fails, r"kernel 'mytrit': its cost function raised ValueError: no rule for mytrit, test_kernels.py, line \d+; --debug"),
        ({"mytrit": fails}, "no rule for mytrit"),
        (lambda call: 5, "kernel 'mytrit': 5 is no cost; legal: cr_jax.KernelCost"),
        (lambda call: (1,), "is no cost"),
        (lambda call: (1, -1), "-1 is no whole number"),
        (lambda call: KernelCost(1.5, 0), "1.5 is no whole number"),
        ({"mytrit": "much"}, "'much' is no cost"),
        (7, "kernels 7: legal: a mapping"),
    ],
)
def test_errors_are_one_line_with_the_cause(kernels, message):
    with pytest.raises(BadConfig, match=message) as caught:
        count_hlo(TRITON, kernels=kernels)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError) == ("raised" in str(caught.value))
