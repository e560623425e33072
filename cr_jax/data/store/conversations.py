"""Conversations on disk: for a file too large for memory, whole numbers in a folder of the cache.

    python -m cr_jax.data.store.conversations FILE SEED STRICT FOLDER

makes the folder in one pass, in a process of its own, whose memory goes when it ends. Each part has
``talks`` (user, item, first turn, turns) and ``turns`` (aspect, value, sentiment; 0: not said), each
number a line of the tables of texts. The training part also has ``known``: the items of each user.
"""

import json
import os
import subprocess
import sys
import weakref
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import numpy as np

from cr_jax import temporaries
from cr_jax.data.conversation import Conversation, Problems, Turn
from cr_jax.data.corpus_stats import CorpusStats
from cr_jax.data.formats import aspect_value
from cr_jax.data.split import PARTS, fingerprint, part_of
from cr_jax.data.store.checksums import fault, seal
from cr_jax.data.store.int_table import CHUNK, Rows, Writer
from cr_jax.data.store.string_table import Names, Numbered
from cr_jax.errors import BadInput, CrJaxError, NotWritten
from cr_jax.json_text import parse_json, read_json
from cr_jax.resources import cache_root

#: Part of the folder's name; another one where the files change their meaning.
VERSION = "4"
TABLES = ("items", "aspects", "values")


class Talks(Sequence[Conversation]):
    """The conversations of one part; each is made when it is asked for."""

    def __init__(self, folder: Path, part: str, users: Names, tables: Mapping[str, Sequence[str]]):
        self.talks, self.turns = Rows(folder / f"{part}.talks", 4), Rows(folder / f"{part}.turns", 3)
        self.folder, self.users, self.tables = folder, users, tables
        self._known = folder / f"{part}.known"

    def __len__(self) -> int:
        return len(self.talks)

    @overload
    def __getitem__(self, place: int) -> Conversation: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Conversation]: ...
    def __getitem__(self, place: int | slice) -> Conversation | Sequence[Conversation]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        number = int(place)
        if not 0 <= number < len(self):
            raise IndexError(number)
        talk = self.talks.few(number, number + 1)
        said = self.turns.few(talk[2], talk[2] + talk[3])
        return self._made(talk, zip(said[::3], said[1::3], said[2::3], strict=True))

    def __iter__(self) -> Iterator[Conversation]:
        for talks, turns in self.chunks():
            first, said = int(talks[0, 2]), turns.tolist()
            for talk in talks.tolist():
                yield self._made(talk, said[talk[2] - first : talk[2] - first + talk[3]])

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """In passing: rows of talks [n, 4] and all their turns [m, 3]."""
        for _, talks in self.talks.chunks():
            yield talks, self.turns.read(int(talks[0, 2]), int(talks[-1, 2] + talks[-1, 3]))

    def turn_counts(self, begin: int, end: int) -> np.ndarray:
        """Turns of the conversations ``begin`` to ``end`` − 1: int32."""
        return self.talks.read(begin, end)[:, 3]

    def few_turn_counts(self, begin: int, end: int) -> Sequence[int]:
        """The same of a handful."""
        return self.talks.few(begin, end)[3::4]

    def known(self) -> "Known":
        """The items of each user's conversations."""
        return Known(self._known, len(self.users))

    def said(self) -> Iterator[tuple[str, str, int]]:
        """Aspects with values and how often, a pair once or more; in order of their first appearance."""
        aspects, values = self.tables["aspects"], self.tables["values"]
        for _, turns in self.chunks():
            codes = turns[:, 0] * np.int64(len(values)) + turns[:, 1]
            pairs, first, number = np.unique(codes, return_index=True, return_counts=True)
            for place in np.argsort(first):
                aspect, value = divmod(int(pairs[place]), len(values))
                yield aspects[aspect], values[value], int(number[place])

    def _made(self, talk: Sequence[int], turns: Iterable[Sequence[int]]) -> Conversation:
        tables = self.tables
        made = tuple(Turn(tables["aspects"][a], tables["values"][v], said or None) for a, v, said in turns)
        return Conversation(self.users[talk[0]], tables["items"][talk[1]], made)


