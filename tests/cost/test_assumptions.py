"""What a user supplies about a program is used where it is meant, tagged, and refused where nothing has its name."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cr_jax.cost.assumptions import Assumptions, parse_kernels, parse_trips
from cr_jax.cost.counting.count import count_hlo
from cr_jax.cost.kernels import MOST, KernelCost
from cr_jax.cost.operations.operation_list import operations
from cr_jax.errors import BadConfig, UnknownName

X, N = jax.ShapeDtypeStruct((8, 8), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
ONE = 2 * 8**3


def _search(x, n):
    """Two loops of unknown count, one of them in a function that a loop of three turns calls."""

    @jax.jit
    def powers(x):
        with jax.named_scope("powers"):
            return lax.fori_loop(0, n, lambda _, c: c @ c, x)

    x = lax.scan(lambda c, _: (powers(c), None), x, None, length=3)[0]
    with jax.named_scope("decode"):
        return lax.fori_loop(0, n, lambda _, c: jnp.tanh(c @ c), x)


def _texts(function, *shapes):
    lowered = jax.jit(function).lower(*shapes)
    return {"traced": lowered.as_text("hlo", debug_info=True), "compiled": lowered.compile().as_text()}


@pytest.mark.parametrize("program", ["traced", "compiled"])
def test_a_loop_is_named_by_its_scopes_in_every_program(program):
    text = _texts(_search, X, N)[program]
    free = count_hlo(text)
    assert (free.bound, free.matmul_flops) == ("lower", 0)
    one = count_hlo(text, assumptions=Assumptions({"powers": 5}))
    assert (one.bound, one.matmul_flops) == ("lower", 3 * 5 * ONE)
    both = count_hlo(text, assumptions=Assumptions({"powers/while": 5, "decode": 7}))
    assert (both.bound, both.matmul_flops) == ("assumed", (3 * 5 + 7) * ONE)
    assert sorted(loop.source for loop in both.loops if loop.path) == ["assumed", "assumed"]
    named = count_hlo(text, assumptions=Assumptions({loop.name: 2 for loop in free.loops if loop.source == "unknown"}))
    assert (named.bound, named.matmul_flops) == ("assumed", (3 * 2 + 2) * ONE)


def test_a_loop_that_may_end_early_takes_a_count_up_to_its_limit():
    def run(x):
        return lax.while_loop(lambda c: (c[0] < 9) & (c[1][0, 0] < 1e6), lambda c: (c[0] + 1, c[1] @ c[1]), (0, x))[1]

    for text in _texts(run, X).values():
        found = count_hlo(text, assumptions=Assumptions({"while": 4}))
        assert (found.bound, found.matmul_flops) == ("assumed", 4 * ONE)
        assert found.least == found.total
        with pytest.raises(BadConfig, match="10 is more than 9"):
            count_hlo(text, assumptions=Assumptions({"while": 10}))


KERNEL = """HloModule m

ENTRY e {
  q = f32[8,64] parameter(0)
  k.1 = f32[8,64] custom-call(q), custom_call_target="tpu_custom_call", metadata={op_name="jit(f)/block/jvp(flash)/pallas_call"}
  ROOT r = f32[8,64] custom-call(k.1), custom_call_target="mystery", metadata={op_name="jit(f)/other"}
}
"""


@pytest.mark.parametrize("name", ["flash", "k.1", "tpu_custom_call", "block/flash"])
def test_a_kernel_costs_what_the_user_says_instead_of_its_operands(name):
    cost = KernelCost(flops=1000, bytes=3000, transcendentals=50)
    free, found = count_hlo(KERNEL), count_hlo(KERNEL, assumptions=Assumptions(kernels={name: cost}))
    assert free.openings.kernels == {"flash", "mystery"}
    operands = 2 * 8 * 64 * 4
    assert (found.total.flops, found.transcendentals, found.hbm_bytes) == (1000, 50, 3000 + operands)
    (row,) = found.declared
    assert (row.operation, row.source, row.count, row.flops, row.hbm_bytes) == ("flash", "assumed", 1, 1000, 3000)
    assert found.bound == "lower"  # the other call
    whole = Assumptions(kernels={name: cost, "mystery": KernelCost(0, 10)})
    found, listed = count_hlo(KERNEL, assumptions=whole), operations(KERNEL, whole)
    assert (found.bound, found.complete, found.hbm_bytes) == ("assumed", True, 3010)
    assert not listed.uncounted and listed.total() == found.total  # a time can be predicted


def test_what_the_user_says_stands_before_what_the_call_declares():
    declared = KERNEL.replace('pallas_call"}', 'pallas_call"}, backend_config={"cost_estimate":{"flops":"7"}}')
    assert count_hlo(declared.replace("mystery", "Sharding")).total.flops == 7
    assert count_hlo(declared, assumptions=Assumptions(kernels={"flash": KernelCost(9, 0)})).total.flops == 9


@pytest.mark.parametrize(
    ("given", "legal"), [(Assumptions({"loop": 3}), "decode/while"), (Assumptions(kernels={"flash": KernelCost(1, 1)}), "none")]
)
def test_a_name_that_means_nothing_is_refused_with_the_legal_ones(given, legal):
    found = count_hlo(_texts(_search, X, N)["compiled"], assumptions=given)
    with pytest.raises(UnknownName, match=f"legal: .*{legal}"):
        found.openings.refuse_unused(given)


@pytest.mark.parametrize("pair", ["", "=1,2", "k", "k=", "k=1", "k=1,", "k=1,2,3,4", "k=-1,2", "k=1.5,2", "k=1," + "9" * 19])
def test_malformed_kernel_costs_are_refused(pair):
    with pytest.raises(BadConfig, match="NAME=FLOPS,BYTES"):
        parse_kernels([pair])


def test_pairs_are_read_as_they_are_written():
    assert parse_kernels(["%a=1,2", "b=c=3,4,5"]) == {"a": KernelCost(1, 2), "b=c": KernelCost(3, 4, 5)}
    assert parse_trips([f"%while.1={MOST}"]) == {"while.1": MOST}


@pytest.mark.parametrize("count", [-1, 1.5, True, MOST + 1])
def test_figures_that_are_no_whole_numbers_are_refused(count):
    with pytest.raises(BadConfig, match="whole number"):
        Assumptions({"loop": count})
    with pytest.raises(BadConfig, match="whole number"):
        Assumptions(kernels={"k": KernelCost(1, count)})
