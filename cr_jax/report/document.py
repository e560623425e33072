"""Reports as files: validated, then written whole; read back and validated again."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import structs

from cr_jax.catalog.load import load_accelerator, load_dataset
from cr_jax.documents.base import Block, Document, constants, decode, plain
from cr_jax.documents.bench_report import BenchReport
from cr_jax.documents.check import check
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.reported_step import StepDurations
from cr_jax.errors import BadInput, UnknownName
from cr_jax.json_text import read_json
from cr_jax.resources import schema_names, write_atomically

#: Validated rows of a list that is written row by row.
ROWS = 1000
_BUG = "the report (a bug in cr_jax: please report it)"


def to_json(document: dict[str, Any] | Block) -> str:
    """Stable text: two-space indent, keys in the report's own order, one newline at the end."""
    content = plain(document) if isinstance(document, Block) else document
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def validate(document: Any, where: str) -> str:
    """Check one of our documents, typed or as JSON, against the schema of its ``kind``; return the kind.

    Raises ``BadInput`` with the key and the reason.
    """
    if isinstance(document, Document):
        decode(plain(document), type(document), where)
        return constants(type(document))["kind"]
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in schema_names():
        raise BadInput(where, f"kind: {kind!r} is no kind of document; legal: {', '.join(schema_names())}")
    check(document, kind, where)
    return kind


def validate_file(path: str | Path) -> str:
    """``validate`` for a file; a profile's figures must not contradict each other either."""
    document = read_json(path)
    kind = validate(document, str(path))
    if kind == "dataset-profile":
        load_dataset(path)
    elif kind == "accelerator-profile":
        load_accelerator(path)
    return kind


def read_report(path: str | Path) -> CostReport:
    """The cost report in a file. Raises ``BadInput`` for anything that is not one."""
    document = read_json(path)
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind != "cost-report":
        raise BadInput(str(path), f"kind: {kind!r} is not a cost report; legal: what crjax profile --out writes")
    return decode(document, CostReport, str(path))


def read_bench(path: str | Path, legal: str) -> BenchReport:
    """The bench report in a file. legal: the legal files, for the refusal. Raises ``BadInput`` for anything else."""
    document = read_json(path)
    if validate(document, str(path)) != "bench-report":
        raise BadInput(str(path), f"kind: not a bench-report; {legal}")
    return decode(document, BenchReport, str(path))


def write(document: dict[str, Any] | Document, path: str | Path) -> None:
    """Validate, then write atomically. A document that fails its own schema is not written."""
    validate(document, _BUG)
    write_atomically(path, to_json(document))


def write_rows(document: Document, key: str, rows: Iterable[Block], path: str | Path) -> None:
    """Write ``document`` with the list ``key`` as its last, whose rows need not fit in memory.

    The text is that of ``write``; the first ``ROWS`` of the rows are validated.
    """
    coming = iter(rows)
    first = list(itertools.islice(coming, ROWS))
    validate(structs.replace(document, **{key: tuple(first)}), _BUG)
    write_atomically(path, _by_rows(document, key, itertools.chain(first, coming)))


def _by_rows(document: Document, key: str, rows: Iterable[Block]) -> Iterator[str]:
    before, after = to_json(structs.replace(document, **{key: ()})).rsplit("[]", 1)
    yield f"{before}["
    end = ""
    for row in rows:
        yield ("," if end else "") + "\n    " + to_json(row).rstrip("\n").replace("\n", "\n    ")
        end = "\n  "
    yield f"{end}]{after}"


def get_field(report: CostReport, field: str) -> Any:
    """One value: a dotted path (``parameters.trainable``, ``steps.train/answer.model.flops``) or a
    key of ``summary``. Lists take an index or the ``name`` of an entry. Raises ``UnknownName``.
    """
    document = plain(report)
    if "." not in field and field in document["summary"]:
        return document["summary"][field]
    value: Any = document
    for part in re.split(r"\.", field):
        if isinstance(value, list):
            named = {str(v.get("name", n)): v for n, v in enumerate(value) if isinstance(v, dict)}
            choices = named or {str(n): v for n, v in enumerate(value)}
            choices |= {str(n): v for n, v in enumerate(value)}
        elif isinstance(value, dict):
            choices = value
        else:
            raise UnknownName("field", field, [field.rpartition(".")[0]])
        if part not in choices:
            legal = list(choices)
            if value is document:
                legal += [*document["summary"]]
            raise UnknownName("field", part, legal)
        value = choices[part]
    return value


def without_times(report: CostReport) -> CostReport:
    """The report without its time stamp and durations, which differ between equal runs."""
    untimed = StepDurations(tag="measured")
    return structs.replace(report, created="", steps=tuple(structs.replace(step, durations_s=untimed) for step in report.steps))
