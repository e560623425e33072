"""What kernels of the traced program declare, for compiled calls of their name and shapes that declare nothing."""

from pathlib import Path

import pytest

from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.counting.count import count_hlo
from cr_jax.cost.kernels import KernelCost
from cr_jax.traced_program import TracedKernel

GOLDEN = Path(__file__).parents[1] / "golden" / "hlo"
TRITON = (GOLDEN / "kernel_triton.cuda_h100.txt").read_text()
ON_TPU = (GOLDEN / "kernel_declared.tpu_v5e.txt").read_text()
MATRIX, SHAPES = "f32[64,64]", 3 * 64 * 64 * 4
COST = (1000, 2 * SHAPES, 7)


def traced(names=("mytrit",), operands=(MATRIX, MATRIX), results=(MATRIX,), declared=COST):
    return TracedKernel(names, operands, results, declared)


def counted(text, *kernels, **given):
    return count_hlo(text, assumptions=Assumptions(traced=kernels, **given))


def test_a_call_costs_what_its_traced_kernel_declares():
    found = counted(TRITON, traced(), traced(("another",), declared=(5, 5, 5)))
    (row,) = found.declared
    assert (row.operation, row.source, row.flops, row.transcendentals) == ("__gpu$xla.gpu.triton mytrit", "declared", 1000, 7)
    assert (found.bound, found.hbm_bytes, found.least.hbm_bytes) == ("range", 2 * SHAPES, SHAPES)


def test_of_kernels_with_one_name_the_shapes_decide():
    small = traced(operands=("f32[8,8]", MATRIX), declared=(1, 1, 1))
    other = traced(results=("f32[8,8]",), declared=(2, 2, 2))
    assert counted(TRITON, small, traced(), other).total.flops == 1000
    assert counted(TRITON, traced(), traced()).total.flops == 1000


@pytest.mark.parametrize(
    ("kernels", "doubt"),
    [
        ((traced(), traced(declared=(1, 1, 1))), "traced kernels of its name and shapes declare different costs"),
        ((traced(), traced(declared=None)), "traced kernels of its name and shapes declare different costs"),
        ((traced(results=("f32[64,32]",)),), "traced with other shapes"),
        ((traced(operands=(MATRIX, MATRIX, MATRIX)),), "traced with other shapes"),
        ((traced(declared=None),), None),
        ((traced(("another",)),), None),
    ],
)
def test_nothing_is_guessed_and_the_table_says_why(kernels, doubt):
    found = counted(TRITON, *kernels)
    (row,) = found.uncounted
    assert row.operation == "custom-call __gpu$xla.gpu.triton mytrit" + (f" ({doubt})" if doubt else "")
    assert (found.bound, found.declared, found.total.flops) == ("lower", (), 0)


def test_a_call_that_declares_its_cost_is_not_counted_twice():
    shapes = dict(operands=("f32[8,128]",), results=("f32[8,128]",))
    assert counted(ON_TPU, traced(("mykern",), **shapes)).total == count_hlo(ON_TPU).total


def test_what_the_user_says_stands_before_what_is_traced():
    found = counted(TRITON, traced(), kernels={"mytrit": KernelCost(9, 0)})
    assert (found.total.flops, found.bound) == (9, "assumed")


def test_a_call_of_a_library_takes_nothing_from_a_kernel_of_its_name():
    text = TRITON.replace("__gpu$xla.gpu.triton", "mytrit")
    assert counted(text, traced()).bound == "lower"
