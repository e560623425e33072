"""What one document takes from another passes the schema of both."""

from typing import Any

import jsonschema
import pytest

from cr_jax.catalog import load
from cr_jax.documents.base import plain
from cr_jax.resources import schema, schema_names


def rules(document: Any, key: str) -> list[Any]:
    """Every rule for a property ``key``."""
    if isinstance(document, list):
        return [rule for one in document for rule in rules(one, key)]
    if not isinstance(document, dict):
        return []
    own = [document["properties"][key]] if isinstance(document.get("properties"), dict) and key in document["properties"] else []
    return own + [rule for one in document.values() for rule in rules(one, key)]


NAMES = [name for name in schema_names() if rules(schema(name), "validated_on")]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_validations_pass_wherever_they_are_quoted(name):
    kept = schema(name)
    found = rules(kept, "validated_on")
    entries = [plain(one) for accelerator in load.accelerator_names() for one in load.accelerator(accelerator).validated_on]
    assert entries
    for rule in found:
        for value in (entries,) if rule.get("type") == "array" else entries:
            jsonschema.Draft202012Validator(rule | {"$defs": kept.get("$defs", {})}).validate(value)
