"""Owners of operations: they add up to what the counter books for each module and pass."""

from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from cr_jax.cost.booking import Booking
from cr_jax.cost.counting.count import count_hlo, count_walk
from cr_jax.cost.operations.operation_list import list_operations
from cr_jax.cost.operations.owners import NOBODY, OwnerTable
from cr_jax.cost.walk import Walk
from cr_jax.hlo.parse import parse

GOLDEN = sorted((Path(__file__).resolve().parents[2] / "golden").glob("*/*.txt"))


def owned(text, modules=(), traced=None):
    """The count of a program, and its operations with owners."""
    walk = Walk(parse(text), products=traced.products if traced else None)
    count = count_walk(walk, modules, traced)
    return count, list_operations(walk, OwnerTable(Booking(walk, modules), count))


def sums(program):
    """Operations and bytes by module and pass."""
    computed, moved = defaultdict(float), defaultdict(float)
    for one in program.operations:
        for shares in (one.owners.computed, one.owners.moved):
            assert sum(share for _, share in shares) == pytest.approx(1)
        for owner, share in one.owners.computed:
            computed[owner] += share * one.cost.operations * one.times
        for owner, share in one.owners.moved:
            moved[owner] += share * one.cost.hbm_bytes * one.times
    return computed, moved


def agree(count, program):
    computed, moved = sums(program)
    for key, cost in count.by("module", "pass").items():
        owner = tuple(key.split("|"))
        operations = sum(cost[name] for name in ("matmul_flops", "other_flops", "integer_ops", "transcendentals"))
        assert computed[owner] == pytest.approx(operations, abs=1e-3), owner
        assert moved[owner] == pytest.approx(cost["hbm_bytes"], abs=1e-3), owner


@pytest.mark.parametrize("file", GOLDEN, ids=lambda f: f.stem)
def test_owners_add_up_to_the_counts_of_every_module(file):
    count, program = owned(file.read_text())
    if count.declared or count.conditionals:
        pytest.skip("the figures of a module come from several branches, or from what a call declares")
    agree(count, program)


def step(params, x):
    def body(carry, _):
        with jax.named_scope("cell"):
            carry = jnp.tanh(carry @ params["cell"])
        return carry, None

    def loss(params):
        with jax.named_scope("embed"):
            carry = x @ params["embed"]
        for number in range(2):  # two loops of the same body, in scopes of their own
            with jax.named_scope(f"layers.{number}"):
                carry, _ = lax.scan(body, carry, None, length=5)
        return carry.sum()

    return jax.grad(loss)(params)


def test_loops_and_shared_bodies_have_the_owners_of_their_call():
    params = {"cell": jnp.ones((24, 24)), "embed": jnp.ones((16, 24))}
    lowered = jax.jit(step).lower(params, jnp.ones((8, 16)))
    for text in (lowered.as_text("hlo", debug_info=True), lowered.compile().as_text()):
        count, program = owned(text)
        agree(count, program)
        modules = {module for module, _ in sums(program)[0]}
        assert {"layers.0/cell", "layers.1/cell", "embed"} <= modules


PAIR = """HloModule m

ENTRY e {{
{lines}
}}
"""
DOT = (
    "  {name} = f32[8,{n}]{{1,0}} dot(x, {weights}), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}, "
    'metadata={{op_name="jit(step)/jvp(net)/{module}/dot_general"}}'
)


def test_a_merged_product_is_owned_by_the_modules_it_came_from():
    parameters = [
        f"  {name} = f32[{shape}]{{1,0}} parameter({n})"
        for n, (name, shape) in enumerate((("x", "8,16"), ("w", "16,32"), ("v", "16,32")))
    ]
    apart = [
        DOT.format(name="a", n=32, weights="w", module="net.ahead"),
        DOT.format(name="b", n=32, weights="v", module="net.back"),
    ]
    traced = PAIR.format(lines="\n".join([*parameters, *apart, "  ROOT r = (f32[8,32], f32[8,32]) tuple(a, b)"]))
    wide = ["  x = f32[8,16]{1,0} parameter(0)", "  w = f32[16,64]{1,0} parameter(1)"]
    one = DOT.format(name="a", n=64, weights="w", module="net.ahead").replace("  a", "  ROOT a")
    modules = ("net.ahead", "net.back")
    count, program = owned(PAIR.format(lines="\n".join([*wide, one])), modules, count_hlo(traced, modules))
    assert count.merged.flops
    agree(count, program)
    (product,) = program.operations
    assert dict(product.owners.computed) == {("net.ahead", "forward"): 0.5, ("net.back", "forward"): 0.5}


def test_without_a_table_nobody_owns_an_operation():
    walk = Walk(
        parse(PAIR.format(lines="  ROOT x = f32[8]{0} copy(y)\n").replace("  ROOT", "  y = f32[8]{0} parameter(0)\n  ROOT"))
    )
    assert all(one.owners == NOBODY for one in list_operations(walk).operations)
