"""A traced program's identity does not hang on what the process traced before."""

import pytest

from cr_jax.hlo.fingerprint import fingerprint, traced_fingerprint

PROGRAM = """\
HloModule jit_step

closed_call.1 {
  NAME.2 = f32[2]{0} parameter(0), metadata={op_name="NAME"}
  NAME.5 = f32[2]{0} parameter(1), metadata={op_name="NAME"}
  sub.1 = f32[2]{0} subtract(NAME.2, NAME.5), metadata={op_name="sub"}
  ROOT NAME.7 = (f32[2]{0}) tuple(sub.1), metadata={op_name="NAME"}
}

ENTRY main.9 {
  x.1 = f32[2]{0} parameter(0), metadata={op_name="x"}
  ROOT call.1 = (f32[2]{0}) call(x.1, x.1), to_apply=closed_call.1, metadata={op_name="jit(step)/loss/add"}
}
"""


def test_inner_parameters_by_other_names_are_the_same_program():
    one, other = PROGRAM.replace("NAME", "directions"), PROGRAM.replace("NAME", "encoder").replace("encoder.5", "encoder.9")
    assert fingerprint(one) != fingerprint(other)
    assert traced_fingerprint(one) == traced_fingerprint(other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("subtract(NAME.2, NAME.5)", "subtract(NAME.5, NAME.2)"),
        ("subtract", "add"),
        ("f32[2]{0} parameter(1)", "f32[3]{0} parameter(1)"),
        ('"jit(step)/loss/add"', '"jit(step)/optimizer/add"'),
        ('op_name="x"', 'op_name="y"'),
    ],
)
def test_another_program_is_another(old, new):
    assert old in PROGRAM
    one, other = PROGRAM.replace("NAME", "directions"), PROGRAM.replace(old, new).replace("NAME", "directions")
    assert traced_fingerprint(one) != traced_fingerprint(other)


def test_a_program_without_inner_functions_has_its_plain_fingerprint():
    entry = 'HloModule m\n\nENTRY main.1 {\n  ROOT x.1 = f32[] parameter(0), metadata={op_name="x"}\n}\n'
    assert traced_fingerprint(entry) == fingerprint(entry)
