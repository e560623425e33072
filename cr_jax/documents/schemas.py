"""JSON Schemas of the documents, generated from their structs."""

import inspect
import json
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

import cr_jax.documents
from cr_jax.documents.base import Document, constants

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Keywords whose value is a schema, a list of schemas, and schemas by name.
_ONE = ("items", "additionalProperties", "propertyNames", "if", "then", "else", "not")
_LIST = ("anyOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs")


def document_types() -> dict[str, type[Document]]:
    """Every kind of document and its struct, sorted by kind."""
    names = sorted(module.name for module in pkgutil.iter_modules(cr_jax.documents.__path__))
    modules = [import_module(f"cr_jax.documents.{name}") for name in names if name != "schemas"]
    own = {value for module in modules for value in vars(module).values() if _is_document(value)}
    return dict(sorted((constants(document)["kind"], document) for document in own))


def schema_text(document: type[Document]) -> str:
    """The JSON Schema 2020-12 of a document, as its file has it."""
    return json.dumps(generate(document), indent=1, ensure_ascii=False) + "\n"


def generate(document: type[Document]) -> dict[str, Any]:
    """The JSON Schema of a document: ``$id`` is its constant ``schema``, title and description are its docstring."""
    orders = {frozenset(values): values for values in _literals(document, set())}
    whole = _tidy(msgspec.json.schema(document), orders)
    body = whole["$defs"].pop(document.__name__)
    title, _, description = inspect.cleandoc(document.__doc__ or "").partition("\n\n")
    head = {"$schema": _DIALECT, "$id": constants(document)["schema"], "title": title.rstrip(".")}
    if description:
        head["description"] = " ".join(description.split())
    wanted = {*body["required"], *constants(document)}
    body["required"] = [key for key in body["properties"] if key in wanted]
    rest = {key: value for key, value in body.items() if key not in ("title", "description")}
    return head | rest | ({"$defs": dict(sorted(whole["$defs"].items()))} if whole["$defs"] else {})


def _is_document(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Document) and value is not Document


def _tidy(node: Any, orders: dict[frozenset[object], tuple[object, ...]]) -> Any:
    """One schema as a person would write it: values in the order of the code, one type for a number or null."""
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if key not in ("default", "discriminator")}
    if node.get("type") == "object" and isinstance(node.get("title"), str):
        del node["title"]
        if "description" in node:
            node["description"] = " ".join(node["description"].split())
    for key in _NAMED:
        if key in node:
            node[key] = {name: _tidy(inner, orders) for name, inner in node[key].items()}
    for key in _ONE:
        if key in node:
            node[key] = _tidy(node[key], orders)
    for key in _LIST:
        if key in node:
            node[key] = [_tidy(inner, orders) for inner in node[key]]
    if "enum" in node:
        values = orders.get(frozenset(node["enum"]), tuple(node["enum"]))
        node |= {"enum": list(values)}
        if len(values) == 1:
            node = {"const" if key == "enum" else key: values[0] if key == "enum" else value for key, value in node.items()}
    return _with_one_type(node) if "anyOf" in node else node


def _with_one_type(node: dict[str, Any]) -> dict[str, Any]:
    branches = [inner for branch in node["anyOf"] for inner in (branch["anyOf"] if branch.keys() == {"anyOf"} else [branch])]
    integers = [branch for branch in branches if branch.get("type") == "integer"]
    branches = [b for b in branches if not (b in integers and b | {"type": "number"} in branches)]
    null = {"type": "null"}
    others = [branch for branch in branches if branch != null]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if len(others) == 1 and others != branches and others[0].keys() == {"enum"}:
        return rest | {"enum": [*others[0]["enum"], None]}
    if len(others) == 1 and (others == branches or isinstance(others[0].get("type"), str)):
        only = others[0]
        return rest | (only if others == branches else only | {"type": [only["type"], "null"]})
    return rest | {"anyOf": branches}


def _literals(annotation: Any, seen: set[type]) -> Iterator[tuple[object, ...]]:
    """The values of every ``Literal`` that an annotation holds, structs within it included, in the order of the code."""
    if get_origin(annotation) is Literal:
        yield get_args(annotation)
        return
    inner: Iterable[Any] = get_args(annotation)
    if inspect.isclass(annotation) and issubclass(annotation, msgspec.Struct) and annotation not in seen:
        seen.add(annotation)
        inner = get_type_hints(annotation, include_extras=True).values()
    for one in inner:
        yield from _literals(one, seen)
