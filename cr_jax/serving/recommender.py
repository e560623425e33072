"""A trained model in conversation: loaded from a checkpoint, compiled, queried turn by turn.

It runs the programs that ``crjax profile`` counts (``cr_jax.steps.turn``) and carries the state from turn to turn. Where a
conversation becomes longer than the window of the model's tests, that window is read again (``replay``), so that its answers are
those of the tests at every length.
"""

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import jax
import numpy as np
from jaxtyping import PyTree
from msgspec import structs

from cr_jax.data.conversation import Conversation, Turn
from cr_jax.data.corpus import fingerprint_of
from cr_jax.data.examples.pool import Arrays
from cr_jax.data.examples.turn_encoder import Talk, fits, together, turn_count, words_of
from cr_jax.data.recommender_assets import room
from cr_jax.errors import BadConfig, BadInput
from cr_jax.files import expanded
from cr_jax.models import spec as specs
from cr_jax.models.spec import Inputs
from cr_jax.nn.module import Frozen
from cr_jax.records import Workload, plain
from cr_jax.steps.step import abstract_model
from cr_jax.steps.turn import turn_functions
from cr_jax.train.checkpoint import Stored, difference, stored, told
from cr_jax.train.finished import assets_in, config_of, spec_of
from cr_jax.train.metrics import tie_order
from cr_jax.train.state import shapes, unnamed

#: Words of a free text that are read; of a longer text the newest are read.
FREE_WORDS = 64
#: Turns within which a conversation is assumed to pass a model's limit.
ENDLESS = 100
#: Items that a free dialogue can mention; slots are rows of the state, not weights.
DIALOGUE_SLOTS = 8


@dataclass(frozen=True)
class Answer:
    """The answer after one turn."""

    items: tuple[tuple[str, float], ...]
    """The best items with their scores."""
    questions: Sequence[tuple[str, float]] | None
    """Aspects to ask, the best first; ``None`` where the model scores none."""
    latency_s: float
    """Seconds on the host from the words to the list."""
    mode: str
    """``incremental``, or ``replay`` past the model's limit."""


class Scored(Sequence[tuple[str, float]]):
    """Names with scores, of which usually only the first few are read."""

    def __init__(self, names: Sequence[str], numbers: np.ndarray, scores: np.ndarray) -> None:
        self._names, self._numbers, self._scores = names, numbers, scores

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> tuple[str, float]: ...

    @overload
    def __getitem__(self, place: slice) -> "Scored": ...

    def __getitem__(self, place: int | slice) -> "tuple[str, float] | Scored":
        if isinstance(place, slice):
            return Scored(self._names, self._numbers[place], self._scores[place])
        return self._names[int(self._numbers[place])], float(self._scores[place])


