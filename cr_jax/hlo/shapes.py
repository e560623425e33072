"""Shapes as HLO text spells them, with what their layout says about memory.

``bf16[24,32,128]{2,1,0:T(8,128)(2,1)S(1)}``: element type, dimensions, minor-to-major order, tiles
that pad the buffer, memory space (0 = main memory, 5 = host, anything else on chip).
"""

import re
from dataclasses import dataclass
from functools import cached_property
from math import prod

#: Bits per element; a type that is not here is refused by name, never guessed.
BITS = {
    "pred": 8, "s2": 2, "u2": 2, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16, "s32": 32, "u32": 32,
    "s64": 64, "u64": 64, "bf16": 16, "f16": 16, "f32": 32, "f64": 64, "c64": 64, "c128": 128,
    "f4e2m1fn": 4, "f8e3m4": 8, "f8e4m3": 8, "f8e4m3fn": 8, "f8e4m3b11fnuz": 8, "f8e4m3fnuz": 8,
    "f8e5m2": 8, "f8e5m2fnuz": 8, "f8e8m0fnu": 8, "token": 0, "opaque": 0,
}  # fmt: skip

_FLOAT = re.compile(r"bf16|f\d|c\d")
_ARRAY = re.compile(r"([a-z]\w*)\[([^\]]*)\](?:\{([^}]*)\})?$")
_TILE = re.compile(r"\(([\d,*]*)\)")
_SPACE = re.compile(r"S\((\d+)\)")


@dataclass(frozen=True)
class Shape:
    """An array (``parts`` empty) or a tuple of shapes."""

    dtype: str
    dims: tuple[int, ...]
    layout: str
    parts: tuple["Shape", ...] = ()

    @cached_property
    def elements(self) -> int:
        """Elements of an array, summed over the parts of a tuple."""
        return sum(p.elements for p in self.parts) if self.parts else prod(self.dims)

    @cached_property
    def is_float(self) -> bool:
        return _FLOAT.match(self.dtype) is not None

    @cached_property
    def leaves(self) -> tuple["Shape", ...]:
        """The arrays of a nested tuple, in order."""
        return tuple(leaf for p in self.parts for leaf in p.leaves) if self.parts else (self,)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Minor-to-major dimension numbers; row-major where the text gives no layout."""
        head = self.layout.split(":", 1)[0]
        if head:
            return tuple(int(n) for n in head.split(",") if n.strip().isdigit())
        return tuple(reversed(range(len(self.dims))))

    @cached_property
    def space(self) -> int:
        found = _SPACE.search(self.layout)
        return int(found[1]) if found else 0

    @cached_property
    def on_chip(self) -> bool:
        """Whether the buffer lies in a scratchpad (TPU vector or scalar memory), not main memory."""
        return self.space not in (0, 5)

    @cached_property
    def bytes(self) -> int:
        """Buffer size, tile padding included; of a tuple, the sum of its parts."""
        if self.parts:
            return sum(p.bytes for p in self.parts)
        return (self._padded_elements * BITS[self.dtype] + 7) // 8

    @property
    def unpadded_bytes(self) -> int:
        if self.parts:
            return sum(p.unpadded_bytes for p in self.parts)
        return (self.elements * BITS[self.dtype] + 7) // 8

    @cached_property
    def _padded_elements(self) -> int:
        _, _, tail = self.layout.partition(":")
        if not tail.startswith("T(") or not self.dims or 0 in self.dims:
            return self.elements
        tile_text = _TILE.match(tail, 1)
        tile = [int(n) for n in tile_text[1].split(",") if n.isdigit()] if tile_text else []
        physical = [self.dims[d] for d in reversed(self.order)]
        if len(tile) > len(physical):  # a vector in a two-dimensional tile
            physical = [1] * (len(tile) - len(physical)) + physical
        head = len(physical) - len(tile)
        return prod(physical[:head]) * prod(-(-d // t) * t for d, t in zip(physical[head:], tile, strict=True))


_cache: dict[str, Shape] = {}


def parse_shape(text: str) -> Shape:
    """A shape from its text. Raises ``ValueError`` with the reason."""
    shape = _cache.get(text)
    if shape is None:
        shape = _tuple(text) if text.startswith("(") else _array(text)
        if len(_cache) < 100_000:
            _cache[text] = shape
    return shape


def _array(text: str) -> Shape:
    if text.startswith(("token[]", "opaque[]", "u32[]{:S")):  # frequent and irregular
        dtype = text.split("[", 1)[0]
        return Shape(dtype, (), text.partition("{")[2].rstrip("}"))
    match = _ARRAY.match(text)
    if match is None:
        raise ValueError(f"{text[:60]!r} is no shape; legal: a type, dimensions and a layout as in f32[2,3]{{1,0}}")
    dtype, dims, layout = match.groups()
    if dtype not in BITS:
        raise ValueError(f"unknown element type {dtype!r}; legal: {', '.join(BITS)}")
    try:
        sizes = tuple(int(d.strip().lstrip("<=")) for d in dims.split(",")) if dims.strip() else ()
    except ValueError:
        raise ValueError(f"dimensions [{dims}] are no numbers") from None
    return Shape(dtype, sizes, layout or "")


def split_top(text: str) -> list[str]:
    """Split at commas outside any bracket; comments such as ``/*index=5*/`` are dropped."""
    if "/*" in text:
        text = re.sub(r"/\*.*?\*/", "", text)
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


def _tuple(text: str) -> Shape:
    if not text.endswith(")"):
        raise ValueError(f"{text[:60]!r} is an unfinished tuple shape")
    return Shape("tuple", (), "", tuple(parse_shape(p) for p in split_top(text[1:-1]))) if text != "()" else Shape(
        "tuple", (0,), "")
