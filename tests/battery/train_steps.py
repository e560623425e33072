"""Whole training steps in the manner of published examples: a language model in Haiku, a vision transformer in Equinox, a
residual network in Linen. Tokens have weights of their own, so their first products have both gradients; images are data.
"""

import jax
import jax.numpy as jnp
import optax
from flax import linen
from flax.training import train_state

from battery.program import Program, array, integers, meetings, product, same

BATCH, LAYERS, CLASSES = 2, 2, 10


def haiku_language_model() -> Program:
    """Causal attention whose heads are narrower than the model, dropout, gradients clipped to a norm, Adam."""
    import haiku

    length, width, heads, head, words = 8, 16, 2, 6, 20

    def network(tokens):
        x = haiku.Embed(words, width)(tokens)
        x = x + haiku.get_parameter("positions", [length, width], init=haiku.initializers.RandomNormal())
        mask = jnp.tril(jnp.ones((length, length))) * (tokens != 0)[:, None, None]
        for _ in range(LAYERS):
            attention = haiku.MultiHeadAttention(heads, head, model_size=width, w_init=haiku.initializers.RandomNormal())
            near = haiku.LayerNorm(-1, True, True)(x)
            x = x + haiku.dropout(haiku.next_rng_key(), 0.1, attention(near, near, near, mask=mask))
            dense = haiku.Sequential([haiku.Linear(4 * width), jax.nn.gelu, haiku.Linear(width)])
            x = x + haiku.dropout(haiku.next_rng_key(), 0.1, dense(haiku.LayerNorm(-1, True, True)(x)))
        return haiku.Linear(words, name="words")(x)

    model, optimizer = haiku.transform(network), optax.chain(optax.clip_by_global_norm(1.0), optax.adam(3e-4))

    def loss(params, key, tokens, targets):
        return optax.softmax_cross_entropy_with_integer_labels(model.apply(params, key, tokens), targets).mean()

    def step(params, state, key, tokens, targets):
        value, gradient = jax.value_and_grad(loss)(params, key, tokens, targets)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    tokens, key = integers(BATCH, length), array(2, dtype=jnp.uint32)
    params = jax.eval_shape(model.init, key, tokens)
    rows, inner = BATCH * length, heads * head
    attention = 4 * product(rows, width, inner) + 2 * product(rows, length, inner)
    layer = attention + 2 * product(rows, width, 4 * width)
    arguments = params, jax.eval_shape(optimizer.init, params), key, tokens, tokens
    return Program(step, arguments, 3 * (LAYERS * layer + product(rows, width, words)))


