"""Teachers' scores for every row that a student learns from: computed once, and kept in the cache.

A teacher's scores are files of one folder in ``teacher-scores`` of the cache, sealed with checksums. The folder's name is the
fingerprint of all that decides them: the teacher's weights and configuration, the data with its split and vocabulary, the rows.
What is damaged is computed again; what has another fingerprint is never looked at.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree

from cr_jax import temporaries
from cr_jax.data.corpus import Corpus
from cr_jax.data.examples.batches import groups, in_order
from cr_jax.data.examples.pool import Arrays, Pool
from cr_jax.data.recommender_assets import assets_of
from cr_jax.data.store.checksums import fault, seal
from cr_jax.errors import NotWritten
from cr_jax.json_text import read_json
from cr_jax.nn.module import Frozen
from cr_jax.records import Workload
from cr_jax.resources import cache_root
from cr_jax.steps.distil import teacher_model, teacher_step
from cr_jax.steps.step import AbstractModel, Step
from cr_jax.steps.turn import precompute_step
from cr_jax.train.evaluate import ROWS
from cr_jax.train.finished import FinishedRun
from cr_jax.train.traced_flops import traced_flops

#: Part of the fingerprint; another one where scores or files change their meaning.
VERSION = 1
_ABOUT = "about.json"


@dataclass(frozen=True)
class TeacherScores:
    """A teacher's outputs by name, a row per example. flop and seconds: of computing them, whenever that was."""

    outputs: Mapping[str, np.ndarray]
    rows: int
    flop: int | None
    seconds: float
    kept_bytes: int
    reused: bool


@dataclass(frozen=True)
class Teacher:
    """A finished run as a teacher: its weights, frozen weights and item side on the device."""

    run: FinishedRun
    model: AbstractModel
    arguments: tuple[PyTree, PyTree, PyTree]

    @classmethod
    def of(cls, run: FinishedRun, corpus: Corpus) -> "Teacher":
        """The teacher with its item side computed from ``corpus``."""
        model = teacher_model(run.spec, run.config)
        weights, frozen = run.halves(model)
        items = item_arrays(run, corpus)
        if items is None:
            return cls(run, model, (weights, frozen, None))
        merge, talk = model.merger(Frozen), run.spec.conversation
        side = jax.jit(lambda weights, frozen, items: talk.precompute(merge(frozen, weights), items))
        return cls(run, model, (weights, frozen, side(weights, frozen, items)))

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(one.size for one in self.model.parameters() if one.trainable)

    def item_step(self, work: Workload) -> list[tuple[Step, int]]:
        """The step that computes the item side, once; nothing for a model without one."""
        step = precompute_step(self.model, dataclasses.replace(work, items_scored=None))
        return [] if step is None else [(step, 1)]


def item_arrays(run: FinishedRun, corpus: Corpus) -> Arrays | None:
    """The inputs of a run's item side; ``None`` for a model without one."""
    training = run.spec.training
    if training is None or training.turn_encoder is None:
        return None
    items = training.turn_encoder(assets_of(corpus, run.split_seed), run.config).items
    return None if items is None else dict(items)


def vocabulary_sha256(corpus: Corpus) -> str:
    """Of the words, items, aspects and descriptions that a model reads."""
    texts = [corpus.words, corpus.items, corpus.aspects, [corpus.descriptions.get(item, ()) for item in corpus.items]]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def teacher_scores(
    teacher: Teacher,
    objective: str,
    pool: Pool,
    work: Workload,
    origin: Mapping[str, object],
    warn: Callable[[str], None] | None = None,
) -> TeacherScores:
    """The scores of ``pool``, what the teacher reads, from the cache or computed into it.

    origin: plain values that tell the rows of the pool from all others. warn: called with one line where kept scores are damaged.
    Raises ``NotWritten``.
    """
    about = {"version": VERSION, "teacher": teacher.run.sha256(), "objective": objective, "rows": len(pool), **origin}
    about |= {"platform": jax.default_backend()}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    folder = cache_root() / "teacher-scores" / digest[:32]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporaries.sweep(folder.parent)
        if folder.exists() and (damage := fault(folder)) is not None:
            if warn is not None:
                warn(f"{folder}: {damage}: the scores are computed again")
            _discard(folder)
        reused = folder.exists()
        if not reused:
            _compute(teacher, objective, pool, work, about, folder)
        kept = read_json(folder / _ABOUT)
        files = {name: folder / f"{name}.npy" for name in kept["outputs"]}
        outputs = {name: np.load(file, mmap_mode="r") for name, file in files.items()}
        size = sum(file.stat().st_size for file in files.values())
    except OSError as error:
        raise NotWritten(f"{folder}: the teacher's scores are not kept: {error.strerror or error}") from None
    return TeacherScores(outputs, len(pool), kept["flop"], kept["seconds"], size, reused)


