"""sRNN-AE: sentiment of a dialogue about each mentioned item, then an autoencoder over all items.

Paper: Li et al., "Towards Deep Conversational Recommendations", NeurIPS 2018.
Public code: RaymondLi0/conversational-recommendations, commit 0430c5d7 (PyTorch).

``SPEC.deviations`` lists the deviations from the public code. Letters: B users, M mention slots
of a user (each holds one item), C utterances of a history, U new utterances, L words, n items,
K layers and H units of the conversation encoder.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.typing import PathParts

from cr_jax.data.examples.dialogue_columns import UTTERANCES, WORDS
from cr_jax.errors import BadConfig
from cr_jax.models.spec import ConversationalModel, Distillable, Inputs, Objective, Positions, Spec, Stage, Training, expect_state
from cr_jax.models.srnn_ae import input_shapes as shapes
from cr_jax.models.srnn_ae import losses
from cr_jax.models.srnn_ae.autorec import AutoRec, published_autorec
from cr_jax.models.srnn_ae.config import FIELDS, Config, configure, layer_sizes
from cr_jax.models.srnn_ae.examples import distilled_dialogues, distilled_ratings, examples, known_ratings, turn_encoder
from cr_jax.models.srnn_ae.hred_decoder import SwitchingDecoder, published_decoder
from cr_jax.models.srnn_ae.hrnn import HEADS, HRNN, Sentiment, published_heads, published_hrnn
from cr_jax.models.srnn_ae.recommender import ConversationState, DialogueRecommender
from cr_jax.models.srnn_ae.torch_gru import published_gru
from cr_jax.models.srnn_ae.word_vectors import GenSen, WordTable
from cr_jax.nn.module import Frozen, PublicNames, name_scopes
from cr_jax.records import Workload

Batch = dict[str, jax.Array]


def build(config: Config, rngs: nnx.Rngs) -> DialogueRecommender:
    """The model, built from its inner modules outwards."""
    c = config
    if c.encoder == "gensen":
        words = GenSen(c.words, c.gensen_embedding, c.gensen_hidden, c.gensen_layers, rngs=rngs)
    else:
        words = WordTable(c.words, c.embedding, rngs=rngs)
    sizes = (c.sentence_hidden, c.sentence_layers), (c.conversation_hidden, c.conversation_layers)
    encoder = HRNN(words.dimension, *sizes, mention_bit=True, dropout=c.dropout, rngs=rngs)
    sentiment = Sentiment(words, encoder, rngs=rngs)
    functions = c.autorec_f, c.autorec_g
    autorec = AutoRec(c.items, layer_sizes(c.autorec_layers), *functions, c.autorec_bias, item_rank=c.item_rank, rngs=rngs)
    response = None
    if c.decoder:
        x = c.decoder_hidden
        hred = HRNN(words.dimension, (x, 1), (x, 1), mention_bit=False, dropout=0.0, rngs=rngs)
        decoder = SwitchingDecoder(c.words, c.gensen_embedding, x, x, 1, rngs=rngs)
        if isinstance(words, GenSen):
            decoder.embedding.table[...] = words.embedding.table[...]
        response = hred, decoder
    model = DialogueRecommender(sentiment, autorec, response, c.mentions, c.new_items_only, c.response_words)
    model.config = c
    return name_scopes(model, "srnn_ae")


# Abstract inputs.


def utterance_inputs(config: Config, work: Workload, t: int, batch: int) -> Inputs:
    """The utterances of turn t.

    words [B, U, L], lengths and senders [B, U], utterances [B] (fewer than U for a user who is behind),
    mentions [B, M, U, L], items [B, M] (−1: no new item in the slot).
    """
    new = shapes.new_texts(work, t)
    return shapes.user_inputs(batch, len(new), shapes.padded_words(new), config.mentions)


def history_inputs(config: Config, work: Workload, t: int, batch: int) -> Inputs:
    """The utterances up to turn t, as ``utterance_inputs`` with C for U."""
    return shapes.user_inputs(batch, shapes.padded_utterances(t), shapes.padded_words(shapes.texts(work, t)), config.mentions)


def positions(config: Config, work: Workload, t: int, mode: str) -> Positions:
    """Word positions of all copies of the dialogue: M in a replay, M + 1 incrementally."""
    if mode == "replay":
        copies, utterances, read = config.mentions, shapes.padded_utterances(t), shapes.texts(work, t)
    else:
        read = shapes.new_texts(work, t)
        copies, utterances = config.mentions + 1, len(read)
    return Positions(copies * shapes.mean_words(read), copies * utterances * shapes.padded_words(read))


def _sentiment_inputs(config: Config, work: Workload, batch: int) -> Inputs:
    t = work.turns
    forms = {"forms": jax.ShapeDtypeStruct((batch, len(HEADS)), jnp.int32)}
    return shapes.dialogue_inputs(batch, shapes.padded_utterances(t), shapes.padded_words(shapes.texts(work, t))) | forms


def _autorec_inputs(config: Config, work: Workload, batch: int) -> Inputs:
    rows = jax.ShapeDtypeStruct((batch, config.items), jnp.float32)
    return {"ratings": rows, "targets": rows}


def _response_inputs(config: Config, work: Workload, batch: int) -> Inputs:
    history = history_inputs(config, work, work.turns, batch)
    return {**history, "targets": history["words"]}


def _pairs(config: Config, work: Workload) -> float:
    """Question-answer pairs of the mean dialogue, cut at T."""
    histogram = work.turn_histogram
    return sum(min(i, work.turns) * n for i, n in enumerate(histogram, 1)) / sum(histogram)


def _trains(*roots: str) -> Callable[[PathParts, nnx.Variable], bool]:
    return lambda path, variable: path[0] in roots and not isinstance(variable, Frozen)


def objectives(config: Config) -> tuple[Objective, ...]:
    """sentiment, then autorec; with the decoder, response on top of both."""
    sentiment = Objective(
        name="sentiment",
        example="one dialogue about one item it mentions, with the six answers of its form",
        batch=16,
        supervised_turns=_pairs,
        examples_per_epoch=lambda config, dataset: dataset.conversations * config.mentions,
        trains=_trains("sentiment"),
        loss=losses.sentiment_objective,
        inputs=_sentiment_inputs,
        optimizer=lambda config: optax.adam(config.learning_rate),
    )
    autorec = Objective(
        name="autorec",
        example="one user's ratings, a random part of them as input",
        batch=64,
        supervised_turns=lambda config, work: None,
        examples_per_epoch=lambda config, dataset: dataset.users,
        trains=_trains("autorec"),
        loss=losses.autorec_objective,
        inputs=_autorec_inputs,
        optimizer=lambda config: optax.adam(config.autorec_learning_rate),
    )
    response = Objective(
        name="response",
        example="one dialogue with its mentioned items and the system's words",
        batch=4,
        supervised_turns=_pairs,
        examples_per_epoch=lambda config, dataset: dataset.conversations,
        trains=_trains("autorec", "hred", "decoder"),
        loss=losses.response_objective,
        inputs=_response_inputs,
        optimizer=lambda config: optax.adam(1e-3),
    )
    return (sentiment, autorec, response) if config.decoder else (sentiment, autorec)


def published(config: Config) -> PublicNames:
    """Names of ``RecommendFromDialogue`` (of ``Recommender`` with the decoder): kernels transposed."""
    c, prefix = config, "recommender_module." if config.decoder else ""
    sentiment = f"{prefix}sentiment_analysis"
    names: dict[str, tuple[str, bool]] = {}
    if c.encoder == "gensen":
        gensen = f"{sentiment}.encoder.gensen.encoder"
        names[f"{gensen}.src_embedding.weight"] = "sentiment.words.embedding.table", False
        names |= published_gru(f"{gensen}.encoder", "sentiment.words.gru", c.gensen_layers, True)
    else:
        names[f"{sentiment}.encoder.src_embedding.weight"] = "sentiment.words.table", False
    names |= published_hrnn(f"{sentiment}.encoder", "sentiment.encoder", c.sentence_layers, c.conversation_layers)
    names |= published_heads(sentiment, "sentiment")
    names |= published_autorec(f"{prefix}autorec", "autorec", len(layer_sizes(c.autorec_layers)), c.item_rank is None)
    if c.decoder:
        names |= published_hrnn("encoder", "hred", 1, 1) | published_decoder("decoder", "decoder", 1)
    conversion = {False: np.asarray, True: np.transpose}
    return {name: (path, conversion[transposed]) for name, (path, transposed) in names.items()}


def _turn(model: DialogueRecommender, side: None, state: ConversationState, new: Batch) -> tuple[ConversationState, Batch]:
    users, slots = new["items"].shape
    if slots != model.mentions:
        raise BadConfig(f"turn was given {slots} mention slots; legal: {model.mentions}, as configured")
    expect_state(state, jax.eval_shape(lambda: model.start(users)))
    return model.turn(state, new)


DISTILLABLE = {
    "sentiment": Distillable(
        distilled_dialogues,
        distilled_dialogues,
        _sentiment_inputs,
        _sentiment_inputs,
        losses.sentiment_with_heads,
        losses.teach_heads,
        every_turn=False,
    ),
    "autorec": Distillable(
        distilled_ratings,
        known_ratings,
        _autorec_inputs,
        _autorec_inputs,
        losses.autorec_with_ratings,
        losses.teach_ratings,
        values={"ratings": "observed"},
        every_turn=False,
    ),
}

SPEC = Spec(
    name="srnn-ae",
    title="sRNN-AE (hierarchical sentiment network and AutoRec)",
    paper="Li et al., Towards Deep Conversational Recommendations, NeurIPS 2018",
    code="https://github.com/RaymondLi0/conversational-recommendations (0430c5d7)",
    deviations=(
        "aspect-value data has no mentions: every word of every utterance counts as mentioning the "
        "conversation's item, and a user's ratings are 1 for the items of their conversations",
        "the sentiment network's learning rate is by default the 1e-4 that the public code hard-codes; that of "
        "1e-3 in the public configuration is ignored there",
        "lengths are masked where the public code sorts and packs; the results are equal",
        "without any mention in the batch AutoRec reads zeros; the public code returns zeros instead",
        "a history past the limit keeps the newest utterances; the public loader keeps the first",
        "GenSen's weights start at random: the published ones are not distributed with the code",
        "the response decoder's word table starts as a copy of GenSen's; in the public code the two are one "
        "tensor, which training the decoder changes",
        "a response is decoded greedily; the public script uses a beam of 10 and samples items",
        "the latent variable and the language-aware user of the full recommender, off in its published parameters, are left out",
    ),
    config=Config,
    fields=FIELDS,
    configure=configure,
    build=build,
    objectives=objectives,
    conversation=ConversationalModel(
        items=lambda config, work: None,
        precompute=lambda model, items: None,
        start=lambda model, side, batch: model.start(batch),
        turn=_turn,
        replay=lambda model, side, history: model.replay(history),
        utterance=utterance_inputs,
        history=history_inputs,
        positions=positions,
        carried="one conversation state per mentioned item and one without a mention to fork from",
        limits=f"the newest {UTTERANCES} utterances, the first {WORDS} words of each; turn by "
        f"turn the state carries the whole history, so T is at most {(UTTERANCES - 1) // 2}",
    ),
    published=published,
    paper_count=lambda config, trainable: None,
    scores_subset=False,
    training=Training(
        (Stage(("sentiment",), epochs=50, patience=5), Stage(("autorec",), epochs=50, patience=5)),
        examples,
        turn_encoder,
        {"sentiment": losses.classify, "autorec": losses.reconstruct},
        DISTILLABLE,
    ),
)
