"""sRNN-AE's examples: a dialogue per item it speaks about with its form, and users' ratings.

An utterance is ``<s>``, its words, ``</s>``. The last five ids of the vocabulary are ``<s>``,
``</s>``, padding, unknown and the line break. A dialogue keeps its newest 40 utterances, an
utterance its first 80 words.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.dialogue import NOT_SAID, Dialogue, Form, from_conversation, turns_of
from cr_jax.data.examples.dialogue_columns import UTTERANCES, WORDS, DialogueColumns
from cr_jax.data.examples.pool import Arrays, Check, Examples, Index, Pool, Ranking, Shape, ranking, turn_rows
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.formats.redial import LINE_BREAK
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae.config import Config
from cr_jax.models.srnn_ae.ratings import errors, held_out_pool, ratings_by_user, ratings_pool
from cr_jax.models.srnn_ae.sentiment_metrics import classes

_MARKS = 5


class Texts:
    """Dialogues as arrays of word ids."""

    def __init__(self, words: Sequence[str], size: int) -> None:
        """words: by frequency; size: of the vocabulary, the five marks included."""
        if size <= _MARKS:
            raise BadConfig(f"words={size}: the last five are marks; legal: {_MARKS + 1} or more")
        first = size - _MARKS
        self.begin, self.end, self.padding, unknown = first, first + 1, first + 2, first + 3
        known = [word for word in words if word != LINE_BREAK][:first]
        self.index = Index({word: i for i, word in enumerate(known)} | {LINE_BREAK: first + 4}, unknown)

    def lengths(self, dialogue: Dialogue) -> Shape:
        """The utterances that are kept, and the words of the longest of them with its two marks."""
        newest = dialogue.utterances[-UTTERANCES:]
        return len(newest), min(WORDS, max(len(utterance.words) + 2 for utterance in newest))

    def positions(self, dialogue: Dialogue) -> int:
        """The words that are kept, marks included."""
        return sum(min(WORDS, len(utterance.words) + 2) for utterance in dialogue.utterances[-UTTERANCES:])

    def arrays(self, dialogues: Sequence[Dialogue], named: Sequence[Sequence[str | None]], shape: Shape) -> Arrays:
        """Words [N, C, L], lengths and senders [N, C], utterances [N], mentions [N, M, C, L].

        named: for each dialogue, the M items whose mentions are marked; ``None`` marks nothing.
        """
        columns = self.columns(dialogues)
        return columns.arrays(np.arange(len(dialogues)), np.stack([columns.numbers(items) for items in named]), shape)

    def columns(self, dialogues: Sequence[Dialogue]) -> DialogueColumns:
        """Many dialogues as columns, from which batches are taken."""
        return DialogueColumns(dialogues, lambda words: [self.begin, *self.index.encode(words), self.end], self.padding)


def sentiment_pool(texts: Texts, dialogues: Sequence[Dialogue]) -> Pool:
    """One example per dialogue and item with a form."""
    rows = [(talk, item, form) for talk in dialogues for item, form in talk.forms.items()]
    columns = texts.columns(dialogues)
    dialogue = np.repeat(np.arange(len(dialogues)), [len(talk.forms) for talk in dialogues])
    item = columns.numbers([item for _, item, _ in rows])[:, None]
    forms = np.array([form for _, _, form in rows], np.int32).reshape(len(rows), -1)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del rng
        arrays = columns.arrays(dialogue.take(chosen), item.take(chosen, axis=0), shape)
        return arrays | {"mentions": arrays["mentions"][:, 0], "forms": forms.take(chosen, axis=0)}

    useful = np.array([texts.positions(talk) for talk, _, _ in rows])
    turns = np.array([max(0, len(talk.utterances) - 1) / 2 for talk, _, _ in rows])
    lengths = [texts.lengths(talk) for talk, _, _ in rows]
    return Pool(lengths, make, useful, lambda shape: min(shape[0], UTTERANCES) * min(shape[1], WORDS), turns)


def examples(corpus: Corpus, config: Config, seed: int) -> Examples:
    """Pools and checks of both objectives; if the corpus has conversations, also their histories as rankings.

    Raises ``BadConfig`` for a decoder, a corpus on disk or another number of items.
    """
    if config.decoder:
        raise BadConfig("decoder=true: the response decoder has no training data here; legal: decoder=false")
    if not corpus.conversations["train"].in_memory:
        raise BadConfig(f"{corpus.dataset.name}: srnn-ae needs its dialogues in memory; legal: a smaller file, or dmn, mmn, aim")
    if len(corpus.items) != config.items:
        raise BadConfig(f"items={config.items}: legal: {len(corpus.items)}, the items of the data set")
    items = {item: number for number, item in enumerate(corpus.items)}
    texts = Texts(corpus.words, config.words)
    dialogues = {part: _dialogues(corpus, part) for part in PARTS}
    merged = bool(corpus.conversations["train"])
    rated = {part: ratings_by_user(dialogues[part], items, merged) for part in PARTS}
    forms = np.array([form for talk in dialogues["train"] for form in talk.forms.values()])
    majority = cast(Form, tuple(int(np.bincount(column).argmax()) for column in forms.T))
    sums, counts = np.zeros(len(items)), np.zeros(len(items))
    for row in rated["train"].values():
        for item, value in row.items():
            sums[item], counts[item] = sums[item] + value, counts[item] + 1

    def checks(part: str) -> tuple[Check, ...]:
        held = held_out_pool(list(rated[part].values()), len(items), seed)
        judged = [
            Check(
                "sentiment",
                "sentiment",
                sentiment_pool(texts, dialogues[part]),
                lambda outputs: classes(outputs, majority),
                "loss",
                False,
            )
        ]
        if len(held):
            judged.append(Check("ratings", "autorec", held, lambda outputs: errors(outputs, sums, counts), "rmse", False))
        return tuple(judged)

    return Examples(
        pools={
            "sentiment": sentiment_pool(texts, dialogues["train"]),
            "autorec": ratings_pool(list(rated["train"].values()), len(items)),
        },
        items=None,
        rankings={
            part: _ranking(corpus, part, texts, items, rated["train"], config.mentions)
            for part in PARTS[1:]
            if corpus.conversations[part]
        },
        checks={part: checks(part) for part in PARTS[1:]},
        notes=(
            f"AutoRec: a user is {'the conversations of one user' if merged else 'one dialogue'}; tests give half of the ratings",
            "aspect-value data: the forms say suggested by the system and seen; liked is the sign of the values' sum",
            "ranking: the mention slots hold the user's items of the training part; the item sought is never marked",
            f"the answer 'did not say' is class {NOT_SAID}",
        ),
    )


def distilled_dialogues(corpus: Corpus, config: Config, talks: Conversations) -> Pool:
    """The sentiment network's training examples, for student and teacher; ``talks`` are not read."""
    del talks
    return sentiment_pool(Texts(corpus.words, config.words), _dialogues(corpus, "train"))