class Recommender:
    """A model and its programs; call ``prepare`` before the first turn."""

    def __init__(
        self,
        folder: str | Path,
        top: int = 10,
        *,
        model: str | None = None,
        dataset: str | Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Load what ``crjax train`` wrote to ``folder``.

        top: items listed. model, dataset, settings: the expected origin of the checkpoint; a file's or folder's bytes are
        compared.

        Raises ``BadInput`` for a folder without a whole checkpoint or with one of another origin.
        """
        begin, place = time.perf_counter(), expanded(folder)
        checkpoint = stored(place / "checkpoints")
        self.identity, self.where = checkpoint.identity, str(folder)
        self.spec = spec_of(checkpoint, model)
        self.config, self.assets = config_of(checkpoint, self.spec), assets_in(place, checkpoint)
        self._expect(checkpoint, model, dataset, settings or {})
        mentions = getattr(self.config, "mentions", None)
        if self.assets.dialogues and mentions is not None:
            self.config = dataclasses.replace(self.config, mentions=max(DIALOGUE_SLOTS, mentions))
        specs.positive(top=top)
        self.top = min(top, len(self.assets.items))
        training = self.spec.training
        if training is None or training.turn_encoder is None:
            raise BadConfig(f"{self.spec.name} states no turn encoder (Training.turn_encoder): it holds no conversations")
        self.encoder = training.turn_encoder(self.assets, self.config)
        self.finished = checkpoint.progress.stage == len(checkpoint.identity["stages"])
        self.steps = checkpoint.progress.total
        self._model = abstract_model(self.spec, self.config)
        frozen, weights = self._model.split(Frozen)
        flat = checkpoint.weights(shapes(weights) | shapes(frozen))
        placed = tuple(jax.device_put(unnamed(tree, flat)) for tree in (weights, frozen))
        # Flat, since every call would walk the modules' trees anew.
        self._held, self._tree = jax.tree.flatten(placed)
        # As many as a conversation may have refused before; one alone has another shape of answer.
        questions = max(1, len(self.assets.aspects))
        number = len(self.assets.items)
        # All items, not the top alone: the tests break ties by an order of their own.
        self._functions = turn_functions(self._model, number, questions)
        self._order = tie_order(number)
        self._programs: dict[tuple[str, str], jax.stages.Compiled] = {}
        self._shapes: dict[bool, list[Inputs]] = {}
        self._starts: dict[int, PyTree] = {}
        self._side: PyTree = None
        #: Conversations answered together.
        self.users = 1
        self.loaded_s = time.perf_counter() - begin

    def prepare(self, talks: Iterable[Talk] | None = None, users: int = 1) -> tuple[int, float]:
        """Compute the item side and compile the programs that ``talks`` need, by default for texts of ``FREE_WORDS``; every
        program runs once. Returns the number of programs and the seconds.

        users: conversations answered together. ``talks`` are read once and not kept. A shape beyond these, which a conversation
        past the model's limit may need, is compiled when it is reached, off the clock.
        """
        begin, longest = time.perf_counter(), structs.asdict(self.assets.longest)
        self.users = users
        talk = self.spec.conversation
        if self.encoder.items is not None:
            merge = self._model.merger(Frozen)
            side = jax.jit(lambda weights, frozen, items: talk.precompute(merge(frozen, weights), items))
            self._side = jax.block_until_ready(side(*self._tree.unflatten(self._held), dict(self.encoder.items)))
        self._starts.clear()
        if talks is None:
            free = max(FREE_WORDS, *longest.values())
            more = {"request": free, "question": longest["question"], "answer": free}
        else:
            more = words_of(map(self._noted, talks))
        for endless in self._endless() if talks is None else ():
            self._noted(endless)
        rooms = [
            self._room(*(max(longest[key], wanted[key]) for key in ("request", "question", "answer")))
            for wanted in (longest, more)
        ]
        first, later = ([talk.utterance(self.config, work, t, 1) for work in rooms] for t in (0, 1))
        # A dialogue's first turn may hold the system's words before it, which have a later turn's shape.
        self._shapes = {True: [*first, *later], False: later}
        for shape in self._shapes[True]:
            row = {name: np.zeros((users, *struct.shape[1:]), struct.dtype) for name, struct in shape.items()}
            self._run(self._program("incremental", row), self.start(), row)
        return len(self._programs), time.perf_counter() - begin

    def start(self) -> PyTree:
        """The state of ``users`` conversations before their requests."""
        if self.users not in self._starts:
            weights, frozen = self._tree.unflatten(self._held)
            module = self._model.merger(Frozen)(frozen, weights)
            self._starts[self.users] = self.spec.conversation.start(module, self._side, self.users)
        return self._starts[self.users]

    def turn(self, state: PyTree, talk: Talk, t: int) -> tuple[PyTree, Answer]:
        """The new part of ``talk`` at turn t, after the turns before it; the given state is used up."""
        state, answers = self.turns(state, [talk], t)
        return state, answers[0]

    def turns(self, state: PyTree, talks: Sequence[Talk], t: int) -> tuple[PyTree, list[Answer]]:
        """The same for several conversations at once, at most ``users``; those that have ended at turn t are left out at the end
        of ``talks``. The latency of each is that of all.
        """
        past = [place for place, talk in enumerate(talks) if self.encoder.past(talk, t)]
        for place in past:  # compiled before the clock starts
            self._program("replay", self._window([self._read(talks[place], t)]))
        begin = time.perf_counter()
        rows = [self.encoder.turn(talk, t) for talk in talks]
        shape = next((s for s in self._shapes[t == 0] if all(fits(row, s) for row in rows)), None)
        if shape is None:
            raise BadConfig(f"turn {t}: longer than the programs that were compiled; legal: prepare() with this conversation")
        row = together(rows, shape, self.encoder.fill, self.users)
        state, best = self._run(self._program("incremental", row), state, row)
        modes = [("incremental", best, place) for place in range(len(talks))]
        windows: dict[str, list[tuple[int, Arrays]]] = {}
        for place in past:
            read = self._read(talks[place], t)
            windows.setdefault(_shaped(read), []).append((place, read))
        for alike in windows.values():
            row = self._window([read for _, read in alike])
            best = self._replayed(self._program("replay", row), row)
            for number, (place, _) in enumerate(alike):
                modes[place] = "replay", best, number
        answers = [self._answer(best, mode, 0.0, number) for mode, best, number in modes]
        latency = time.perf_counter() - begin
        return state, [dataclasses.replace(answer, latency_s=latency) for answer in answers]

    def _noted(self, talk: Talk) -> Talk:
        """The same conversations, noting the programs that their windows past the model's limit need, and compiling them."""
        last = turn_count(talk) - 1
        for t in range(last + 1) if self.encoder.past(talk, last) else ():
            if self.encoder.past(talk, t):
                row = self._window([self._read(talk, t)])
                if ("replay", _shaped(row)) not in self._programs:
                    self._replayed(self._program("replay", row), row)
        return talk

    def _room(self, request: int, question: int, answer: int) -> Workload:
        return Workload(turns=1, lengths=room(request, question, answer), turn_histogram=(1,), top_k=self.top)

    def _program(self, mode: str, row: Arrays) -> jax.stages.Compiled:
        key = mode, _shaped(row)
        if key not in self._programs:
            state = (self.start(),) if mode == "incremental" else ()
            answer = self._functions[mode]
            function = jax.jit(lambda held, *inputs: answer(*self._tree.unflatten(held), *inputs))
            self._programs[key] = function.lower(self._held, self._side, *state, row).compile()
        return self._programs[key]

    def _run(self, program: jax.stages.Compiled, state: PyTree, row: Arrays) -> tuple[PyTree, Arrays]:
        state, best = program(self._held, self._side, state, row)
        return state, jax.device_get(best)

    def _read(self, talk: Talk, t: int) -> Arrays:
        """The window of one conversation, to be read again."""
        pool = self.encoder.histories([talk])
        return pool.make(np.array([t]), pool.shape(t), np.random.default_rng(0))

    def _window(self, read: Sequence[Arrays]) -> Arrays:
        """Windows of one shape put together, the last one repeated."""
        return together(read, read[0], {}, self.users)

    def _replayed(self, program: jax.stages.Compiled, row: Arrays) -> Arrays:
        return jax.device_get(program(self._held, self._side, row))

    def _endless(self) -> tuple[Conversation, ...]:
        """A conversation that gets past the model's limit, if any does."""
        if self.assets.dialogues or not self.assets.aspects:
            return ()
        turns = [Turn(aspect, values[0], None) for aspect, values in self.assets.values.items() if values]
        turns = (turns * (1 + ENDLESS // max(1, len(turns))))[:ENDLESS]
        talk = Conversation("", "", tuple(turns))
        first = next((t for t in range(len(turns) + 1) if self.encoder.past(talk, t)), None)
        return () if first is None else (dataclasses.replace(talk, turns=talk.turns[:first]),)

    def _answer(self, best: Arrays, mode: str, latency: float, row: int = 0) -> Answer:
        numbers, values = best["top_items"][row], best["top_scores"][row]
        if (last := values[self.top - 1]) == last:  # ties are broken among those that could still be listed
            upto = np.searchsorted(-values, -last, side="right")
            numbers, values = numbers[:upto], values[:upto]
        first = np.lexsort((self._order[numbers], -values))[: self.top]
        items = [self.assets.items[i] for i in numbers[first]]
        questions = None
        if "next_question" in best:
            asked, scores = (np.reshape(best[name][row], -1) for name in ("next_question", "next_question_score"))
            questions = Scored(self.assets.aspects, asked, scores)
        return Answer(tuple(zip(items, map(float, values[first]), strict=True)), questions, latency, mode)

    def _expect(self, checkpoint: Stored, model: str | None, dataset: str | Path | None, settings: Mapping[str, str]) -> None:
        theirs = checkpoint.identity
        ours = theirs | {"model": theirs["model"] if model is None else self.spec.name}
        if settings:
            ours |= {"config": plain(specs.override(self.spec, self.config, settings))}
        if dataset is not None:
            ours |= {"dataset": theirs["dataset"] | {"sha256": fingerprint_of(dataset)}}
        if differences := difference(theirs, ours):
            raise BadInput(checkpoint.place, "of another origin: " + told(differences))


def _shaped(row: Arrays) -> str:
    return ",".join(f"{name}:{a.dtype}{a.shape}" for name, a in sorted(row.items()))
