"""Text that is no program is refused before anything is counted: whatever contradicts itself, or was cut."""

import re
from pathlib import Path

import pytest

from cr_jax import count_hlo
from cr_jax.errors import BadHlo
from cr_jax.hlo.module import DEEPEST
from cr_jax.hlo.parse import parse

GOLDEN = Path(__file__).parent.parent / "golden" / "hlo"

WHOLE = """HloModule m, entry_computation_layout={(f32[2,3]{1,0}, f32[3,5]{1,0})->f32[2,5]{1,0}}

double (x: f32[2,5]) -> f32[2,5] {
  x = f32[2,5]{1,0} parameter(0)
  ROOT y = f32[2,5]{1,0} add(x, x)
}

ENTRY main (a: f32[2,3], b: f32[3,5]) -> f32[2,5] {
  a = f32[2,3]{1,0} parameter(0)
  b = f32[3,5]{1,0} parameter(1)
  d = f32[2,5]{1,0} dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="f/dot"}
  ROOT r = f32[2,5]{1,0} fusion(d), kind=kLoop, calls=double
}
"""


def test_the_whole_text_is_counted():
    found = count_hlo(WHOLE)
    assert (found.matmul_flops, found.other_flops, found.bound) == (2 * 2 * 5 * 3, 2 * 5, "exact")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("(f32[2,3]{1,0}, f32[3,5]{1,0})->", "(f32[2,3]{1,0})->", "entry_computation_layout"),
        ("->f32[2,5]{1,0}}", "->f32[5,2]{1,0}}", "entry_computation_layout"),
        ("main (a: f32[2,3], b", "main (a: f32[2,4], b", "not those of its signature"),
        ("b: f32[3,5]) -> f32[2,5] {", "b: f32[3,5]) -> f32[2,6] {", "ROOT of main"),
        ("ROOT r = ", "r = ", "no ROOT"),
        ("  d = f32", "  ROOT d = f32", "second ROOT"),
        ("parameter(1)", "parameter(0)", "defined twice"),
        ("parameter(1)", "parameter(2)", "not numbered 0 to 1"),
        ("  b = f32[3,5]{1,0} par", "  a = f32[3,5]{1,0} par", "defined twice"),
        ("add(x, x)", "add(x, y)", "does not define above it"),
        ("add(x, x)", "add(x)", "1 operands; legal: 2"),
        ("calls=double", "calls=treble", "does not define above it"),
        ("calls=double", "calls=main", "does not define above it"),
        ("kind=kLoop, ", "", "has no kind"),
        ("kind=kLoop", "kind=kLop", "cannot be read"),
        ("ROOT y = f32[2,5]", "ROOT y = f32[2,6]", "its operands make it"),
        ("d = f32[2,5]", "d = f32[2,4]", "its operands make it"),
        ("lhs_contracting_dims={1}", "lhs_contracting_dims={0}", "sizes differ"),
        ("lhs_contracting_dims={1}", "lhs_contracting_dims={7}", "of 2 dimensions"),
        ("lhs_contracting_dims={1}", "lhs_contracting_dims={-1}", "cannot be read"),
        ("lhs_contracting_dims={1}", "lhs_contracting_dims={1}, lhs_contracting_dims={1}", "stands twice"),
        ("dot(a, b)", "dot(b, a)", "sizes differ"),
        ("a = f32[2,3]{1,0}", "a = f32[2,3]{1,1}", "does not order its 2 dimensions"),
        ("a = f32[2,3]{1,0}", "a = f32[2,3]{0}", "does not order its 2 dimensions"),
        ("a = f32[2,3]{1,0}", "a = f32[2,3]{1,0:T(0,128)}", "tile of size 0"),
        ("a = f32[2,3]", "a = f32[-2,3]", "is no shape"),
        ("a = f32[2,3]", "a = f32[2_0,3]", "is no shape"),
        ("a = f32[2,3]", "a = f32[2²,3]", "is no shape"),
        ("a = f32[2,3]", "a = f32[9999999999,9999999999]", "64-bit"),
        ("a = f32[2,3]", f"a = f32[{'9' * 5000}]", "too many dimensions or digits"),
        ('metadata={op_name="f/dot"}', 'metadata={op_name="f/dot"', "cannot be read"),
        ('metadata={op_name="f/dot"}', 'metadata={op_name="f/dot}', "cannot be read"),
        ("HloModule m, ", "HloModule m ", "cannot be read"),
        ("double (x: f32[2,5]) -> f32[2,5] {", "double (x f32[2,5]) -> f32[2,5] {", "signature"),
    ],
)
def test_a_contradiction_is_refused_with_its_line(old, new, words):
    assert old in WHOLE
    with pytest.raises(BadHlo, match=re.escape(words)):
        count_hlo(WHOLE.replace(old, new, 1))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.txt")), ids=lambda p: p.stem)
