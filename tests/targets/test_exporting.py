"""Steps that travel as StableHLO: the program that comes back is the one that was traced."""

import jax
import jax.numpy as jnp
import pytest

from cr_jax.cost.counting.count import count_hlo
from cr_jax.errors import ExportRefused
from cr_jax.records import FunctionLabels
from cr_jax.steps.function import UserFunction, function_step
from cr_jax.steps.step import Step
from cr_jax.targets.compile import _CPU as HERE
from cr_jax.targets.compile import compile_for, lower_step
from cr_jax.targets.exporting import exported, imported
from cr_jax.targets.resolve import resolve

F32 = jnp.float32


def recurrent(params, unused, x, key):
    """A scan of products, its gradient, and random numbers."""

    def loss(kernel):
        def body(carry, row):
            with jax.named_scope("cell"):
                return jnp.tanh(carry @ kernel + row[None]), None

        carry, _ = jax.lax.scan(body, jnp.ones((4, 8)), x)
        return (carry * jax.random.uniform(key, (4, 8))).sum()

    return jax.grad(loss)(params["kernel"])


ARGUMENTS = (
    {"kernel": jax.ShapeDtypeStruct((8, 8), F32)},
    jax.ShapeDtypeStruct((1000,), F32),
    jax.ShapeDtypeStruct((5, 8), F32),
    jax.eval_shape(lambda: jax.random.key(0)),
)


@pytest.fixture(scope="module")
def both():
    """The step as it was traced, and as another process gets it."""
    step = function_step(UserFunction(recurrent, ARGUMENTS, donate=0), "default").step
    blob = exported(step, "cpu", "default").serialized()
    return step, imported(step.name, blob, step.names, step.donated)


def counted(step: Step):
    compilation = compile_for(step, HERE, "default", ("", ""))
    return count_hlo(compilation.hlo), compilation.memory


def test_the_counts_are_those_of_the_program_compiled_here(both):
    (here, memory), (there, its_memory) = map(counted, both)
    assert there.matmul_flops == here.matmul_flops == 5 * 3 * 2 * 4 * 8 * 8
    assert (there.total, there.bound) == (here.total, here.bound)
    assert its_memory.argument_bytes == memory.argument_bytes, "the argument that no result needs is dropped"
    assert its_memory.alias_bytes == memory.alias_bytes == 8 * 8 * 4


def test_an_exported_step_is_labelled_and_named(both):
    step = both[1]
    assert isinstance(step.labels, FunctionLabels)
    assert step.names == ("params.kernel", "unused", "x", "key")


def test_the_fingerprint_follows_the_program_and_not_its_place():
    def made(function):
        step = function_step(UserFunction(function, (jnp.ones((3, 3)),)), "default").step
        return exported(step, "cpu", "default").sha256

    assert made(lambda x: x @ x) == made(lambda x: x @ x)
    assert made(lambda x: x @ x) != made(lambda x: x + x)


def test_a_program_of_another_platform_has_another_fingerprint():
    def step(x):
        return jax.lax.platform_dependent(x, cpu=lambda x: x, cuda=lambda x: x @ x)

    traced = function_step(UserFunction(step, (jnp.ones((3, 3)),)), "default").step
    texts = {platform: exported(traced, platform, "default") for platform in ("cpu", "cuda")}
    assert texts["cpu"].sha256 != texts["cuda"].sha256


def test_a_callback_cannot_leave_the_process():
    def step(x):
        return jax.pure_callback(lambda x: x, x, x)

    traced = function_step(UserFunction(step, (jnp.ones(3),)), "default").step
    with pytest.raises(ExportRefused, match="step cannot be lowered for cuda: "):
        exported(traced, "cuda", "default")


def test_factorisations_travel_though_their_calls_are_no_stable_format():
    traced = function_step(UserFunction(jnp.linalg.qr, (jnp.ones((4, 4)),)), "default").step
    assert exported(traced, "cpu", "default").serialized()


def test_large_constants_of_a_closure_are_part_of_the_program():
    table = jnp.arange(30_000.0).reshape(300, 100)

    def step(x):
        return x @ table

    traced = function_step(UserFunction(step, (jnp.ones((2, 300)),)), "default").step
    lowered = lower_step(traced, resolve("cpu"), "default")
    compiled = lowered.compile()
    assert count_hlo(compiled.hlo).matmul_flops == 2 * 2 * 300 * 100
    blob = exported(traced, "cpu", "default").serialized()
    assert counted(imported(traced.name, blob, traced.names, ()))[0].matmul_flops == 2 * 2 * 300 * 100
