"""Meshes that a function names itself: in the shardings of its jit, and in its body."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import cr_jax
from cr_jax import count_hlo
from cr_jax.errors import BadConfig
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.max_batch import largest_batches
from cr_jax.profiling.scaling import ScalingRequest, scaling
from cr_jax.steps.function import UserFunction, function_step
from cr_jax.targets import overlay
from cr_jax.targets.compile import lower_step
from cr_jax.targets.resolve import resolve
from cr_jax.targets.sources import FunctionSource

B, IN, HIDDEN, OUT = 32, 64, 512, 16
SHAPES = {"first": (IN, HIDDEN), "second": (HIDDEN, OUT)}
PARAMS = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in SHAPES.items()}
X = jax.ShapeDtypeStruct((B, IN), jnp.float32)
#: Columns of the first layer and rows of the second over ``model``.
SPLIT = {"first": P(None, "model"), "second": P("model")}


def mesh(**sizes):
    return AbstractMesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


MESH = mesh(data=4, model=2)


def on(tree, where=MESH):
    return jax.tree.map(lambda spec: NamedSharding(where, spec), tree)


def step(params, x):
    """A gradient step: two products forward, two by the weights, one by the hidden layer."""
    loss = lambda params: jnp.sum((jnp.tanh(x @ params["first"]) @ params["second"]) ** 2)  # noqa: E731
    value, gradients = jax.value_and_grad(loss)(params)
    return jax.tree.map(lambda weight, gradient: weight - 0.1 * gradient, params, gradients), value


PRODUCTS = 2 * B * (2 * IN * HIDDEN + 3 * HIDDEN * OUT)


def jitted(where=MESH, **options):
    return jax.jit(step, in_shardings=on((SPLIT, P("data")), where), donate_argnums=0, **options)


def made(function, arguments=(PARAMS, X), mesh=(), **options):
    return function_step(UserFunction(function, arguments, **options), "default", mesh)


def test_shardings_and_the_mesh_are_those_of_the_jit():
    found = made(jitted(out_shardings=(on(SPLIT), None)))
    assert found.mesh == (("data", 4), ("model", 2))
    assert found.step.shardings == (P(None, "model"), P("model"), P("data"))
    assert found.step.results == (P(None, "model"), P("model"), None)
    assert found.step.donated == (0, 1)
    assert found.notes == ("the mesh data=4,model=2 is the one that the function names in the shardings of its jit",)


@pytest.mark.parametrize("own", [mesh(data=4, model=2), mesh(data=1, model=1)])
def test_another_mesh_takes_the_axes_by_their_names(own):
    found = made(jitted(own), mesh=(("data", 2), ("model", 4)))
    assert found.mesh == (("data", 2), ("model", 4))
    assert found.step.shardings == (P(None, "model"), P("model"), P("data"))
    assert "their axes are those of data=2,model=4" in found.notes[0]


def test_a_mesh_of_one_device_is_none():
    found = made(jitted(mesh(data=1, model=1)))
    assert (found.mesh, found.step.shardings, found.notes) == ((), None, ())


def test_the_batch_is_split_where_the_jit_says_nothing_of_it():
    weights = jax.jit(step, in_shardings=(on(SPLIT), None))
    assert made(weights, batch="x").step.shardings == (P(None, "model"), P("model"), P("data"))
    assert made(weights).step.shardings == (P(None, "model"), P("model"), P())


def test_arguments_of_the_same_sharding_agree():
    given = jax.ShapeDtypeStruct(X.shape, X.dtype, sharding=on(P("data", None)))
    assert made(jitted(), (PARAMS, given)).step.shardings[2] == P("data", None)


def test_names_of_scopes_and_products_are_those_of_the_function():
    def scoped(params, x):
        with jax.named_scope("layer"):
            return step(params, x)

    texts = [
        lower_step(made(jax.jit(scoped, **options)).step, resolve("cpu"), "default").step.model_hlo
        for options in ({}, {"in_shardings": on((SPLIT, P("data")), mesh(data=1, model=1))})
    ]
    plain, bare = ({row: cost for row, cost in count_hlo(text).rows.items() if cost.matmul_flops} for text in texts)
    assert plain == bare and "layer" in str(plain)


def test_a_mesh_in_the_body_is_the_functions_own():
    def body(params, x):
        return step(params, jax.lax.with_sharding_constraint(x, on(P("data"))))

    found = made(body)
    assert found.mesh == (("data", 4), ("model", 2))
    assert found.notes == ("the mesh data=4,model=2 is the one that the function names in its body",)
    with pytest.raises(BadConfig, match=r"mesh data=8: the function's body names data=4,model=2 .* legal: data=4,model=2"):
        made(body, mesh=(("data", 8),), batch="x")


def test_explicit_axes_stay_in_the_types():
    explicit = AbstractMesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    given = jax.ShapeDtypeStruct(X.shape, X.dtype, sharding=NamedSharding(explicit, P("data")))
    mapped = jax.shard_map(lambda x: jax.lax.psum(x.sum(), "data"), mesh=explicit, in_specs=P("data"), out_specs=P())
    found = made(mapped, (given,))
    assert found.mesh == (("data", 4),) and found.step.shardings == (P("data"),)


def test_every_device_runs_the_body_of_a_shard_map():
    def mapped(w, x):
        w = w @ w.T @ w
        part = jax.shard_map(lambda w, x: x @ w, mesh=MESH, in_specs=(P(), P("data")), out_specs=P("data"))
        return jnp.sin(part(w, x))

    w = jax.ShapeDtypeStruct((IN, HIDDEN), jnp.float32)
    lowered = lower_step(made(mapped, (w, X)).step, resolve("cpu", (("data", 4), ("model", 2))), "default").step
    # Both axes are manual: the two halves along ``model`` do the same.
    expected = 2 * (2 * IN * IN * HIDDEN + 2 * B * IN * HIDDEN)
    assert count_hlo(lowered.model_hlo).total.matmul_flops == lowered.jaxpr.matmul_flops == expected


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        (jitted(), {"mesh": (("x", 8),)}, "mesh x=8: the shardings of the function's jit name other axes; legal: data, model"),
        (jitted(), {"mesh": (("data", 8),)}, "mesh data=8: .* name other axes; legal: data, model"),
        (jitted(), {"mesh": (("data", 3), ("model", 1))}, "mesh data=3: 3 does not divide 32, a dimension of argument 1; legal"),
        (
            jax.jit(step, in_shardings=on((SPLIT, P("data"))), out_shardings=on(P(), mesh(data=8))),
            {},
            "the function names several meshes: data=4,model=2 and data=8; legal: one",
        ),
        (
            jitted(),
            {"arguments": (PARAMS, jax.ShapeDtypeStruct(X.shape, X.dtype, sharding=on(P("model"))))},
            r"argument 1: split by P(artitionSpec)?\('model',\), but by P(artitionSpec)?\('data',\) in its jit; legal",
        ),
        (
            jitted(),
            {"arguments": (PARAMS, jax.ShapeDtypeStruct(X.shape, X.dtype, sharding=on(P("data"), mesh(data=8))))},
            "mesh data=8: the arguments are split over it, but the function's jit names data=4,model=2; legal: one mesh",
        ),
        (
            jax.jit(step, in_shardings=(None, NamedSharding(MESH, P("data"), memory_kind="pinned_host"))),
            {},
            "in_shardings: arrays in the memory of the host",
        ),
    ],
)
def test_what_disagrees_is_refused_in_one_line(function, options, said):
    with pytest.raises(BadConfig, match=said):
        made(function, **options)


def test_how_results_are_split_is_part_of_the_programs_key():
    steps = [made(jitted(out_shardings=(out, None))).step for out in (on(SPLIT), on({"first": P(), "second": P()}))]
    assert len({FunctionSource((one,), "default").fingerprint("cpu", "step") for one in steps}) == 2


class Net(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(IN, HIDDEN, use_bias=False, rngs=rngs)
        self.second = nnx.Linear(HIDDEN, OUT, use_bias=False, rngs=rngs)

    def __call__(self, x):
        return self.second(jnp.tanh(self.first(x)))


def test_nnx_jit_with_a_state_sharding():
    first, second = nnx.PathContains("first"), nnx.PathContains("second")
    state = nnx.StateSharding({first: on(SPLIT["first"]), second: on(SPLIT["second"])})
    function = nnx.jit(lambda model, x: model(x), in_shardings=(state, on(P("data"))))
    found = made(function, (nnx.eval_shape(lambda: Net(nnx.Rngs(0))), X))
    split = dict(zip(found.step.names, found.step.shardings, strict=True))
    assert split == {"model.first.kernel": P(None, "model"), "model.second.kernel": P("model"), "x": P("data")}


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "h100", "tpu-v5e"])
def test_shares_and_collectives_of_a_jitted_step_are_those_by_hand(device):
    if device != "cpu" and overlay.find("tpu" if "tpu" in device else "gpu") is None:
        pytest.skip(f"no compiler for {device} here")
    found = cr_jax.analyze(jitted(out_shardings=(on(SPLIT), None)), PARAMS, X, device=device)
    assert 8 * found.matmul_flops == PRODUCTS and found.bound == "exact"
    reported = found.report.steps[0]
    assert reported.matmul_account.replicated_flops == 0
    sent: dict[tuple[str, ...], int] = {}
    for one in reported.collectives:
        sent[one.axes] = sent.get(one.axes, 0) + one.payload_bytes * one.executions
    weights = sum(rows * columns for rows, columns in SHAPES.values()) // 2
    assert sent[("data",)] == 4 * (weights + 1)  # gradients of the weights of one device, and the loss
    if device != "tpu-v5e":  # which sends whole tiles
        assert sent[("model",)] == 4 * (B // 4) * OUT  # the half sums of the second layer
    assert reported.memory.alias_bytes == 4 * weights  # the donated weights come back as they were given


@pytest.mark.slow
def test_largest_batch_and_scaling_on_a_mesh_of_the_functions_own():
    request = FunctionRequest(UserFunction(jitted(), (PARAMS, X), batch="x"))
    (row,) = largest_batches(request, 10**6)
    assert row.batch % 4 == 0 and row.peak_bytes <= 10**6 < row.next_peak_bytes
    (one,) = scaling(ScalingRequest(request)).rows
    assert one.reason == "--scaling 1: the function's own shardings are of 8 devices; legal: --scaling 8"
