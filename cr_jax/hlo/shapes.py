"""Shapes as spelled in HLO text, with the memory properties of their layout.

``bf16[24,32,128]{2,1,0:T(8,128)(2,1)S(1)}``: element type, dimensions, minor-to-major order, tiles that pad the buffer, memory
space (0 = main memory, 5 = host, anything else on chip).
"""

import re
from dataclasses import dataclass
from functools import cached_property
from math import prod

#: Bits per element; a type that is not here is refused by name, never guessed.
BITS = {
    "pred": 8,
    "s2": 2,
    "u2": 2,
    "s4": 4,
    "u4": 4,
    "s8": 8,
    "u8": 8,
    "s16": 16,
    "u16": 16,
    "s32": 32,
    "u32": 32,
    "s64": 64,
    "u64": 64,
    "bf16": 16,
    "f16": 16,
    "f32": 32,
    "f64": 64,
    "c64": 64,
    "c128": 128,
    "f4e2m1fn": 4,
    "f8e3m4": 8,
    "f8e4m3": 8,
    "f8e4m3fn": 8,
    "f8e4m3b11fnuz": 8,
    "f8e4m3fnuz": 8,
    "f8e5m2": 8,
    "f8e5m2fnuz": 8,
    "f8e8m0fnu": 8,
    "token": 0,
    "opaque": 0,
}

_FLOAT = re.compile(r"bf16|f\d|c\d")
#: Integer types and ``pred``: a loop's counter is one of them.
_INTEGER = re.compile(r"[su]\d+$|pred$")
_ARRAY = re.compile(r"([a-z]\w*)\[((?:(?:<=)?\d+(?: *, *(?:<=)?\d+)*)?)\](?:\{([^{}]*)\})?$", re.ASCII)
#: Minor-to-major order, then tiles, memory space and the rarer parts of a layout.
_LAYOUT = re.compile(
    r"((?:\d+(?:,\d+)*)?)(?::((?:D\([^()]*\))?(?:T(?:\((?:\d+|\*)(?:,(?:\d+|\*))*\))+)?"
    r"(?:S\(\d+\)|(?:SC|[A-RU-Z*#]+)\([^()]*\))*))?$",
    re.ASCII,
)
_TILE = re.compile(r"\(([\d,*]*)\)")
_SPACE = re.compile(r"S\((\d+)\)")
#: XLA holds sizes in signed 64-bit integers.
_LARGEST = 2**63 - 1
_DEEPEST = 64
#: ``/*index=5*/`` in lists of operands and of parameters.
COMMENT = re.compile(r"/\*[^*\n]*+\*/")
_MARK = re.compile(r"[()\[\]{},]")


