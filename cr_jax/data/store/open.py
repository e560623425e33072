"""Conversations on disk: a file too large for memory, as memory-mapped Arrow files in a folder of the cache.

Each part of the corpus is a file of (user, item, turns), the turns a list of (aspect, value,
sentiment; 0: not said), all numbers of the tables ``users``, ``items``, ``aspects`` and ``values``.
Checksums over whole files are ours: Arrow's files have none, and Parquet's cover the pages alone.
"""

# PyArrow has no types.
# pyright: basic
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingImports]

from cr_jax import temporaries
from cr_jax.data.conversation import Conversation, Problems, Turn
from cr_jax.data.conversations import Block, Tables
from cr_jax.data.corpus_stats import CorpusStats
from cr_jax.data.formats import aspect_value
from cr_jax.data.split import PARTS, fingerprint
from cr_jax.data.store.build import ROWS
from cr_jax.data.store.checksums import fault
from cr_jax.errors import BadInput, NotWritten
from cr_jax.json_text import parse_json, read_json
from cr_jax.printable import one_line
from cr_jax.resources import cache_root

#: Part of the folder's name; another one where the files change their meaning. Up to 4 they were no Arrow files.
VERSION = 5


class StoredConversations(Sequence[Conversation]):
    """The conversations of one part; each is made when it is asked for. Threads may read at once."""

    in_memory = False

    def __init__(self, path: Path, tables: Tables) -> None:
        self.tables = tables
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._blocks = [_block(batch) for batch in batches]
        self._sentiments = [batch.column("turns").values.field("sentiment").to_numpy() for batch in batches]
        self._length = sum(batch.num_rows for batch in batches)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, place: int) -> Conversation: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Conversation]: ...
    def __getitem__(self, place: int | slice) -> Conversation | Sequence[Conversation]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        return next(self._made(*divmod(int(place), ROWS), 1))

    def __iter__(self) -> Iterator[Conversation]:
        return itertools.chain.from_iterable(self._made(number, 0, len(one.user)) for number, one in enumerate(self._blocks))

    def blocks(self) -> Iterator[Block]:
        """All conversations as columns, in order."""
        return iter(self._blocks)

    def _made(self, number: int, first: int, count: int) -> Iterator[Conversation]:
        """``count`` conversations of a block from its ``first`` on."""
        block, tables = self._blocks[number], self.tables
        ends = block.ends[first : first + count + 1].tolist()
        said = slice(ends[0], ends[-1])
        turns = zip(block.aspect[said].tolist(), block.value[said].tolist(), self._sentiments[number][said].tolist(), strict=True)
        talks = slice(first, first + count)
        for user, item, (begin, end) in zip(
            block.user[talks].tolist(), block.item[talks].tolist(), itertools.pairwise(ends), strict=True
        ):
            made = (
                Turn(tables.aspects[a], tables.values[v], liked or None) for a, v, liked in itertools.islice(turns, end - begin)
            )
            yield Conversation(tables.users[user], tables.items[item], tuple(made))


def open_store(path: Path, seed: int, problems: Problems) -> tuple[str, CorpusStats, dict[str, StoredConversations]]:
    """The conversations of an aspect-value file by part, its fingerprint and statistics.

    The store is built where there is none yet, and again where it is damaged or of an earlier version.
    Fills ``problems``; raises ``BadInput`` for a file that is refused, ``NotWritten`` where the disk refuses.
    """
    digest = fingerprint([path])
    folder = cache_root() / "conversations" / f"{digest[:32]}-{seed}-{VERSION}"
    temporaries.sweep(folder.parent)
    if fault(folder) is not None:
        _discard(folder)
        _build(path, seed, problems.strict, folder)
        if (damage := fault(folder)) is not None:
            raise NotWritten(f"{folder}: damaged though it was just written: {damage}")
        for version in range(1, VERSION):
            _discard(folder.with_name(f"{digest[:32]}-{seed}-{version}"))
    about = read_json(folder / "about.json")
    if problems.strict and about["problems"]["counts"]:
        for _ in aspect_value.conversations(path, problems):  # up to its first problem, which is raised
            pass
    problems.counts, problems.first, problems.complaints = (about["problems"][key] for key in ("counts", "first", "complaints"))
    problems.kept = set(about["problems"]["kept"])
    users, items, aspects, values = (_table(folder / f"{name}.arrow") for name in ("users", "items", "aspects", "values"))
    tables = Tables(*(tuple(table["text"]) for table in (users, items, aspects, values)), requests=("",))

    def counter(texts: Sequence[str], counts: Sequence[int]) -> Counter[str]:
        return +Counter(dict(zip(texts, counts, strict=True)))

    stats = CorpusStats(
        users={text: number for number, text in enumerate(tables.users)},
        items={text: number for number, text in enumerate(tables.items)},
        aspects=counter(tables.aspects, aspects["count"]),
        values=counter(tables.values, values["count"]),
        turns=Counter({int(turns): number for turns, number in about["turns"].items()}),
        asked=counter(tables.aspects, aspects["training_count"]),
        answered=counter(tables.values, values["training_count"]),
        requests=Counter({"": about["training_conversations"]}),
        # One string for all places of a word.
        described={
            item: [sys.intern(word) for word in text.split()]
            for item, text in zip(tables.items, items["description"], strict=True)
        },
    )
    return digest, stats, {part: StoredConversations(folder / f"{part}.arrow", tables) for part in PARTS}


def _build(path: Path, seed: int, strict: bool, folder: Path) -> None:
    """Build a store in a process of its own. Raises as ``build`` does."""
    arguments = [sys.executable, "-P", "-m", "cr_jax.data.store.build", str(path), str(seed), str(int(strict)), str(folder)]
    root = str(Path(__file__).resolve().parents[3])
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    done = subprocess.run(arguments, env=variables, capture_output=True, text=True)
    if done.returncode == 2:
        refused = parse_json(done.stdout, str(path))
        raise BadInput(refused["where"], refused["reason"]) if "where" in refused else NotWritten(refused["reason"])
    if done.returncode:
        raise NotWritten(f"{path}: no store: {one_line(done.stderr)[-200:] or f'exit {done.returncode}'}")


def _block(batch: pa.RecordBatch) -> Block:
    user, item, turns = (batch.column(name) for name in ("user", "item", "turns"))
    aspect, value = (turns.values.field(name).to_numpy() for name in ("aspect", "value"))
    request = np.broadcast_to(np.uint8(0), len(user))  # aspect-value text has no requests
    return Block(user.to_numpy(), item.to_numpy(), request, turns.offsets.to_numpy(), aspect, value)


def _table(path: Path) -> dict[str, list]:
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all().to_pydict()


def _discard(folder: Path) -> None:
    """Remove a folder, at once for everyone who looks for it."""
    aside = folder.with_name(temporaries.name_for(folder.name))
    try:
        os.rename(folder, aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotWritten(f"{folder}: damaged, and not removed: {error.strerror}; legal: remove it") from None
    finally:
        temporaries.remove(aside)
