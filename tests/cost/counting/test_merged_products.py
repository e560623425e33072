"""Matrix products that the compiler carries out as one, given back to the modules they came from."""

import pytest

from cr_jax.cost.counting.count import count_hlo

MODULES = ("net.ahead", "net.back", "net.other", "net.top")


def dot(name, module, rows, inner, columns, which="jvp(net)"):
    """One product on parameters of its own."""
    return f"""  {name}.x = f32[{rows},{inner}]{{1,0}} parameter(NUMBER)
  {name}.w = f32[{inner},{columns}]{{1,0}} parameter(NUMBER)
  {name} = f32[{rows},{columns}]{{1,0}} dot({name}.x, {name}.w), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}, \
metadata={{op_name="jit(step)/{which}/{module}/dot_general"}}
"""


def program(*dots):
    lines = "".join(dots)
    for number in range(lines.count("NUMBER")):
        lines = lines.replace("NUMBER", str(number), 1)
    made = [line.split() for line in lines.splitlines() if " dot(" in line]
    shapes, names = ", ".join(words[2] for words in made), ", ".join(words[0] for words in made)
    return f"HloModule m\n\nENTRY e {{\n{lines}  ROOT r = ({shapes}) tuple({names})\n}}\n"


def shares(traced, compiled):
    """FLOPs by module of the compiled program, and the count."""
    before = count_hlo(traced, MODULES)
    found = count_hlo(compiled, MODULES, traced=before)
    return {name: cost["matmul_flops"] for name, cost in found.by("module").items() if cost["matmul_flops"]}, found


F = 2 * 8 * 16 * 32  # one projection
APART = dot("a", "net.ahead", 8, 16, 32), dot("b", "net.back", 8, 16, 32)
AS_ONE = dot("a", "net.ahead", 8, 16, 64)


def test_a_merged_product_belongs_to_both():
    found, count = shares(program(*APART), program(AS_ONE))
    assert found == {"net.ahead": F, "net.back": F}
    assert (count.merged.flops, count.merged.left_flops, count.matmul_flops) == (2 * F, 0, 2 * F)


def test_its_bytes_go_with_it():
    _, count = shares(program(*APART), program(AS_ONE))
    one, other = (count.by("module")[m]["hbm_bytes"] for m in ("net.ahead", "net.back"))
    assert one == other == 4 * (8 * 16 + 16 * 64 + 8 * 64) // 2


def test_a_product_as_traced_stays():
    twice = dot("c", "net.ahead", 8, 16, 64)
    found, count = shares(program(twice, *APART), program(twice, *APART))
    assert found == {"net.ahead": 3 * F, "net.back": F} and not count.merged.flops
    assert not count.merged.left_flops


def test_two_products_of_one_module_stay_there():
    found, count = shares(program(dot("a", "net.ahead", 8, 16, 32), dot("b", "net.ahead", 8, 16, 32)), program(AS_ONE))
    assert found == {"net.ahead": 2 * F} and not count.merged.flops


def test_two_merged_products_of_one_size_have_four_owners():
    above = dot("c", "net.top", 8, 16, 32), dot("d", "net.other", 8, 16, 32)
    found, count = shares(program(*APART, *above), program(AS_ONE, dot("c", "net.top", 8, 16, 64)))
    assert found == dict.fromkeys(MODULES, F)
    assert count.merged.flops == 4 * F


@pytest.mark.parametrize(
    "traced",
    [
        (*APART, dot("c", "net.other", 8, 16, 32)),  # which of two others is in it?
        (APART[0], dot("b", "net.back", 8, 16, 32, "transpose(jvp(net))")),  # not of one pass
    ],
)
def test_what_cannot_be_told_apart_stays_and_is_said(traced):
    found, count = shares(program(*traced), program(AS_ONE))
    assert found == {"net.ahead": 2 * F}
    assert (count.merged.flops, count.merged.left_flops) == (0, 2 * F)


def test_another_that_is_carried_out_on_its_own_is_not_in_it():
    third = dot("c", "net.other", 8, 16, 32)
    found, _ = shares(program(*APART, third), program(AS_ONE, third))
    assert found == {"net.ahead": F, "net.back": F, "net.other": F}


def test_a_coincidence_of_sizes_moves_nothing():
    # The sizes fit, but the other module carries out more than it would if its product were in here.
    traced = program(*APART, dot("d", "net.back", 8, 48, 32))
    found, count = shares(traced, program(AS_ONE, dot("d", "net.back", 8, 56, 32)))
    assert found == {"net.ahead": 2 * F, "net.back": 7 * F // 2}
    assert (count.merged.flops, count.merged.left_flops) == (0, 2 * F)


def test_a_part_that_is_carried_out_on_its_own_is_no_part():
    eighth = dot("c", "net.ahead", 8, 16, 8)
    found, count = shares(program(*APART, eighth), program(AS_ONE, eighth))
    assert found == {"net.ahead": F + F // 4, "net.back": F} and not count.merged.left_flops


def test_in_a_loop_it_is_shared_as_often_as_it_runs():
    def loop(*dots):
        inner = program(*dots).split("ENTRY e {\n")[1].rsplit("  ROOT", 1)[0].replace("parameter(", "parameter(9")
        lines = [line for line in inner.splitlines() if " dot(" in line]
        shapes = [line.split("=")[0].strip() for line in lines]
        values = "\n".join(lines)
        for name in shapes:
            rows, inner_size, columns = 8, 16, 64 if len(shapes) == 1 else 32
            values = values.replace(f"dot({name}.x, {name}.w)", f"dot({name}.x, {name}.w)")
            values = (
                f"  {name}.x = f32[{rows},{inner_size}]{{1,0}} constant({{...}})\n"
                f"  {name}.w = f32[{inner_size},{columns}]{{1,0}} constant({{...}})\n{values}"
            )
        return f"""HloModule m

body {{
  s = s32[] parameter(0)
{values}
  ROOT n = s32[] copy(s)
}}

condition {{
  s = s32[] parameter(0)
  ROOT go = pred[] compare(s, s), direction=LT
}}

ENTRY e {{
  i = s32[] parameter(0)
  ROOT w = s32[] while(i), condition=condition, body=body, metadata={{op_name="jit(step)/jvp(net)/while"}}, \
backend_config={{"known_trip_count":{{"n":"5"}}}}
}}
"""

    found, _ = shares(loop(*APART), loop(AS_ONE))
    assert found == {"net.ahead": 5 * F, "net.back": 5 * F}
