"""Modules of programs whose modules are unknown: the scopes that a person wrote, on every JAX and by every way of compiling."""

import jax
import jax.numpy as jnp
import pytest

from cr_jax import count_hlo
from cr_jax.cost.attribution import Attribution, plain_path, roots_of
from cr_jax.cost.scope_names import scopes
from cr_jax.hlo.parse import parse


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jit(step)/jvp(Model)/layers.0/attention/query/dot_general", "Model/layers.0/attention/query"),
        ("jit(step)/jvp(Model)/while/body/closed_call/layers/attention/dot_general", "Model/layers/attention"),  # JAX 0.10
        ("jit(step)/jvp(Model)/while/body/eval_jaxpr/layers/attention/dot_general", "Model/layers/attention"),  # 0.12
        ("jit(call)/call_exported/jit(step)/jvp(Model)/embed/jit(_take)/gather", "Model/embed"),
        ("jit(step)/vmap(jvp(Model))/jit(relu)/max", "Model"),
        ("jit(step)/jvp()/vmap(jit(_interp))/mul", ""),
        ("jit(step)/Model/cond/branch_1_fun/expert/dot_general", "Model/expert"),
        ("jit(step)/Model/while/cond/lt", "Model"),
        ("jit(step)/Model/body/conv_general_dilated", "Model/body"),  # attributes may be called like parts of loops
        ("jit(step)/Model/cond/scan/dot_general", "Model/cond/scan"),
        ("jit(step)/Model/vmap(BTNH,BSNH->BNTS)/dot_general", "Model"),  # an einsum's equation
        ("jit(f)/jvp(attn)/...htT,...Thd->...thd/dot_general", "attn"),
        ("jit(step)/Model/transpose;jit(step)/Model/head/reshape", "Model/head"),
        ("jit(step)/Model/head/mul;custom_jvp_call", "Model/head"),
        ("jit(f)/jvp(L)/LB_1.<lambda>/LB_1/Dense_0/dot_general", "L/LB_1/Dense_0"),  # Linen's scan
        ("jit(f)/transformer/~/linear/dot_general", "transformer/linear"),  # Haiku
        ("jit(f)/jvp(Model)/shard_map/layer_1/psum", "Model/layer_1"),
        ("jit(step)", ""),
        ("", ""),
    ],
)
def test_scopes_that_a_person_wrote(name, expected):
    assert "/".join(scopes(name)) == expected
    assert Attribution().of(name)[0] == (expected or "(none)")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("jit(f)/transpose(jvp(M))/l.0/jvp(M)/l.0/checkpoint/attention/dot_general", "M/l.0/attention"),
        ("jit(f)/transpose(jvp(M))/l.0/jvp(M)/l.0/checkpoint/rematted_computation/attention/tanh", "M/l.0/attention"),
        ("jit(f)/transpose(jvp(M))/jvp(M)/checkpoint/rematted_computation/l.0/tanh", "M/l.0"),
        ("jit(f)/transpose(jvp(M))/while/body/eval_jaxpr/layers/layers/checkpoint/attention/tanh", "M/layers/attention"),
        ("jit(f)/transpose(jvp(M))/l/jvp(M)/l/checkpoint/outer/checkpoint/rematted_computation/inner/tanh", "M/l/outer/inner"),
        ("jit(f)/transpose(jvp(M))/a/a/jvp(M)/a/a/checkpoint/tanh", "M/a/a"),
        ("jit(f)/transpose(jvp(M))/l.0/jvp(M)/l.0/remat2", "M/l.0"),
        ("jit(f)/M/a/a/checkpoint/tanh", "M/a/a"),  # without a gradient the scopes stand once
    ],
)
def test_a_checkpointed_call_has_its_scopes_once(name, expected):
    assert "/".join(scopes(name)) == expected