def distilled_ratings(corpus: Corpus, config: Config, talks: Conversations) -> Pool:
    """AutoRec's training examples; ``talks`` are not read."""
    del config, talks
    return ratings_pool(_training_ratings(corpus), len(corpus.items))


def known_ratings(corpus: Corpus, config: Config, talks: Conversations) -> Pool:
    """The same users with all of their training ratings as input."""
    del config, talks
    return ratings_pool(_training_ratings(corpus), len(corpus.items), lambda numbers, rng: np.ones(int(numbers.sum()), bool))


def _dialogues(corpus: Corpus, part: str) -> list[Dialogue]:
    return [*corpus.dialogues[part], *(from_conversation(talk) for talk in corpus.conversations[part])]


def _training_ratings(corpus: Corpus) -> list[dict[int, float]]:
    items = {item: number for number, item in enumerate(corpus.items)}
    return list(ratings_by_user(_dialogues(corpus, "train"), items, bool(corpus.conversations["train"])).values())


def _ranking(
    corpus: Corpus, part: str, texts: Texts, items: Mapping[str, int], rated: Mapping[str, Mapping[int, float]], slots: int
) -> Ranking:
    talks = corpus.conversations[part]
    aspects = {aspect: number for number, aspect in enumerate(corpus.aspects)}
    return ranking(_histories(talks, texts, items, rated, slots), talks, items, aspects)


