"""Checks of a model's configuration, and the text of a setting read as a value."""

import math
import re

from cr_jax.errors import BadConfig
from cr_jax.records import LEFT_OUT

#: The largest size of anything: a product of two sizes, in bytes, still fits the 64 bits that XLA has for it.
LARGEST = 10**8
#: The most repetitions of one part in a program that does not loop over them, such as the hops of an episodic memory.
UNROLLED = 100
#: Centroids that a code of one byte tells apart.
CENTROIDS = 256
#: Types that weights can be held in after training.
WEIGHTS = ("float32", "bfloat16", "int8")
#: The metadata of a field of a configuration that documents leave out at its default: the published model has no such choice.
OPTIONAL = {LEFT_OUT: True}
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_REAL = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")
_TRUTH = {"true": True, "false": False, "1": True, "0": False}


def read_setting(key: str, text: str, current: object) -> bool | int | float | str:
    """``text`` as a value of the type of ``current``: bool, int, finite float, or else the text itself.

    Raises ``BadConfig`` with ``key``, the text and what is legal.
    """
    if isinstance(current, bool):
        if text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        raise BadConfig(f"{key}={text!r}: legal: true or false")
    if isinstance(current, int | float):
        whole = isinstance(current, int)
        if (_WHOLE if whole else _REAL).fullmatch(text.strip()) and (whole or math.isfinite(float(text))):
            return type(current)(text)
        raise BadConfig(f"{key}={text!r}: legal: {'a whole number' if whole else 'a number'}, such as {current}")
    return text


def read_optional_size(key: str, text: str) -> int | None:
    """``text`` as a whole number, or ``None`` for ``none``. Raises ``BadConfig``."""
    if text.lower() == "none":
        return None
    if _WHOLE.fullmatch(text.strip()):
        return int(text)
    raise BadConfig(f"{key}={text!r}: legal: a whole number, or none")


def positive(**values: float) -> None:
    """Refuse sizes outside 1 to ``LARGEST`` and rates (floats) not above 0: ``BadConfig`` names the first."""
    for name, value in values.items():
        if isinstance(value, float) and not value > 0:
            raise BadConfig(f"{name}={value}: must be above 0")
        if not isinstance(value, float) and value < 1:
            raise BadConfig(f"{name}={_shown(value)}: must be 1 or more")
        at_most(LARGEST, **{name: value})


def at_most(most: int, **values: float) -> None:
    """Refuse whole numbers above ``most``: ``BadConfig`` names the first."""
    for name, value in values.items():
        if not isinstance(value, float) and value > most:
            raise BadConfig(f"{name}={_shown(value)}: must be {most:,} or less")


def check_item_table(rank: int | None, sides: tuple[int, int], codes: int | None = None, centroids: int = CENTROIDS) -> None:
    """Refuse a compressed item table of ``sides`` (inputs, items) that cannot be: ``BadConfig``.

    rank: of a low-rank table, below both sides. codes: parts of a product-quantised one, which divide its inputs.
    """
    positive(**{name: size for name, size in (("item_rank", rank), ("item_codes", codes)) if size is not None})
    if rank is not None and codes is not None:
        raise BadConfig(f"item_rank={rank} and item_codes={codes}: legal: one of the two")
    smaller = min(sides)
    if rank is not None and rank >= smaller:
        legal = f"1 to {smaller - 1}, or none" if smaller > 1 else "none"
        raise BadConfig(
            f"item_rank={_shown(rank)}: is not below both sides of the table of {sides[0]} x {sides[1]}; legal: {legal}"
        )
    if codes is not None and sides[0] % codes:
        divisors = ", ".join(str(part) for part in range(1, sides[0] + 1) if sides[0] % part == 0)
        raise BadConfig(
            f"item_codes={_shown(codes)}: does not divide the {sides[0]} inputs of the table; legal: {divisors}, or none"
        )
    if not 2 <= centroids <= CENTROIDS:
        raise BadConfig(f"item_centroids={_shown(centroids)}: a code is a byte; legal: 2 to {CENTROIDS}")


def check_weights(weights: str) -> None:
    """Refuse a type that no weights are held in: ``BadConfig``."""
    if weights not in WEIGHTS:
        raise BadConfig(f"weights={weights!r}: legal: {', '.join(WEIGHTS)}")


def _shown(value: int) -> str:
    """The number, or how long it is; Python prints no more than 4,300 digits."""
    return str(value) if abs(value) < 10**30 else "a number of more than 30 digits"
