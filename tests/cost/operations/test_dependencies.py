"""Who waits for whom in a program's text."""

from pathlib import Path

import pytest

from cr_jax.cost.operations.dependencies import Node
from cr_jax.cost.operations.operation_list import operations

GOLDEN = sorted((Path(__file__).resolve().parents[2] / "golden" / "hlo").glob("*.txt"))
LOOP = """HloModule m

body {
  s = (s32[], f32[4]{0}, f32[4]{0}) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  x = f32[4]{0} get-tuple-element(s), index=1
  y = f32[4]{0} get-tuple-element(s), index=2
  one = s32[] constant(1)
  next = s32[] add(i, one)
  double = f32[4]{0} add(x, x)
  both = f32[4]{0} multiply(double, y)
  ROOT r = (s32[], f32[4]{0}, f32[4]{0}) tuple(next, both, y)
}

test {
  s = (s32[], f32[4]{0}, f32[4]{0}) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  five = s32[] constant(5)
  ROOT less = pred[] compare(i, five), direction=LT
}

ENTRY e {
  a = f32[4]{0} parameter(0)
  zero = s32[] constant(0)
  alone = f32[4]{0} negate(a)
  begin = (s32[], f32[4]{0}, f32[4]{0}) tuple(zero, a, alone)
  loop = (s32[], f32[4]{0}, f32[4]{0}) while(begin), condition=test, body=body, backend_config={"known_trip_count":{"n":"5"}}
  x = f32[4]{0} get-tuple-element(loop), index=1
  flat = f32[2,2]{1,0} bitcast(x)
  apart = f32[4]{0} cosine(a)
  told = f32[4]{0} sine(a), control-predecessors={%apart, alone}
  ROOT r = (f32[2,2]{1,0}, f32[4]{0}, f32[4]{0}) tuple(flat, told, alone)
}
"""


def test_an_operation_waits_for_who_made_what_it_reads():
    program = operations(LOOP)
    names = [None if n.operation is None else program.operations[n.operation].name for n in program.nodes]
    assert names == ["alone", None, "apart", "told"]
    assert [n.after for n in program.nodes] == [(), (0,), (), (0, 2)]  # the loop through its tuple; "told" is told to
    (turns, body), (tests, test) = program.nodes[1].inner
    assert (turns, tests) == (5, 6)
    assert [n.after for n in body] == [(), (), (1,)]
    assert [program.operations[n.operation or 0].name for n in (*body, *test)] == ["next", "double", "both", "less"]
    assert program.loops[program.nodes[1].loop or 0].name == "loop"


def executions(nodes: tuple[Node, ...], times: int, found: dict[int, int]) -> dict[int, int]:
    """By place in ``Program.operations``, how often the nodes run it; every node waits for earlier ones only."""
    for place, node in enumerate(nodes):
        assert all(before < place for before in node.after)
        if node.operation is not None:
            assert node.operation not in found
            found[node.operation] = times
        for count, inner in node.inner:
            executions(inner, times * count, found)
    return found


@pytest.mark.parametrize("file", GOLDEN, ids=lambda f: f.stem)
def test_the_nodes_run_every_operation_as_often_as_it_counts(file):
    program = operations(file.read_text())
    assert executions(program.nodes, 1, {}) == {n: o.times for n, o in enumerate(program.operations)}


def test_a_long_chain_of_reinterpretations_is_no_recursion():
    lines = ["  v0 = f32[8]{0} negate(a)"] + [f"  v{n} = f32[8]{{0}} bitcast(v{n - 1})" for n in range(1, 5000)]
    lines = ["HloModule m", "", "ENTRY e {", "  a = f32[8]{0} parameter(0)", *lines, "  ROOT r = f32[8]{0} abs(v4999)", "}", ""]
    assert operations("\n".join(lines)).nodes[-1].after == (0,)
