"""AIM's weights from named factors, the public counts, and what a configuration refuses."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from aim_tiny import TINY
from flax import nnx

from cr_jax.catalog.dataset import Dataset
from cr_jax.errors import BadConfig
from cr_jax.models.aim import model as aim
from cr_jax.records import Lengths, TextLengths, Workload

WORDS = Lengths(mean=3.5, p50=3, p95=5, max=9)


LENGTHS = TextLengths(request=WORDS, question=WORDS, answer=WORDS, item=WORDS, item_sentences=WORDS)


WORK = Workload(turns=3, lengths=LENGTHS, turn_histogram=(1, 1, 1))


def dataset() -> Dataset:
    return Dataset(
        "toy",
        "Toy",
        users=7,
        items=20,
        aspects=5,
        values=6,
        turns=40,
        conversations=18,
        words=50,
        lengths=LENGTHS,
        turn_histogram=(1, 1, 1),
        paper={},
        origins={},
    )


def sizes(config: aim.Config) -> Counter[str]:
    """Weights of each top module."""
    model = nnx.eval_shape(lambda: aim.build(config, nnx.Rngs(0)))
    found: Counter[str] = Counter()
    for path, leaf in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        found[str(path[0])] += math.prod(leaf.shape)
    return found


def cnn_size(c: aim.Config, outputs: int) -> int:
    length = c.max_words + 2 * (c.filter - 1)
    for _ in range(2):
        length = (length - c.filter) // 2 + 1
    f1, f2 = c.features, 2 * c.features
    return (c.filter * c.embedding * f1 + f1) + (c.filter * f1 * f2 + f2) + (length * f2 * outputs + outputs)


def generator_size(c: aim.Config) -> int:
    start = (c.hidden + c.noise) * c.hidden + c.hidden
    lstm = (c.embedding + c.hidden + c.hidden) * 4 * c.hidden + 4 * c.hidden
    output = c.hidden * c.embedding + c.words
    return c.words * c.embedding + cnn_size(c, c.hidden) + start + lstm + output


def discriminator_size(c: aim.Config) -> int:
    return c.words * c.embedding + 2 * cnn_size(c, c.score_features)


@pytest.mark.parametrize("words", [500, 20_002])
def test_public_sizes(words):
    c = aim.Config(items=1, words=words)
    assert generator_size(c) == 301 * words + 2_312_500
    assert discriminator_size(c) == 300 * words + 4_142_000
    one, two = sizes(c), sizes(replace(c, sides=2))
    assert one == {"generator": generator_size(c), "generator_rev": generator_size(c), "discriminator": discriminator_size(c)}
    assert one.total() == 902 * words + 8_767_000
    assert two == one | {"discriminator_rev": discriminator_size(c)}


@pytest.mark.parametrize("change", [{}, {"sides": 2}, {"mi_weight": 0.0}, {"mi_weight": 0.0, "sides": 2}])
def test_tiny_sizes(change):
    c = replace(TINY, **change)
    want = {"generator": generator_size(c), "discriminator": discriminator_size(c)}
    if c.mi_weight or c.sides == 2:
        want["generator_rev"] = generator_size(c)
    if c.sides == 2:
        want["discriminator_rev"] = discriminator_size(c)
    assert sizes(c) == want


def test_public_counts(shared):
    counts = json.loads(shared("reference/counts.json").read_text())["AIM"]["cases"]
    assert counts
    for name, case in counts.items():
        sides = 2 if name.startswith("twoside") else 1
        c = aim.Config(items=1, words=500, sides=sides, mi_weight=0.0 if "nomi" in name else 0.1)
        found = sizes(c)
        assert found.total() == case["trainable_total"]
        assert sum(n for top, n in found.items() if "generator" in top) == case["g_vars_total"]
        shapes = {k: tuple(shape) for group in case["groups"].values() for k, shape in group["params"]}
        names = aim.published(c)
        assert set(names) == set(shapes)
        model = nnx.eval_shape(lambda c=c: aim.build(c, nnx.Rngs(0)))
        leaves = nnx.to_flat_state(nnx.state(model, nnx.Param))
        ours = {".".join(map(str, path)): leaf.shape for path, leaf in leaves}
        assert {path: convert(np.zeros(shapes[k])).shape for k, (path, convert) in names.items()} == ours


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_words": 10}, "max_words=10 with filter=3: a source comes to 2 .* legal: such as 8, 9, 11"),
        ({"max_words": 1}, "max_words=1 with filter=3: the second convolution needs 3"),
        ({"sides": 3}, "sides=3: legal: 1"),
        ({"mi_weight": 1.5}, "mi_weight=1.5"),
        ({"supervised_weight": 0.0}, "supervised_weight=0.0"),
        ({"words": 1}, "words=1: .*legal: 2"),
        ({"hidden": 0}, "hidden=0"),
    ],
)
def test_refused(change, message):
    with pytest.raises(BadConfig, match=message):
        replace(TINY, **change)


def test_configure():
    assert aim.configure(dataset(), WORK) == aim.Config(items=20, words=20_002)
    assert aim.configure(dataset(), replace(WORK, preset="matched")).words == 50
    for preset, message in (("paper", "inconsistent with the public"), ("other", "legal: published")):
        with pytest.raises(BadConfig, match=message):
            aim.configure(dataset(), replace(WORK, preset=preset))