def _everyday(x, index):
    """Functions of jnp and lax that JAX traces with names of its own."""
    y = jnp.where(x > 0, jax.nn.relu(x), jax.nn.silu(x)) + jnp.cumsum(x, 0)
    y = jax.lax.cond(index[0] > 0, lambda y: y @ y.T @ y, jnp.tanh, jnp.einsum("ij,kj->ik", y, x) @ x)
    y = jax.lax.scan(lambda c, row: (c + row, jnp.sort(c)), y[0], y)[1]
    y = y + jax.random.normal(jax.random.key(0), y.shape) + jax.vmap(lambda r: jnp.interp(r, x[0], x[1]))(y)
    y = jax.checkpoint(lambda y: jnp.sin(jnp.sin(y @ x.T) @ x))(y).at[index].add(1.0)
    return jax.nn.logsumexp(y) + jnp.linalg.norm(y) + jnp.quantile(y, 0.3) + jax.lax.top_k(y, 3)[0].sum()


def _scoped(x, weights):
    def layer(x, w):
        with jax.named_scope("layers"):
            return jax.checkpoint(lambda x: jax.nn.gelu(x @ w) @ w.T)(x), None

    with jax.named_scope("Model"):
        x, _ = jax.lax.scan(layer, x, weights)
        with jax.named_scope("head"):
            return (x @ weights[0]).sum()


X, INDEX, WEIGHTS = (jax.ShapeDtypeStruct(*s) for s in (((16, 16), "float32"), ((4,), "int32"), ((3, 16, 16), "float32")))
#: Two products a layer: forward, the first again, and two each for their gradients; of the head its gradients alone.
LAYERS, HEAD = (2 + 1 + 4) * 3 * 2 * 16**3, 2 * 2 * 16**3


def _texts(function, *arguments):
    """The traced and the compiled text, directly and of an exported function that is called again."""
    direct = jax.jit(function)
    again = jax.jit(jax.export.export(direct)(*arguments).call)
    for jitted in (direct, again):
        lowered = jitted.lower(*arguments)
        yield lowered.as_text("hlo", debug_info=True)
        yield lowered.compile().as_text()


@pytest.mark.slow
@pytest.mark.parametrize("function", [_everyday, jax.grad(_everyday)])
def test_no_name_that_jax_writes_is_a_module(function):
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        found = [count_hlo(text) for text in _texts(function, X, INDEX)]
    assert {module for count in found for module, _, _ in count.rows} == {"(none)"}
    assert all(count.matmul_flops for count in found)


def test_an_exported_function_has_the_modules_of_the_function():
    step = jax.grad(_scoped, argnums=(0, 1))
    traced, compiled, traced_again, compiled_again = (count_hlo(text) for text in _texts(step, X, WEIGHTS))
    flops = {name: row["matmul_flops"] for name, row in traced.by("module", "pass").items() if row["matmul_flops"]}
    assert sum(flops[name] for name in flops if name.startswith("Model/layers|")) == LAYERS
    assert sum(flops[name] for name in flops if name.startswith("Model/head|")) == HEAD
    assert sum(flops.values()) == traced.matmul_flops
    for other in (traced_again, compiled, compiled_again):
        by_module = other.by("module")
        assert {name: row["matmul_flops"] for name, row in by_module.items() if row["matmul_flops"]} == {
            "Model/layers": LAYERS,
            "Model/head": HEAD,
        }
    arithmetic = ("matmul_flops", "other_flops", "transcendentals")
    direct, exported = (
        {name: [row[figure] for figure in arithmetic] for name, row in count.by("module", "pass").items()}
        for count in (compiled, compiled_again)
    )
    assert exported == direct


def test_roots_and_loops_of_exported_functions():
    _, compiled, traced_again, compiled_again = _texts(_scoped, X, WEIGHTS)
    assert roots_of(parse(traced_again)) == ("jit(call)", "jit(_scoped)")
    assert roots_of(parse(compiled_again)) == ("jit(call)",)
    assert roots_of(parse(compiled)) == ("jit(_scoped)",)
    for name in ("jit(call)/call_exported/jit(_scoped)/jvp(Model)/while", "jit(_scoped)/jvp(Model)/while"):
        assert plain_path(name, ("jit(call)", "jit(_scoped)")) == "Model/while"
    assert plain_path("jit(call)/call_exported/jit(_scoped)/Model/while", ("jit(call)",)) == "Model/while"
