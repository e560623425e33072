"""Modules and passes from names."""

import pytest

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
