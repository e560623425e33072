"""Structs and generated schemas say the same: they take and refuse the same documents."""

import contextlib
import copy
import itertools
import json
import runpy
from pathlib import Path

import jsonschema
import pytest
from documents.samples import SAMPLES

from cr_jax.documents import base
from cr_jax.documents.base import constants, decode, plain
from cr_jax.documents.check import check
from cr_jax.documents.schemas import document_types
from cr_jax.errors import BadInput
from cr_jax.resources import schema

_TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "write_schemas.py"))
main, SCHEMAS = _TOOL["main"], _TOOL["SCHEMAS"]
TYPES = {kind + "s" * number: form for kind, forms in document_types().items() for number, form in enumerate(forms)}
JUNK = (None, True, -1, 0, 1, 2.5, 7.0, 10**90, "", "x", "2026-13", [], {}, [1, 2], [[]], {"a": 1}, {"value": 1})


def _changes(document, each):
    """The document with a value replaced by ``each`` of the junk in turn, or a key removed, at every place."""
    junk = itertools.cycle(JUNK)
    for path in _places(document):
        *above, last = path
        for value in itertools.islice(junk, each):
            yield _changed(document, above, lambda holder, last=last, value=value: holder.__setitem__(last, copy.deepcopy(value)))
        yield _changed(document, above, lambda holder, last=last: holder.__delitem__(last))
    yield {**document, "unheard_of": 1}


def _places(value, path=()):
    if path:
        yield path
    # The rows of a table are alike: the first few stand for all.
    inner = list(value.items())[:40] if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*path, key))


def _changed(document, above, change):
    # Only the branch that is changed is copied.
    whole = holder = copy.copy(document)
    for key in above:
        holder[key] = copy.copy(holder[key])
        holder = holder[key]
    change(holder)
    return whole


def test_the_schemas_are_those_of_the_structs(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_a_stale_schema_is_found_and_written_anew(tmp_path, capsys):
    for file in SCHEMAS.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text())
    stale = tmp_path / "hlo-count.schema.json"
    stale.write_text(stale.read_text().replace("HLO count", "HLO counts"))
    assert main(["--check"], tmp_path) == 1
    assert "hlo-count.schema.json" in capsys.readouterr().out
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0


@pytest.mark.parametrize("kind", TYPES)
def test_constants_name_the_kind(kind):
    known = constants(TYPES[kind])
    assert kind.startswith(known["kind"]) and known["schema"] == schema(known["kind"])["$id"]


@pytest.mark.parametrize("kind", TYPES)
def test_a_document_is_the_same_after_reading(kind):
    document = SAMPLES[kind]()
    found = plain(decode(document, TYPES[kind], "sample"))
    assert found == document
    if kind not in ("accelerator-profile", "accelerator-times"):  # those are kept in the order that people wrote
        assert json.dumps(found) == json.dumps(document)


@pytest.mark.parametrize("each", [2, pytest.param(len(JUNK), marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", TYPES)
def test_struct_and_schema_take_the_same_documents(monkeypatch, kind, each):
    document = SAMPLES[kind]()
    validator = jsonschema.Draft202012Validator(schema(document["kind"]))
    assert validator.is_valid(document)
    refused = 0
    for changed in _changes(document, each):
        taken = validator.is_valid(changed)

        def told(*_, taken=taken):
            if not taken:
                raise BadInput("changed", "refused")

        # Finding the words for a refusal takes longer than the refusal.
        monkeypatch.setattr(base, "check", told)
        with contextlib.nullcontext() if taken else pytest.raises(BadInput):
            decode(changed, TYPES[kind], "changed")
        refused += not taken
    assert refused


def test_a_refusal_names_the_key_and_the_reason():
    document = SAMPLES["hlo-count"]()
    document["loops"][0]["executions"] = -3
    with pytest.raises(BadInput, match=r"^file: loops\.0\.executions: -3: must be 0 or more$"):
        decode(document, TYPES["hlo-count"], "file")
    with pytest.raises(BadInput, match=r"^file: loops\.0\.executions: -3: must be 0 or more$"):
        check(document, "hlo-count", "file")