class Known:
    """Items by user, as numbers of the tables; an item as often as there are conversations."""

    def __init__(self, path: Path, users: int):
        ends = Rows(path.with_suffix(".ends"), 1)
        self.ends = ends.read(0, users)[:, 0]
        self._items = Rows(path, 1)

    def __getitem__(self, user: int) -> list[int]:
        begin = int(self.ends[user - 1]) if user else 0
        return self._items.few(begin, int(self.ends[user])).tolist()

    def talks(self) -> np.ndarray:
        """Conversations of each user."""
        return np.diff(self.ends, prepend=0)


class ItemsByUser(Mapping[str, tuple[str, ...]]):
    """The items of each of ``users``' conversations in order, read when they are asked for."""

    def __init__(self, talks: Talks, users: Sequence[str]):
        self._users, self._items, self._known = users, talks.tables["items"], talks.known()
        self._names = talks.users

    def __getitem__(self, user: str) -> tuple[str, ...]:
        return tuple(self._items[item] for item in self._known[self._names.number(user)])

    def __iter__(self) -> Iterator[str]:
        return iter(self._users)

    def __len__(self) -> int:
        return len(self._users)


class Described(Mapping[str, tuple[str, ...]]):
    """Words of each item's description, read when they are asked for."""

    def __init__(self, path: Path, items: Mapping[str, int]):
        """path: a line per item, in the order of its number. Raises ``BadInput`` for other files."""
        self._items, ends, end = items, array("q"), 0
        with open(path, "rb") as file:
            for line in file:
                end += len(line)
                ends.append(end)
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self._ends = ends
        if len(ends) != len(items):
            raise BadInput(str(path), f"damaged: {len(ends)} lines for {len(items)} items; legal: remove it, it is made again")

    def __getitem__(self, item: str) -> tuple[str, ...]:
        number = self._items[item]
        begin = self._ends[number - 1] if number else 0
        text = os.pread(self._file, self._ends[number] - begin, begin).decode("utf-8")
        return tuple(map(sys.intern, text.split()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def opened(path: Path, seed: int, problems: Problems) -> tuple[str, CorpusStats, dict[str, Talks]]:
    """The conversations of an aspect-value file by part, its fingerprint and stats; made where they are
    not there yet, or not as they were written. Fills ``problems``; raises ``BadInput`` and ``NotWritten``."""
    digest = fingerprint([path])
    folder = cache_root() / "conversations" / f"{digest[:32]}-{seed}-{VERSION}"
    temporaries.sweep(folder.parent)
    damage = fault(folder)
    if damage is not None:
        _discard(folder)
    if damage is not None or problems.strict:
        _made(path, seed, problems.strict, folder)
    if damage is not None and (damage := fault(folder)) is not None:
        raise NotWritten(f"{folder}: not whole though it was just written: {damage}")
    about = read_json(folder / "about.json")
    problems.counts, problems.first, problems.complaints = (about["problems"][key] for key in ("counts", "first", "complaints"))
    problems.kept = set(about["problems"]["kept"])
    tables = {name: _table(folder, name) for name in TABLES}
    counted = (("aspects", "aspects"), ("asked", "aspects"), ("values", "values"), ("answered", "values"))
    counts = {key: Counter(dict(zip(tables[name], about["counts"][key], strict=True))) for key, name in counted}
    users, items = Names.read(folder / "users"), {text: number for number, text in enumerate(tables["items"])}
    stats = CorpusStats(
        Numbered(users),
        items,
        turns=Counter({int(n): c for n, c in about["turns"].items()}),
        requests=Counter({"": about["training"]}),
        described=Described(folder / "described.txt", items),
        **{key: +found for key, found in counts.items()},
    )
    return digest, stats, {part: Talks(folder, part, users, tables) for part in PARTS}


def _discard(folder: Path) -> None:
    """Remove a damaged folder, at once for everyone who looks for it."""
    aside = folder.with_name(temporaries.name_for(folder.name))
    try:
        os.rename(folder, aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotWritten(f"{folder}: damaged, and not removed: {error.strerror}; legal: remove it") from None
    finally:
        temporaries.remove(aside)


def _made(path: Path, seed: int, strict: bool, folder: Path) -> None:
    arguments = [sys.executable, "-m", "cr_jax.data.store.conversations", str(path), str(seed), str(int(strict)), str(folder)]
    root = str(Path(__file__).resolve().parents[3])
    variables = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        # glibc: give the growing tables' old places back at once, not keep them for later.
        "MALLOC_MMAP_THRESHOLD_": str(1 << 17),
    }
    done = subprocess.run(arguments, env=variables, capture_output=True, text=True)
    if done.returncode == 2:
        told = parse_json(done.stdout, str(path))
        raise BadInput(told["where"], told["reason"]) if "where" in told else NotWritten(told["reason"])
    if done.returncode:
        raise NotWritten(f"{path}: not prepared: {' '.join(done.stderr.split())[-200:] or f'exit {done.returncode}'}")


def make(path: Path, seed: int, strict: bool, folder: Path) -> None:
    """Read ``path`` once and leave ``folder`` whole, or nothing."""
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(temporaries.name_for(folder.name))
        temporary.mkdir(mode=0o700)
        _fill(path, seed, strict, temporary)
        seal(temporary)
        if not folder.exists():
            os.rename(temporary, folder)
            temporaries.sync(folder.parent)
    except OSError as error:
        if not folder.is_dir():  # else another process was faster
            raise NotWritten(f"{folder}: not written: {error.strerror}") from None
    finally:
        if temporary is not None:
            temporaries.remove(temporary)


def _fill(path: Path, seed: int, strict: bool, folder: Path) -> None:
    problems, stats = Problems(str(path), strict), CorpusStats()
    numbers: dict[str, dict[str, int]] = {name: {} for name in ("aspects", "values")}
    aspects, values = numbers["aspects"], numbers["values"]
    talks = {part: Writer(folder / f"{part}.talks", 4) for part in PARTS}
    turns = {part: Writer(folder / f"{part}.turns", 3) for part in PARTS}
    for found in aspect_value.conversations(path, problems):
        part = part_of(seed, f"{found.user}@{found.item}")
        stats.add(found, part == PARTS[0])
        talks[part].add(stats.users[found.user], stats.items[found.item], turns[part].rows, len(found.turns))
        for turn in found.turns:
            turns[part].add(
                aspects.setdefault(turn.aspect, len(aspects)), values.setdefault(turn.value, len(values)), turn.sentiment or 0
            )
    for writer in (*talks.values(), *turns.values()):
        writer.close()
    _by_user(Rows(folder / "train.talks", 4), len(stats.users), folder)
    users = list(stats.users)
    Names.of(users, np.array(sorted(range(len(users)), key=users.__getitem__), np.int32)).write(folder / "users")
    for name, texts in (("items", stats.items), *numbers.items()):
        with open(folder / f"{name}.json", "w", encoding="utf-8") as file:
            json.dump(list(texts), file)
    with open(folder / "described.txt", "w", encoding="utf-8", newline="\n") as file:
        file.writelines(" ".join(stats.described.get(item, ())) + "\n" for item in stats.items)
    about: dict[str, Any] = {
        "problems": asdict(problems) | {"kept": sorted(problems.kept)},
        "turns": stats.turns,
        "training": stats.requests.total(),
        "counts": {
            key: [counted[text] for text in texts]
            for key, counted, texts in (
                ("aspects", stats.aspects, aspects),
                ("asked", stats.asked, aspects),
                ("values", stats.values, values),
                ("answered", stats.answered, values),
            )
        },
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _by_user(talks: Rows, users: int, folder: Path) -> None:
    """``known`` and where each user's items end, by counting."""
    number = np.zeros(users, np.int64)
    for _, rows in talks.chunks():
        number += np.bincount(rows[:, 0], minlength=users)
    ends = np.cumsum(number)
    items, place = np.empty(len(talks), np.int32), ends - number
    for _, rows in talks.chunks(CHUNK):
        for user, item in rows[:, :2].tolist():
            items[place[user]] = item
            place[user] += 1
    items.tofile(folder / "train.known")
    ends.astype(np.int32).tofile(folder / "train.ends")


def _table(folder: Path, name: str) -> tuple[str, ...]:
    return tuple(read_json(folder / f"{name}.json"))


def _main() -> int:
    path, seed, strict, folder = sys.argv[1:]
    try:
        make(Path(path), int(seed), bool(int(strict)), Path(folder))
    except CrJaxError as error:
        where = {"where": error.where, "reason": error.reason} if isinstance(error, BadInput) else {"reason": str(error)}
        print(json.dumps(where))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main())
