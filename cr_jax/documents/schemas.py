"""JSON Schemas of the documents, generated from their structs."""

import inspect
import json
import pkgutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

import cr_jax.documents
from cr_jax.documents.base import Document, OneOf, constants, schema_of_one

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Keywords whose value is a schema, a list of schemas, and schemas by name.
_ONE = ("items", "additionalProperties", "propertyNames", "if", "then", "else", "not")
_LIST = ("anyOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs")


def document_types() -> dict[str, tuple[type[Document], ...]]:
    """Every kind of document with its structs, sorted by kind; a second struct is another form of the document."""
    names = sorted(module.name for module in pkgutil.iter_modules(cr_jax.documents.__path__))
    modules = [import_module(f"cr_jax.documents.{name}") for name in names if name != "schemas"]
    own = dict.fromkeys(value for module in modules for value in vars(module).values() if _is_document(value))
    kinds: dict[str, tuple[type[Document], ...]] = {}
    for document in own:
        kind = constants(document)["kind"]
        kinds[kind] = (*kinds.get(kind, ()), document)
    return dict(sorted(kinds.items()))


def schema_text(*forms: type[Document]) -> str:
    """The JSON Schema 2020-12 of a document, as its file has it."""
    return json.dumps(generate(*forms), indent=1, ensure_ascii=False) + "\n"


def generate(*forms: type[Document]) -> dict[str, Any]:
    """The JSON Schema of a document in any of its forms, at least one.

    ``$id`` is its constant ``schema``, title and description are the docstring of the first form.
    """
    first = forms[0]
    orders = {frozenset(values): values for form in forms for values in _literals(form, set())}
    inner = {struct for form in forms for struct in _either(form, set())}
    _, components = msgspec.json.schema_components([*forms, *inner], schema_hook=schema_of_one, ref_template="#/$defs/{name}")
    defs = {name: _tidy(body, orders) for name, body in sorted(components.items())}
    for form in forms:
        body = defs[form.__name__]
        wanted = {*body["required"], *constants(form)}
        body["required"] = [key for key in body["properties"] if key in wanted]
    title, _, description = inspect.cleandoc(first.__doc__ or "").partition("\n\n")
    head = {"$schema": _DIALECT, "$id": constants(first)["schema"], "title": title.rstrip(".")}
    if description:
        head["description"] = " ".join(description.split())
    if len(forms) > 1:
        defs[first.__name__].pop("description", None)
        return head | {"anyOf": [{"$ref": f"#/$defs/{form.__name__}"} for form in forms], "$defs": defs}
    rest = {key: value for key, value in defs.pop(first.__name__).items() if key not in ("title", "description")}
    return head | rest | ({"$defs": defs} if defs else {})


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
    for one in _within(annotation, seen):
        yield from _literals(one, seen)


def _either(annotation: Any, seen: set[type]) -> Iterator[type[msgspec.Struct]]:
    """The structs of every ``one_of`` that an annotation holds."""
    if isinstance(annotation, OneOf):
        yield from annotation.structs
    for one in _within(annotation, seen):
        yield from _either(one, seen)


def _within(annotation: Any, seen: set[type]) -> Iterable[Any]:
    """The annotations inside an annotation: its arguments, or the fields of a struct, each struct once."""
    if isinstance(annotation, OneOf):
        return annotation.structs
    if inspect.isclass(annotation) and issubclass(annotation, msgspec.Struct) and annotation not in seen:
        seen.add(annotation)
        return get_type_hints(annotation, include_extras=True).values()
    return () if get_origin(annotation) is Literal else get_args(annotation)
