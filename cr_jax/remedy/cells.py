"""The cells of a remedy: one seed of one variant each, trained or changed, ranked, and kept as a file when it is finished.

``runs/`` of the folder has the run folders, which continue after a kill; ``cells/`` has what the report is made of.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from msgspec import UNSET

from cr_jax.data.corpus import Corpus, read_corpus
from cr_jax.documents.base import Block, decode, plain
from cr_jax.documents.fields import Count, Seconds
from cr_jax.documents.training_report import Figures, TrainingReport
from cr_jax.errors import BadInput, NotWritten
from cr_jax.files import is_file, is_folder
from cr_jax.json_text import read_json
from cr_jax.models import spec as specs
from cr_jax.remedy.quality import Ranks
from cr_jax.remedy.request import RemedyRequest
from cr_jax.remedy.smoothing import smoothed
from cr_jax.remedy.training_flops import training_flops
from cr_jax.remedy.variants import Variant, slug
from cr_jax.resources import write_atomically
from cr_jax.train import metrics
from cr_jax.train.checkpoint import stored
from cr_jax.train.compress import compressed, ranked
from cr_jax.train.distil import distil
from cr_jax.train.distil_request import DistillationRequest
from cr_jax.train.evaluate import Ranked
from cr_jax.train.finished import FinishedRun, read_run
from cr_jax.train.loop import Tick
from cr_jax.train.request import TrainingRequest
from cr_jax.train.run import CHECKPOINT_STEPS, Ready, Trained, carry_out, ready

#: Between the seed of a teacher and that of the next one of its ensemble.
_NEXT_TEACHER = 100_000


class StateRanks(Block):
    """A row per state of a conversation; users: by conversation."""

    rank: tuple[int, ...]
    conversation: tuple[int, ...]
    t: tuple[int, ...]
    users: tuple[str, ...]


class Cell(Block):
    """One seed of a variant. flop, seconds: of its training; teacher_...: of its teachers' inference; validation: MRR."""

    sha256: str
    ranks: StateRanks | None
    figures: dict[str, Figures]
    validation: float | None
    flop: Count | None
    seconds: Seconds
    teacher_flop: Count | None
    teacher_seconds: Seconds | None

    @property
    def by_turn(self) -> Ranks | None:
        """The ranks by conversation and turn."""
        return None if self.ranks is None else Ranks.of(self.ranks.rank, self.ranks.conversation, self.ranks.t, self.ranks.users)