def equinox_vision_transformer() -> Program:
    """Patches by a linear layer, a token for the class before them, dropout, AdamW."""
    import equinox

    patch, side, width, hidden, heads = 4, 8, 16, 24, 2
    patches = (side // patch) ** 2
    tokens = patches + 1

    class Block(equinox.Module):
        norms: list
        attention: equinox.nn.MultiheadAttention
        up: equinox.nn.Linear
        down: equinox.nn.Linear
        dropout: equinox.nn.Dropout

        def __init__(self, key):
            first, second, third = jax.random.split(key, 3)
            self.norms = [equinox.nn.LayerNorm(width), equinox.nn.LayerNorm(width)]
            self.attention = equinox.nn.MultiheadAttention(heads, width, key=first)
            self.up, self.down = equinox.nn.Linear(width, hidden, key=second), equinox.nn.Linear(hidden, width, key=third)
            self.dropout = equinox.nn.Dropout(0.1)

        def __call__(self, x, key):
            near = jax.vmap(self.norms[0])(x)
            x = x + self.attention(near, near, near)
            inside = self.dropout(jax.nn.gelu(jax.vmap(self.up)(jax.vmap(self.norms[1])(x))), key=key)
            return x + jax.vmap(self.down)(inside)

    class Network(equinox.Module):
        patches: equinox.nn.Linear
        token: jax.Array
        positions: jax.Array
        blocks: list
        head: equinox.nn.Linear

        def __init__(self, key):
            keys = jax.random.split(key, LAYERS + 4)
            self.patches = equinox.nn.Linear(patch * patch * 3, width, key=keys[0])
            self.token, self.positions = jax.random.normal(keys[1], (1, width)), jax.random.normal(keys[2], (tokens, width))
            self.blocks = [Block(one) for one in keys[4:]]
            self.head = equinox.nn.Linear(width, CLASSES, key=keys[3])

        def __call__(self, image, key):
            cut = image.reshape(3, side // patch, patch, side // patch, patch).transpose(1, 3, 0, 2, 4).reshape(patches, -1)
            x = jnp.concatenate([self.token, jax.vmap(self.patches)(cut)]) + self.positions
            for block, one in zip(self.blocks, jax.random.split(key, LAYERS), strict=True):
                x = block(x, one)
            return self.head(x[0])

    optimizer = optax.adamw(1e-4)
    model, rest = equinox.partition(
        equinox.filter_eval_shape(Network, jax.random.key(0)), lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)
    )

    def loss(model, images, labels, keys):
        logits = jax.vmap(equinox.combine(model, rest))(images, keys)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(model, state, images, labels, keys):
        value, gradient = jax.value_and_grad(loss)(model, images, labels, keys)
        updates, state = optimizer.update(gradient, state, model)
        return equinox.apply_updates(model, updates), state, value

    data = array(BATCH, 3, side, side), integers(BATCH), array(BATCH, 2, dtype=jnp.uint32)
    rows = BATCH * tokens
    attention = 4 * product(rows, width, width) + 2 * product(rows, tokens, width)
    layers = LAYERS * (attention + 2 * product(rows, width, hidden))
    flops = 2 * product(BATCH * patches, patch * patch * 3, width) + 3 * (layers + product(BATCH, width, CLASSES))
    return Program(step, (model, jax.eval_shape(optimizer.init, model), *data), flops)


class _Block(linen.Module):
    filters: int
    stride: int

    @linen.compact
    def __call__(self, x):
        def normal():
            return linen.BatchNorm(use_running_average=False)

        y = linen.relu(normal()(linen.Conv(self.filters, (3, 3), self.stride, use_bias=False)(x)))
        y = normal()(linen.Conv(self.filters, (3, 3), use_bias=False)(y))
        if x.shape != y.shape:
            x = normal()(linen.Conv(self.filters, (1, 1), self.stride, use_bias=False, name="projection")(x))
        return linen.relu(x + y)


class _ResidualNetwork(linen.Module):
    filters: int

    @linen.compact
    def __call__(self, x):
        x = linen.relu(linen.BatchNorm(use_running_average=False)(linen.Conv(self.filters, (3, 3), use_bias=False)(x)))
        x = _Block(self.filters, 1, name="wide")(x)
        x = _Block(2 * self.filters, 2, name="deep")(x)
        return linen.Dense(CLASSES, name="head")(x.mean((1, 2)))


class _State(train_state.TrainState):
    statistics: dict


def linen_residual_network() -> Program:
    """Running statistics beside the weights, momentum. The second block halves the image and projects its input."""
    side, filters = 9, 4
    model = _ResidualNetwork(filters)

    def start(key):
        kept = model.init(key, jnp.ones((1, side, side, 3)))
        optimizer = optax.sgd(0.1, momentum=0.9, nesterov=True)
        return _State.create(apply_fn=model.apply, params=kept["params"], tx=optimizer, statistics=kept["batch_stats"])

    def step(state, images, labels):
        def loss(params):
            kept = {"params": params, "batch_stats": state.statistics}
            logits, changed = model.apply(kept, images, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), changed["batch_stats"]

        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        return state.apply_gradients(grads=gradient, statistics=statistics), value

    half = -(-side // 2)
    full, small = meetings(side, 3, pad=same(side, 3)) ** 2, meetings(half, 3, pad=same(half, 3)) ** 2
    halving = meetings(side, 3, 2, same(side, 3, 2)) ** 2
    stem, wide = product(BATCH, full, 3, filters), 2 * product(BATCH, full, filters, filters)
    deep = product(BATCH, halving, filters, 2 * filters) + product(BATCH, small, 2 * filters, 2 * filters)
    projection = product(BATCH, half**2, filters, 2 * filters)
    flops = 2 * stem + 3 * (wide + deep + projection + product(BATCH, 2 * filters, CLASSES))
    state = jax.eval_shape(start, jax.random.key(0))
    return Program(step, (state, array(BATCH, side, side, 3), integers(BATCH)), flops)
