"""Writes the store of a conversation file: one pass over the text, then Arrow files in a new folder.

    python -m cr_jax.data.store.build FILE SEED STRICT FOLDER

does so in a process of its own, whose memory is free again when it ends; a refusal is JSON on its output, exit code 2.
"""

# PyArrow has no types.
# pyright: basic
import json
import os
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # pyright: ignore[reportMissingImports]

from cr_jax import temporaries
from cr_jax.data.conversation import Conversation, Problems
from cr_jax.data.corpus_stats import CorpusStats
from cr_jax.data.formats import aspect_value
from cr_jax.data.split import PARTS, part_of
from cr_jax.data.store.checksums import seal
from cr_jax.errors import BadInput, CrJaxError, NotWritten
from cr_jax.printable import one_line

#: Conversations in a record batch; all batches of a file but the last have so many.
ROWS = 1 << 16
#: The file of the first pass, whose integers are wider than they need to be.
_WIDE = "wide.arrow"


def build(path: Path, seed: int, strict: bool, folder: Path) -> None:
    """Read the conversations in ``path`` once and leave ``folder`` complete, or nothing.

    Raises ``BadInput`` for a file that is refused and ``NotWritten`` where the disk refuses.
    """
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(temporaries.name_for(folder.name))
        temporary.mkdir(mode=0o700)
        _write(path, seed, strict, temporary)
        seal(temporary)
        if not folder.exists():
            os.rename(temporary, folder)
            temporaries.sync(folder.parent)
    except OSError as error:
        if not folder.is_dir():  # else another process was faster
            reason = os.strerror(error.errno) if error.errno else one_line(error)
            raise NotWritten(f"{folder}: not written: {reason}") from None
    finally:
        if temporary is not None:
            temporaries.remove(temporary)


def _write(path: Path, seed: int, strict: bool, folder: Path) -> None:
    problems, stats = Problems(str(path), strict), CorpusStats()
    aspects: dict[str, int] = {}
    values: dict[str, int] = {}
    parts = {part: _Part(folder / f"{part}.{_WIDE}") for part in PARTS}
    try:
        for one in aspect_value.conversations(path, problems):
            part = part_of(seed, f"{one.user}@{one.item}")
            stats.add(one, part == PARTS[0])
            parts[part].add(one, stats.users[one.user], stats.items[one.item], aspects, values)
    finally:
        for part in parts.values():
            part.close()
    sizes = {"user": len(stats.users), "item": len(stats.items), "aspect": len(aspects), "value": len(values)}
    for part in PARTS:
        _narrow(folder / f"{part}.{_WIDE}", folder / f"{part}.arrow", sizes)
    _write_table(folder / "users.arrow", {"text": list(stats.users)})
    _write_table(folder / "items.arrow", {"text": list(stats.items), "description": list(_descriptions(stats))})
    for name, texts, all_parts, training in (
        ("aspects", aspects, stats.aspects, stats.asked),
        ("values", values, stats.values, stats.answered),
    ):
        counts = {"count": [all_parts[text] for text in texts], "training_count": [training[text] for text in texts]}
        _write_table(folder / f"{name}.arrow", {"text": list(texts)} | counts)
    about: dict[str, Any] = {
        "problems": asdict(problems) | {"kept": sorted(problems.kept)},
        "turns": stats.turns,
        "training_conversations": stats.requests.total(),
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _descriptions(stats: CorpusStats) -> Iterator[str]:
    return (" ".join(stats.described.get(item, ())) for item in stats.items)


class _Part:
    """A part's conversations, appended to an Arrow file in batches of ``ROWS``."""

    def __init__(self, path: Path) -> None:
        self._file = pa.OSFile(str(path), "wb")
        self._schema = _schema({})
        self._writer = pa.ipc.new_file(self._file, self._schema)
        self._talks, self._turns = array("i"), array("i")

    def add(self, one: Conversation, user: int, item: int, aspects: dict[str, int], values: dict[str, int]) -> None:
        """Append a conversation; texts that are new get the next number."""
        for turn in one.turns:
            aspect = aspects.setdefault(turn.aspect, len(aspects))
            self._turns.extend((aspect, values.setdefault(turn.value, len(values)), turn.sentiment or 0))
        self._talks.extend((user, item, len(self._turns) // 3))
        if len(self._talks) == 3 * ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is held and the file's end."""
        try:
            if self._talks:
                self._flush()
            self._writer.close()
        finally:
            self._file.close()

    def _flush(self) -> None:
        talks, turns = (np.array(held, np.int32).reshape(-1, 3).T for held in (self._talks, self._turns))
        self._writer.write_batch(_batch(self._schema, talks[0], talks[1], np.concatenate([[0], talks[2]]), turns))
        del self._talks[:], self._turns[:]


def _schema(sizes: Mapping[str, int]) -> pa.Schema:
    """Columns as narrow as tables of these sizes allow, 32 bits where a size is not known."""

    def number(name: str) -> pa.DataType:
        return pa.from_numpy_dtype(np.min_scalar_type(max(1, sizes[name]) - 1)) if name in sizes else pa.int32()

    turn = pa.struct([("aspect", number("aspect")), ("value", number("value")), ("sentiment", pa.int8())])
    return pa.schema([("user", number("user")), ("item", number("item")), ("turns", pa.list_(turn))])


def _batch(
    schema: pa.Schema, user: np.ndarray, item: np.ndarray, ends: np.ndarray, turns: Sequence[np.ndarray] | np.ndarray
) -> pa.RecordBatch:
    turn = schema.field("turns").type.value_type
    fields = [pa.array(column.astype(turn[i].type.to_pandas_dtype())) for i, column in enumerate(turns)]
    said = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), pa.StructArray.from_arrays(fields, names=[one.name for one in turn])
    )
    columns = [pa.array(c.astype(schema.field(i).type.to_pandas_dtype())) for i, c in enumerate((user, item))]
    return pa.record_batch([*columns, said], names=schema.names)


def _narrow(wide: Path, path: Path, sizes: Mapping[str, int]) -> None:
    schema = _schema(sizes)
    with pa.OSFile(str(wide)) as source, pa.OSFile(str(path), "wb") as target, pa.ipc.new_file(target, schema) as writer:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            user, item, turns = (reader.get_batch(number).column(i) for i in range(3))
            fields = [turns.values.field(i).to_numpy() for i in range(3)]
            writer.write_batch(_batch(schema, user.to_numpy(), item.to_numpy(), turns.offsets.to_numpy(), fields))
    wide.unlink()


def _write_table(path: Path, columns: Mapping[str, list[Any]]) -> None:
    types = {"text": pa.string(), "description": pa.string()}
    table = pa.table({name: pa.array(column, types.get(name, pa.int64())) for name, column in columns.items()})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _main() -> int:
    path, seed, strict, folder = sys.argv[1:]
    try:
        build(Path(path), int(seed), bool(int(strict)), Path(folder))
    except CrJaxError as error:
        print(
            json.dumps({"where": error.where, "reason": error.reason} if isinstance(error, BadInput) else {"reason": str(error)})
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main())
