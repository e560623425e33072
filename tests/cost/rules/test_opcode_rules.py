"""Single rules by hand, and what has none."""

import pytest

from cr_jax import count_hlo
from cr_jax.cost.rules import instruction_rules, opcode_rules
from cr_jax.cost.rules.matmul import valid_positions
from cr_jax.hlo import opcodes


def _module(*lines: str, header: str = "ENTRY main") -> str:
    return "HloModule m\n\n" + header + " {\n" + "\n".join("  " + line for line in lines) + "\n}\n"


def test_an_invented_opcode_is_reported_not_ignored():
    found = count_hlo(_module("a = f32[4]{0} parameter(0)", "ROOT b = f32[4]{0} frobnicate(a)"))
    assert not found.complete
    assert [(m.operation, m.count, m.hbm_bytes) for m in found.uncounted] == [("frobnicate", 1, 32)]


def test_an_unknown_custom_call_is_reported():
    found = count_hlo(_module("a = f32[4]{0} parameter(0)", 'ROOT b = f32[4]{0} custom-call(a), custom_call_target="mystery"'))
    assert [m.operation for m in found.uncounted] == ["custom-call mystery"]
    assert found.as_dict()["bound"] == "lower"


def test_an_invented_opcode_inside_a_fusion_is_reported():
    start = "HloModule m\n\n"
    fused = _module("a = f32[4]{0} parameter(0)", "ROOT b = f32[4]{0} frobnicate(a)", header="fused")
    entry = _module("x = f32[4]{0} parameter(0)", "ROOT y = f32[4]{0} fusion(x), kind=kLoop, calls=fused")
    found = count_hlo(fused + entry.removeprefix(start))
    assert [m.operation for m in found.uncounted] == ["frobnicate"]


def test_sets_of_operations_do_not_overlap():
    sets = [
        opcode_rules.FREE,
        opcode_rules.MOVEMENT,
        opcode_rules.GATHER,
        opcode_rules.ELEMENTWISE,
        opcode_rules.COLLECTIVE,
        opcode_rules.SPECIAL,
        opcode_rules.CONTROL,
    ]
    assert sum(map(len, sets)) == len(frozenset().union(*sets))
    assert len(opcode_rules.ARITHMETIC) + len(opcode_rules.INTEGER) + len(opcode_rules.TRANSCENDENTAL) == len(
        opcode_rules.ELEMENTWISE
    )


def test_every_rule_has_a_family_and_an_opcode_that_the_parser_knows():
    assert set(opcode_rules.SPECIAL) == set(instruction_rules._RULES)
    assert set(opcode_rules.SPECIAL.values()) <= set(opcode_rules.RANK)
    ruled = set(opcode_rules.FAMILY) | opcode_rules.FREE | opcode_rules.CONTROL
    assert {name for name in ruled if opcodes.attributes(name) is None} == set()


def test_free_operations_cost_nothing():
    found = count_hlo(
        _module("a = f32[4]{0} parameter(0)", "t = (f32[4]{0}) tuple(a)", "ROOT b = f32[4]{0} get-tuple-element(t), index=0")
    )
    assert not any(found.total.as_dict().values())


@pytest.mark.parametrize("image", [1, 5, 12])
@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize(("stride", "left", "right"), [(1, 1, 1), (2, 1, 1), (1, 2, 1), (3, 2, 1), (2, 4, 3), (1, 3, 2)])
@pytest.mark.parametrize("pad", [-1, 0, 2])
def test_valid_positions_equal_enumeration(image, kernel, stride, left, right, pad):
    result = 7
    size = (image - 1) * left + 1
    expected = sum(
        0 <= (at := o * stride + k * right - pad) < size and at % left == 0 for o in range(result) for k in range(kernel)
    )
    assert valid_positions(image, kernel, result, stride, left, right, pad) == expected


def test_a_slice_counts_what_it_touches():
    found = count_hlo(
        _module(
            "a = f32[1000,8]{1,0} parameter(0)",
            "i = s32[] parameter(1)",
            "z = s32[] constant(0)",
            "ROOT b = f32[2,8]{1,0} dynamic-slice(a, i, z), dynamic_slice_sizes={2,8}",
        )
    )
    assert (found.total.read_bytes, found.total.written_bytes) == (2 * 8 * 4 + 4 + 4, 2 * 8 * 4)


def test_an_update_in_place_counts_the_update():
    found = count_hlo(
        _module(
            "a = f32[1000,8]{1,0} parameter(0)",
            "u = f32[1,8]{1,0} parameter(1)",
            "i = s32[] parameter(2)",
            "ROOT b = f32[1000,8]{1,0} dynamic-update-slice(a, u, i, i)",
        )
    )
    assert found.total.written_bytes == 8 * 4
    assert found.total.read_bytes < 100


def test_tile_padding_counts_in_bytes():
    found = count_hlo(_module("a = bf16[3,5]{1,0:T(8,128)(2,1)} parameter(0)", "ROOT b = bf16[3,5]{1,0:T(8,128)(2,1)} negate(a)"))
    assert found.hbm_bytes == 2 * (8 * 128 * 2)


def test_a_copy_to_the_scratchpad_counts_once():
    found = count_hlo(
        _module(
            "a = f32[8,128]{1,0:T(8,128)} parameter(0)",
            "s = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(a)",
            "ROOT d = f32[8,128]{1,0:T(8,128)S(1)} copy-done(s)",
        )
    )
    assert (found.total.read_bytes, found.total.written_bytes, found.total.onchip_bytes) == (4096, 0, 4096)


def test_cublas_call_is_a_product():
    config = '{"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}}}'
    found = count_hlo(
        _module(
            "a = f32[7,11]{1,0} parameter(0)",
            "b = f32[11,5]{1,0} parameter(1)",
            "ROOT c = (f32[7,5]{1,0}, s8[99]{0}) custom-call(a, b), "
            f'custom_call_target="__cublas$gemm", backend_config={config}',
        )
    )
    assert found.matmul_flops == 2 * 7 * 5 * 11
    assert found.complete
