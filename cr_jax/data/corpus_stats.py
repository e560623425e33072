"""Statistics of conversations from one pass: sizes and lengths for a profile, words for a vocabulary."""

import sys
from collections import Counter
from dataclasses import dataclass, field

from cr_jax.data.conversation import Conversation

#: Longest item description that MMN and PMMN read, in words.
ITEM_WORDS = 128


@dataclass
class CorpusStats:
    """Counts over all conversations, and over those of the training part alone."""

    #: Users and items with a number each, in order of their appearance.
    users: dict[str, int] = field(default_factory=dict[str, int])
    items: dict[str, int] = field(default_factory=dict[str, int])
    #: Occurrences of each aspect and value in all conversations.
    aspects: Counter[str] = field(default_factory=Counter[str])
    values: Counter[str] = field(default_factory=Counter[str])
    #: Conversations by their number of turns.
    turns: Counter[int] = field(default_factory=Counter[int])
    #: Occurrences of each aspect, value and request in training conversations.
    asked: Counter[str] = field(default_factory=Counter[str])
    answered: Counter[str] = field(default_factory=Counter[str])
    requests: Counter[str] = field(default_factory=Counter[str])
    #: The first ``ITEM_WORDS`` words of an item's training conversations, "." after each turn.
    described: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def add(self, conversation: Conversation, training: bool = False) -> None:
        """Count one conversation."""
        self.users.setdefault(conversation.user, len(self.users))
        self.items.setdefault(conversation.item, len(self.items))
        self.turns[len(conversation.turns)] += 1
        for turn in conversation.turns:
            self.aspects[turn.aspect] += 1
            self.values[turn.value] += 1
        if not training:
            return
        self.requests[conversation.request] += 1
        words = self.described.setdefault(conversation.item, [])
        for turn in conversation.turns:
            self.asked[turn.aspect] += 1
            self.answered[turn.value] += 1
            if len(words) < ITEM_WORDS:
                # One string for all occurrences of a word.
                words += map(sys.intern, (*turn.aspect.lower().split(), *turn.value.lower().split(), "."))
        del words[ITEM_WORDS:]

    def words(self) -> Counter[str]:
        """Words of the training requests and turns, "." before each turn."""
        counted: Counter[str] = Counter()
        for texts in (self.requests, self.asked, self.answered):
            for text, number in texts.items():
                for word in text.lower().split():
                    counted[word] += number
        counted["."] += self.asked.total()
        return +counted
