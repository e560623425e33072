"""The items of each user's conversations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from cr_jax.data.conversations import Conversations


class ItemsByUser(Mapping[str, tuple[str, ...]]):
    """The items of each user's conversations, in order; an item occurs once per conversation."""

    def __init__(self, users: Sequence[str], counts: np.ndarray, numbers: np.ndarray, items: tuple[str, ...]) -> None:
        """counts: items of each of the users. numbers: places in ``items``, user after user.

        Raises ``IndexError`` for a number beyond ``items``.
        """
        if len(numbers) and (highest := int(numbers.max())) >= len(items):
            raise IndexError(highest)
        self.counts, self._numbers, self._items = counts, numbers, items
        self._place = {user: place for place, user in enumerate(users)}
        self._ends = np.cumsum(counts)

    @classmethod
    def of(cls, conversations: Conversations, users: Sequence[str]) -> "ItemsByUser":
        """The items of conversations. users: the keys, among which are all users of ``conversations``."""
        place = {user: number for number, user in enumerate(users)}
        places = np.array([place[user] for user in conversations.tables.users], np.int32)
        counts = np.zeros(len(users), np.int64)
        speaker, item = (np.empty(len(conversations), np.int32) for _ in range(2))
        at = 0
        for block in conversations.blocks():
            here = slice(at, at + len(block.user))
            speaker[here], item[here] = places[block.user], block.item
            counts += np.bincount(speaker[here], minlength=len(users))
            at = here.stop
        return cls(users, counts, item[np.argsort(speaker, kind="stable")], conversations.tables.items)

    def __getitem__(self, user: str) -> tuple[str, ...]:
        place = self._place[user]
        end = self._ends[place]
        return tuple(self._items[number] for number in cast(list[int], self._numbers[end - self.counts[place] : end].tolist()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)
