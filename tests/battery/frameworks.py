"""Models of module libraries: Linen with lifted loops and recomputation, NNX with states, Equinox where it is installed."""

import jax
import jax.numpy as jnp
from flax import linen, nnx

from battery.program import Program, array, product

BATCH, LENGTH, WIDTH, HIDDEN, LAYERS = 3, 5, 8, 16, 3
_X = array(BATCH, WIDTH)


class _Network(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(WIDTH)(linen.relu(linen.Dense(HIDDEN)(x)))


class _Residual(linen.Module):
    @linen.compact
    def __call__(self, x, _):
        return x + _Network()(linen.LayerNorm()(x)), None


class _Stack(linen.Module):
    @linen.compact
    def __call__(self, x):
        block = linen.scan(
            linen.remat(_Residual, prevent_cse=False), variable_axes={"params": 0}, split_rngs={"params": True}, length=LAYERS
        )
        return block()(x, None)[0]


def _linen(module, x):
    return jax.eval_shape(module.init, jax.random.key(0), x)


_NETWORK = 2 * product(BATCH, WIDTH, HIDDEN)


def linen_layers_scanned_and_recomputed() -> Program:
    """The last product of a layer is not computed again."""
    module = _Stack()
    gradient = jax.grad(lambda weights, x: jnp.sum(module.apply(weights, x) ** 2))
    return Program(gradient, (_linen(module, _X), _X), LAYERS * (4 * _NETWORK - product(BATCH, HIDDEN, WIDTH)))


def linen_attention() -> Program:
    module = linen.MultiHeadDotProductAttention(num_heads=2, qkv_features=WIDTH)
    x = array(BATCH, LENGTH, WIDTH)
    flops = 4 * product(BATCH * LENGTH, WIDTH, WIDTH) + 2 * product(BATCH * LENGTH, LENGTH, WIDTH)
    return Program(module.apply, (_linen(module, x), x), flops)


def linen_recurrence() -> Program:
    module = linen.RNN(linen.OptimizedLSTMCell(HIDDEN))
    x = array(BATCH, LENGTH, WIDTH)
    return Program(module.apply, (_linen(module, x), x), LENGTH * product(BATCH, WIDTH + HIDDEN, 4 * HIDDEN))


def _nnx(make, loss):
    graph, state = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    return lambda state, x: loss(nnx.merge(graph, state), x), state


def nnx_training() -> Program:
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.first, self.second = nnx.Linear(WIDTH, HIDDEN, rngs=rngs), nnx.Linear(HIDDEN, WIDTH, rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.relu(self.first(x)))

    function, state = _nnx(Network, lambda model, x: jnp.sum(model(x) ** 2))
    return Program(jax.grad(function), (state, _X), 2 * _NETWORK + product(BATCH, WIDTH, HIDDEN))


def nnx_attention_and_convolution() -> Program:
    class Network(nnx.Module):
        def __init__(self, rngs):
            self.near = nnx.Conv(WIDTH, WIDTH, (3,), padding="VALID", rngs=rngs)
            self.far = nnx.MultiHeadAttention(2, WIDTH, decode=False, rngs=rngs)

        def __call__(self, x):
            return self.far(self.near(x))

    function, state = _nnx(Network, lambda model, x: model(x))
    left = LENGTH - 2
    flops = (
        product(BATCH * left, 3 * WIDTH, WIDTH) + 4 * product(BATCH * left, WIDTH, WIDTH) + 2 * product(BATCH * left, left, WIDTH)
    )
    return Program(function, (state, array(BATCH, LENGTH, WIDTH)), flops)


def equinox_network() -> Program:
    import equinox

    model = equinox.filter_eval_shape(equinox.nn.MLP, WIDTH, WIDTH, HIDDEN, 2, key=jax.random.key(0))
    arrays, rest = equinox.partition(model, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def loss(arrays, x):
        return jnp.sum(jax.vmap(equinox.combine(arrays, rest))(x) ** 2)

    middle = product(BATCH, HIDDEN, HIDDEN)
    return Program(jax.grad(loss), (arrays, _X), 2 * _NETWORK + product(BATCH, HIDDEN, WIDTH) + 3 * middle)
