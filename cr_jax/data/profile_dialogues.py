"""The profile of free dialogues: sizes and lengths as a data set of turns."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from cr_jax.catalog.dataset import Dataset, Origin
from cr_jax.data.dialogue import Dialogue
from cr_jax.data.profile import lengths_of
from cr_jax.records import TextLengths


def profile_dialogues(
    dialogues: Sequence[Dialogue], *, name: str, source: str, assumed: Dataset, items: int, words: int
) -> Dataset:
    """A turn is a pair of utterances after the first; a request, question and answer is an utterance.

    items, words: how many there are in the data and in the vocabulary. Free dialogues have no aspects, values or item
    texts: the former are 0, the latter's lengths are those of ``assumed``, tagged so.
    """
    spoken = lengths_of(len(one.words) for talk in dialogues for one in talk.utterances)
    pairs = Counter(max(1, (len(talk.utterances) - 1) // 2) for talk in dialogues)
    counted = Origin("measured", f"counted in {source}")
    stand_in = Origin("assumed", f"not in {source}; taken from the profile {assumed.name}")
    sizes = ("users", "items", "conversations", "turns", "words", "aspects", "values", "turn_histogram")
    return dataclasses.replace(
        assumed,
        name=name,
        title=name,
        users=len({talk.user for talk in dialogues}),
        items=items,
        aspects=0,
        values=0,
        turns=sum(n * c for n, c in pairs.items()),
        conversations=len(dialogues),
        words=words,
        lengths=TextLengths(
            request=spoken,
            question=spoken,
            answer=spoken,
            item=assumed.lengths.item,
            item_sentences=assumed.lengths.item_sentences,
        ),
        turn_histogram=tuple(pairs[n] for n in range(1, max(pairs) + 1)),
        paper={},
        paper_printed={},
        origins={
            **dict.fromkeys(sizes, counted),
            **dict.fromkeys(
                ("lengths.request", "lengths.question", "lengths.answer"),
                Origin("measured", f"words of an utterance; counted in {source}"),
            ),
            **dict.fromkeys(("lengths.item", "lengths.item_sentences"), stand_in),
        },
    )
