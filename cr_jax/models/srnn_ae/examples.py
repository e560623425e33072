"""sRNN-AE's examples: a dialogue per item it speaks about with its form, and users' ratings.

An utterance is ``<s>``, its words, ``</s>``. The last five ids of the vocabulary are ``<s>``,
``</s>``, padding, unknown and the line break. A dialogue keeps its newest 40 utterances, an
utterance its first 80 words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cr_jax.data.conversation import Conversation
from cr_jax.data.conversations import Conversations, ConversationsInMemory
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.dialogue import NOT_SAID, Dialogue, Form, from_conversation, turns_of
from cr_jax.data.examples.dialogue_columns import UTTERANCES, WORDS, DialogueColumns
from cr_jax.data.examples.pool import Arrays, Check, Examples, Index, Pool, Shape, ranking, turn_rows
from cr_jax.data.examples.ragged import columns
from cr_jax.data.examples.turn_encoder import TurnEncoder
from cr_jax.data.formats.redial import LINE_BREAK
from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.errors import BadConfig

HEADS = ("suggested", "seen", "liked")
_MARKS = 5


class Texts:
    """Dialogues as arrays of word ids."""

    def __init__(self, words: Sequence[str], size: int):
        """words: by frequency; size: of the vocabulary, the five marks included."""
        if size <= _MARKS:
            raise BadConfig(f"words={size}: the last five are marks; legal: {_MARKS + 1} or more")
        first = size - _MARKS
        self.begin, self.end, self.padding, unknown = first, first + 1, first + 2, first + 3
        known = [word for word in words if word != LINE_BREAK][:first]
        self.index = Index({word: i for i, word in enumerate(known)} | {LINE_BREAK: first + 4}, unknown)

    def lengths(self, found: Dialogue) -> Shape:
        """Utterances kept, and words of the longest with its two marks."""
        kept = found.utterances[-UTTERANCES:]
        return len(kept), min(WORDS, max(len(one.words) + 2 for one in kept))

    def positions(self, found: Dialogue) -> int:
        """Words kept, marks included."""
        return sum(min(WORDS, len(one.words) + 2) for one in found.utterances[-UTTERANCES:])

    def arrays(self, found: Sequence[Dialogue], named: Sequence[Sequence[str | None]], shape: Shape) -> Arrays:
        """words [N, C, L], lengths and senders [N, C], utterances [N], mentions [N, M, C, L].

        named: per dialogue the M items whose mentions are marked; ``None`` marks nothing.
        """
        spoken = self.spoken(found)
        return spoken.arrays(np.arange(len(found)), np.stack([spoken.numbers(items) for items in named]), shape)

    def spoken(self, found: Sequence[Dialogue]) -> DialogueColumns:
        """Many dialogues, of which batches are taken."""
        return DialogueColumns(found, lambda words: [self.begin, *self.index.encode(words), self.end], self.padding)


def sentiment_pool(texts: Texts, found: Sequence[Dialogue]) -> Pool:
    """One example per dialogue and item with a form."""
    rows = [(one, item, form) for one in found for item, form in one.forms.items()]
    spoken = texts.spoken(found)
    dialogue = np.repeat(np.arange(len(found)), [len(one.forms) for one in found])
    item = spoken.numbers([item for _, item, _ in rows])[:, None]
    forms = np.array([form for _, _, form in rows], np.int32).reshape(len(rows), -1)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del rng
        arrays = spoken.arrays(dialogue.take(chosen), item.take(chosen, axis=0), shape)
        return arrays | {"mentions": arrays["mentions"][:, 0], "forms": forms.take(chosen, axis=0)}

    useful = np.array([texts.positions(one) for one, _, _ in rows])
    turns = np.array([max(0, len(one.utterances) - 1) / 2 for one, _, _ in rows])
    lengths = [texts.lengths(one) for one, _, _ in rows]
    return Pool(lengths, make, useful, lambda shape: min(shape[0], UTTERANCES) * min(shape[1], WORDS), turns)


def ratings_by_user(found: Sequence[Dialogue], items: Mapping[str, int], merged: bool) -> dict[str, dict[int, float]]:
    """Each user's ratings, those of all their dialogues if ``merged``, else each dialogue's alone.

    The recommender knows the items of one dialogue only, so a ReDial dialogue is a user. Of several
    ratings of one item the last counts.
    """
    rated: dict[str, dict[int, float]] = {}
    for one in found:
        for item, value in one.ratings.items():
            rated.setdefault(one.user if merged else one.key, {})[items[item]] = value
    return rated


def ratings_pool(rated: Sequence[dict[int, float]], items: int, noise: Callable[..., np.ndarray]) -> Pool:
    """Rows of ratings, −1 where there is none; ``noise`` chooses the part that is input."""
    (known,) = columns(([list(row)] for row in rated), (list,))
    values = np.array([value for row in rated for value in row.values()], np.float32)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape
        mine = known.take(chosen)
        row, place = mine.places()
        cell, value, kept = row * items + mine.ids.take(place), values.take(place), noise(mine.length, rng)
        inputs, targets = np.zeros((len(chosen), items), np.float32), np.full((len(chosen), items), -1, np.float32)
        inputs.reshape(-1)[cell[kept]] = value[kept]
        targets.reshape(-1)[cell] = value
        return {"ratings": inputs, "targets": targets}

    return Pool([() for _ in rated], make, known.length, lambda shape: items, np.zeros(len(rated)))


def held_out_pool(rated: Sequence[dict[int, float]], items: int, seed: int) -> Pool:
    """Half of the ratings of a user as input, the other half as targets; users of one rating are left out."""
    split = []
    for number, row in enumerate(one for one in rated if len(one) > 1):
        order = np.random.default_rng([seed, number]).permutation(list(row))
        split.append((row, order[: len(order) // 2], order[len(order) // 2 :]))

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape, rng
        inputs, targets = np.zeros((len(chosen), items), np.float32), np.full((len(chosen), items), -1, np.float32)
        for i, user in enumerate(chosen):
            row, given, asked = split[user]
            inputs[i, given], targets[i, asked] = [row[k] for k in given], [row[k] for k in asked]
        return {"ratings": inputs, "targets": targets}

    return Pool([() for _ in split], make, np.zeros(len(split)), lambda shape: items, np.zeros(len(split)))


def classes(outputs: Mapping[str, np.ndarray], majority: Form) -> dict[str, float]:
    """Accuracy, macro F1 and kappa of the six answers, and of always the training part's most frequent one.

    Of "liked", whose classes the loss weighs, also those of the ``likeliest`` answers, weights divided out.
    """
    found: dict[str, float] = {}
    for column, name in enumerate(f"{who}_{what}" for who in ("initiator", "respondent") for what in HEADS):
        truth = outputs["forms"][:, column]
        answers = {"": outputs["guesses"][:, column], "majority_": np.full_like(truth, majority[column])}
        if name.endswith("liked"):
            answers["likeliest_"] = outputs["likeliest"][:, column]
        for whose, guess in answers.items():
            found[f"{name}.{whose}accuracy"] = float((truth == guess).mean())
            found[f"{name}.{whose}macro_f1"] = macro_f1(truth, guess)
            found[f"{name}.{whose}kappa"] = kappa(truth, guess)
    return found | {"loss": float(outputs["loss"].mean())}


def macro_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over the classes that occur in ``truth`` of 2·hits / (guessed + true)."""
    scores = [2 * ((truth == c) & (guess == c)).sum() / ((truth == c).sum() + (guess == c).sum()) for c in np.unique(truth)]
    return float(np.mean(scores))


