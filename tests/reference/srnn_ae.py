"""sRNN-AE's golden cases: AutoRec, the sentiment network, dialogue to recommendation, the decoder."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import FORWARD, Row, compare, inputs
from flax import nnx

from cr_jax.models.srnn_ae.autorec import AutoRec, published_autorec, reconstruction_loss
from cr_jax.models.srnn_ae.hred_decoder import SwitchingDecoder, published_decoder
from cr_jax.models.srnn_ae.hrnn import HEADS, Dialogue, sentiment_loss
from cr_jax.models.srnn_ae.model import SPEC, Config, build
from cr_jax.models.srnn_ae.recommender import DialogueRecommender

Arrays = Mapping[str, np.ndarray]
#: Our module, its parameters' published names -> (dotted path, conversion).
Names = Mapping[str, tuple[str, Any]]


def matches(sidecar: Mapping[str, Any]) -> bool:
    """Cases whose name starts with ``srnn``."""
    return str(sidecar["case"]).startswith("srnn")


def check(sidecar: Mapping[str, Any], arrays: Arrays) -> Iterable[Row]:
    """Compare one case at highest precision; the kind of case follows from its arrays."""
    config = sidecar["config"]
    with jax.default_matmul_precision("highest"):
        yield from inputs(arrays, "in/", "param/")
        if "in/movie_recommendations" in arrays:
            yield from _decoder(config, arrays)
        elif "in/mention_movie" in arrays:
            yield from _recommend(config, arrays)
        elif "in/forms" in arrays:
            yield from _sentiment(config, arrays)
        else:
            yield from _autorec(config, arrays)


def _autorec(config: Mapping[str, Any], arrays: Arrays) -> Iterable[Row]:
    sizes = tuple(config["layer_sizes"])
    model = AutoRec(config["n_movies"], sizes, config["f"], config["g"], rngs=nnx.Rngs(0))
    names = _own(published_autorec, len(sizes))
    _load(model, names, arrays)
    ratings, target = jnp.asarray(arrays["in/input"]), jnp.asarray(arrays["in/target"])
    context = jnp.asarray(arrays["in/additional_context"])

    def outputs(model: AutoRec) -> dict[str, jax.Array]:
        return {
            "encoded": model.encode(ratings),
            "output": model(ratings),
            "raw_output": model.raw(ratings),
            "raw_output_with_context": model.raw(ratings, context),
        }

    def loss(model: AutoRec) -> jax.Array:
        return reconstruction_loss(model(ratings), target)[0]

    for name, got in nnx.jit(outputs)(model).items():
        yield _same(f"out/{name}", got, arrays)
    total, observed = nnx.jit(lambda model: reconstruction_loss(model(ratings), target))(model)
    yield _sum("out/loss_sum", total, arrays)
    yield compare("out/n_observed", int(observed), arrays["out/n_observed"], atol=FORWARD)
    yield _same("out/loss_mean", total / observed, arrays)
    yield from _gradients(loss, model, names, arrays)
    graph, state = nnx.split(model)
    optimizer = _optimizer("autorec", Config(items=config["n_movies"]))
    moments, losses = optimizer.init(state), []

    @jax.jit
    def step(state: Any, moments: Any) -> Any:
        gradient = jax.grad(lambda s: loss(nnx.merge(graph, s)))(state)
        updates, moments = optimizer.update(gradient, moments, state)
        state = optax.apply_updates(state, updates)
        return state, moments, loss(nnx.merge(graph, state))

    for _ in arrays["out/loss_sum_after_adam_steps"]:
        state, moments, after = step(state, moments)
        losses.append(after)
    yield _sum("out/loss_sum_after_adam_steps", np.array(losses), arrays)


def _sentiment(config: Mapping[str, Any], arrays: Arrays) -> Iterable[Row]:
    model = _model(config, items=1)
    names = {
        n.removeprefix("sentiment_analysis."): pair
        for n, pair in SPEC.published(model.config).items()
        if n.startswith("sentiment_analysis.")
    }
    _load(model, names, arrays)
    names_in = ("dialogue", "lengths", "senders", "movie_occurrences", "conversation_lengths")
    dialogue = Dialogue._make(jnp.asarray(arrays[f"in/{name}"]) for name in names_in)
    forms = jnp.asarray(arrays["in/forms"])
    weights = tuple(arrays["in/liked_class_weights"].tolist())

    def forward(model: DialogueRecommender) -> Any:
        encoded = model.encode(dialogue)
        outputs = model.sentiment(encoded.last[:, -1])
        vectors = model.sentiment.words(dialogue.words, dialogue.lengths)
        unweighted = sentiment_loss(outputs, forms, None)
        return encoded, outputs, model.sentiment.liked(encoded.states), vectors, unweighted

    encoded, outputs, liked, vectors, unweighted = nnx.jit(forward)(model)
    # The words' vectors from outside and from the table are the same network.
    given = nnx.jit(lambda model, vectors: model.sentiment.encoder(vectors, dialogue))(model, vectors)
    yield _same("out/sentence_representations", encoded.sentences, arrays)
    yield _same("out/conversation_representations", encoded.states, arrays)
    yield _same("out/last_state", encoded.last[:, -1], arrays)
    yield compare("out/last_state [vectors given]", given.last[:, -1], arrays["out/last_state"], atol=FORWARD)
    for (name, _), output in zip(HEADS, outputs, strict=True):
        who, _, what = name.partition("_")
        yield _same(f"out/{who[0].upper()}{what}", output, arrays)
    yield _same("out/liked_probability", liked, arrays)

    def loss(model: DialogueRecommender) -> jax.Array:
        return sentiment_loss(model.sentiment(model.encode(dialogue).last[:, -1]), forms, weights)

    yield _same("out/loss_weighted", nnx.jit(loss)(model), arrays)
    yield _same("out/loss_unweighted", unweighted, arrays)
    yield from _gradients(loss, model, names, arrays)


def _recommend(config: Mapping[str, Any], arrays: Arrays) -> Iterable[Row]:
    model = _model(config, items=config["n_movies"])
    _load(model, SPEC.published(model.config), arrays)
    batch = _slots(arrays)
    user = jnp.asarray(arrays["in/user_representation"])

    def outputs(model: DialogueRecommender) -> dict[str, jax.Array]:
        scores, likes, mentioned = model.recommend_each(batch)
        ratings = jax.vmap(model.ratings, in_axes=(2, None), out_axes=1)(likes, batch["items"])
        return {
            "autorec_input": ratings,
            "recommendations": scores,
            "recommendations_new_movies": jax.vmap(model.only_new, in_axes=(1, 2, None), out_axes=1)(
                scores, mentioned, batch["items"]
            ),
            "recommendations_with_user_representation": model.autorec.raw(ratings, user),
        }

    for name, got in nnx.jit(outputs)(model).items():
        yield _same(f"out/{name}", got, arrays)
    at = arrays["in/conversation_lengths"] - 1
    rows = np.arange(at.size)
    last = nnx.jit(lambda model: model.replay(batch)["item_scores"])(model)
    yield compare("out/recommendations [replay]", last, arrays["out/recommendations"][rows, at], atol=FORWARD)


def _decoder(config: Mapping[str, Any], arrays: Arrays) -> Iterable[Row]:
    model = SwitchingDecoder(
        config["vocab_size"],
        config["embedding_dim"],
        config["hidden_size"],
        config["context_size"],
        config["num_layers"],
        config["peephole"],
        rngs=nnx.Rngs(0),
    )
    _load(model, _own(published_decoder, config["num_layers"]), arrays)
    given = tuple(jnp.asarray(arrays[f"in/{k}"]) for k in ("input", "lengths", "context", "movie_recommendations"))
    log_probabilities, hidden = nnx.jit(lambda model: model(*given))(model)
    yield _same("out/hidden", hidden, arrays)
    yield _same("out/log_probabilities", log_probabilities, arrays)
    yield _same("out/probabilities", jnp.exp(log_probabilities), arrays)


def _model(config: Mapping[str, Any], items: int) -> DialogueRecommender:
    for key, only in (("use_movie_occurrences", "word"), ("conv_bidirectional", False), ("use_dropout", False)):
        if config.get(key, only) != only:
            raise ValueError(f"{key}={config[key]!r}: ours has only {only!r}")
    autorec = {
        "autorec_layers": ",".join(map(str, config.get("layer_sizes", [1]))),
        "autorec_f": config.get("f", "sigmoid"),
        "autorec_g": config.get("g", "sigmoid"),
    }
    ours = Config(
        items=items,
        words=config["vocab"],
        encoder="table",
        embedding=config["embedding_dimension"],
        sentence_hidden=config["sentence_encoder_hidden_size"],
        sentence_layers=config["sentence_encoder_num_layers"],
        conversation_hidden=config["conversation_encoder_hidden_size"],
        conversation_layers=config["conversation_encoder_num_layers"],
        **autorec,
    )
    return build(ours, nnx.Rngs(0))


def _slots(arrays: Arrays) -> dict[str, jax.Array]:
    """The list of (conversation, movie) pairs as slots per conversation."""
    owner, b = arrays["in/mention_batch"], len(arrays["in/conversation_lengths"])
    slots = max(1, int(np.bincount(owner, minlength=b).max()))
    mentions = np.zeros((b, slots, *arrays["in/dialogue"].shape[1:]), np.float32)
    items, used = np.full((b, slots), -1, np.int32), np.zeros(b, int)
    for pair, row in enumerate(owner):
        mentions[row, used[row]] = arrays["in/mention_occurrences"][pair]
        items[row, used[row]] = arrays["in/mention_movie"][pair]
        used[row] += 1
    batch = {
        "words": arrays["in/dialogue"],
        "lengths": arrays["in/lengths"],
        "senders": arrays["in/senders"],
        "utterances": arrays["in/conversation_lengths"],
        "mentions": mentions,
        "items": items,
    }
    return {name: jnp.asarray(value) for name, value in batch.items()}


def _own(published: Any, layers: int) -> Names:
    """The block's published names without the prefix of a larger module."""
    return {
        name.removeprefix("x."): (path.removeprefix("x."), np.transpose if transposed else np.asarray)
        for name, (path, transposed) in published("x", "x", layers).items()
    }


