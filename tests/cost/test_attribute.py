"""Modules and passes from names."""

import gc
import time

import pytest

from cr_jax import count_hlo
from cr_jax.cost.attribute import Attribution, Scope, loop_prefix


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jit(step)/jvp(net)/gate/dot_general", ("gate", "forward")),
        ("jit(step)/transpose(jvp(net))/gate/while/body/closed_call/gate.cell/dot_general", ("gate.cell", "backward")),
        ("jit(step)/transpose(jvp(net))/gate/while/body/eval_jaxpr/gate.cell/dot_general", ("gate.cell", "backward")),
        ("jit(step)/transpose(jvp())/checkpoint/rematted_computation/gate/tanh", ("gate", "recompute")),
        ("jit(step)/optimizer/mul", ("optimizer", "optimizer")),
        ("jit(gate)/mul", ("(none)", "forward")),  # a function's name is no module
        ("jit(step)/gate", ("(none)", "forward")),  # nor is a primitive's
        ("", ("(none)", "forward")),
    ],
)
def test_innermost_known_module(name, expected):
    assert Attribution(("net", "gate", "gate.cell", "optimizer")).of(name) == expected


def test_unknown_modules_are_scopes_that_jax_did_not_write():
    name = "jit(f)/transpose(jvp(encoder))/layer_1/while/body/closed_call/dot_general"
    assert Attribution().of(name) == ("encoder/layer_1", "backward")


def test_merged_loop_bodies_belong_to_their_own_loop():
    own, shared = "jit(f)/second/while", "jit(f)/first/while"
    assert loop_prefix(["", f"{shared}/body/closed_call/dot_general"], own) == shared
    assert loop_prefix([f"{own}/body/add"], own) == ""
    scope = Scope().loop(own, shared)
    assert scope.full(f"{shared}/body/dot_general") == f"{own}/body/dot_general"
    assert scope.full("add") == f"{own}/add"


def test_the_search_for_a_name_is_linear():
    """Sixty nameless operands on each of four levels are 13 million paths and 240 steps."""
    wide, size, lines = 60, 1, ['  v0 = f32[1]{0} parameter(0), metadata={op_name="x"}']
    for level in range(1, 5):
        size *= wide if level < 3 else 1
        operands = ", ".join([f"v{level - 1}"] * wide)
        lines.append(f"  v{level} = f32[{size}]{{0}} concatenate({operands}), dimensions={{0}}")
    text = "HloModule m\n\nENTRY main {\n" + "\n".join(lines) + "\n}\n"
    started = time.process_time()
    assert list(count_hlo(text).by("module")) == ["(none)"]
    assert time.process_time() - started < 1


def test_counting_leaves_the_garbage_collector_as_it_was():
    text = "HloModule m\n\nENTRY main {\n  ROOT a = f32[2]{0} parameter(0)\n}\n"
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            count_hlo(text)
            assert gc.isenabled() == enabled
        finally:
            gc.enable()