@dataclasses.dataclass(frozen=True)
class Cells:
    """The cells of ``request`` in ``folder``. tick: called with the progress of a training; say: with a line per cell begun."""

    request: RemedyRequest
    folder: Path
    tick: Callable[[Tick], None] | None = None
    say: Callable[[str], None] = lambda line: None
    command: tuple[str, ...] | None = None

    def cell(self, variant: Variant, recipe: Mapping[str, str], seed: int) -> Cell:
        """The finished cell, from its file or made now. Raises ``CrJaxError``."""
        name = slug(variant, recipe, seed)
        file = self.folder / "cells" / f"{name}.json"
        if is_file(file):
            return self._read(file)
        self.say(name)
        if variant.kind == "popularity":
            made = self._popularity(seed)
        elif variant.kind in ("compressed", "fewer"):
            made = self._changed(variant, seed)
        else:
            made = self._trained(variant, recipe, seed, name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotWritten(f"{file.parent}: no folder: {error.strerror}") from None
        write_atomically(file, json.dumps(plain(made)) + "\n")
        return made

    def teachers(self, seed: int) -> tuple[Path, ...]:
        """The run folders of a seed's teachers, all of one split, trained where they are missing."""
        return tuple(self._teacher(seed, number) for number in range(self.request.ensemble))

    def teacher_cells(self, seed: int) -> tuple[Cell, ...]:
        """The cells of the same runs."""
        return tuple(self.cell(Variant("teacher"), _member(number), seed) for number in range(self.request.ensemble))

    @cached_property
    def corpus(self) -> Corpus:
        """The data with the first seed's split."""
        return self._corpus(self.request.seeds[0])

    def _corpus(self, seed: int) -> Corpus:
        return read_corpus(self.request.dataset, seed, self.request.strict, self.request.reviews)

    def _read(self, file: Path) -> Cell:
        try:
            cell = msgspec.convert(read_json(file), Cell)
        except msgspec.ValidationError as error:
            raise BadInput(str(file), f"no cell of a remedy: {error}; legal: without the file, which is made again") from None
        if cell.sha256 != self.corpus.fingerprint:
            raise BadInput(str(file), f"of other data than {self.request.dataset}; legal: another --out")
        return cell

    def _teacher(self, seed: int, number: int) -> Path:
        self.cell(Variant("teacher"), _member(number), seed)
        return self.folder / "runs" / slug(Variant("teacher"), _member(number), seed)

    def _trained(self, variant: Variant, recipe: Mapping[str, str], seed: int, name: str) -> Cell:
        folder = self.folder / "runs" / name
        report, flop = self._run(variant, recipe, seed, folder)
        cost = report.cost
        inference = None if cost.teachers is UNSET else cost.teachers
        measured = cost.measured
        best = report.stages[-1].best
        return Cell(
            sha256=report.dataset.sha256,
            ranks=self._ranks(read_run(folder)) if "ranking" in report.test else None,
            figures={key: figures for key, figures in report.test.items() if key != "ranking"},
            validation=best.value if best is not None and best.criterion == "ranking.mrr" else None,
            flop=flop,
            seconds=measured.training_s + measured.validation_s,
            teacher_flop=None if inference is None else inference.flop,
            teacher_seconds=None if inference is None else inference.seconds,
        )

    def _run(self, variant: Variant, recipe: Mapping[str, str], seed: int, folder: Path) -> tuple[TrainingReport, int | None]:
        """The training report and the FLOPs of its optimizer steps; a finished run is read, an unfinished one continued."""
        if variant.kind == "distilled":
            report = self._finished(folder) or self._distil(variant, recipe, seed, folder).report
            return report, report.cost.flop if isinstance(report.cost.flop, int) else None
        asked = self._asked(variant, recipe, seed)
        made = smoothed(asked, float(recipe["weight"])) if variant.kind == "smoothed" else ready(asked)
        report = self._finished(folder) or self._carry_out(asked, made, folder).report
        return report, training_flops(made, stored(folder / "checkpoints").progress)

    def _finished(self, folder: Path) -> TrainingReport | None:
        file = folder / "report.json"
        return decode(read_json(file), TrainingReport, str(file)) if is_file(file) else None

    def _asked(self, variant: Variant, recipe: Mapping[str, str], seed: int) -> TrainingRequest:
        wanted = self.request
        settings = {**wanted.settings, **variant.settings}
        if "learning_rate" in recipe:
            settings["learning_rate"] = recipe["learning_rate"]
        return TrainingRequest(
            wanted.model,
            wanted.dataset,
            wanted.reviews,
            wanted.preset,
            wanted.epochs,
            wanted.steps,
            wanted.patience,
            wanted.batch,
            seed + _NEXT_TEACHER * int(recipe.get("member", "0")),
            settings,
            wanted.strict,
            stages=wanted.stages,
            split_seed=seed,
        )

    def _carry_out(self, asked: TrainingRequest, made: Ready, folder: Path) -> Trained:
        resume = is_folder(folder / "checkpoints")
        return carry_out(
            asked,
            made,
            folder,
            resume=resume,
            checkpoint_steps=CHECKPOINT_STEPS,
            begin=time.perf_counter(),
            command=self.command,
            tick=self.tick,
        )

    def _distil(self, variant: Variant, recipe: Mapping[str, str], seed: int, folder: Path) -> Trained:
        wanted = self.request
        asked = DistillationRequest(
            self.teachers(seed),
            wanted.dataset,
            wanted.reviews,
            wanted.model if ":" in wanted.model else None,
            dict(variant.settings),
            float(recipe["temperature"]),
            float(recipe["weight"]),
            augment=wanted.augment,
            seed=seed,
            strict=wanted.strict,
            stages=wanted.stages,
        )
        resume = is_folder(folder / "checkpoints")
        return distil(asked, folder, resume=resume, command=self.command, tick=self.tick, say=self.say)

    def _changed(self, variant: Variant, seed: int) -> Cell:
        """The first teacher's weights, compressed or run with fewer passes."""
        run = read_run(self.teachers(seed)[0])
        if variant.kind == "compressed":
            run = compressed(run, variant.settings).run
        else:
            run = dataclasses.replace(run, config=specs.override(run.spec, run.config, dict(variant.settings)))
        return self._untrained(self._ranks(run))

    def _popularity(self, seed: int) -> Cell:
        corpus, run = self._corpus(seed), read_run(self.teachers(seed)[0])
        found = self._ranked(run)
        index = {item: number for number, item in enumerate(corpus.items)}
        counts = np.zeros(len(corpus.items))
        for talk in corpus.conversations["train"]:
            counts[index[talk.item]] += 1
        ranks = metrics.popularity(counts, found.ranking.target)
        return self._untrained(_state_ranks(dataclasses.replace(found, ranks=ranks)))

    def _untrained(self, ranks: StateRanks) -> Cell:
        return Cell(
            sha256=self.corpus.fingerprint,
            ranks=ranks,
            figures={},
            validation=None,
            flop=0,
            seconds=0.0,
            teacher_flop=None,
            teacher_seconds=None,
        )

    def _ranks(self, run: FinishedRun) -> StateRanks:
        return _state_ranks(self._ranked(run))

    def _ranked(self, run: FinishedRun) -> Ranked:
        found = ranked(run, self.request.dataset, self.request.reviews)
        assert found is not None, "the run's report has a ranking"
        return found


def _member(number: int) -> dict[str, str]:
    """The recipe of a teacher of an ensemble; the first one's is empty."""
    return {"member": str(number)} if number else {}


def _state_ranks(found: Ranked) -> StateRanks:
    one = found.ranking
    return StateRanks(
        rank=tuple(found.ranks.tolist()),
        conversation=tuple(one.conversation.tolist()),
        t=tuple(one.t.tolist()),
        users=tuple(one.user),
    )
