"""Functions of a user's own as steps: what is read off them, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import PartitionSpec

from cr_jax.errors import BadConfig
from cr_jax.steps.function import UserFunction, abstract, examples, function_step, with_batch

F32 = jnp.float32
WEIGHTS = {"dense": {"kernel": jax.ShapeDtypeStruct((8, 4), F32), "bias": jax.ShapeDtypeStruct((4,), F32)}}
BATCH = jax.ShapeDtypeStruct((16, 8), F32)


def forward(params, batch):
    return batch @ params["dense"]["kernel"] + params["dense"]["bias"][None]


def leaves(user):
    step = function_step(user, "default").step
    return dict(zip(step.names, step.roles, strict=True)), {step.names[number] for number in step.donated}


def test_arguments_are_named_by_the_signature_and_their_paths():
    roles, donated = leaves(UserFunction(forward, (WEIGHTS, BATCH), donate="params"))
    assert roles == {"params.dense.bias": "weights", "params.dense.kernel": "weights", "batch": "batch"}
    assert donated == {"params.dense.bias", "params.dense.kernel"}


def test_the_variables_of_keras_are_recognised():
    def step(trainable_variables, optimizer_variables, non_trainable_variables, x):
        return trainable_variables

    one = [jax.ShapeDtypeStruct((2,), jnp.float32)]
    roles, _ = leaves(UserFunction(step, (one, one, one, BATCH)))
    assert list(roles.values()) == ["weights", "optimizer", "state", "batch"]


def test_names_inside_the_weights_do_not_decide():
    attention = {"params": {"query": BATCH, "key": BATCH, "opt": BATCH}}
    state = {"params": attention["params"], "opt_state": ({"mu": attention},)}
    roles, _ = leaves(UserFunction(lambda state, key: state, (state, jax.ShapeDtypeStruct((2,), jnp.uint32))))
    assert {role for name, role in roles.items() if name.startswith("state.params")} == {"weights"}
    assert {role for name, role in roles.items() if name.startswith("state.opt_state")} == {"optimizer"}
    assert roles["key"] == "key"


def test_several_arguments_make_a_batch():
    def step(images, labels, scale):
        return (images * labels[:, None]).sum() * scale

    labels = jax.ShapeDtypeStruct((16,), F32)
    user = UserFunction(step, (BATCH, labels, jnp.float32(2)), batch=("images", "labels"))
    made = function_step(user, "default", (("data", 2),)).step
    assert made.labels.batch == 16
    assert made.shardings == (PartitionSpec("data"), PartitionSpec("data"), PartitionSpec())
    assert [one.shape for one in with_batch(user, 4).arguments[:2]] == [(4, 8), (4,)]


def test_a_jitted_function_says_itself_what_it_donates():
    jitted = jax.jit(forward, donate_argnums=(1,))
    assert leaves(UserFunction(jitted, (WEIGHTS, BATCH)))[1] == {"batch"}
    with pytest.raises(BadConfig, match="donate: 'forward' is jitted, which says it"):
        function_step(UserFunction(jitted, (WEIGHTS, BATCH), donate=0), "default")


def test_static_arguments_are_no_arguments_of_the_program():
    def scaled(batch, times):
        return batch * 2 if times == "twice" else batch

    for user in (
        UserFunction(scaled, (BATCH, "twice"), static="times"),
        UserFunction(jax.jit(scaled, static_argnames="times"), (BATCH, "twice")),
        UserFunction(jax.jit(scaled, static_argnames="times"), (BATCH,), keywords={"times": "twice"}),
    ):
        assert list(leaves(user)[0]) == ["batch"]


def test_static_arguments_before_others_do_not_move_their_names_or_the_batch():
    def step(mode, state, batch):
        return state + batch.sum() if mode == "sum" else state

    state = jax.ShapeDtypeStruct((3,), F32)
    for user in (
        UserFunction(jax.jit(step, static_argnums=0, donate_argnums=1), ("sum", state, BATCH), batch="batch"),
        UserFunction(step, ("sum", state, BATCH), static="mode", donate="state", batch=2),
        UserFunction(step, ("sum", state, BATCH), donate=1, batch=2),
    ):
        made = function_step(user, "default", (("data", 4),)).step
        assert (made.names, made.donated) == (("state", "batch"), (0,))
        assert made.shardings == (PartitionSpec(), PartitionSpec("data"))


def test_leaves_that_are_no_arrays_are_constants():
    def run(layers, x):
        return layers["activation"](x @ layers["kernel"])

    kernel = jax.ShapeDtypeStruct((8, 8), F32)
    roles, donated = leaves(UserFunction(run, ({"kernel": kernel, "activation": jnp.tanh}, BATCH), donate=0, weights=0))
    assert roles == {"layers.kernel": "weights", "x": "batch"}
    assert donated == {"layers.kernel"}


class Net(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(8, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)])

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def update(model, optimizer, batch):
    loss, gradients = nnx.value_and_grad(lambda model: model(batch).sum())(model)
    optimizer.update(model, gradients)
    return loss


def nnx_arguments():
    model = nnx.eval_shape(lambda: Net(nnx.Rngs(0)))
    return model, nnx.eval_shape(lambda: nnx.Optimizer(Net(nnx.Rngs(0)), optax.adam(0.1), wrt=nnx.Param)), BATCH


@pytest.mark.parametrize("jitted", [False, True])
def test_an_nnx_step_keeps_the_changes_of_its_modules(jitted):
    user = UserFunction(nnx.jit(update) if jitted else update, nnx_arguments())
    made = function_step(user, "default")
    roles = dict(zip(made.step.names, made.step.roles, strict=True))
    assert roles["model.layers.0.kernel"] == "weights"
    assert roles["model.layers.1.mean"] == "state"
    assert roles["optimizer.opt_state.0.mu.layers.0.kernel"] == "optimizer"
    assert {p.module: p.size for p in made.parameters if p.path == "layers.0.kernel"} == {"layers.0": 64}
    traced = made.step.trace()
    shapes = [shape.shape for shape in jax.tree.leaves(traced.out_info)]
    assert shapes.count((8, 8)) == 3, "kernel, first and second moment are results of the step"


def test_arrays_become_shapes_and_keep_nothing_of_their_values():
    tree = abstract({"a": jnp.ones((2, 3)), "b": np.ones(4), "c": jnp.float32(1.0), "d": 2.0})
    assert tree["a"] == jax.ShapeDtypeStruct((2, 3), F32)
    assert tree["b"] == jax.ShapeDtypeStruct((4,), F32)
    assert tree["d"] == 2.0


def test_a_function_is_never_run():
    def step(x):
        jax.debug.callback(lambda _: pytest.fail("the function was run"), x)
        return x + 1

    function_step(UserFunction(step, (jnp.ones(3),)), "default")


def test_64_bits_that_jax_does_not_keep_are_named():
    def step(params, batch, ids, scale):
        return (batch @ params["kernel"].astype(batch.dtype)).sum() * scale, ids.sum()

    kernel, ids = jax.ShapeDtypeStruct((8, 4), jnp.float64), np.arange(5)
    user = UserFunction(step, ({"kernel": kernel}, BATCH, ids, 2.0))
    assert function_step(user, "default").notes == (
        "JAX holds params.kernel (float64) as float32; ids (int64) as int32; "
        "JAX_ENABLE_X64=1 or jax.config.update('jax_enable_x64', True) keeps 64 bits",
    )
    with jax.enable_x64(True):
        assert function_step(user, "default").notes == ()


def test_the_batch_is_counted_and_can_be_another():
    user = UserFunction(forward, (WEIGHTS, BATCH), batch="batch")
    assert function_step(user, "default").step.labels.batch == 16
    other = with_batch(user, 5)
    assert examples(other) == 5
    assert other.arguments[1].shape == (5, 8)
    odd = UserFunction(forward, (WEIGHTS, {"x": BATCH, "y": jax.ShapeDtypeStruct((3,), F32)}), batch=1)
    with pytest.raises(BadConfig, match="its arrays have 3 and 16 rows"):
        examples(odd)


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (UserFunction(forward, (WEIGHTS,)), "missing 1 required positional argument: 'batch'; legal: every argument"),
        (
            UserFunction(forward, (WEIGHTS, jax.ShapeDtypeStruct((16, 9), F32))),
            r"raised TypeError while it was traced, test_function.py, line \d+: .* --debug",
        ),
        (UserFunction(lambda x: x if x > 0 else -x, (jnp.float32(1),)), "name such an argument in static"),
        (UserFunction(jax.jit(lambda x, mode: x), (BATCH, "sum")), "legal: name it in static, or in static_argnames of jax.jit"),
        (UserFunction(forward, (WEIGHTS, BATCH), donate="parms"), r"donate 'parms': .* legal: 0 \(params\), 1 \(batch\)"),
        (UserFunction(forward, (WEIGHTS, BATCH), static=7), "static 7: 'forward' is not given such an argument"),
    ],
)
def test_what_cannot_be_traced_is_refused_in_one_line(user, said):
    with pytest.raises(BadConfig, match=said):
        function_step(user, "default")


def test_equinox_modules_bring_their_own_constants():
    eqx = pytest.importorskip("equinox", reason="needs the extra cr-jax[frameworks]")
    model = eqx.filter_eval_shape(lambda: eqx.nn.MLP(8, 4, 16, 2, key=jax.random.key(0)))

    @eqx.filter_jit(donate="all-except-first")
    def run(model, x, scale):
        return jax.vmap(model)(x) * scale

    roles, donated = leaves(UserFunction(run, (model, BATCH, 2.0)))
    assert roles["model.layers.0.weight"] == "weights"
    assert donated == {"x"}
    assert "scale" not in roles, "a Python number is static to filter_jit"
