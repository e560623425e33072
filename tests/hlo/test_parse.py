"""HLO text that is whole, odd or broken."""

from pathlib import Path

import pytest

from cr_jax import count_hlo
from cr_jax.errors import BadHlo
from cr_jax.hlo.parse import parse
from cr_jax.hlo.shapes import parse_shape

GOLDEN = sorted((Path(__file__).resolve().parent.parent / "golden" / "hlo").glob("*.txt"))
WHOLE = "HloModule m\n\nENTRY main {\n  a = f32[2]{0} parameter(0)\n  ROOT b = f32[2]{0} negate(a)\n}\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("  \n \n", 1, "empty"),
        ("hello\nworld\n", 1, "no HLO"),
        ("HloModule m\n", 1, "no computation"),
        (WHOLE[:-2], 5, "cut"),
        (WHOLE[: WHOLE.index("negate(") + 8], 5, "cut"),
        (WHOLE.replace("negate(a)", "negate(q)"), 5, "'q'"),
        (WHOLE.replace("f32[2]{0} negate", "f33[2]{0} negate"), 5, "f33"),
        (WHOLE.replace("f32[2]{0} negate", "f32[x]{0} negate"), 5, "no shape"),
        (WHOLE.replace("ROOT b = ", "ROOT b "), 5, "no HLO instruction"),
        (WHOLE.replace("negate(a)", "fusion(a), kind=kLoop, calls=lost"), 5, "lost"),
        (WHOLE + WHOLE, 7, "second HloModule"),
        (WHOLE.replace("negate(a)", "dot(a)"), 5, "1 operands"),
        (WHOLE.replace("parameter(0)", "parameter(q)"), 4, "parameter"),
        ("HloModule m\n\nmain {\n}\n", 4, "empty"),
    ],
)
def test_broken_text_is_one_line_with_its_place(text, line, words):
    with pytest.raises(BadHlo) as caught:
        count_hlo(text)
    assert caught.value.line == line
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_every_cut_of_a_text_is_refused_or_whole(path):
    text = path.read_text()
    for part in range(1, 40):
        cut = text[: len(text) * part // 40]
        try:
            count_hlo(cut)
        except BadHlo as error:
            assert str(error).startswith("HLO text, line ")
        else:
            pytest.fail(f"a text cut at {part}/40 was counted")


def test_computations_that_call_themselves_are_refused():
    text = "HloModule m\n\nENTRY main {\n  a = f32[2]{0} parameter(0)\n  ROOT b = f32[2]{0} call(a), to_apply=main\n}\n"
    with pytest.raises(BadHlo, match="does not define above it"):
        count_hlo(text)


def test_inline_operand_shapes_and_percent_signs():
    text = (
        "HloModule old\n\n%add (x: f32[], y: f32[]) -> f32[] {\n  %x = f32[] parameter(0)\n  %y = f32[] parameter(1)\n"
        "  ROOT %s = f32[] add(f32[] %x, f32[] %y)\n}\n\nENTRY %main (p: f32[3,4]) -> f32[3] {\n"
        "  %p = f32[3,4]{1,0} parameter(0)\n  %zero = f32[] constant(0)\n"
        "  ROOT %r = f32[3]{0} reduce(f32[3,4]{1,0} %p, f32[] %zero), dimensions={1}, to_apply=%add\n}\n"
    )
    assert count_hlo(text).other_flops == 3 * 4 - 3


def test_literals_over_several_lines():
    literal = "constant({\n  { 1, 2 },\n  { 3, 4 }\n})"
    text = WHOLE.replace("  a = f32[2]{0} parameter(0)", f"  k = f32[2,2]{{1,0}} {literal}\n  a = f32[2]{{0}} parameter(0)")
    assert parse(text).instruction_count == 3


@pytest.mark.parametrize(
    ("text", "elements", "size", "space"),
    [
        ("f32[24,32,128]{2,1,0:T(8,128)S(1)}", 24 * 32 * 128, 4 * 24 * 32 * 128, 1),
        ("bf16[3,5]{1,0:T(8,128)(2,1)}", 15, 8 * 128 * 2, 0),
        ("f32[3,5]{0,1:T(8,128)}", 15, 8 * 128 * 4, 0),
        ("s4[7]{0}", 7, 4, 0),
        ("pred[]", 1, 1, 0),
        ("f32[0,4]{1,0}", 0, 0, 0),
        ("s32[5]{0:T(128)}", 5, 512, 0),
        ("f32[<=10]{0}", 10, 40, 0),
        ("token[]", 1, 0, 0),
    ],
)
def test_shapes(text, elements, size, space):
    shape = parse_shape(text)
    assert (shape.elements, shape.bytes, shape.space) == (elements, size, space)


def test_tuple_shapes_with_comments():
    shape = parse_shape("(s32[], (f32[2]{0}, bf16[3]{0:T(8)}), /*index=2*/u32[]{:S(2)})")
    assert [leaf.dtype for leaf in shape.leaves] == ["s32", "f32", "bf16", "u32"]
