"""The module that an instruction's cost is booked for."""

import pytest

from cr_jax.cost.counting.count import count_hlo

#: Weights of 64 x 32 and a bias, fetched into vector memory ahead of their use: whole, and in two pieces.
FETCHED = """HloModule m, is_scheduled=true

ENTRY e {
  x = f32[8,64]{1,0:T(8,128)S(1)} parameter(0), metadata={op_name="leaves[0]"}
  w = f32[64,32]{1,0:T(8,128)} parameter(1), metadata={op_name="SOURCE"}
  one = (f32[64,32]{1,0:T(8,128)S(1)}, f32[64,32]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(w)
  v = f32[32,64]{1,0:T(8,128)} parameter(2), metadata={op_name="leaves[2]"}
  low = ((f32[32,64]{1,0:T(8,128)}), f32[16,64]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) slice-start(v), slice={[0:16], [0:64]}
  high = ((f32[32,64]{1,0:T(8,128)}), f32[16,64]{1,0:T(8,128)S(1)}, u32[]{:S(2)}) slice-start(v), slice={[16:32], [0:64]}
  here = f32[64,32]{1,0:T(8,128)S(1)} copy-done(one)
  y = f32[8,32]{1,0:T(8,128)S(1)} dot(x, here), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="jit(step)/Net/first/dot_general"}
  lower = f32[16,64]{1,0:T(8,128)S(1)} slice-done(low)
  higher = f32[16,64]{1,0:T(8,128)S(1)} slice-done(high)
  both = f32[32,64]{1,0:T(8,128)S(1)} custom-call(lower, higher), custom_call_target="ConcatBitcast"
  z = f32[8,64]{1,0:T(8,128)S(1)} dot(y, both), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="jit(step)/transpose(jvp(Net))/second/dot_general"}
  ROOT r = f32[8,32]{1,0:T(8,128)S(1)} dot(z, here), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="jit(step)/Net/third/dot_general"}
}
"""  # noqa: E501


@pytest.mark.parametrize(
    ("source", "modules", "owner"),
    [
        ("leaves[1]", (), "Net/first"),  # an exported function's arguments have no names: the first to read it
        ("weights[\\'head\\'][\\'kernel\\']", ("first", "second", "head"), "head"),  # a weight with a known owner
    ],
)
def test_what_is_fetched_ahead_belongs_to_its_source_or_to_what_reads_it(source, modules, owner):
    count = count_hlo(FETCHED.replace("SOURCE", source), modules)
    moved = {key: cost["hbm_bytes"] for key, cost in count.by("module", "pass").items() if cost["hbm_bytes"]}
    second = "second" if modules else "Net/second"
    lanes = 128  # to which rows are padded
    assert moved == {f"{owner}|forward": 4 * 64 * lanes, f"{second}|backward": 4 * 32 * lanes}
