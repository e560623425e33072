"""Costs of turns, kept as files of the folder beside the trained cells."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from cr_jax.documents.base import Block, plain
from cr_jax.documents.remedy_report import CountedTurn, MeasuredTurn, PredictedTurn
from cr_jax.errors import BadInput, NotWritten
from cr_jax.files import is_file
from cr_jax.json_text import read_json
from cr_jax.measure.clock import Plan
from cr_jax.records import Mode
from cr_jax.records import plain as plain_values
from cr_jax.remedy.turn_costs import TurnCost, Workplace, measured_turns
from cr_jax.resources import write_atomically
from cr_jax.version import __version__

#: A configuration by its changed settings, and how it answers.
Answer = tuple[Mapping[str, str], Mode]
#: Of the clock, for all programs together.
PLAN = Plan(limit_s=60.0)


class _KeptCost(Block):
    about: str
    counted: CountedTurn
    predicted: tuple[PredictedTurn, ...]


class _KeptTimes(Block):
    about: str
    rows: tuple[MeasuredTurn, ...]


_Kept = TypeVar("_Kept", _KeptCost, _KeptTimes)


@dataclass(frozen=True)
class CostCells:
    """Costs at ``place``, kept in ``folder``. What was kept for other devices, rates or settings is made again."""

    place: Workplace
    folder: Path
    plan: Plan = PLAN

    def costs(self, answers: Sequence[Answer]) -> list[TurnCost]:
        """The costs of a turn of each answer; equal ones are counted and timed once."""
        different: list[Answer] = []
        for one in answers:
            if one not in different:
                different.append(one)
        turns = [self._turn(one) for one in different]
        timed = [dataclasses.replace(turn, measured=row) for turn, row in zip(turns, self._measured(different), strict=True)]
        return [timed[different.index(one)] for one in answers]

    def _turn(self, answer: Answer) -> TurnCost:
        """Counted and predicted."""
        about = self._about(answer)
        file = self.folder / "costs" / f"{about}.json"
        kept = self._read(file, _KeptCost)
        if kept is None:
            made = self.place.turn(*answer)
            self._write(file, _KeptCost(about=about, counted=made.counted, predicted=made.predicted))
            return made
        return TurnCost(kept.counted, kept.predicted)

    def _measured(self, answers: Sequence[Answer]) -> list[MeasuredTurn]:
        """Times of all answers, measured in one run."""
        about = " ".join(self._about(one) for one in answers)
        file = self.folder / "times.json"
        kept = self._read(file, _KeptTimes)
        if kept is not None and kept.about == about:
            return list(kept.rows)
        rows = measured_turns(self.place, answers, self.plan)
        self._write(file, _KeptTimes(about=about, rows=tuple(rows)))
        return rows

    def _about(self, answer: Answer) -> str:
        settings, mode = answer
        place = self.place
        told = [place.model, place.data.name, place.preset, place.devices, plain_values(place.rates), sorted(settings.items())]
        return hashlib.sha256(json.dumps([*told, mode, __version__]).encode()).hexdigest()[:24]

    def _read(self, file: Path, kind: type[_Kept]) -> _Kept | None:
        if not is_file(file):
            return None
        try:
            return msgspec.convert(read_json(file), kind)
        except msgspec.ValidationError as error:
            raise BadInput(str(file), f"no costs of a remedy: {error}; legal: without the file, which is made again") from None

    def _write(self, file: Path, made: Block) -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotWritten(f"{file.parent}: no folder: {error.strerror}") from None
        write_atomically(file, json.dumps(plain(made)) + "\n")
