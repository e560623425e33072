"""Modules and passes from names."""

import gc

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cr_jax.cost.attribution import Attribution, Origins, Scope, root_of
from cr_jax.cost.counting.count import count_hlo
from cr_jax.hlo.parse import parse


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
    scope = Scope(("jit(f)",)).loop(own, ["", f"{shared}/body/closed_call/dot_general"])
    assert scope.full(f"{shared}/body/dot_general") == f"{own}/body/dot_general"
    assert scope.full("add") == f"{own}/add"
    alone = Scope(("jit(f)",)).loop(own, [f"{own}/body/add"])
    assert alone.full(f"{own}/body/add") == f"{own}/body/add"


def test_names_inside_a_call_are_relative_even_where_they_look_full():
    scope = Scope(("jit(step)",)).inside("jit(step)/net/while/body/closed_call")
    assert scope.full("jit(_where)/select_n") == "jit(step)/net/while/body/closed_call/jit(_where)/select_n"
    assert scope.full("jit(step)/other/add") == "jit(step)/other/add"
    assert root_of(["", "x", "weights['a']", "jit(step)/add"]) == "jit(step)"


def test_names_of_other_tools_are_full_if_they_have_a_path():
    assert Scope().inside("model/layer/MatMul").full("model/layer/Relu") == "model/layer/Relu"


PRODUCT = """HloModule m

ENTRY main {
  w = f32[6,5]{1,0} parameter(0), metadata={op_name="weights['head']['kernel'].value"}
  x = f32[4,6]{1,0} parameter(1), metadata={op_name="x"}
  h = f32[4,6]{1,0} tanh(x), metadata={op_name="jit(f)/body/tanh"}
  ROOT y = f32[4,5]{1,0} dot(h, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""


def test_a_nameless_product_belongs_to_the_owner_of_its_weight():
    found = count_hlo(PRODUCT, ("head", "body"))
    assert found.by("module")["head"]["matmul_flops"] == found.matmul_flops == 2 * 4 * 6 * 5


def test_a_nameless_product_belongs_to_whoever_has_that_size_in_the_traced_program():
    nameless = PRODUCT.replace("weights['head']['kernel'].value", "w")
    size = (4 * 5, 2 * 4 * 6 * 5)
    assert count_hlo(nameless, ("head", "body")).products == {size: {("body", "forward")}}  # by its operand
    told = count_hlo(nameless, ("head", "body"), products={size: frozenset({("head", "backward")})})
    assert told.by("module", "pass")["head|backward"]["matmul_flops"] == size[1]
    torn = count_hlo(nameless, ("head", "body"), products={size: frozenset({("head", "forward"), ("body", "forward")})})
    assert torn.by("module")["body"]["matmul_flops"] == size[1]


@pytest.mark.parametrize("updated", [False, True], ids=["gradients", "updated weights"])
def test_a_convolution_takes_the_name_that_its_relaid_result_kept(updated):
    """XLA for CPUs turns the gradient of a convolution's kernel. The convolution loses its name, the bitcast keeps it,
    also inside the fusion that updates the kernel.
    """

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return nn.relu(nn.BatchNorm(use_running_average=False)(nn.Conv(8, (3, 3), use_bias=False)(x)))

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = Block()(x)
            return Block()(x).mean()

    x = jax.ShapeDtypeStruct((4, 8, 8, 8), "float32")
    variables = jax.eval_shape(lambda: Network().init(jax.random.key(0), jnp.zeros(x.shape)))

    def step(params: dict, statistics: dict, x: jax.Array) -> dict:
        def loss(params: dict) -> jax.Array:
            return Network().apply({"params": params, "batch_stats": statistics}, x, mutable=["batch_stats"])[0]

        gradients = jax.grad(loss)(params)
        return jax.tree.map(lambda w, g: w - 0.1 * g, params, gradients) if updated else gradients

    compiled = jax.jit(step).lower(variables["params"], variables["batch_stats"], x).compile()
    modules = count_hlo(compiled.as_text()).by("module")
    one = 2 * 4 * 22 * 22 * 8 * 8  # a 3 x 3 window over 8 x 8 with padding: 22 = 8 * 3 - 2 positions per axis
    assert {path: row["matmul_flops"] for path, row in modules.items() if row["matmul_flops"]} == {
        "Network/Block_0/Conv_0": 2 * one,  # forward and the kernel's gradient
        "Network/Block_1/Conv_0": 3 * one,  # and the input's gradient
    }


def test_the_search_for_a_name_is_linear():
    """Sixty nameless operands on each of four levels are 13 million paths and 240 steps."""
    wide, size, lines = 60, 1, ['  v0 = f32[1]{0} parameter(0), metadata={op_name="x"}']
    for level in range(1, 5):
        size *= wide
        operands = ", ".join([f"v{level - 1}"] * wide)
        lines.append(f"  v{level} = f32[{size}]{{0}} concatenate({operands}), dimensions={{0}}")
    lines[-1] = lines[-1].replace("  v", "  ROOT v", 1)
    module = parse("HloModule m\n\nENTRY main {\n" + "\n".join(lines) + "\n}\n")
    origins = Origins(module)
    assert origins.of(module.entry.result) == ""
    assert len(origins._known) <= 4 * len(module.entry.instructions)


def test_counting_leaves_the_garbage_collector_as_it_was():
    text = "HloModule m\n\nENTRY main {\n  ROOT a = f32[2]{0} parameter(0)\n}\n"
    for enabled in (True, False):
        (gc.enable if enabled else gc.disable)()
        try:
            count_hlo(text)
            assert gc.isenabled() == enabled
        finally:
            gc.enable()


def test_a_fused_computation_shared_by_two_loops_belongs_to_the_caller():
    own, other = "jit(f)/backward/while/body/add", "jit(f)/forward/while/body/closed_call/tanh"
    assert Scope(("jit(f)",)).fusion(own, ["", other]).full(other) == "jit(f)/backward/while/body/closed_call/tanh"
    assert Scope(("jit(f)",)).fusion(own, [own]).full(own) == own
