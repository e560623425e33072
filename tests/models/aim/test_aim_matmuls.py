"""AIM's matmuls from named factors, leaf by leaf."""

import math
import re
from collections import Counter
from dataclasses import replace

import jax
import jax.numpy as jnp
from aim_tiny import ITEMS, TINY, B, gradient, ids, noise, pair
from flax import nnx

from cr_jax.models.aim import model as aim
from cr_jax.nn.module import module_paths

# Matmuls, leaf by leaf. W1, W2: positions after the first and the second convolution (13 and 14 words alike).
V, E, F, f, H, SCORE, Z = (TINY.words, TINY.embedding, TINY.features, TINY.filter, TINY.hidden, TINY.score_features, TINY.noise)


W1, W2, T = 6, 2, TINY.target_words


GATES = 4 * H
#: The modules of both sides.
SCOPES = set(module_paths(nnx.eval_shape(lambda: aim.build(replace(TINY, sides=2), nnx.Rngs(0)))))


def cnn(path: str, rows: int, outputs: int) -> dict[str, int]:
    return {
        f"{path}.conv1": 2 * rows * W1 * f * E * F,
        f"{path}.conv2": 2 * rows * W2 * f * F * 2 * F,
        f"{path}.conv3": 2 * rows * W2 * 2 * F * outputs,
    }


def free_pass(path: str, steps: int) -> dict[str, int]:
    """Start, LSTM, tied output and soft-argmax feedback; nothing is fed back after the last step."""
    loop = steps - 1
    return {
        f"{path}.decoder.start": 2 * B * (H + Z) * H,
        f"{path}.decoder.cell": 2 * B * H * GATES + 2 * E * GATES + loop * 2 * B * (E + H) * GATES,
        f"{path}.decoder.output": 2 * H * E * V + steps * 2 * B * H * V,
        f"{path}.embedding": loop * 2 * B * V * E,
    }


def matmuls(function, *arguments) -> Counter[str]:
    """FLOPs of dots and (undilated) convolutions by innermost scope, loops multiplied by their length."""
    found: Counter[str] = Counter()

    def walk(jaxpr, times: int, outer: str) -> None:
        for e in jaxpr.eqns:
            parts = re.split(r"[/()]", str(e.source_info.name_stack))
            scope = next((p for p in reversed(parts) if p in SCOPES), outer)
            if e.primitive.name == "dot_general":
                (contract, _), _ = e.params["dimension_numbers"]
                inner = math.prod(e.invars[0].aval.shape[i] for i in contract)
                found[scope] += times * 2 * math.prod(e.outvars[0].aval.shape) * inner
            elif e.primitive.name == "conv_general_dilated":
                inner = math.prod(e.invars[1].aval.shape[:2])
                found[scope] += times * 2 * math.prod(e.outvars[0].aval.shape) * inner
            rounds = times * (e.params["length"] if e.primitive.name == "scan" else 1)
            for value in jax.tree.leaves(list(e.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
                if hasattr(value, "eqns"):
                    walk(value, rounds, scope)

    walk(jax.make_jaxpr(function)(*arguments).jaxpr, 1, "")
    return +found


def test_matmuls_of_a_turn_and_of_the_items(model):
    side, words = aim.Side(jnp.zeros((ITEMS, SCORE)), model.generator.tables()), ids(0, B, 6)
    utterance = {"words": words, "lengths": jnp.full(B, 6), "z": noise(0)}
    want = cnn("discriminator.source", B, SCORE) | {"discriminator": 2 * B * SCORE * ITEMS}
    want |= cnn("generator.encoder", B, H) | free_pass("generator", TINY.max_words)
    tied = 2 * H * E * V  # belongs to the weights, not to the turn
    want["generator.decoder.output"] -= tied
    assert matmuls(lambda u: aim.replay(model, side, u), utterance) == want
    want = cnn("discriminator.target", ITEMS, SCORE) | {"generator.decoder.output": tied}
    assert matmuls(lambda w: aim.precompute(model, {"words": w}), ids(0, ITEMS, 9)) == want


def test_matmuls_of_the_costs(model):
    key, batch = jax.random.key(0), pair()
    common = cnn("generator.encoder", B, H) | free_pass("generator", T + 1)
    common |= cnn("discriminator.source", B, SCORE)
    common |= cnn("discriminator.target", 2 * B, SCORE) | {"discriminator.embedding": 2 * B * (T + 1) * V * E}
    assert matmuls(lambda b: aim.discriminator_loss(model, b, key)[0], batch) == common

    def teacher(path: str) -> Counter[str]:
        known = 2 * E * GATES + (T - 1) * 2 * B * (E + H) * GATES
        return Counter({f"{path}.decoder.cell": known, f"{path}.decoder.output": T * 2 * B * H * V})

    backward = (
        Counter(cnn("generator_rev.encoder", B, H))
        + teacher("generator_rev")
        + Counter(
            {
                "generator_rev.embedding": 2 * B * (T + 1) * V * E,
                "generator_rev.decoder.start": 2 * B * (H + Z) * H,
                "generator_rev.decoder.cell": 2 * B * H * GATES,
                "generator_rev.decoder.output": 2 * H * E * V,
            }
        )
    )
    want = Counter(common) + teacher("generator") + backward
    assert matmuls(lambda b: aim.generator_loss(model, b, key)[0], batch) == want


def dots(function, *arguments) -> int:
    return sum(n for scope, n in matmuls(function, *arguments).items() if ".conv" not in scope)


def test_matmuls_of_the_gradients(model):
    """A product of two trained quantities costs three times in a step, one with a constant factor twice,
    one that no trained weight reaches once (convolutions aside: their gradients are dilated)."""
    d, g = aim.objectives(TINY)
    generated, judged = sum(free_pass("", T + 1).values()), 2 * B * (T + 1) * V * E
    assert dots(*gradient(model, d)) == generated + 2 * judged
    forward = dots(lambda b: aim.generator_loss(model, b, jax.random.key(0))[0], pair())
    assert dots(*gradient(model, g)) == 3 * (forward - judged) + 2 * judged
