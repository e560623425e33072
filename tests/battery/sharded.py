"""Programs for eight devices, with every collective. The truth is one device's share."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from battery.program import Program, array, product

DEVICES, BATCH, WIDTH, HIDDEN = 8, 32, 16, 64


def _mesh(*shape: int, names=("data",)):
    return Mesh(np.array(jax.devices()[:DEVICES]).reshape(shape or (DEVICES,)), names)


def _jitted(function, mesh, *specs):
    """``function`` with its arguments laid out by ``specs``."""
    return jax.jit(function, in_shardings=tuple(NamedSharding(mesh, spec) for spec in specs))


def _mapped(function, mesh, inputs, outputs):
    return jax.shard_map(function, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)


_P = PartitionSpec
_X, _UP, _DOWN = array(BATCH, WIDTH), array(WIDTH, HIDDEN), array(HIDDEN, WIDTH)
_BOTH = 2 * product(BATCH, WIDTH, HIDDEN)


def _loss(up, down, x):
    return jnp.sum((jnp.tanh(x @ up) @ down) ** 2)


def data_parallel_step() -> Program:
    """Every device has its part of the batch, and all-reduces the gradients."""
    function = _jitted(jax.grad(_loss, argnums=(0, 1)), _mesh(), _P(), _P(), _P("data"))
    flops = (2 * _BOTH + product(BATCH, WIDTH, HIDDEN)) // DEVICES
    return Program(function, (_UP, _DOWN, _X), flops, devices=DEVICES)


def fully_sharded_step() -> Program:
    """Weights are gathered for use; gradients are reduced and scattered."""
    function = _jitted(jax.grad(_loss, argnums=(0, 1)), _mesh(), _P(None, "data"), _P("data"), _P("data"))
    flops = (2 * _BOTH + product(BATCH, WIDTH, HIDDEN)) // DEVICES
    return Program(function, (_UP, _DOWN, _X), flops, devices=DEVICES)


def tensor_parallel_layer() -> Program:
    """Columns of the first weights, rows of the second: one all-reduce."""
    mesh = _mesh(2, 4, names=("data", "model"))
    function = _jitted(lambda up, down, x: jnp.tanh(x @ up) @ down, mesh, _P(None, "model"), _P("model"), _P("data"))
    return Program(function, (_UP, _DOWN, _X), _BOTH // DEVICES, devices=DEVICES)


def sum_over_devices() -> Program:
    function = _mapped(lambda x, w: lax.psum(x @ w, "data"), _mesh(), (_P(None, "data"), _P("data")), _P())
    return Program(function, (array(BATCH, HIDDEN), _DOWN), product(BATCH, HIDDEN // DEVICES, WIDTH), devices=DEVICES)


def sum_and_scatter() -> Program:
    def function(x, w):
        return lax.psum_scatter(x @ w, "data", tiled=True)

    mapped = _mapped(function, _mesh(), (_P(None, "data"), _P("data")), _P("data"))
    return Program(mapped, (array(BATCH, HIDDEN), _DOWN), product(BATCH, HIDDEN // DEVICES, WIDTH), devices=DEVICES)


def gathered_weights() -> Program:
    def function(x, w):
        return x @ lax.all_gather(w, "data", tiled=True)

    mapped = _mapped(function, _mesh(), (_P("data"), _P("data")), _P("data"))
    return Program(mapped, (array(BATCH, HIDDEN), _DOWN), product(BATCH // DEVICES, HIDDEN, WIDTH), devices=DEVICES)


def experts_by_all_to_all() -> Program:
    def function(x, w):
        mine = lax.all_to_all(x.reshape(DEVICES, -1, WIDTH), "data", 0, 0, tiled=True)
        return lax.all_to_all(jnp.tanh(mine @ w[0]), "data", 0, 0, tiled=True)

    mapped = _mapped(function, _mesh(), (_P("data"), _P("data")), _P("data"))
    tokens = BATCH * DEVICES // DEVICES
    arguments = array(BATCH * DEVICES, WIDTH), array(DEVICES, WIDTH, WIDTH)
    return Program(mapped, arguments, product(tokens, WIDTH, WIDTH), devices=DEVICES)


def ring_attention() -> Program:
    """Keys go round in a ring; every device meets all of them, and keeps the maximum."""

    def function(q, k):
        def step(carry, _):
            k, top = carry
            top = jnp.maximum(top, (q @ k.T).max(-1))
            return (lax.ppermute(k, "data", [(n, (n + 1) % DEVICES) for n in range(DEVICES)]), top), None

        top = lax.scan(step, (k, jnp.full(q.shape[0], -jnp.inf)), None, length=DEVICES)[0][1]
        return lax.pmax(top, "data")

    mapped = _mapped(function, _mesh(), (_P("data"), _P("data")), _P())
    part = BATCH // DEVICES
    return Program(mapped, (_X, _X), DEVICES * product(part, WIDTH, part), devices=DEVICES)


def pipeline_of_stages() -> Program:
    """A stage per device; in every tick all of them compute, at the ends on what does not count."""
    pieces = 4
    ticks = pieces + DEVICES - 1

    def function(w, x):
        def tick(held, now):
            result = jnp.tanh(held @ w[0])
            return lax.ppermute(result, "data", [(n, n + 1) for n in range(DEVICES - 1)]) + now * 0.0, result

        return lax.scan(tick, jnp.zeros((BATCH, WIDTH)), x)[1]

    mapped = _mapped(function, _mesh(), (_P("data"), _P()), _P(None, "data"))
    flops = ticks * product(BATCH, WIDTH, WIDTH)
    return Program(mapped, (array(DEVICES, WIDTH, WIDTH), array(ticks, BATCH, WIDTH)), flops, devices=DEVICES)


def normalised_over_devices() -> Program:
    def function(x, w):
        y = x @ w
        return (y - lax.pmean(y.mean(), "data")) * lax.rsqrt(lax.pmean(jnp.mean(y**2), "data"))

    mapped = _mapped(function, _mesh(), (_P("data"), _P()), _P("data"))
    return Program(mapped, (_X, _UP), product(BATCH // DEVICES, WIDTH, HIDDEN), devices=DEVICES)
