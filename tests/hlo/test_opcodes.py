"""The tables of opcodes against what XLA's own parser takes, opcode by opcode (``corpus/hlo/xla_attributes.json``)."""

import json
from pathlib import Path

import pytest

from cr_jax.hlo import opcodes

XLA = json.loads((Path(__file__).parents[1] / "corpus/hlo/xla_attributes.json").read_text())["opcodes"]
#: Written by releases of XLA other than the one the table was taken from, or read in another way.
OTHER_RELEASES = {
    "custom-call": {"conv_kind", "custom_call_schedule"},
    "convolution": {"conv_kind"},
    "dot": {"sparsity"},
    "scaled-dot": {"sparsity"},
    "ragged-dot": {"sparsity", "algorithm"},
    "conditional": {"branch_computations"},
    "compare": {"order"},
    "topk": {"is_stable"},
    "all-reduce-start": {"output_to_operand_aliasing"},
    "collective-broadcast": {"has_dynamic_root"},
    "collective-broadcast-start": {"has_dynamic_root"},
}
#: One of two ways to write it; the rule of the opcode requires one.
EITHER = {"conditional": {"true_computation", "false_computation"}}
#: Any number in XLA's table; XLA's verifier wants what is here.
FIXED = {"constant", "iota", "parameter", "dot", "rng"}
KNOWN = [name for name, row in XLA.items() if row["attributes"] is not None and opcodes.attributes(name) is not None]


def test_the_table_is_nearly_whole():
    assert len(KNOWN) > 120


@pytest.mark.parametrize("opcode", KNOWN)
def test_an_opcode_takes_what_xla_takes(opcode):
    row, ours = XLA[opcode], opcodes.attributes(opcode)
    assert ours is not None
    assert set(row["attributes"]) <= ours | opcodes.COMMON
    assert ours - set(row["attributes"]) - opcodes.COMMON <= OTHER_RELEASES.get(opcode, set())
    assert set(row["required"]) - EITHER.get(opcode, set()) == set(opcodes.REQUIRED.get(opcode, ()))
    if opcode not in FIXED:
        assert row["operands"] == opcodes.OPERANDS.get(opcode)
