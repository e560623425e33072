"""The base of all documents: made into plain JSON, and read from it."""

from functools import cache
from typing import Any, Literal, TypeVar, dataclass_transform, get_args, get_origin

import msgspec

from cr_jax.documents.check import check
from cr_jax.documents.one_of import decode_one
from cr_jax.errors import BadInput


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _KeywordsOnly(type(msgspec.Struct)):
    """Subclasses inherit ``kw_only``, too, which msgspec leaves to each class."""

    def __new__(mcls, *arguments: Any, **options: Any):
        return super().__new__(mcls, *arguments, **{"kw_only": True} | options)


class Block(msgspec.Struct, metaclass=_KeywordsOnly, frozen=True, forbid_unknown_fields=True):
    """An object within a document."""


class Document(Block):
    """A whole document. A subclass has the constants ``schema`` and ``kind`` as its first fields.

    The first line of its docstring is the title of its schema, the rest the description.
    """


T = TypeVar("T", bound=Document)
V = TypeVar("V")


@cache
def constants(document: type[Document]) -> dict[str, str]:
    """The fields that have the same text in every document of a type, ``schema`` and ``kind`` among them."""
    fields = msgspec.structs.fields(document)
    return {f.encode_name: f.default for f in fields if get_origin(f.type) is Literal and (f.default,) == get_args(f.type)}


def known(value: V | msgspec.UnsetType) -> V | None:
    """A field that a document may leave out; ``None``: it does."""
    return None if isinstance(value, msgspec.UnsetType) else value


def plain(value: Block) -> dict[str, Any]:
    """A document or block as the dictionaries and lists that JSON has; fields that are unset are left out."""
    return _with_lists(msgspec.to_builtins(value))


def decode(document: object, kind: type[T], where: str) -> T:
    """The JSON document as a struct. Raises ``BadInput`` with the key path of the first fault and the reason."""
    known = constants(kind)
    if isinstance(document, dict) and known.keys() <= document.keys():
        try:
            return msgspec.convert(document, kind, dec_hook=decode_one)
        except msgspec.ValidationError:  # the schema finds the words for it
            pass
    check(document, known["kind"], where)
    try:
        # A whole number may be spelt 1.0 in JSON, and the schema takes it.
        return msgspec.convert(_with_whole_numbers(document), kind, dec_hook=decode_one)
    except msgspec.ValidationError as error:
        raise BadInput(where, str(error)) from None


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
