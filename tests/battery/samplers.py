"""Samplers and decoders whose loops the data may end: beam search, Markov chains, diffusion, rejection."""

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Program, array, everywhere, integers, key, product

SIZE, STEPS, BEAMS, WORDS = 6, 4, 3, 12


def _random(data):
    return jax.random.wrap_key_data(data)


def beam_search_until_every_beam_ends() -> Program:
    limit = 10

    def search(w, words, start):
        def step(state):
            count, h, scores, _ = state
            h = jnp.tanh(h @ w)
            totals = scores[:, None] + jax.nn.log_softmax(h @ words)
            scores, chosen = lax.top_k(totals.reshape(-1), BEAMS)
            return count + 1, h[chosen // WORDS], scores, chosen % WORDS == 0

        with jax.named_scope("decode"):
            start = 0, start, jnp.zeros(BEAMS), jnp.zeros(BEAMS, bool)
            return lax.while_loop(lambda s: (s[0] < limit) & ~s[3].all(), step, start)

    one = product(BEAMS, SIZE, SIZE) + product(BEAMS, SIZE, WORDS)
    arguments = array(SIZE, SIZE), array(SIZE, WORDS), array(BEAMS, SIZE)
    return Program(search, arguments, (0, limit * one), bound="upper", trips={"decode": 4}, trips_flops=4 * one)


def _energy(w, x):
    return 0.5 * x @ (w @ x)


_ENERGY = product(SIZE, SIZE) + product(SIZE)


def hamiltonian_chain() -> Program:
    """The gradient of x W x has a product with W and one with its transpose, and before them two by the number 1."""
    leaps = 3

    def sample(w, x, data):
        gradient = jax.grad(_energy, argnums=1)

        def once(x, chosen):
            momentum = jax.random.normal(chosen, (SIZE,))

            def leap(_, state):
                x, p = state
                p = p - 0.05 * gradient(w, x)
                x = x + 0.1 * p
                return x, p - 0.05 * gradient(w, x)

            new, p = lax.fori_loop(0, leaps, leap, (x, momentum))
            change = _energy(w, x) - _energy(w, new) + 0.5 * (momentum @ momentum - p @ p)
            x = jnp.where(jnp.log(jax.random.uniform(chosen)) < change, new, x)
            return x, x

        return lax.scan(once, x, jax.random.split(_random(data), STEPS))[1]

    gradient = 2 * product(SIZE, SIZE)
    flops = STEPS * (leaps * 2 * gradient + 2 * _ENERGY + 2 * product(SIZE))
    by_one = STEPS * leaps * 2 * 2 * product(SIZE)
    compiled = everywhere(flops, "products by the number 1 are left out")
    return Program(sample, (array(SIZE, SIZE), array(SIZE), key()), flops + by_one, compiled=compiled)


def no_u_turn() -> Program:
    """A trajectory doubles until it turns back: nobody knows how often."""

    def sample(w, x):
        def going(state):
            x, p, start = state
            return (x - start) @ p > 0

        def leap(state):
            x, p, start = state
            p = p - 0.1 * (w @ x)
            return x + 0.1 * p, p, start

        with jax.named_scope("trajectory"):
            return lax.while_loop(going, leap, (x, jnp.ones(SIZE), x))[0]

    test = product(SIZE)
    trips_flops = 5 * product(SIZE, SIZE) + 6 * test
    trips = {"trajectory": 5}
    return Program(sample, (array(SIZE, SIZE), array(SIZE)), (test, None), bound="lower", trips=trips, trips_flops=trips_flops)


def diffusion() -> Program:
    steps, hidden, batch = 6, 16, 3

    def sample(w, x, data):
        def denoise(x, now):
            time, chosen = now
            h = jax.nn.silu(x @ w["in"] + time * w["time"])
            noise = h @ w["out"]
            return x - 0.1 * noise + 0.01 * jax.random.normal(chosen, x.shape), None

        keys = jax.random.split(_random(data), steps)
        return lax.scan(denoise, x, (jnp.linspace(1, 0, steps), keys))[0]

    weights = {"in": array(SIZE, hidden), "time": array(1, hidden), "out": array(hidden, SIZE)}
    return Program(sample, (weights, array(batch, SIZE), key()), steps * 2 * product(batch, SIZE, hidden))


def rejection_until_one_is_accepted() -> Program:
    def sample(w, data):
        def propose(state):
            chosen, _, _ = state
            chosen, now = jax.random.split(chosen)
            x = jax.random.normal(now, (SIZE,))
            return chosen, x, jnp.exp(-x @ (w @ x)) > jax.random.uniform(now)

        with jax.named_scope("propose"):
            start = _random(data), jnp.zeros(SIZE), jnp.zeros((), bool)
            return lax.while_loop(lambda s: ~s[2], propose, start)[1]

    return Program(sample, (array(SIZE, SIZE), key()), (0, None), bound="lower", trips={"propose": 3}, trips_flops=3 * _ENERGY)


def chains_side_by_side() -> Program:
    chains = 5

    def sample(w, x, data):
        def chain(x, data):
            def step(x, chosen):
                x = x - 0.1 * (w @ x) + jax.random.normal(chosen, (SIZE,))
                return x, x

            return lax.scan(step, x, jax.random.split(_random(data), STEPS))[1]

        return jax.vmap(chain)(x, data)

    return Program(
        sample, (array(SIZE, SIZE), array(chains, SIZE), array(chains, 2, dtype=jnp.uint32)), STEPS * product(chains, SIZE, SIZE)
    )


def speculative_decoding() -> Program:
    """A small model drafts a fixed number of words, a large one checks them at once; one branch goes on, one stops."""
    drafts = 3

    def decode(small, large, x, length):
        def draft(h, _):
            h = jnp.tanh(h @ small)
            return h, h

        _, drafted = lax.scan(draft, x, None, length=drafts)
        checked = jnp.tanh(drafted @ large)
        return lax.cond(length > 3, lambda h: h @ large, lambda h: h, checked[-1])

    low = drafts * product(SIZE, SIZE) + product(drafts, SIZE, SIZE)
    arguments = array(SIZE, SIZE), array(SIZE, SIZE), array(SIZE), integers()
    return Program(decode, arguments, (low, low + product(SIZE, SIZE)), bound="range")
