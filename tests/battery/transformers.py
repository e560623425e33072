"""Transformers: layers in loops and recomputed, several kinds of attention, decoding with a cache."""

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Program, array, integers, product

BATCH, LENGTH, WIDTH, HEADS, LAYERS, WORDS = 2, 8, 16, 4, 3, 40
HEAD = WIDTH // HEADS
TOKENS = BATCH * LENGTH


def _weights(width=WIDTH, layers=()):
    return {
        "qkv": array(*layers, width, 3 * width),
        "out": array(*layers, width, width),
        "up": array(*layers, width, 4 * width),
        "down": array(*layers, 4 * width, width),
    }


def _norm(x):
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)


def _heads(x):
    return x.reshape(*x.shape[:-1], HEADS, -1)


def _attend(q, k, v, mask=None):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
    scores = scores if mask is None else jnp.where(mask, scores, -1e9)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v).reshape(*q.shape[:2], -1)


def _layer(x, w, mask=None):
    q, k, v = (_heads(part) for part in jnp.split(_norm(x) @ w["qkv"], 3, -1))
    x = x + _attend(q, k, v, mask) @ w["out"]
    return x + jax.nn.gelu(_norm(x) @ w["up"]) @ w["down"]


_PROJECTIONS = product(TOKENS, WIDTH, 3 * WIDTH) + product(TOKENS, WIDTH, WIDTH)
_SCORES = product(TOKENS, LENGTH, WIDTH)
_MLP = product(TOKENS, WIDTH, 4 * WIDTH)
_ONE_LAYER = _PROJECTIONS + 2 * _SCORES + 2 * _MLP


def _language_model(weights, tokens):
    mask = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))

    @jax.checkpoint
    def step(x, w):
        return _layer(x, w, mask)

    x, _ = lax.scan(lambda x, w: (step(x, w), None), weights["words"][tokens], weights["layers"])
    logits = jax.nn.log_softmax(_norm(x) @ weights["words"].T)
    return -jnp.take_along_axis(logits[:, :-1], tokens[:, 1:, None], -1).mean()


def _gpt():
    return {"words": array(WORDS, WIDTH), "layers": _weights(layers=(LAYERS,))}, integers(BATCH, LENGTH)


def gpt_training_scanned_and_recomputed() -> Program:
    """The last product of a layer is not recomputed: no gradient needs its result."""
    layers = 4 * _ONE_LAYER - _MLP
    return Program(jax.grad(_language_model), _gpt(), LAYERS * layers + 3 * product(TOKENS, WIDTH, WORDS))


def gpt_loss() -> Program:
    return Program(_language_model, _gpt(), LAYERS * _ONE_LAYER + product(TOKENS, WIDTH, WORDS))


def bert_with_a_padding_mask() -> Program:
    def encode(layers, x, lengths):
        mask = (jnp.arange(LENGTH)[None] < lengths[:, None])[:, None, None]
        for w in layers:
            x = _layer(x, w, mask)
        return jnp.tanh(x[:, 0] @ layers[0]["out"])

    arguments = [_weights()] * LAYERS, array(BATCH, LENGTH, WIDTH), integers(BATCH)
    return Program(encode, arguments, LAYERS * _ONE_LAYER + product(BATCH, WIDTH, WIDTH))