def _compute(teacher: Teacher, objective: str, pool: Pool, work: Workload, about: Mapping[str, object], folder: Path) -> None:
    """Score every row and write the folder, whole or not at all."""
    aside = folder.with_name(temporaries.name_for(folder.name))
    try:
        aside.mkdir()
        size = min(ROWS, len(pool))
        flop = traced_flops([*_passes(teacher, objective, pool, size, work), *teacher.item_step(work)], work.precision)
        forward = jax.jit(teacher_step(teacher.model, objective, work, _shapes(_first(pool, size))).function)
        held: dict[str, np.ndarray] = {}
        begin = time.perf_counter()
        for rows, batch in in_order(pool, size):
            for name, array in jax.device_get(forward(*teacher.arguments, batch)).items():
                if name not in held:
                    shape = (len(pool), *array.shape[1:])
                    held[name] = np.lib.format.open_memmap(aside / f"{name}.npy", "w+", np.float32, shape)
                held[name][rows] = array[: len(rows)]
        for array in held.values():
            array.flush()  # pyright: ignore[reportAttributeAccessIssue]  # a memory map
        seconds = time.perf_counter() - begin
        text = json.dumps({**about, "outputs": list(held), "flop": flop, "seconds": seconds})
        (aside / _ABOUT).write_text(text, encoding="utf-8")
        held.clear()
        seal(aside)
        try:
            os.rename(aside, folder)
        except OSError:
            if fault(folder) is not None:  # another process was as fast with the same scores
                raise
    finally:
        temporaries.remove(aside)


def _passes(teacher: Teacher, objective: str, pool: Pool, size: int, work: Workload) -> list[tuple[Step, int]]:
    """The teacher's step for each padded shape of the pool, with its number of batches."""
    runs: list[tuple[Step, int]] = []
    for group in groups(pool, size):
        rows = group.rows[np.arange(size) % len(group.rows)]
        batch = pool.make(rows, group.shape, np.random.default_rng(0))
        runs.append((teacher_step(teacher.model, objective, work, _shapes(batch)), -(-len(group.rows) // size)))
    return runs


def _first(pool: Pool, size: int) -> Arrays:
    return next(in_order(pool, size))[1]


def _shapes(batch: Arrays) -> dict[str, jax.ShapeDtypeStruct]:
    return {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in batch.items()}


def _discard(folder: Path) -> None:
    aside = folder.with_name(temporaries.name_for(folder.name))
    os.rename(folder, aside)
    temporaries.remove(aside)


def ensemble_rows(
    teachers: Sequence[TeacherScores], values: Sequence[str], temperature: float
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Rows -> the teachers' scores by output, as ``steps.distil.ensemble`` puts them together on the device."""

    def rows(chosen: np.ndarray) -> dict[str, np.ndarray]:
        made: dict[str, np.ndarray] = {}
        for name in teachers[0].outputs:
            given = [np.asarray(teacher.outputs[name][chosen]) for teacher in teachers]
            made[name] = np.mean(given, axis=0) if name in values else _mean_logits(given, temperature)
        return made

    return rows


def _mean_logits(teachers: Sequence[np.ndarray], temperature: float) -> np.ndarray:
    if len(teachers) == 1:
        return teachers[0]
    softened = np.stack([_log_softmax(one / np.float32(temperature)) for one in teachers])
    return np.float32(temperature) * (np.logaddexp.reduce(softened, axis=0) - np.log(np.float32(len(teachers))))


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