def _histories(
    talks: Conversations, texts: Texts, items: Mapping[str, int], rated: Mapping[str, Iterable[int]], slots: int
) -> Pool:
    rows = turn_rows(talks)
    whole = [from_conversation(talk, mentions=False) for talk in talks]
    cut = [_first(whole[c], 1 + 2 * t) for c, t in rows]

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del rng
        known = [_known(talks[rows[row][0]], items, rated, slots) for row in chosen]
        return _marked(texts, [cut[row] for row in chosen], np.stack(known), shape)

    useful = np.array([texts.positions(talk) for talk in cut])
    return Pool(
        [texts.lengths(talk) for talk in cut],
        make,
        useful,
        lambda shape: slots * min(shape[0], UTTERANCES) * min(shape[1], WORDS),
        np.ones(len(cut)),
    )


def _known(talk: Conversation, items: Mapping[str, int], rated: Mapping[str, Iterable[int]], slots: int) -> np.ndarray:
    """The user's items of the training part [M], −1 in empty slots.

    A user may return to an item of training; as the item that is sought here, it stays unmarked.
    """
    known = np.full(slots, -1, np.int32)
    mine = [item for item in rated.get(talk.user, ()) if item != items.get(talk.item)][-slots:]
    known[: len(mine)] = mine
    return known


def _marked(texts: Texts, dialogues: Sequence[Dialogue], known: np.ndarray, shape: Shape) -> Arrays:
    """Dialogues in which every word mentions each of the ``known`` items [N, M]."""
    arrays = texts.arrays(dialogues, [[None] * known.shape[1]] * len(dialogues), shape)
    written = np.arange(arrays["words"].shape[2]) < arrays["lengths"][..., None]
    arrays["mentions"][:] = (known >= 0)[:, :, None, None] & written[:, None]
    return arrays | {"items": known}


def _first(dialogue: Dialogue, utterances: int) -> Dialogue:
    return Dialogue(dialogue.key, dialogue.user, dialogue.utterances[:utterances], dialogue.forms, dialogue.ratings)


def turn_encoder(assets: RecommenderAssets, config: Config) -> TurnEncoder:
    """Utterances: of a conversation, the request, then aspect and value; of a dialogue, those of system and user.

    The mention slots of a conversation hold the user's items of the training part; those of a dialogue hold
    its items in the order of their first mention.
    """
    items, texts = {item: number for number, item in enumerate(assets.items)}, Texts(assets.words, config.words)
    rated = {user: list(dict.fromkeys(items[item] for item in theirs)) for user, theirs in assets.talks.items()}

    def turn(talk: Conversation | Dialogue, t: int) -> Arrays:
        if isinstance(talk, Conversation):
            whole = from_conversation(talk, mentions=False)
            new = replace(whole, utterances=whole.utterances[2 * t - 1 : 2 * t + 1] if t else whole.utterances[:1])
            return _marked(texts, [new], _known(talk, items, rated, config.mentions)[None], texts.lengths(new))
        slots = _slots(talk, turns_of(talk)[t].stop, config.mentions)
        new = replace(talk, utterances=talk.utterances[turns_of(talk)[t]])
        numbers = [-1 if item is None else items.get(item, -1) for item in slots]
        return texts.arrays([new], [slots], texts.lengths(new)) | {"items": np.array([numbers], np.int32)}

    def past(talk: Conversation | Dialogue, t: int) -> bool:
        return isinstance(talk, Conversation) and 1 + 2 * t > UTTERANCES

    return TurnEncoder(
        None,
        turn,
        past,
        lambda talks: _histories(ConversationsInMemory(talks), texts, items, rated, config.mentions),
        texts.index.ids.__contains__,
        not assets.dialogues,
        fill={"words": texts.padding},
    )


def _slots(dialogue: Dialogue, utterances: int, number: int) -> list[str | None]:
    named = dict.fromkeys(
        item for utterance in dialogue.utterances[:utterances] for item in utterance.mentions if item is not None
    )
    return [*list(named)[:number], *([None] * (number - len(named)))]