def _load(model: nnx.Module, names: Names, arrays: Arrays) -> None:
    """Set every published parameter of the case; one that we lack, or lack a place for, is an error."""
    state = nnx.to_flat_state(nnx.state(model))
    leaves = {".".join(map(str, path)): variable for path, variable in state}
    case = {n.removeprefix("param/") for n in arrays if n.startswith("param/")}
    if case != set(names):
        raise KeyError(f"published parameters without a counterpart: {sorted(case ^ set(names))}")
    for name, (path, convert) in names.items():
        value = convert(arrays[f"param/{name}"])
        if leaves[path].shape != value.shape:
            raise ValueError(f"{name}: {value.shape} does not fit {path} {leaves[path].shape}")
        _variable(model, path)[...] = jnp.asarray(value)


def _variable(model: Any, path: str) -> Any:
    for part in path.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    return model


def _gradients(loss: Any, model: nnx.Module, names: Names, arrays: Arrays) -> Iterable[Row]:
    graph, state = nnx.split(model)
    gradient = jax.jit(jax.grad(lambda s: loss(nnx.merge(graph, s))))(state)
    flat = {".".join(map(str, path)): value for path, value in nnx.to_flat_state(gradient)}
    for name, (path, convert) in names.items():
        if f"grad/{name}" in arrays:
            want = {f"grad/{name}": convert(arrays[f"grad/{name}"])}
            yield _sum(f"grad/{name}", flat[path][...], want)


def _optimizer(name: str, config: Config) -> optax.GradientTransformation:
    return next(o.optimizer(config) for o in SPEC.objectives(config) if o.name == name)


def _same(name: str, got: Any, arrays: Arrays) -> Row:
    return compare(name, got, arrays[name], atol=FORWARD)


def _sum(name: str, got: Any, arrays: Arrays) -> Row:
    """Sums over a batch grow with it: within 1e-5 of the largest value where that is above 1."""
    scale = max(1.0, float(np.abs(arrays[name]).max(initial=0)))
    return compare(name, got, arrays[name], atol=FORWARD * scale, note="of a sum" if scale > 1 else "")
