"""Functions made by ``jax.pmap``: what they donate is read off, and more than one device is refused."""

import jax
import jax.numpy as jnp
import pytest

import cr_jax
from cr_jax.errors import BadConfig
from cr_jax.steps.function import UserFunction, function_step

ROWS, WIDTH = 16, 8
WEIGHTS = {name: jax.ShapeDtypeStruct((1, WIDTH, WIDTH), jnp.float32) for name in ("first", "second")}
BATCH = jax.ShapeDtypeStruct((1, ROWS, WIDTH), jnp.float32)
#: Of the forward pass, and of the gradients of both weights and of what is between them.
MATMUL = 2 * ROWS * WIDTH**2 * (2 + 3)


def update(params, batch, rate):
    def loss(params):
        x = batch
        for name in params:
            with jax.named_scope(name):
                x = x @ params[name]
        return jnp.sum(jnp.square(x))

    loss, gradients = jax.value_and_grad(loss)(params)
    gradients = jax.lax.pmean(gradients, "devices")
    return jax.tree.map(lambda w, g: w - rate * g, params, gradients), loss


def mapped(donate=(0,)):
    return jax.pmap(update, axis_name="devices", donate_argnums=donate, in_axes=(0, 0, None))


def donated(user):
    step = function_step(user, "default").step
    return {step.names[number] for number in step.donated}


def test_donation_is_that_of_the_mapped_function():
    arguments = (WEIGHTS, BATCH, 0.1)
    assert donated(UserFunction(mapped(), arguments)) == {"params.first", "params.second"}
    assert donated(UserFunction(mapped((1,)), arguments)) == {"batch"}
    assert donated(UserFunction(mapped(()), arguments)) == set()
    assert donated(UserFunction(mapped((1,)), arguments, donate="params")) == {"params.first", "params.second"}


def test_it_costs_what_the_function_on_one_device_costs():
    found = cr_jax.analyze(mapped(), WEIGHTS, BATCH, 0.1)
    assert (found.matmul_flops, found.bound) == (MATMUL, "exact")
    assert {row.path for row in found.modules if row.matmul_flops} == {"first", "second"}


def test_more_devices_are_refused_with_what_is_legal():
    two = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape[1:]), leaf.dtype), (WEIGHTS, BATCH))
    with pytest.raises(
        BadConfig, match=r"'update': jax.pmap .* device.*; legal: arguments whose mapped axis has length 1"
    ) as caught:
        function_step(UserFunction(mapped(), (*two, 0.1)), "default")
    assert "\n" not in str(caught.value)


def test_a_mapped_function_that_raises_is_named_with_its_error():
    def fails(x):
        raise ValueError("no such layer")

    with pytest.raises(BadConfig, match=r"'fails': jax.pmap cannot be traced on \d+ device.*: ValueError: no such layer"):
        function_step(UserFunction(jax.pmap(fails), (BATCH,)), "default")