def test_a_text_cut_at_any_computation_is_refused(path):
    text = path.read_text()
    ends = [found.end() for found in re.finditer(r"^\}\n", text, re.M)]
    for end in ends[:-1]:
        with pytest.raises(BadHlo):
            count_hlo(text[:end])


def test_what_a_later_xla_may_write_is_a_doubt_and_no_error():
    for new in (', lane="7", ', ', metadata={color="red" op_name="f/dot"}, '):
        found = count_hlo(WHOLE.replace(', metadata={op_name="f/dot"}', new.rstrip(", ")))
        assert (found.bound, found.matmul_flops) == ("lower", 60)
        assert [one.count for one in found.uncounted] == [1]
    found = count_hlo(WHOLE.replace("HloModule m, ", "HloModule m, colour={red}, "))
    assert found.bound == "lower" and "colour" in found.uncounted[0].operation


def test_operands_may_carry_their_shapes_which_must_be_right():
    text = WHOLE.replace("dot(a, b)", "dot(f32[2,3]{1,0} %a, f32[3,5]{1,0} %b)")
    assert count_hlo(text).matmul_flops == 60
    with pytest.raises(BadHlo, match="takes"):
        count_hlo(text.replace("dot(f32[2,3]", "dot(f32[2,4]"))


@pytest.mark.parametrize(
    ("shape", "literal", "legal"),
    [
        ("s32[]", "7", True),
        ("s32[]", "7.5", False),
        ("s8[]", "300", False),
        ("u8[]", "255", True),
        ("pred[]", "true", True),
        ("pred[]", "yes", False),
        ("f32[]", "-inf", True),
        ("f32[]", "1e-06", True),
        ("f32[]", "one", False),
        ("c64[]", "(1, -2)", True),
        ("c64[]", "(1, x)", False),
        ("f32[2]", "{1, 2}", True),
        ("f32[2]", "{1, 2, 3}", False),
        ("f32[2,2]", "{ { 1, 2 }, { 3, 4 } }", True),
        ("f32[2,2]", "{ 1, 2, 3, 4 }", False),
        ("f32[0]", "{}", True),
        ("f32[99]", "{...}", True),
        ("f32[99]", "{1, ...}", False),
        ("s32[]", "9" * 400, False),
    ],
)
def test_literals_are_of_their_shape(shape, literal, legal):
    text = f"HloModule m\n\nENTRY e {{\n  ROOT c = {shape} constant({literal})\n}}\n"
    if legal:
        assert count_hlo(text).bound == "exact"
    else:
        with pytest.raises(BadHlo):
            count_hlo(text)


def test_depth_is_limited_and_width_is_not():
    def chain(levels):
        parts = ["HloModule m\n", "f0 {\n  x = f32[2] parameter(0)\n  ROOT y = f32[2] negate(x)\n}\n"]
        parts += [
            f"f{n} {{\n  x = f32[2] parameter(0)\n  y = f32[2] call(x), to_apply=f{n - 1}\n"
            f"  ROOT z = f32[2] call(y), to_apply=f{n - 1}\n}}\n"
            for n in range(1, levels)
        ]
        last = parts[-1]
        parts[-1] = "ENTRY " + last
        return "\n".join(parts)

    # Each level calls the one before twice: 2^60 negations of two elements, in 5 kB.
    assert count_hlo(chain(61)).other_flops == 2 * 2**60
    with pytest.raises(BadHlo, match=f"more than {DEEPEST} levels"):
        count_hlo(chain(DEEPEST + 2))


def test_floats_mix_on_tpus_only():
    text = "HloModule m\n\nENTRY e {\n  a = f32[8]{0%s} parameter(0)\n  ROOT b = bf16[8]{0%s} negate(a)\n}\n"
    assert count_hlo(text % (":T(256)", ":T(256)")).other_flops == 8
    with pytest.raises(BadHlo, match="its operands make it"):
        count_hlo(text % ("", ""))


def test_an_empty_tuple_is_a_shape():
    text = "HloModule m\n\nENTRY e {\n  a = f32[8] parameter(0)\n  t = () tuple()\n  ROOT r = (f32[8], ()) tuple(a, t)\n}\n"
    assert count_hlo(text).bound == "exact"
    assert parse(text).entry.result.shape.bytes == 32
