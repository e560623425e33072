"""The check of a JSON document against its schema; each refusal is one line."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from cr_jax.errors import BadInput
from cr_jax.resources import schema

#: Keywords of the schema whose failures are more informative than the others, in order.
_TELLING = ("additionalProperties", "required", "const", "enum", "type")


def check(document: Any, schema_name: str, where: str) -> None:
    """Check a document against ``schemas/<schema_name>.schema.json``.

    Raises ``BadInput`` for the first of its faults: where, key path (``users.value``), reason and the nearest legal keys.
    """
    # Imported here: it takes a third of the start-up time of commands that check nothing.
    from jsonschema import Draft202012Validator

    faults = list(Draft202012Validator(schema(schema_name)).iter_errors(document))
    if faults:
        raise BadInput(where, _line(min(map(_deepest, faults), key=_order)))


def _deepest(fault: Any) -> Any:
    # "anyOf [an object, another, null]": the branch whose type and constants agree is the one meant.
    while fault.context:
        branches: dict[Any, list[Any]] = {}
        for inner in fault.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        here = fault.absolute_path
        meant = [
            inner for inner in branches.values() if all(one.absolute_path != here or one.validator != "type" for one in inner)
        ]
        if not meant:
            return fault
        fault = min(min(meant, key=_disagreements), key=_order)
    return fault


def _disagreements(faults: list[Any]) -> int:
    return sum(fault.validator == "const" for fault in faults)


def _order(fault: Any) -> tuple[int, list[str]]:
    rank = _TELLING.index(fault.validator) if fault.validator in _TELLING else len(_TELLING)
    return rank, [str(part) for part in fault.absolute_path]


def _line(fault: Any) -> str:
    path = ".".join(map(str, fault.absolute_path))
    rule, value, kind = fault.validator, fault.instance, fault.schema
    known = kind.get("properties", {}) if isinstance(kind, dict) else {}
    if rule == "additionalProperties" and isinstance(value, dict):
        key = sorted(set(map(str, value)) - set(known))[0]
        return f"{_join(path, key)}: unknown key; {_near(key, known)}"
    if rule == "required" and isinstance(value, dict):
        key = next(key for key in fault.validator_value if key not in value)
        return f"{_join(path, key)}: missing; legal: {_meaning(known.get(key, {}), key)}"
    reason = _reason(rule, fault)
    return f"{path or 'the document'}: {_short(value)}: {reason}"


def _reason(rule: str, fault: Any) -> str:
    wanted = fault.validator_value
    if rule in ("anyOf", "oneOf"):
        return f"legal: {fault.schema.get('description') or _choices(wanted)}"
    if rule == "type":
        return f"must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
    if rule == "const":
        return f"legal: {json.dumps(wanted)}"
    if rule == "enum":
        return f"legal: {', '.join(map(json.dumps, wanted))}"
    phrase = {
        "minimum": "must be {} or more",
        "maximum": "must be {} or less",
        "exclusiveMinimum": "must be more than {}",
        "exclusiveMaximum": "must be less than {}",
        "minLength": "must not be empty",
        "minItems": "needs {} or more entries",
        "pattern": "must match {}",
    }.get(rule)
    return fault.message if phrase is None else phrase.format(wanted)


def _choices(branches: list[dict[str, Any]]) -> str:
    types = [branch.get("type", "object" if "$ref" in branch else None) for branch in branches]
    return " or ".join(map(str, dict.fromkeys(types))) if all(types) else "see the schema"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _near(key: str, legal: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(legal), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"legal: {', '.join(sorted(legal)) or 'none'}"


def _meaning(rule: dict[str, Any], key: str) -> str:
    return rule.get("description") or f"see {key} in the schema"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
