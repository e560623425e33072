"""Models with weights in bfloat16 or int8: their answers, their bytes, and the types in their compiled programs."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx
from talks import said
from tiny import DATA, SMALL, WORK, case

from cr_jax.errors import BadConfig
from cr_jax.models import spec as specs
from cr_jax.profiling.pipeline import profile
from cr_jax.profiling.request import Request
from cr_jax.steps.step import abstract_model

MODELS = ("dmn", "mmn", "pmmn")
each = pytest.mark.parametrize(("name", "weights"), [(n, w) for n in MODELS for w in ("bfloat16", "int8")])


def scores(found, config):
    """Item scores of three users after the request and a turn, replayed, from the same float32 weights."""
    model = found.spec.build(config, nnx.Rngs(3))
    spoken, talk = said(found, WORK), found.spec.conversation
    side = None if spoken.items is None else jax.jit(talk.precompute)(model, spoken.items)
    replay = jax.jit(lambda history: talk.replay(model, side, history)["item_scores"])
    return np.stack([np.asarray(replay(history), np.float32) for _, _, history, _ in spoken.steps[:2]])


@each
def test_answers_are_nearly_those_of_float32(name, weights):
    found = case(name)
    wanted, quantised = (scores(found, c) for c in (found.config, dataclasses.replace(found.config, weights=weights)))
    rounding = np.abs(wanted).max() * 2.0**-8 if weights == "bfloat16" else 0.0  # the scores are bfloat16 too
    assert 0 < np.abs(quantised - wanted).max() < 0.1 * np.ptp(wanted) + rounding
    assert np.corrcoef(quantised.ravel(), wanted.ravel())[0, 1] > (0.9 if weights == "bfloat16" else 0.99)


@each
def test_bytes_of_the_weights_by_hand(name, weights):
    found = case(name)
    full = abstract_model(found.spec, found.config).parameters()
    held = abstract_model(found.spec, dataclasses.replace(found.config, weights=weights)).parameters()
    assert not any(p.trainable for p in held)
    by_hand = sum(2 * p.size for p in full)
    if weights == "int8":  # a byte per number and a float per output, or per row of a table; vectors stay float32
        outputs = [p.shape[0] if p.path in ("words.rows", "users.rows") else p.shape[-1] for p in full]
        by_hand = sum(p.size + 4 * n if len(p.shape) == 2 else 4 * p.size for p, n in zip(full, outputs, strict=True))
    assert sum(p.bytes for p in held) == by_hand


@each
def test_a_report_says_what_multiplies_them(name, weights):
    request = Request(name, DATA, phases=("infer",), turns_compiled="last", settings=SMALL[name] | {"weights": weights})
    (step,) = profile(request).steps
    assert step.compiled is not None and sum(step.product_types.values()) == step.compiled.matmul_flops
    # XLA's CPU compiler of JAX 0.10 has no product of bfloat16 or int8 and converts the operands of most; that of 0.12 has some.
    assert set(step.product_types) <= ({"f32", "bf16"} if weights == "bfloat16" else {"s32", "s8"})
    assert step.memory.roles_bytes["weights"] == 0 < step.memory.roles_bytes["frozen"]
    (plain,) = profile(dataclasses.replace(request, settings=SMALL[name])).steps
    assert not plain.product_types and plain.model.matmul_flops == step.model.matmul_flops


def test_they_are_not_trained():
    request = Request("dmn", DATA, settings=SMALL["dmn"] | {"weights": "int8"})
    with pytest.raises(BadConfig, match=r"no weight of this dmn is trained; legal: phases precompute and infer"):
        profile(request)


@pytest.mark.parametrize("name", MODELS)
def test_other_types_are_refused(name):
    found = case(name)
    with pytest.raises(BadConfig, match=r"weights='int4': legal: float32, bfloat16, int8"):
        specs.override(found.spec, found.config, {"weights": "int4"})
