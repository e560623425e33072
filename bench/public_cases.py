"""The steps that ``public_code.py`` times: our models at the dimensions of the public measurements.

Training steps are the ones the profiler compiles (``cr_jax.steps.train.training_step``), given real
arrays instead of shapes; weights and optimizer state are donated and fed to the next run. What the
public figures leave open is chosen against us: every text has its full length. Item descriptions
have 12 sentence slots.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cr_jax.models.aim import losses as aim_losses
from cr_jax.models.aim import model as aim
from cr_jax.models.dmn import model as dmn
from cr_jax.models.mmn import model as mmn
from cr_jax.models.spec import Objective, Spec
from cr_jax.models.srnn_ae import model as srnn_ae
from cr_jax.models.srnn_ae.hrnn import Dialogue
from cr_jax.nn.module import Module, name_scopes
from cr_jax.records import Lengths, TextLengths, Workload
from cr_jax.steps.step import AbstractModel
from cr_jax.steps.train import training_step

Arrays = dict[str, jax.Array]
Run = Callable[[], Any]
_SOME = Lengths(10, 10, 10, 10)
#: Only labels depend on it: the shapes come from the batches below.
WORK = Workload(turns=9, lengths=TextLengths(_SOME, _SOME, _SOME, _SOME, _SOME), turn_histogram=(1,))


@dataclass(frozen=True)
class Case:
    """``build()`` gives the function to time: one call is one run and returns what must be ready."""

    public: str
    figure: str
    build: Callable[[], Run]


class Trainer:
    """A training step with its own weights and optimizer state, which every run replaces."""

    def __init__(self, model: AbstractModel, objective: Objective, batch: Arrays) -> None:
        shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in batch.items()}
        step = training_step(model, dataclasses.replace(objective, inputs=lambda *_: shapes), WORK)
        trained, moments, self.others, self.frozen, _, _, *counter = step.arguments
        # A trainer of another objective may hold the same weights: donate a copy.
        self.trained = jax.tree.map(jnp.copy, trained)
        self.moments = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), moments)
        self.batch, self.key, self.counter = batch, jax.random.key(1), [jnp.zeros((), jnp.int32) for _ in counter]
        self.step = jax.jit(step.function, donate_argnums=step.donated)

    def __call__(self) -> Any:
        self.trained, self.moments, metrics = self.step(
            self.trained, self.moments, self.others, self.frozen, self.batch, self.key, *self.counter
        )
        return self.trained, metrics


def concrete(spec: Spec, config: Any) -> AbstractModel:
    """A model with real weights where steps expect shapes."""
    return AbstractModel(spec, config, spec.build(config, nnx.Rngs(0)))


def trainer(model: AbstractModel, objective: str, batch: Arrays) -> Trainer:
    """The step of the objective of that name."""
    found = {o.name: o for o in model.spec.objectives(model.config)}
    return Trainer(model, found[objective], batch)


def forward(model: AbstractModel, function: Callable[[Any, Arrays], Any], batch: Arrays) -> Run:
    """``function(module, batch)`` compiled, weights and batch as arguments."""
    (weights,) = model.split()
    merge = model.merger()
    compiled = jax.jit(lambda weights, batch: function(merge(weights), batch))
    return lambda: compiled(weights, batch)


def _draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _words(words: int, *shape: int) -> jax.Array:
    return jnp.asarray(_draw().integers(2, words, shape), jnp.int32)


def _normal(*shape: int) -> jax.Array:
    return jnp.asarray(_draw().normal(size=shape), jnp.float32)


def dmn_cases() -> list[Case]:
    """B = 16, T = 60 words of facts, F = 10 slots, Tq = 4 words of question, V = 100 classes."""

    def model() -> AbstractModel:
        return concrete(dmn.SPEC, dmn.Config(classes=100, items=100, facts=10))

    def batch() -> Arrays:
        ends = jnp.tile(jnp.arange(5, 60, 6, dtype=jnp.int32), (16, 1))
        return {"text": _normal(16, 60, 50), "ends": ends, "question": _normal(16, 4, 50), "target": _words(100, 16)}

    def answer(module: dmn.DMN, given: Arrays) -> jax.Array:
        return module(given["text"], given["ends"], given["question"])

    public = "DMN_B16_T60_F10_Tq4_V100"
    return [
        Case(public, "forward", lambda: forward(model(), answer, batch())),
        Case(public, "train_step", lambda: trainer(model(), "answer", batch())),
    ]


def aim_cases() -> list[Case]:
    """B = 32, maxlen 49, V = 10,000, L = 1000, both sides. D+G: a D step, then a G step on its result."""
    return [case for sides in (1, 2) for case in _aim(sides)]


def _aim(sides: int) -> list[Case]:
    def model() -> AbstractModel:
        return concrete(aim.SPEC, aim.Config(items=1, words=10_000, sides=sides))

    def batch() -> Arrays:
        c = aim.Config(items=1, words=10_000)
        words, pads = _words(c.words, 32, c.max_words), c.filter - 1
        return {"source": jnp.pad(words, ((0, 0), (pads, pads))), "target": jnp.pad(words, ((0, 0), (0, pads)))}

    def generate(module: aim.AIM, given: Arrays) -> list[jax.Array]:
        answers = []
        for d in aim.directions(module, given, jax.random.key(1)):
            tables = d.answers.tables()
            answers.append(d.answers.answer(aim_losses.begin(d, tables), tables, d.target.shape[1]))
        return answers

    def losses(module: aim.AIM, given: Arrays) -> Any:
        cost, metrics = aim.generator_loss(module, given, jax.random.key(1))
        adversarial = metrics["adversarial"] + module.config.backward_weight * metrics.get("adversarial_rev", 0.0)
        return cost, -adversarial, metrics  # the second is the discriminator's cost

    def both() -> Run:
        built, given = model(), batch()
        d, g = trainer(built, "discriminator", given), trainer(built, "generator", given)

        def run() -> Any:
            d.others = g.trained
            d()
            g.others = d.trained
            return d.trained, g()

        return run

    public = f"AIM_{('oneside', 'twoside')[sides - 1]}_m0_1_s0_001_B32_maxlen49_V10000"
    return [
        Case(public, "forward_generate", lambda: forward(model(), generate, batch())),
        Case(public, "forward_both_losses", lambda: forward(model(), losses, batch())),
        Case(public, "train_op_d", lambda: trainer(model(), "discriminator", batch())),
        Case(public, "train_op_g", lambda: trainer(model(), "generator", batch())),
        Case(public, "d_plus_g", both),
    ]


class GivenVectors(Module):
    """Stands for the word vectors where the public measurement had them as input."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def __call__(self, words: jax.Array, lengths: jax.Array) -> jax.Array:
        return words


