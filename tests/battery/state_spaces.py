"""State-space models: convolutions by FFT, associative scans, selective scans, linear attention in chunks."""

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Compiled, Program, array, product

BATCH, LENGTH, WIDTH, STATE = 2, 16, 8, 4


def s4_by_fft() -> Program:
    """The convolution itself is a transform: no matrix product."""

    def layer(w, kernel, x):
        u = x @ w
        size = 2 * LENGTH
        y = jnp.fft.irfft(jnp.fft.rfft(u, size, 1) * jnp.fft.rfft(kernel, size, 0)[None], size, 1)[:, :LENGTH]
        return jax.nn.gelu(y) @ w

    arguments = array(WIDTH, WIDTH), array(LENGTH, WIDTH), array(BATCH, LENGTH, WIDTH)
    flops, size = 2 * product(BATCH * LENGTH, WIDTH, WIDTH), 2 * LENGTH
    rows = BATCH * WIDTH + WIDTH + BATCH * WIDTH  # of the input, the kernel, and back
    why = "a transform is a product with the matrix of all frequencies, complex on both sides, in three real ones"
    compiled = {"tpu": Compiled(flops + 3 * product(rows, size, size), why)}
    return Program(layer, arguments, flops, compiled=compiled)


def diagonal_recurrence_by_associative_scan() -> Program:
    def layer(w, decay, x):
        u = x @ w
        _, h = lax.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (jnp.broadcast_to(decay, u.shape), u), axis=1)
        return h @ w

    return Program(
        layer, (array(WIDTH, WIDTH), array(1, 1, WIDTH), array(BATCH, LENGTH, WIDTH)), 2 * product(BATCH * LENGTH, WIDTH, WIDTH)
    )


def _combinations(length: int) -> int:
    """Applications in an associative scan over a power of two: the pairs, the scan over them, the places between."""
    return 0 if length == 1 else length // 2 + _combinations(length // 2) + length // 2 - 1


def products_of_matrices_by_associative_scan() -> Program:
    def scan(a):
        return lax.associative_scan(lambda left, right: jnp.einsum("tij,tjk->tik", right, left), a)

    return Program(scan, (array(LENGTH, STATE, STATE),), _combinations(LENGTH) * product(STATE, STATE, STATE))


def selective_scan() -> Program:
    """Mamba's layer: projections outside of the scan, and one product with the state per position inside."""

    def layer(w, a, x):
        u = x @ w["in"]
        b, c = jnp.split(u @ w["bc"], 2, -1)
        delta = jax.nn.softplus(u @ w["delta"])

        def step(h, now):
            u, b, c, delta = now
            h = h * jnp.exp(delta[..., None] * a) + (delta * u)[..., None] * b[:, None]
            return h, jnp.einsum("bds,bs->bd", h, c)

        start = jnp.zeros((BATCH, WIDTH, STATE))
        _, y = lax.scan(step, start, jax.tree.map(lambda v: jnp.moveaxis(v, 1, 0), (u, b, c, delta)))
        return jnp.moveaxis(y, 0, 1) @ w["out"]

    weights = {"in": array(WIDTH, WIDTH), "bc": array(WIDTH, 2 * STATE), "delta": array(WIDTH, WIDTH), "out": array(WIDTH, WIDTH)}
    projections = 3 * product(BATCH * LENGTH, WIDTH, WIDTH) + product(BATCH * LENGTH, WIDTH, 2 * STATE)
    arguments = weights, array(1, WIDTH, STATE), array(BATCH, LENGTH, WIDTH)
    return Program(layer, arguments, projections + LENGTH * product(BATCH, WIDTH, STATE))


def linear_attention_in_chunks() -> Program:
    chunk, chunks = 4, LENGTH // 4

    def attend(q, k, v):
        def step(state, now):
            q, k, v = now
            inside = jnp.tril(jnp.einsum("bqd,bkd->bqk", q, k))
            y = jnp.einsum("bqk,bkd->bqd", inside, v) + jnp.einsum("bqd,bde->bqe", q, state)
            return state + jnp.einsum("bkd,bke->bde", k, v), y

        return lax.scan(step, jnp.zeros((BATCH, WIDTH, WIDTH)), (q, k, v))

    part = array(chunks, BATCH, chunk, WIDTH)
    step = 2 * product(BATCH, chunk, chunk, WIDTH) + 2 * product(BATCH, chunk, WIDTH, WIDTH)
    return Program(attend, (part, part, part), chunks * step)


def gradient_of_a_selective_scan() -> Program:
    """Every step's product has two gradients. That of the state is an outer product."""

    def loss(c, decay, x):
        def step(h, now):
            h = h * decay + now[..., None]
            return h, jnp.einsum("bds,bs->bd", h, c)

        return jnp.sum(lax.scan(step, jnp.zeros((BATCH, WIDTH, STATE)), x)[1] ** 2)

    arguments = array(BATCH, STATE), array(1, WIDTH, STATE), array(LENGTH, BATCH, WIDTH)
    one = LENGTH * product(BATCH, WIDTH, STATE)
    why = "the outer product is multiplied out again in each of the {} fusions that read it"
    compiled = {"cpu": Compiled((2 + 3) * one, why.format("three")), "cuda": Compiled((2 + 2) * one, why.format("two"))}
    return Program(jax.grad(loss, argnums=(0, 1, 2)), arguments, 3 * one, compiled=compiled)
