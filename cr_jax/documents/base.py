"""The base of all documents, with the conversion to and from plain JSON."""

import contextlib
from functools import cache
from typing import Any, Literal, TypeVar, dataclass_transform, get_args, get_origin

import msgspec

from cr_jax.documents.check import check
from cr_jax.errors import BadInput


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _KeywordsOnly(type(msgspec.Struct)):
    """Subclasses inherit ``kw_only``, too, which msgspec leaves to each class."""

    def __new__(mcls, *arguments: Any, **options: Any) -> "_KeywordsOnly":
        return super().__new__(mcls, *arguments, **{"kw_only": True} | options)


class Block(msgspec.Struct, metaclass=_KeywordsOnly, frozen=True, forbid_unknown_fields=True):
    """An object within a document."""


class Document(Block):
    """A whole document. A subclass has the constants ``schema`` and ``kind`` as its first fields.

    The first line of its docstring is the title of its schema, the rest the description.
    """


class OneOf(type):
    """A type whose instances are those of its ``structs``."""

    structs: tuple[type[msgspec.Struct], ...]

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.structs)


def one_of(name: str, *structs: type[msgspec.Struct]) -> OneOf:
    """The type of values that are one of ``structs``. No two of them may take the same object."""
    return OneOf(name, (), {"structs": structs})


T = TypeVar("T", bound=Document)
S = TypeVar("S", bound=msgspec.Struct)
V = TypeVar("V")


@cache
def constants(document: type[Document]) -> dict[str, str]:
    """The fields that have the same text in every document of a type, ``schema`` and ``kind`` among them."""
    fields = msgspec.structs.fields(document)
    return {f.encode_name: f.default for f in fields if get_origin(f.type) is Literal and (f.default,) == get_args(f.type)}


def known(value: V | msgspec.UnsetType) -> V | None:
    """A field that a document may leave out; ``None`` where it does."""
    return None if isinstance(value, msgspec.UnsetType) else value


def plain(value: Block) -> dict[str, Any]:
    """A document or block as the dictionaries and lists that JSON has; fields that are unset are left out."""
    return _with_lists(msgspec.to_builtins(value))


def decode(document: object, kind: type[T], where: str) -> T:
    """The JSON document as a struct. Raises ``BadInput`` with the key path of the first fault and the reason."""
    try:
        return _convert(document, kind)
    except msgspec.ValidationError:  # the schema gives the reason
        check(document, constants(kind)["kind"], where)
    try:
        # A whole number may be spelt 1.0 in JSON, which the schema accepts.
        return _convert(_with_whole_numbers(document), kind)
    except msgspec.ValidationError as error:
        raise BadInput(where, str(error)) from None


def _convert(value: object, struct: type[S]) -> S:
    """Raise ``ValidationError``, also where a required constant is missing."""
    if issubclass(struct, Document) and not (isinstance(value, dict) and constants(struct).keys() <= value.keys()):
        raise msgspec.ValidationError(f"a document has {', '.join(constants(struct))}")
    return msgspec.convert(value, struct, dec_hook=_decode_one)


def _decode_one(kind: Any, value: object) -> object:
    """Msgspec's hook for unknown types. Raises ``ValidationError`` where no struct takes the value."""
    if not isinstance(kind, OneOf):
        raise TypeError(f"{kind}: not a type of a document's field")
    for struct in kind.structs:
        with contextlib.suppress(msgspec.ValidationError):
            return _convert(value, struct)
    raise msgspec.ValidationError(f"expected {' or '.join(struct.__name__ for struct in kind.structs)}")


def schema_of_one(kind: Any) -> dict[str, Any]:
    """The schema of such a type: any of those of its structs, by reference."""
    if not isinstance(kind, OneOf):
        raise TypeError(f"{kind}: not a type of a document's field")
    return {"anyOf": [{"$ref": f"#/$defs/{struct.__name__}"} for struct in kind.structs]}


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(inner) for key, inner in value.items()}
    return [_with_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
