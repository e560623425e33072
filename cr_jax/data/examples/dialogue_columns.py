"""Dialogues as columns of word ids, senders and named items, from which batches are gathered."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from cr_jax.data.dialogue import Dialogue
from cr_jax.data.examples.ragged import columns

#: A dialogue keeps its newest utterances, an utterance its first words, marks included.
UTTERANCES, WORDS = 40, 80
#: The number of no item, and of one that no word names.
_NONE, _UNNAMED = -1, -2


class DialogueColumns:
    """Each kept utterance is a row; the rows of a dialogue follow one another."""

    def __init__(self, dialogues: Sequence[Dialogue], encode: Callable[[Sequence[str]], list[int]], padding: int) -> None:
        """encode: an utterance's words as ids with a mark before and after, one id per word."""
        self._padding = padding
        self._items: dict[str, int] = {}

        def rows() -> Iterator[tuple[list[int], list[int], int]]:
            for one in dialogues:
                for spoken in one.utterances[-UTTERANCES:]:
                    ids = encode(spoken.words)[:WORDS]
                    named = [
                        _NONE if item is None else self._items.setdefault(item, len(self._items)) for item in spoken.mentions
                    ]
                    # Ids and items lie at the same places of their buffers.
                    yield ids, [_NONE, *named, *[_NONE] * len(ids)][: len(ids)], spoken.sender

        self._ids, named, self._senders = columns(rows(), (list, list, int))
        self._named = named.ids
        self._number = np.array([min(UTTERANCES, len(one.utterances)) for one in dialogues])
        self._ends = np.cumsum(self._number)

    def numbers(self, items: Sequence[str | None]) -> np.ndarray:
        """The numbers of these items in ``arrays``; ``None`` is named by no word."""
        return np.array([self._items.get(item, _UNNAMED) if item is not None else _UNNAMED for item in items], np.int32)

    def arrays(self, rows: np.ndarray, named: np.ndarray, shape: tuple[int, ...]) -> dict[str, Any]:
        """Words [N, C, L], lengths and senders [N, C], utterances [N], mentions [N, M, C, L] of some dialogues.

        named: of each the M items whose mentions are marked, in ``numbers``.
        """
        c, length = min(shape[0], UTTERANCES), min(shape[1], WORDS)
        number = np.minimum(c, self._number.take(rows))
        turn, word = np.arange(c), np.arange(length)
        said = turn < number[:, None]
        which = (self._ends.take(rows) - number)[:, None] + turn
        which *= said
        lengths = np.minimum(self._ids.length.take(which), length)
        lengths *= said
        place = self._ids.begin.take(which)[..., None] + word
        written = word < lengths[..., None]
        names = np.where(written, self._named.take(place, mode="clip"), _NONE)
        return {
            "words": np.where(written, self._ids.ids.take(place, mode="clip"), np.int32(self._padding)),
            "lengths": lengths,
            "senders": (self._senders.take(which) * said).astype(np.float32),
            "mentions": (names[:, None] == named[:, :, None, None]).astype(np.float32),
            "utterances": number.astype(np.int32),
        }
