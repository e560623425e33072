"""Examples from which a student learns: the states of conversations with their teachers' scores, or with what teachers read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cr_jax.data.conversation import Conversation, Turn
from cr_jax.data.conversations import Conversations, ConversationsInMemory, turn_counts
from cr_jax.data.examples.pool import Arrays, Pool, Shape
from cr_jax.data.examples.states import Kinds, kinds
from cr_jax.errors import BadConfig

#: Array of a batch: 1 for a row that the published loss has as an example, 0 for one that teachers alone supervise.
SUPERVISED = "supervised"
#: Before the names of a batch's arrays that are a teacher's scores, and that teacher N reads.
SCORES, READS = "scores.", "teacher{}."


@dataclass(frozen=True)
class Ends:
    """Of every state of every conversation in order, t = 0 to its last turn: whether it is the first or the last one."""

    first: np.ndarray
    last: np.ndarray


def ends(conversations: Conversations) -> Ends:
    """The ends of ``turn_rows(conversations)``."""
    stops = np.cumsum(turn_counts(conversations) + 1)
    last = np.zeros(int(stops[-1]) if len(stops) else 0, bool)
    last[stops - 1] = True
    return Ends(np.concatenate([np.ones(1, bool), last[:-1]]) if len(last) else last, last)


def with_rows(pool: Pool, rows: Callable[[np.ndarray], Mapping[str, np.ndarray]]) -> Pool:
    """The pool with further arrays. rows: the examples of a batch -> these arrays, a row each."""

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        return pool.make(chosen, shape, rng) | dict(rows(chosen))

    return replace(pool, make=make)


def with_whole(pool: Pool, **arrays: np.ndarray) -> Pool:
    """The pool with further arrays that are the same in every batch."""

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        return pool.make(chosen, shape, rng) | arrays

    return replace(pool, make=make, whole=(*pool.whole, *arrays))


def supervised_to(pool: Pool, number: int) -> Pool:
    """The pool whose rows from ``number`` on teachers alone supervise."""

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        batch = pool.make(chosen, shape, rng)
        return batch | {SUPERVISED: batch[SUPERVISED] * (chosen < number)}

    return replace(pool, make=make)


def with_readings(student: Pool, readings: Sequence[Pool]) -> Pool:
    """The student's examples with what teachers read in the same rows, each padded to shapes of its own."""
    lengths, cuts = _kinds(student), [0]
    for pool in readings:
        cuts.append(len(lengths.table[0]))
        lengths = _side_by_side(lengths, _kinds(pool))

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        places = [*cuts[1:], len(shape)]
        batch = student.make(chosen, shape[: places[0]], rng)
        for number, pool in enumerate(readings):
            read = pool.make(chosen, shape[places[number] : places[number + 1]], np.random.default_rng(0))
            batch |= {READS.format(number) + name: array for name, array in read.items()}
        return batch

    whole = [READS.format(number) + name for number, pool in enumerate(readings) for name in pool.whole]
    own = cuts[1] if readings else len(lengths.table[0])

    def executed(shape: Shape) -> int:
        return student.executed(shape[:own])

    return replace(student, lengths=lengths, make=make, executed=executed, whole=(*student.whole, *whole))


def recombined(talks: Conversations, number: int, seed: int) -> ConversationsInMemory:
    """``talks``, and of each ``number`` more of the same user and item with as many turns, their pairs of aspect and value drawn
    without replacement from all conversations of ``talks`` about that item.

    An item with fewer different pairs than turns gives shorter ones. Raises ``BadConfig`` for conversations on disk.
    """
    if not talks.in_memory:
        raise BadConfig(f"augment={number}: the conversations are too many to be held in memory; legal: 0")
    pairs: dict[str, dict[Turn, None]] = {}
    for talk in talks:
        pairs.setdefault(talk.item, {}).update(dict.fromkeys(talk.turns))
    known = {item: list(turns) for item, turns in pairs.items()}
    rng = np.random.default_rng([seed, 2])
    made: list[Conversation] = []
    for talk in talks:
        choices = known[talk.item]
        for _ in range(number):
            drawn: list[int] = rng.permutation(len(choices))[: len(talk.turns)].tolist()
            made.append(replace(talk, turns=tuple(choices[i] for i in drawn)))
    return ConversationsInMemory((*talks, *made))


def _kinds(pool: Pool) -> Kinds:
    return pool.lengths if isinstance(pool.lengths, Kinds) else kinds(pool.lengths)


def _side_by_side(left: Kinds, right: Kinds) -> Kinds:
    """The lengths of both in one tuple."""
    both = left.code.astype(np.int64) * len(right.table) + right.code
    different, code = np.unique(both, return_inverse=True)
    pairs = [divmod(int(pair), len(right.table)) for pair in different]
    table = tuple((*left.table[a], *right.table[b]) for a, b in pairs)
    return Kinds(table, code.reshape(-1).astype(np.uint16))
