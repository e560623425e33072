"""A dialogue in utterances, with the items that its words mention and the forms about each."""

from dataclasses import dataclass

from cr_jax.data.conversation import Conversation

USER, SYSTEM = 1, -1
#: Answers of a form besides no (0) and yes (1).
NOT_SAID = 2
#: suggested, seen, liked by the initiator (the user), then by the respondent (the system).
Form = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class Utterance:
    """sender: ``USER`` or ``SYSTEM``. mentions: per word the item that it names, or ``None``."""

    sender: int
    words: tuple[str, ...]
    mentions: tuple[str | None, ...]


@dataclass(frozen=True)
class Dialogue:
    """forms: per item spoken about, the six answers both speakers gave after the dialogue.

    ratings: items that the user said they liked (1.0) or disliked (0.0).
    """

    key: str
    user: str
    utterances: tuple[Utterance, ...]
    forms: dict[str, Form]
    ratings: dict[str, float]


def from_conversation(conversation: Conversation, mentions: bool = True) -> Dialogue:
    """A conversation of aspects and values as a dialogue about its item.

    The system asks an aspect, the user answers a value. mentions: every word counts as naming the item, since the format has no
    mentions; ``False`` where the item is the sought one. The form says suggested by the system, seen, and liked as most of the
    values are (not said where none is).
    """
    item = conversation.item if mentions else None

    def utterance(sender: int, text: str) -> Utterance:
        words = tuple(text.lower().split())
        return Utterance(sender, words, (item,) * len(words))

    spoken = [utterance(USER, conversation.request)]
    for turn in conversation.turns:
        spoken += [utterance(SYSTEM, turn.aspect), utterance(USER, turn.value)]
    said = [turn.sentiment for turn in conversation.turns if turn.sentiment is not None]
    liked = NOT_SAID if not said else int(sum(said) >= 0)
    form = (0, 1, liked, 1, 1, liked)
    key = f"{conversation.user}@{conversation.item}"
    return Dialogue(key, conversation.user, tuple(spoken), {conversation.item: form}, {conversation.item: 1.0})


def turns_of(dialogue: Dialogue) -> list[slice]:
    """The utterances of each turn: the user's, and the system's before it; empty where the user is silent."""
    ends = [i + 1 for i, one in enumerate(dialogue.utterances) if one.sender == USER]
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)] if ends else []