def srnn_ae_cases() -> list[Case]:
    """Sentiment: 16 dialogues of 20 utterances of 30 words, 2,048-d vectors given or a 300-d table
    of 15,005 words. AutoRec: 64 users, 9,292 items. Training with dropout, forward without.
    """

    def sentiment(given: bool) -> AbstractModel:
        config = srnn_ae.Config(items=1, words=6 if given else 15_005, encoder="table", embedding=2048 if given else 300)
        model = concrete(srnn_ae.SPEC, config)
        if given:
            model.module.sentiment.words = GivenVectors(2048)
            name_scopes(model.module, "srnn_ae")
        return model

    def dialogues(given: bool) -> Arrays:
        n, c, length = 16, 20, 30
        return {
            "words": _normal(n, c, length, 2048) if given else _words(15_005, n, c, length),
            "lengths": jnp.full((n, c), length, jnp.int32),
            "senders": jnp.tile(jnp.asarray([1.0, -1.0]), (n, c // 2)),
            "mentions": jnp.asarray(_draw().random((n, c, length)) < 0.1, jnp.float32),
            "utterances": jnp.full(n, c, jnp.int32),
            "forms": jnp.asarray(_draw().integers(0, 2, (n, 6)), jnp.int32),
        }

    def outputs(module: Any, given: Arrays) -> Any:
        dialogue = Dialogue._make(given[k] for k in Dialogue._fields)
        return module.sentiment(module.encode(dialogue).last[:, -1])

    def autorec() -> AbstractModel:  # the sentiment part is not run: as small as it can be
        small = {"sentence_hidden": 2, "sentence_layers": 1, "conversation_hidden": 2, "conversation_layers": 1}
        return concrete(srnn_ae.SPEC, srnn_ae.Config(items=9292, words=6, encoder="table", embedding=2, **small))

    def ratings() -> Arrays:
        kind = _draw().choice(3, (64, 9292), p=[0.99, 0.005, 0.005])
        known = jnp.asarray(kind, jnp.float32) - 1  # -1 unobserved, 0 disliked, 1 liked
        return {"ratings": jnp.maximum(known, 0), "targets": known}

    cases = []
    for public, given in (("sentiment_2048_B16_20x30", True), ("sentiment_emb300_V15005_B16_20x30", False)):
        cases += [
            Case(public, "forward", lambda given=given: forward(sentiment(given), outputs, dialogues(given))),
            Case(public, "train_step", lambda given=given: trainer(sentiment(given), "sentiment", dialogues(given))),
        ]
    public = "autorec_B64_9292"
    return [
        *cases,
        Case(public, "forward", lambda: forward(autorec(), lambda m, given: m.autorec(given["ratings"]), ratings())),
        Case(public, "train_step", lambda: trainer(autorec(), "autorec", ratings())),
    ]


def mmn_cases() -> list[Case]:
    """B = 5, E = 100, H = 32, W = 51,272, U = 161, N = 10 common items, descriptions of 128 words,
    queries of 20. Scores encode their texts anew, as the public graph does: one user and one item;
    five users, the N items and one aspect each.
    """
    sizes = {"words": 51_272, "items": 10, "aspects": 10, "item_words": 128, "facts": 12, "query_words": 20}
    configs = {mmn.PMMN_SPEC.name: mmn.PmmnConfig(**sizes, users=161), mmn.MMN_SPEC.name: mmn.MmnConfig(**sizes)}

    def model(spec: Spec) -> AbstractModel:
        return concrete(spec, configs[spec.name])

    def batch(spec: Spec, users: int) -> Arrays:
        config = configs[spec.name]
        given: Arrays = {"query": _words(config.words, users, config.query_words)}
        for name, rows in (("positive", users), ("negative", users), ("common", config.question_items)):
            given[f"{name}_words"] = _words(config.words, rows, config.item_words)
            given[f"{name}_ends"] = jnp.tile(jnp.linspace(10, 127, config.facts).astype(jnp.int32), (rows, 1))
        given |= {f"{sign}_aspect": _words(config.words, users) for sign in ("positive", "negative")}
        return given | ({"user": _words(161, users)} if spec is mmn.PMMN_SPEC else {})

    def answers(module: mmn.MMN, given: Arrays) -> Any:
        return (found := module(given)).search.logits, found.question.logits

    def search(module: mmn.MMN, given: Arrays) -> jax.Array:
        facts = module.facts(given["positive_words"], given["positive_ends"])[:, None]
        query, user = module.query(given["query"]), module.user(given.get("user"))
        return module.search_items(facts, module.episodic.gate.share(facts), query, user)[1].logits

    def question(module: mmn.MMN, given: Arrays) -> jax.Array:
        facts = module.facts(given["common_words"], given["common_ends"])
        query, user = module.query(given["query"]), module.user(given.get("user"))
        common = module.episodic(facts[None], module.episodic.gate.share(facts)[None], query).memory
        aspects = module.question.share(module.words(given["positive_aspect"][:, None]))
        return module.next_question(common, query, aspects, user).logits

    cases = []
    for spec, public in (
        (mmn.PMMN_SPEC, "PMMN_B5_E100_H32_W51272_U161_N10_Ld128_La20"),
        (mmn.MMN_SPEC, "MMN_B5_E100_H32_W51272_N10_Ld128_La20"),
    ):
        cases += [
            Case(public, "forward", lambda spec=spec: forward(model(spec), answers, batch(spec, 5))),
            Case(public, "train_step", lambda spec=spec: trainer(model(spec), "joint", batch(spec, 5))),
        ]
    pmmn, public = mmn.PMMN_SPEC, cases[0].public
    return [
        *cases[:2],
        Case(public, "search_score_B1", lambda: forward(model(pmmn), search, batch(pmmn, 1))),
        Case(public, "question_score_B5", lambda: forward(model(pmmn), question, batch(pmmn, 5))),
        *cases[2:],
    ]


#: ``--only`` names -> cases.
GROUPS: Mapping[str, Callable[[], list[Case]]] = {"dmn": dmn_cases, "mmn": mmn_cases, "aim": aim_cases, "srnn-ae": srnn_ae_cases}
