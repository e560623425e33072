"""Arrays that a user gave, by their places in the traced program, and results that continue donated ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.steps.function import UserFunction, function_step
from cr_jax.steps.function_arrays import continuations, given_arrays

SQUARE = jax.ShapeDtypeStruct((4, 4), jnp.float32)


def traced(user):
    step = function_step(user, "default").step
    return step, step.trace()


def test_arrays_are_given_and_shapes_are_not():
    def function(weights, scale, batch, *, bias):
        return weights["a"] @ weights["b"] * scale + batch + bias

    weights = {"a": SQUARE, "b": np.full((4, 4), 2.0)}
    user = UserFunction(function, (weights, 0.5, SQUARE), {"bias": jnp.ones((4, 4))})
    _, program = traced(user)
    kinds = [None if value is None else float(np.max(value)) for value in given_arrays(program, user)]
    assert kinds == [None, 2.0, 0.5, None, 1.0]


def test_static_arguments_have_no_place():
    def function(factor, x):
        return factor * x

    user = UserFunction(jax.jit(function, static_argnums=0), (3, jnp.arange(4.0)))
    _, program = traced(user)
    (value,) = given_arrays(program, user)
    assert list(value) == [0, 1, 2, 3]


class Dense(nnx.Module):
    """A weight, and a count of calls."""

    def __init__(self, value):
        self.kernel = nnx.Param(jnp.full((4, 4), value))
        self.calls = nnx.Variable(jnp.int32(0))

    def __call__(self, x):
        self.calls.set_value(self.calls.get_value() + 1)
        return x @ self.kernel.get_value()


@nnx.jit(donate_argnums=0)
def two_layers(state, x):
    return state["second"](state["first"](x))


def test_variables_of_modules_in_a_tree_are_told_apart():
    user = UserFunction(two_layers, ({"first": Dense(1.0), "second": Dense(2.0)}, SQUARE))
    step, program = traced(user)
    values = given_arrays(program, user)
    assert [None if value is None else float(np.max(value)) for value in values] == [0, 1, 0, 2, None]
    assert continuations(program, user, step.donated) == (0, 1, 2, 3, None)


def test_variables_that_the_program_does_not_take_alike_are_refused():
    _, program = traced(UserFunction(two_layers, ({"first": Dense(1.0), "second": Dense(2.0)}, SQUARE)))
    wider = Dense(1.0)
    wider.bias = nnx.Param(jnp.ones(4))
    user = UserFunction(two_layers, ({"first": wider, "second": Dense(2.0)}, SQUARE))
    with pytest.raises(BadConfig, match=r"shares variables with another argument.*legal: nnx\.eval_shape"):
        given_arrays(program, user)


def test_arrays_of_other_shapes_or_places_are_refused():
    _, program = traced(UserFunction(lambda x: x + 1, (SQUARE,)))
    for argument in (jnp.ones(4), {"x": jnp.ones((4, 4))}):
        with pytest.raises(BadConfig, match=r"in its place|in the place of"):
            given_arrays(program, UserFunction(lambda x: x, (argument,)))


def continued(function, arguments, donate):
    user = UserFunction(function, arguments, donate=donate)
    step, program = traced(user)
    return continuations(program, user, step.donated)


def test_a_result_continues_the_argument_of_its_path():
    def step(params, moments, batch):
        return batch.sum(), {name: {"w": one["w"] + 1} for name, one in moments.items()}, {"w": params["w"] * 2}

    arguments = ({"w": SQUARE}, {"mu": {"w": SQUARE}, "nu": {"w": SQUARE}}, SQUARE)
    assert continued(step, arguments, (0, 1)) == (None, 1, 2, 0)
    assert continued(step, arguments, 0) == (None, None, None, 0)
    assert continued(step, arguments, ()) == (None, None, None, None)


def test_a_donated_array_without_a_path_in_the_result_takes_one_of_its_kind():
    assert continued(lambda state, x: {"new": state["old"] + x}, ({"old": SQUARE}, SQUARE), 0) == (0,)
    assert continued(lambda x, y: y.sum(), (SQUARE, SQUARE), 0) == (None,)


def test_shapes_and_types_have_to_be_those_of_the_result():
    assert continued(lambda x: (x.astype(jnp.int32), x[0], -x), (SQUARE,), 0) == (None, None, 0)