def kappa(truth: np.ndarray, guess: np.ndarray) -> float:
    """Cohen's kappa: agreement beyond chance, of all there could be beyond it; 0 for one answer always.

    Chance: two that answer without looking, each class as often as it is in ``truth`` and in ``guess``.
    """
    chance = sum((truth == c).mean() * (guess == c).mean() for c in np.unique(truth))
    return float(((truth == guess).mean() - chance) / (1 - chance)) if chance < 1 else 0.0


def errors(outputs: Mapping[str, np.ndarray], sums: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Root mean squared error over held-out ratings: AutoRec's, the items' training means', the mean's.

    sums, counts: of each item's training ratings. An item without any stands at the mean of all; the
    figures ``known.`` leave such items out, about which training says nothing to AutoRec either.
    """
    overall = sums.sum() / counts.sum()
    means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    asked = outputs["targets"] != -1
    found: dict[str, float] = {}
    for name, rows in (("", asked), ("known.", asked & (counts > 0)[None])):
        truth = outputs["targets"][rows].astype(np.float64)
        guesses = {
            "rmse": outputs["predictions"][rows],
            "item_mean_rmse": np.broadcast_to(means, rows.shape)[rows],
            "mean_rmse": np.full(truth.shape, overall),
        }
        if truth.size:
            found |= {name + key: float(np.sqrt(np.mean(np.square(guess - truth)))) for key, guess in guesses.items()}
        found[f"{name}ratings"] = float(truth.size)
    return found


def examples(corpus: Corpus, config: Any, seed: int, *, noise: Callable[..., np.ndarray]) -> Examples:
    """Both objectives' pools and checks; histories to rank after where there are conversations.

    noise(numbers, rng) chooses which ratings are AutoRec's inputs.
    """
    if config.decoder:
        raise BadConfig("decoder=true: the response decoder has no training data here; legal: decoder=false")
    if not corpus.conversations["train"].in_memory:
        raise BadConfig(f"{corpus.dataset.name}: srnn-ae needs its dialogues in memory; legal: a smaller file, or dmn, mmn, aim")
    if len(corpus.items) != config.items:
        raise BadConfig(f"items={config.items}: legal: {len(corpus.items)}, the items of the data set")
    items = {item: number for number, item in enumerate(corpus.items)}
    texts = Texts(corpus.words, config.words)
    spoken = {part: [*corpus.dialogues[part], *(from_conversation(one) for one in corpus.conversations[part])] for part in PARTS}
    merged = bool(corpus.conversations["train"])
    rated = {part: ratings_by_user(spoken[part], items, merged) for part in PARTS}
    forms = np.array([form for one in spoken["train"] for form in one.forms.values()])
    majority: Any = tuple(int(np.bincount(column).argmax()) for column in forms.T)
    sums, counts = np.zeros(len(items)), np.zeros(len(items))
    for row in rated["train"].values():
        for item, value in row.items():
            sums[item], counts[item] = sums[item] + value, counts[item] + 1

    def checks(part: str) -> tuple[Check, ...]:
        held = held_out_pool(list(rated[part].values()), len(items), seed)
        found = [
            Check(
                "sentiment",
                "sentiment",
                sentiment_pool(texts, spoken[part]),
                lambda outputs: classes(outputs, majority),
                "loss",
                False,
            )
        ]
        if len(held):
            found.append(Check("ratings", "autorec", held, lambda outputs: errors(outputs, sums, counts), "rmse", False))
        return tuple(found)

    return Examples(
        pools={
            "sentiment": sentiment_pool(texts, spoken["train"]),
            "autorec": ratings_pool(list(rated["train"].values()), len(items), noise),
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


def _ranking(
    corpus: Corpus, part: str, texts: Texts, items: Mapping[str, int], rated: Mapping[str, Mapping[int, float]], slots: int
) -> Any:
    found = corpus.conversations[part]
    aspects = {aspect: number for number, aspect in enumerate(corpus.aspects)}
    return ranking(_histories(found, texts, items, rated, slots), found, items, aspects)


def _histories(
    found: Conversations, texts: Texts, items: Mapping[str, int], rated: Mapping[str, Iterable[int]], slots: int
) -> Pool:
    rows = turn_rows(found)
    whole = [from_conversation(one, mentions=False) for one in found]
    cut = [_first(whole[c], 1 + 2 * t) for c, t in rows]

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del rng
        known = [_known(found[rows[row][0]], items, rated, slots) for row in chosen]
        return _marked(texts, [cut[row] for row in chosen], np.stack(known), shape)

    useful = np.array([texts.positions(one) for one in cut])
    return Pool(
        [texts.lengths(one) for one in cut],
        make,
        useful,
        lambda shape: slots * min(shape[0], UTTERANCES) * min(shape[1], WORDS),
        np.ones(len(cut)),
    )


def _known(found: Conversation, items: Mapping[str, int], rated: Mapping[str, Iterable[int]], slots: int) -> np.ndarray:
    """The user's items of the training part [M], −1 in empty slots. A user may come back to an item; it
    is what is sought here and stays unmarked."""
    known = np.full(slots, -1, np.int32)
    mine = [item for item in rated.get(found.user, ()) if item != items.get(found.item)][-slots:]
    known[: len(mine)] = mine
    return known


def _marked(texts: Texts, spoken: Sequence[Dialogue], known: np.ndarray, shape: Shape) -> Arrays:
    """Dialogues whose every word mentions each of the ``known`` items [N, M]."""
    arrays = texts.arrays(spoken, [[None] * known.shape[1]] * len(spoken), shape)
    written = np.arange(arrays["words"].shape[2]) < arrays["lengths"][..., None]
    arrays["mentions"][:] = (known >= 0)[:, :, None, None] & written[:, None]
    return arrays | {"items": known}


def _first(found: Dialogue, utterances: int) -> Dialogue:
    return Dialogue(found.key, found.user, found.utterances[:utterances], found.forms, found.ratings)


def voice(kept: RecommenderAssets, config: Any) -> TurnEncoder:
    """Utterances: the request, then aspect and value; of a dialogue what the system and the user said.

    Of a conversation the slots hold the user's items of the training part, of a dialogue the items
    in the order of their first mention.
    """
    items, texts = {item: number for number, item in enumerate(kept.items)}, Texts(kept.words, config.words)
    rated = {user: list(dict.fromkeys(items[item] for item in theirs)) for user, theirs in kept.talks.items()}

    def turn(found: Conversation | Dialogue, t: int) -> Arrays:
        if isinstance(found, Conversation):
            whole = from_conversation(found, mentions=False)
            new = replace(whole, utterances=whole.utterances[2 * t - 1 : 2 * t + 1] if t else whole.utterances[:1])
            return _marked(texts, [new], _known(found, items, rated, config.mentions)[None], texts.lengths(new))
        slots = _slots(found, turns_of(found)[t].stop, config.mentions)
        new = replace(found, utterances=found.utterances[turns_of(found)[t]])
        numbers = [-1 if item is None else items.get(item, -1) for item in slots]
        return texts.arrays([new], [slots], texts.lengths(new)) | {"items": np.array([numbers], np.int32)}

    def past(found: Conversation | Dialogue, t: int) -> bool:
        return isinstance(found, Conversation) and 1 + 2 * t > UTTERANCES

    return TurnEncoder(
        None,
        turn,
        past,
        lambda found: _histories(ConversationsInMemory(found), texts, items, rated, config.mentions),
        texts.index.ids.__contains__,
        not kept.dialogues,
        fill={"words": texts.padding},
    )


def _slots(found: Dialogue, utterances: int, number: int) -> list[str | None]:
    named = dict.fromkeys(item for one in found.utterances[:utterances] for item in one.mentions if item is not None)
    return [*list(named)[:number], *([None] * (number - len(named)))]
