"""Windows of convolutions, reductions and pads: ``{size=3x3 pad=1_1x0_0 stride=2x2}`` per axis."""

import re
from dataclasses import dataclass

from cr_jax.hlo.module import Instruction

_FIELD = re.compile(r"(\w+)=(\S+)")
_NUMBER = re.compile(r"-?\d{1,18}\Z", re.ASCII)
_KEYS = frozenset({"size", "stride", "pad", "lhs_dilate", "rhs_dilate", "rhs_reversal"})


@dataclass(frozen=True)
class Axis:
    """One axis of a window. base_dilation: of the array under the window; window_dilation: of the window."""

    size: int
    stride: int = 1
    pad_low: int = 0
    pad_high: int = 0
    base_dilation: int = 1
    window_dilation: int = 1

    def positions(self, length: int) -> int:
        """Positions of the window over an axis of ``length``."""
        dilated = 0 if length == 0 else (length - 1) * self.base_dilation + 1
        spread = (self.size - 1) * self.window_dilation + 1
        padded = dilated + self.pad_low + self.pad_high
        return 0 if padded < spread or self.size == 0 else (padded - spread) // self.stride + 1


def window(instruction: Instruction) -> tuple[Axis, ...]:
    """The axes of an instruction's window; none where it has no window. Raises ``ValueError``."""
    text = (instruction.attribute("window") or "{}").strip("{} ")
    fields = dict(_FIELD.findall(text))
    unknown = set(fields) - _KEYS
    if unknown:
        raise ValueError(f"its window has {', '.join(sorted(unknown))[:60]}; legal: {', '.join(sorted(_KEYS))}")
    sizes = _numbers(fields.get("size", ""))
    if any(n < 1 for n in sizes):
        raise ValueError("its window has a size below 1")
    pads = [_pair(p) for p in fields["pad"].split("x")] if "pad" in fields else [(0, 0)] * len(sizes)
    columns = [_numbers(fields[key]) if key in fields else [1] * len(sizes) for key in ("stride", "lhs_dilate", "rhs_dilate")]
    if any(len(column) != len(sizes) for column in (pads, *columns)):
        raise ValueError("the parts of its window have not as many axes as its size")
    if any(n < 1 for column in columns for n in column):
        raise ValueError("its window has a stride or dilation below 1")
    return tuple(
        Axis(size, stride, low, high, base, own)
        for size, (low, high), stride, base, own in zip(sizes, pads, *columns, strict=True)
    )


def _numbers(text: str) -> list[int]:
    parts = text.split("x") if text else []
    if not all(_NUMBER.match(part) for part in parts):
        raise ValueError(f"{text[:60]!r} in its window is no list of numbers")
    return [int(part) for part in parts]


def _pair(text: str) -> tuple[int, int]:
    low, _, high = text.partition("_")
    if not (_NUMBER.match(low) and _NUMBER.match(high)):
        raise ValueError(f"the padding {text[:60]!r} is no pair of numbers")
    return int(low), int(high)
