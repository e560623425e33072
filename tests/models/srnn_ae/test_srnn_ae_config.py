"""sRNN-AE's weights from named factors, the public counts, shapes, and what a configuration refuses."""

import dataclasses
import json

import numpy as np
import pytest
from flax import nnx
from srnn_ae_tiny import SMALL, Data, workload

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae import model as srnn_ae
from cr_jax.models.srnn_ae.model import SPEC, Config
from cr_jax.nn.module import Frozen, module_paths


def sizes(config):
    """Elements of every leaf, without allocating them."""
    model = nnx.eval_shape(lambda: srnn_ae.build(config, nnx.Rngs(0)))
    return {".".join(map(str, path)): (v, int(np.prod(v.shape))) for path, v in nnx.to_flat_state(nnx.state(model))}


def gru(inputs, hidden, directions=1):
    gates, biases = 3, 6
    return directions * (gates * hidden * (inputs + hidden) + biases * hidden)


def total(config, root, frozen=False):
    return sum(n for path, (v, n) in sizes(config).items() if path.startswith(root) and isinstance(v, Frozen) == frozen)


@pytest.mark.parametrize(("items", "words"), [(9292, 15005), (53278, 100)])
def test_published_parameter_counts(items, words):
    h, bit, sender, two = 512, 1, 1, 2

    def sentence(d):
        return gru(d + bit, h, two) + gru(two * h, h, two)

    conversation = gru(two * h + sender, h) + gru(h, h)
    heads = two * (h + 1) * (1 + 3 + 3)
    autorec = 1000 * items + 1000 + 1000 * items + items
    config = Config(items=items, words=words)
    assert sentence(2048) + conversation == total(config, "sentiment.encoder") == 16_538_112
    assert heads == total(config, "sentiment") - total(config, "sentiment.encoder") == 7_182
    assert autorec == total(config, "autorec") == 2001 * items + 1000
    gensen = words * 512 + gru(512, 1024, two)
    assert gensen == total(config, "sentiment.words", frozen=True) == total(config, "", frozen=True)
    table = dataclasses.replace(config, encoder="table")
    assert sentence(300) + conversation + heads + 300 * words == total(table, "sentiment")
    assert total(table, "") == 11_175_438 + 300 * words + autorec
    assert total(table, "", frozen=True) == 0
    decoder = dataclasses.replace(config, decoder=True)
    x = 256
    hred = gru(2048, x, two) + gru(two * x + sender, x)
    switching = words * 512 + gru(512, x) + (x + 1) * words + (two * x + 1)
    assert (total(decoder, "hred"), total(decoder, "decoder")) == (hred, switching)


def test_counts_of_the_public_implementation(shared):
    want = json.loads(shared("reference/counts.json").read_text())["sRNN_AE"]
    gensen, parts = Config(items=11), want["sentiment_2048_parts"]
    table = Config(items=9292, encoder="table", decoder=True)
    assert total(gensen, "sentiment.encoder.sentence_encoder") == parts["sentence_encoder"]
    assert total(gensen, "sentiment.encoder.conversation_encoder") == parts["conversation_encoder"]
    assert total(gensen, "sentiment") == want["sentiment_2048_gensen_frozen_excluded"]
    assert total(gensen, "autorec") == want["AutoRec"]["movies11_hidden1000"]
    assert total(table, "sentiment") == want["sentiment_embedding300"]["total_V15005"]
    assert total(table, "autorec") == want["AutoRec"]["movies9292_hidden1000"]
    assert total(table, "decoder") == want["switching_decoder_V15005"]
    assert total(Config(items=11, decoder=True), "hred") == want["recommender_HRNN_256_1layer_2048"]
    assert total(dataclasses.replace(gensen, autorec_layers="7"), "autorec") == want["AutoRec"]["movies11_hidden7"]


@pytest.mark.parametrize("encoder", ["gensen", "table"])
@pytest.mark.parametrize("decoder", [False, True])
def test_published_names_reach_every_leaf_once(encoder, decoder):
    config = dataclasses.replace(SMALL, encoder=encoder, decoder=decoder, autorec_layers="5,4")
    paths = [path for path, _ in SPEC.published(config).values()]
    assert sorted(paths) == sorted(sizes(config))
    for name, (path, convert) in SPEC.published(config).items():
        turned = "weight" in name and "embedding" not in name
        assert convert(np.zeros((2, 3))).shape == ((3, 2) if turned else (2, 3)), path


def test_public_batches_and_examples():
    sentiment, autorec = SPEC.objectives(SMALL)
    assert (sentiment.batch, autorec.batch) == (16, 64)
    # Dialogues of 1, 1, 1, 2, 2, 4, 5, 5 pairs, cut at T = 4.
    assert sentiment.supervised_turns(SMALL, workload()) == (3 * 1 + 2 * 2 + 4 + 2 * 4) / 8
    assert autorec.supervised_turns(SMALL, workload()) is None
    assert (sentiment.examples_per_epoch(SMALL, Data()), autorec.examples_per_epoch(SMALL, Data())) == (60, 11)


def test_padded_shapes_and_word_positions():
    config, work, say = SMALL, workload(), SPEC.conversation
    request, pair = 5 + 2, (1.5 + 2) + (2 + 2)
    assert say.utterance(config, work, 0, 9)["mentions"].shape == (9, 3, 1, 12)
    assert say.utterance(config, work, 3, 9)["words"].shape == (9, 2, 6)
    history = say.history(config, work, 3, 9)
    assert history["mentions"].shape == (9, 3, 8, 12) and history["items"].shape == (9, 3)
    replay, new = (say.positions(config, work, 3, mode) for mode in ("replay", "incremental"))
    assert (replay.useful, replay.executed) == (3 * (request + 3 * pair), 3 * 8 * 12)
    assert (new.useful, new.executed) == (4 * pair, 4 * 2 * 6)
    assert say.history(config, workload(19), 19, 1)["words"].shape[1] == 40
    assert say.items(config, work) is None


def test_presets():
    assert SPEC.configure(Data(), workload()) == Config(items=31, words=15_005)
    assert SPEC.configure(Data(), workload(preset="matched")) == Config(items=31, words=17)
    with pytest.raises(BadConfig, match="legal: published, matched"):
        SPEC.configure(Data(), workload(preset="paper"))
    with pytest.raises(BadConfig, match=r"turns=20.*at most 19"):
        SPEC.configure(Data(), workload(turns=20))
    with pytest.raises(BadConfig, match=r"items_scored=5.*31"):
        SPEC.configure(Data(), workload(items_scored=5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "bert"}, "legal: gensen, table"),
        ({"mentions": 0}, "mentions=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"decoder": True, "words": 5}, "legal: 6 or more"),
        ({"autorec_layers": "x"}, "autorec_layers='x'"),
    ],
)
def test_bad_dimensions_are_refused(change, message):
    with pytest.raises(BadConfig, match=message):
        SPEC.build(dataclasses.replace(SMALL, **change), nnx.Rngs(0))


def test_every_module_has_its_own_row():
    paths = set(module_paths(SPEC.build(SMALL, nnx.Rngs(0))))
    leaves = {"sentiment.words.gru.forward.0", "sentiment.encoder.sentence_encoder.backward.1", "autorec.decoder"}
    assert leaves | {"srnn_ae", "sentiment.words", "sentiment.initiator_liked", "autorec.encoder.0"} <= paths
    assert set(SPEC.fields) == {f.name for f in dataclasses.fields(Config)}