def vit_with_patches_by_convolution() -> Program:
    patch, side = 4, 16
    patches = (side // patch) ** 2

    def encode(kernel, w, images):
        x = lax.conv_general_dilated(images, kernel, (patch, patch), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = _layer(x.reshape(BATCH, patches, WIDTH), w)
        return x.mean(1) @ w["out"]

    layer = product(BATCH * patches, WIDTH, 4 * WIDTH) * 3 + 2 * product(BATCH * patches, patches, WIDTH)
    flops = product(BATCH * patches, patch * patch * 3, WIDTH) + layer + product(BATCH, WIDTH, WIDTH)
    return Program(encode, (array(patch, patch, 3, WIDTH), _weights(), array(BATCH, side, side, 3)), flops)


def encoder_and_decoder_with_cross_attention() -> Program:
    source = 12

    def translate(w, x, memory):
        q = _heads(x @ w["q"])
        k, v = (_heads(part) for part in jnp.split(memory @ w["kv"], 2, -1))
        return _layer(x + _attend(q, k, v), w)

    weights = _weights() | {"q": array(WIDTH, WIDTH), "kv": array(WIDTH, 2 * WIDTH)}
    cross = product(TOKENS, WIDTH, WIDTH) + product(BATCH * source, WIDTH, 2 * WIDTH) + 2 * product(TOKENS, source, WIDTH)
    return Program(translate, (weights, array(BATCH, LENGTH, WIDTH), array(BATCH, source, WIDTH)), cross + _ONE_LAYER)


def _rotated(x):
    """Rotary position embedding."""
    half = x.shape[-1] // 2
    angles = jnp.arange(x.shape[1])[:, None, None] / 100 ** (jnp.arange(half) / half)
    left, right = x[..., :half], x[..., half:]
    return jnp.concatenate(
        [left * jnp.cos(angles) - right * jnp.sin(angles), right * jnp.cos(angles) + left * jnp.sin(angles)], -1
    )


def _grouped(w, x):
    """Attention with half as many heads for keys and values."""
    q = _rotated(_heads(x @ w["q"])).reshape(BATCH, LENGTH, HEADS // 2, 2, HEAD)
    k, v = (part.reshape(BATCH, LENGTH, HEADS // 2, HEAD) for part in jnp.split(x @ w["kv"], 2, -1))
    scores = jnp.einsum("bqngd,bknd->bngqk", q, _rotated(k))
    return jnp.einsum("bngqk,bknd->bqngd", jax.nn.softmax(scores), v).reshape(BATCH, LENGTH, WIDTH)


def _grouped_arguments():
    return {"q": array(WIDTH, WIDTH), "kv": array(WIDTH, WIDTH)}, array(BATCH, LENGTH, WIDTH)


def grouped_queries_with_rotary_positions() -> Program:
    return Program(_grouped, _grouped_arguments(), 2 * product(TOKENS, WIDTH, WIDTH) + 2 * _SCORES)


def gradient_of_grouped_queries() -> Program:
    """The squared loss needs every forward product; every product has two gradients but the first two, whose input is data."""
    gradient = jax.grad(lambda w, x: jnp.sum(_grouped(w, x) ** 2))
    return Program(gradient, _grouped_arguments(), 2 * 2 * product(TOKENS, WIDTH, WIDTH) + 3 * 2 * _SCORES)


def decoding_with_a_cache() -> Program:
    steps = 5

    def generate(w, cache, x):
        def step(carry, place):
            x, cache = carry
            q, k, v = (_heads(part)[:, None] for part in jnp.split(x @ w["qkv"], 3, -1))
            cache = lax.dynamic_update_slice_in_dim(cache, jnp.stack([k, v]), place, 2)
            x = _attend(q, *cache, mask=jnp.arange(LENGTH) <= place)[:, 0] @ w["out"]
            return (x, cache), jnp.argmax(x, -1)

        return lax.scan(step, (x, cache), jnp.arange(steps))[1]

    cache = array(2, BATCH, LENGTH, HEADS, HEAD)
    step = product(BATCH, WIDTH, 3 * WIDTH) + product(BATCH, WIDTH, WIDTH) + 2 * product(BATCH, LENGTH, WIDTH)
    return Program(generate, (_weights(), cache, array(BATCH, WIDTH)), steps * step)


def attention_in_blocks_with_a_running_softmax() -> Program:
    """Flash attention's algorithm in plain JAX: a loop over blocks of keys in a loop over blocks of queries."""
    block, blocks = 4, LENGTH // 4

    def attend(q, k, v):
        def rows(q):
            def step(carry, kv):
                top, total, out = carry
                k, v = kv
                scores = jnp.einsum("bqd,bkd->bqk", q, k)
                new = jnp.maximum(top, scores.max(-1))
                p, old = jnp.exp(scores - new[..., None]), jnp.exp(top - new)
                return (new, total * old + p.sum(-1), out * old[..., None] + jnp.einsum("bqk,bkd->bqd", p, v)), None

            start = jnp.full((BATCH, block), -jnp.inf), jnp.zeros((BATCH, block)), jnp.zeros((BATCH, block, WIDTH))
            (_, total, out), _ = lax.scan(step, start, (k, v))
            return out / total[..., None]

        return lax.map(rows, q)

    part = array(blocks, BATCH, block, WIDTH)
    return Program(attend, (part, part, part), blocks * blocks * 2 * product(BATCH, block, block, WIDTH))