@dataclass(frozen=True)
class Shape:
    """An array, or a tuple of shapes (``dtype`` is then ``tuple``; it may be empty)."""

    dtype: str
    dims: tuple[int, ...]
    layout: str
    parts: tuple["Shape", ...] = ()

    @cached_property
    def is_tuple(self) -> bool:
        """Whether it is a tuple, even an empty one."""
        return self.dtype == "tuple"

    @cached_property
    def plain(self) -> str:
        """The shape as in a computation's signature, without layouts."""
        if self.is_tuple:
            return f"({', '.join(part.plain for part in self.parts)})"
        return f"{self.dtype}[{','.join(map(str, self.dims))}]"

    @cached_property
    def is_integer(self) -> bool:
        """Whether the elements are integers, of any width."""
        return _INTEGER.match(self.dtype) is not None

    @cached_property
    def elements(self) -> int:
        """Elements of an array, summed over the parts of a tuple."""
        return sum(p.elements for p in self.parts) if self.is_tuple else prod(self.dims)

    @cached_property
    def is_float(self) -> bool:
        """Whether the elements are real or complex floating-point numbers."""
        return _FLOAT.match(self.dtype) is not None

    @cached_property
    def leaves(self) -> tuple["Shape", ...]:
        """The arrays of a nested tuple, in order."""
        return tuple(leaf for p in self.parts for leaf in p.leaves) if self.is_tuple else (self,)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Minor-to-major dimension numbers; row-major where the text gives no layout."""
        head = self.layout.split(":", 1)[0]
        if head:
            return tuple(int(n) for n in head.split(",") if n.strip().isdigit())
        return tuple(reversed(range(len(self.dims))))

    @cached_property
    def space(self) -> int:
        """The memory space of the layout; 0 is main memory."""
        match = _SPACE.search(self.layout)
        return int(match[1]) if match else 0

    @cached_property
    def on_chip(self) -> bool:
        """Whether the buffer lies in a scratchpad (TPU vector or scalar memory), not main memory."""
        return self.space not in (0, 5)

    @cached_property
    def bytes(self) -> int:
        """Buffer size, tile padding included; of a tuple, the sum of its parts."""
        if self.is_tuple:
            return sum(p.bytes for p in self.parts)
        return (self._padded_elements * BITS[self.dtype] + 7) // 8

    @property
    def unpadded_bytes(self) -> int:
        """Bytes of the elements alone, without the padding of tiles."""
        if self.is_tuple:
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


#: Shapes by their text, for as many as fit.
KNOWN_SHAPES: dict[str, Shape] = {}


def parse_shape(text: str) -> Shape:
    """A shape from its text. Raises ``ValueError`` with the reason."""
    shape = KNOWN_SHAPES.get(text)
    if shape is None:
        shape = _tuple(text, 1) if text.startswith("(") else _array(text)
        if len(KNOWN_SHAPES) < 100_000:
            KNOWN_SHAPES[text] = shape
    return shape


def _array(text: str) -> Shape:
    match = _ARRAY.match(text)
    if match is None:
        raise ValueError(f"{text[:60]!r} is no shape; legal: a type, dimensions and a layout as in f32[2,3]{{1,0}}")
    dtype, dims, layout = match.groups()
    if dtype not in BITS:
        raise ValueError(f"unknown element type {dtype[:60]!r}; legal: {', '.join(BITS)}")
    if len(dims) > 2_000:
        raise ValueError(f"the shape {text[:60]!r}... has too many dimensions or digits")
    sizes = tuple(int(d.strip().removeprefix("<=")) for d in dims.split(",")) if dims else ()
    if prod(d for d in sizes if d) * max(1, BITS[dtype]) > _LARGEST:
        raise ValueError(f"{text[:60]!r} has more bits than 64-bit sizes can count")
    return Shape(dtype, sizes, "" if layout is None else _layout(text, sizes, layout))


def _layout(text: str, sizes: tuple[int, ...], layout: str) -> str:
    """A layout after its order and tiles were checked against the dimensions."""
    match = _LAYOUT.match(layout)
    if match is None:
        raise ValueError(f"the layout {{{layout[:60]}}} of {text[:60]!r} cannot be read; legal: as in f32[2,3]{{1,0:T(8,128)}}")
    order = match[1].split(",") if match[1] else []
    if sorted(order) != sorted(map(str, range(len(sizes)))):
        raise ValueError(f"the layout of {text[:60]!r} does not order its {len(sizes)} dimensions")
    for tile in _TILE.findall(match[2] or "") if (match[2] or "").startswith("T") else ():
        if any(len(n) > 18 for n in tile.split(",")):
            raise ValueError(f"the layout of {text[:60]!r} has a tile of more than 18 digits")
        if any(not n.strip("0") and n != "" for n in tile.split(",")):
            raise ValueError(f"the layout of {text[:60]!r} has a tile of size 0")
    return layout


def split_top(text: str) -> list[str]:
    """Split at commas outside any bracket; comments such as ``/*index=5*/`` are dropped."""
    if "/*" in text:
        text = COMMENT.sub("", text)
    parts, depth, start = list[str](), 0, 0
    for match in _MARK.finditer(text):
        mark = match[0]
        if mark in "([{":
            depth += 1
        elif mark != ",":
            depth -= 1
        elif depth == 0:
            parts.append(text[start : match.start()].strip())
            start = match.end()
    last = text[start:].strip()
    return [*parts, last] if last or parts else parts


def _tuple(text: str, depth: int) -> Shape:
    if not text.endswith(")"):
        raise ValueError(f"{text[:60]!r} is an unfinished tuple shape")
    if depth > _DEEPEST:
        raise ValueError(f"tuples are nested more than {_DEEPEST} deep")
    parts = split_top(text[1:-1])
    shape = Shape("tuple", (), "", tuple(_tuple(p, depth + 1) if p.startswith("(") else parse_shape(p) for p in parts))
    if shape.elements > _LARGEST:
        raise ValueError(f"{text[:60]!r} has more elements than 64-bit sizes can count")
    return shape
