"""Data set profiles."""

from dataclasses import dataclass, field

from cr_jax.documents.figure import FigureKind
from cr_jax.records import TextLengths


@dataclass(frozen=True)
class Origin:
    """The source of a number."""

    kind: FigureKind
    source: str
    date: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Sizes of one data set; ``origins`` has an entry for every field that is a number.

    turns: question-answer pairs in all (the paper's "conversational turns"). words: vocabulary W.
    paper: dimensions solved from the paper's Table II (``dmn_classes``, ``mmn_words``,
    ``pmmn_users``), empty for other data sets. turn_histogram[i]: conversations with i+1 turns.
    paper_printed: the paper's Table II (``dmn``, ``mmn``, ``pmmn``, ``aim``, ``srnn_ae``), empty
    for other data sets. Keys of ``origins`` below the top level are dotted: ``lengths.request``.
    """

    name: str
    title: str
    users: int
    items: int
    aspects: int
    values: int
    turns: int
    conversations: int
    words: int
    lengths: TextLengths
    turn_histogram: tuple[int, ...]
    paper: dict[str, int]
    origins: dict[str, Origin]
    paper_printed: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def last_turn(self) -> int:
        """The last turn T that 95% of the conversations do not exceed."""
        total, conversations = sum(self.turn_histogram), 0
        for turns, number in enumerate(self.turn_histogram, 1):
            conversations += number
            if conversations >= 0.95 * total:
                return turns
        raise AssertionError("an empty turn histogram passes no schema check")
