"""One of several structs, told apart by the keys they have; msgspec by itself wants a tag as the first key."""

from typing import Any

import msgspec


class OneOf(type):
    """A type whose instances are those of its ``structs``."""

    structs: tuple[type[msgspec.Struct], ...]

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.structs)


def one_of(name: str, *structs: type[msgspec.Struct]) -> OneOf:
    """The type of values that are one of ``structs``. No two of them may take the same object."""
    return OneOf(name, (), {"structs": structs})


def decode_one(kind: Any, value: object) -> object:
    """msgspec's hook for types it does not know. Raises ``ValidationError`` where no struct takes the value."""
    if not isinstance(kind, OneOf):
        raise NotImplementedError(f"{kind}: no type of a document's field")
    for struct in kind.structs:
        try:
            return msgspec.convert(value, struct, dec_hook=decode_one)
        except msgspec.ValidationError:
            continue
    raise msgspec.ValidationError(f"expected {' or '.join(struct.__name__ for struct in kind.structs)}")


def schema_of_one(kind: Any) -> dict[str, Any]:
    """The schema of such a type: any of those of its structs, by reference."""
    if not isinstance(kind, OneOf):
        raise NotImplementedError(f"{kind}: no type of a document's field")
    return {"anyOf": [{"$ref": f"#/$defs/{struct.__name__}"} for struct in kind.structs]}
