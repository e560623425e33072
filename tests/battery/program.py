"""A program of the battery, and the functions with which its truth is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Compiled:
    """The matrix products of the program that a compiler makes, where it changes them, and what it does.

    flops: by hand, from the sizes of the operations in the compiled text; ``None``: the compiler refuses the program.
    """

    flops: int | None
    why: str


@dataclass(frozen=True)
class Program:
    """A function with abstract arguments, and the FLOPs of its matrix products and convolutions.

    flops: what every run does, or the fewest and the most (``None``: no limit) where data decide. bound: of the count. trips:
    trip counts by scope for which the count is ``assumed``, with the FLOPs then. compiled_bound: of the compiled program's count
    where that differs. compiled: what compilers make of the program, by JAX's name of their platform; of the others, the
    compiled products are the traced ones. devices: the compiled program is one device's of so many, and ``flops`` its share.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    flops: int | tuple[int, int | None]
    bound: str = "exact"
    compiled_bound: str | None = None
    compiled: Mapping[str, Compiled] = field(default_factory=dict[str, Compiled])
    trips: Mapping[str, int] = field(default_factory=dict[str, int])
    trips_flops: int = 0
    devices: int = 1


def everywhere(flops: int, why: str) -> dict[str, Compiled]:
    """The same change by the compilers for CPUs, GPUs and TPUs."""
    return dict.fromkeys(("cpu", "cuda", "tpu"), Compiled(flops, why))


def array(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """An abstract array."""
    return jax.ShapeDtypeStruct(shape, dtype)


def integers(*shape: int) -> jax.ShapeDtypeStruct:
    """An abstract array of 32-bit integers."""
    return array(*shape, dtype=jnp.int32)


def key() -> jax.ShapeDtypeStruct:
    """An abstract random key, as raw data."""
    return array(2, dtype=jnp.uint32)


def product(*sizes: int) -> int:
    """FLOPs of a matrix product: two for each multiply-add, of which there are ``prod(sizes)``."""
    return 2 * prod(sizes)


def meetings(size: int, kernel: int, stride: int = 1, pad: tuple[int, int] = (0, 0), dilation: int = 1, spread: int = 1) -> int:
    """Pairs of an input element and a kernel element that meet along one axis of a convolution, by trying every pair.

    spread: distance of input elements, with holes between them (a transposed convolution).
    """
    length = (size - 1) * spread + 1 + sum(pad)
    results = (length - (kernel - 1) * dilation - 1) // stride + 1
    met = 0
    for result in range(results):
        for tap in range(kernel):
            place = result * stride + tap * dilation - pad[0]
            met += 0 <= place < (size - 1) * spread + 1 and place % spread == 0
    return met


def same(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """The padding ``SAME`` before and after an axis."""
    results = -(-size // stride)
    whole = max(0, (results - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return whole // 2, whole - whole // 2
