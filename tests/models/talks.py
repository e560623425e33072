"""One conversation, as each model's inputs say it: what its turns and its replays are fed.

A *schedule* says per step which turn t each user reaches, ``None`` for one who is silent: a padded
row. An adapter gives, per step, the utterances and the histories at exactly the shapes that the model
states for the step's latest turn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from tiny import TEMPLATE, Case

from cr_jax.records import Workload

Arrays = dict[str, Any]
#: Users start and end together, fall behind and catch up; every turn is reached by someone first.
SCHEDULE: tuple[tuple[int | None, ...], ...] = ((0, None, 0), (1, 0, None), (2, 1, 1), (None, 2, 2), (3, None, 3))
USERS = 3


@dataclass(frozen=True)
class Said:
    """The items, and per step the turn that shapes it, its utterances, its histories and the users
    whose outputs count (a silent user's turn is another question than its replay's)."""

    items: Arrays | None
    steps: tuple[tuple[int, Arrays, Arrays, np.ndarray], ...]


def said(case: Case, work: Workload, seed: int = 0) -> Said:
    """A random conversation of ``USERS`` users over ``SCHEDULE``; raises ``KeyError`` without an adapter."""
    return ADAPTERS[case.name](case, work, np.random.default_rng(seed))


def _filled(inputs: Mapping[str, Any], rows: Mapping[str, Sequence[Any]]) -> Arrays:
    """``rows`` padded with 0 to the shapes of ``inputs``."""
    arrays: Arrays = {}
    for name, struct in inputs.items():
        array = np.zeros(struct.shape, struct.dtype)
        for row, value in enumerate(map(np.asarray, rows[name])):
            array[(row, *map(slice, value.shape))] = value
        arrays[name] = jnp.asarray(array)
    return arrays


def _steps(case: Case, work: Workload, rows: Callable[[Any, Any, int, bool], dict[str, Any]]) -> Any:
    """Steps from ``rows(user, turn spoken or None, latest turn so far, replayed)``: one row of inputs."""
    talk, steps = case.spec.conversation, []
    latest = [-1] * USERS
    for at in SCHEDULE:
        latest = [old if t is None else t for old, t in zip(latest, at, strict=True)]
        shaped_by = max(t for t in at if t is not None)
        pair = []
        for replayed, inputs in ((False, talk.utterance), (True, talk.history)):
            each = [rows(u, at[u], latest[u], replayed) for u in range(USERS)]
            structs = inputs(case.config, work, shaped_by if not replayed else max(latest), USERS)
            pair.append(_filled(structs, {name: [row[name] for row in each] for name in structs}))
        steps.append((shaped_by, *pair, np.array([u for u, t in enumerate(at) if t is not None])))
    return tuple(steps)


def _texts(rng: np.random.Generator, words: int, longest: int = 4, lowest: int = 1) -> list[list[list[int]]]:
    """Word ids: [user][turn][word]."""
    return [[rng.integers(lowest, words, rng.integers(1, longest + 1)).tolist() for _ in range(4)] for _ in range(USERS)]


def _dmn(case: Case, work: Workload, rng: np.random.Generator) -> Said:
    vectors = rng.normal(size=(20, case.config.embedding))
    sentences, questions = _texts(rng, 20), _texts(rng, 20, longest=3)

    def rows(user: int, t: int | None, latest: int, replayed: bool) -> dict[str, Any]:
        if replayed:
            spoken = sentences[user][: latest + 1]
            text = [w for sentence in spoken for w in sentence]
            ends = np.cumsum([len(s) for s in spoken]) - 1
            question = questions[user][latest] if latest >= 0 else []
            return {"text": vectors[text], "ends": ends.astype(int), "question": vectors[question]}
        new, asked = ([], []) if t is None else (sentences[user][t], questions[user][t])
        return {"words": vectors[new], "lengths": len(new), "question": vectors[asked]}

    return Said(None, _steps(case, work, rows))


def _mmn(case: Case, work: Workload, rng: np.random.Generator) -> Said:
    c, texts = case.config, _texts(rng, case.config.words)
    words = rng.integers(1, c.words, (c.items, c.item_words))
    ends = np.sort(rng.integers(0, c.item_words, (c.items, c.facts)), axis=1)
    ends[::3, 2:] = 0
    items = {"words": words, "ends": ends, "aspects": rng.integers(1, c.words, c.aspects)}

    def rows(user: int, t: int | None, latest: int, replayed: bool) -> dict[str, Any]:
        new = [] if t is None else texts[user][t]
        window = [w for text in texts[user][: latest + 1] for w in text]
        return {"query": window, "words": new, "lengths": len(new), "user": user}

    return Said({k: jnp.asarray(v, jnp.int32) for k, v in items.items()}, _steps(case, work, rows))


def _aim(case: Case, work: Workload, rng: np.random.Generator) -> Said:
    c, texts = case.config, _texts(rng, case.config.words, lowest=2)
    noise = rng.uniform(-1, 1, (len(SCHEDULE), USERS, c.noise))
    seen = {False: [0] * USERS, True: [0] * USERS}  # both modes draw the same noise at the same step

    def rows(user: int, t: int | None, latest: int, replayed: bool) -> dict[str, Any]:
        window = [w for text in texts[user][: latest + 1] for w in text]
        new = [] if t is None else texts[user][t]
        text = window if replayed else new
        step = seen[replayed][user]
        seen[replayed][user] += 1
        return {"words": text, "lengths": len(text), "z": noise[step, user]}

    items = {"words": jnp.asarray(rng.integers(2, c.words, (c.items, c.max_words)), jnp.int32)}
    return Said(items, _steps(case, work, rows))


def _srnn_ae(case: Case, work: Workload, rng: np.random.Generator) -> Said:
    """A slot's item is first mentioned at the request, at a later turn or never."""
    c, first = case.config, np.array([[0, 2, 9], [1, 0, 3], [9, 9, 1]])
    items = np.array([rng.permutation(c.items)[: c.mentions] for _ in range(USERS)])
    utterances = [
        [[rng.integers(0, c.words, rng.integers(1, 5)) for _ in range(2 if t else 1)] for t in range(4)] for _ in range(USERS)
    ]

    def rows(user: int, t: int | None, latest: int, replayed: bool) -> dict[str, Any]:
        turns = range(latest + 1) if replayed else ([] if t is None else [t])
        pairs = [(turn, n, words) for turn in turns for n, words in enumerate(utterances[user][turn])]
        longest = max((len(words) for *_, words in pairs), default=0)
        text = np.zeros((len(pairs), longest), int)
        bits = np.zeros((c.mentions, len(pairs), longest))
        for row, (turn, _, words) in enumerate(pairs):
            text[row, : len(words)] = words
            bits[:, row, : len(words)] = (turn >= first[user])[:, None]
        return {
            "words": text,
            "lengths": [len(words) for *_, words in pairs],
            "senders": [-1.0 if turn and n == 0 else 1.0 for turn, n, _ in pairs],
            "mentions": bits,
            "utterances": len(pairs),
            "items": np.where(latest >= first[user], items[user], -1),
        }

    return Said(None, _steps(case, work, rows))


def _template(case: Case, work: Workload, rng: np.random.Generator) -> Said:
    texts = _texts(rng, case.config.words, longest=3)

    def rows(user: int, t: int | None, latest: int, replayed: bool) -> dict[str, Any]:
        spoken = texts[user][: latest + 1] if replayed else [] if t is None else [texts[user][t]]
        return {"words": [word for text in spoken for word in text]}

    return Said(None, _steps(case, work, rows))


ADAPTERS: dict[str, Callable[[Case, Workload, np.random.Generator], Said]] = {
    "dmn": _dmn,
    "mmn": _mmn,
    "pmmn": _mmn,
    "aim": _aim,
    "srnn-ae": _srnn_ae,
    TEMPLATE: _template,
}
