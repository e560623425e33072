"""Programs of one sweep over an attached GPU or TPU: small ones, each a loop around one operation.

The device repeats the operation, in a loop of ``turns`` iterations with a trip count that XLA knows. A barrier that holds the
last result with the operands keeps XLA from moving the operation out of the loop; it makes no kernel. The time of the compiled
program is predicted from its text, like that of a model's step, so this file need not foresee the compiler's choices.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from math import prod

import jax
import jax.numpy as jnp
from jax import lax

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.precision import matmul_precision, on_tensor_cores
from cr_jax.predict.accelerator.execution import SKINNY

#: Iterations of a loop whose trip count only the device knows.
UNKNOWN_TURNS = 200
#: Elements of an array so small that only the launch of its kernel takes time.
_TINY = 256
#: Kernels over an array in the cache: enough for a CUDA graph, so that the device does not wait for the host.
_CHAINED = 8
#: Short products in an iteration.
_SHORT = 4
#: An array of this part of the cache is large enough for its kernel to outlast the launch on the host.
_LARGE = 6
#: Bytes assumed for a cache that the profile does not state.
_CACHE = 4 << 20

Arrays = tuple[jax.Array, ...]
#: A function of a program's arrays.
Function = Callable[..., jax.Array | Arrays]


@dataclass(frozen=True)
class Array:
    """An argument of a program."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    below: int = 0
    """Random whole numbers from 0 up to it; 0: random numbers about 0."""

    @property
    def bytes(self) -> int:
        """Bytes of the array."""
        return prod(self.shape) * jnp.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Point:
    """One program."""

    name: str
    group: str
    """The constants that its time decides (``anchors.RULES``)."""
    make: Callable[[int], Function]
    """The function of the arguments, for a number of iterations."""
    arguments: tuple[Array, ...]
    flops: float = 0.0
    """FLOPs of one iteration; with ``bytes`` they decide the number of iterations."""
    bytes: float = 0.0
    """Bytes of one iteration."""
    precision: str = "default"
    kind: str | None = None
    """Class of errors, where it is not that of the most expensive operation."""
    called: bool = False
    """Its time is that of one call, which is waited for."""
    graph: bool | None = None
    """Whether XLA must have made a CUDA graph of an iteration; ``None``: either will do."""

    @property
    def memory_bytes(self) -> int:
        """Bytes of the arguments and as many results."""
        return 2 * sum(one.bytes for one in self.arguments)


@dataclass(frozen=True)
class Sizes:
    """Sizes of the operations; ``SMALL`` is for tests and rehearsals. Squares, skinny (n, and the side of the weights), batched
    (batch, m, n, k), folded and sorted are in elements, cold in bytes. cached: shares of the last-level cache that an array
    takes. gathered: rows of the table and elements of one. chained: kernels of the longest chain.
    """

    squares: tuple[int, ...] = (512, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
    skinny: tuple[tuple[int, int], ...] = (
        (16, 4096),
        (32, 1024),
        (64, 2048),
        (128, 4096),
        (16, 1024),
        (32, 4096),
        (64, 4096),
        (64, 1024),
    )
    batched: tuple[tuple[int, int, int, int], ...] = ((64, 512, 64, 512), (64, 512, 512, 64), (256, 128, 128, 128))
    cold: tuple[int, ...] = (64 << 20, 128 << 20, 256 << 20)
    cached: tuple[int, ...] = (16, 12, 8, 6, 4)
    folded: tuple[tuple[int, int], ...] = ((16384, 1024), (32768, 1024), (65536, 512), (65536, 1024))
    gathered: tuple[tuple[int, int], ...] = ((100_000, 64), (200_000, 64), (500_000, 128), (1_000_000, 32))
    sorted: tuple[tuple[int, int], ...] = ((1, 1 << 16), (1, 1 << 20), (256, 4096), (4096, 1024), (1, 1 << 22))
    chained: int = 32


FULL = Sizes()
SMALL = Sizes((64,), ((16, 64),), ((2, 16, 16, 16),), (1 << 16, 1 << 17), (1024,), ((64, 32),), ((256, 8),), ((1, 256),), 6)


def points(accelerator: Accelerator, sizes: Sizes = FULL) -> list[Point]:
    """Every point for a device. The most informative of every group is first, since a time limit leaves out the last ones."""
    groups = [
        list(_launches(accelerator, sizes)),
        list(_streams(accelerator, sizes)),
        list(_folds(sizes)),
        list(_rows(sizes)),
        list(_sorts(sizes)),
        *(list(one) for one in _products(accelerator, sizes)),
    ]
    mixed = chain.from_iterable(zip_longest(*groups[1:]))
    return [*groups[0], *(point for point in mixed if point is not None)]


def _looped(step: Callable[..., jax.Array], fixed: int) -> Callable[[int], Function]:
    """A loop of ``step(*fixed operands, last result)``. The first ``fixed`` arguments stay; the last one is the first result."""

    def make(turns: int) -> Function:
        def body(_: object, state: Arrays) -> Arrays:
            *operands, last = lax.optimization_barrier(state)
            return (*operands, step(*operands, last))

        def run(*arguments: jax.Array) -> jax.Array:
            assert len(arguments) == fixed + 1
            return lax.fori_loop(0, turns, body, arguments)[-1]

        return run

    return make


def _multiplied(product: Callable[[jax.Array, jax.Array], jax.Array], repeats: int) -> Callable[[int], Function]:
    """A loop of ``repeats`` products of as many left sides with one right side, on top of the first results."""

    def make(turns: int) -> Function:
        def body(_: object, state: tuple[Arrays, jax.Array, Arrays]) -> tuple[Arrays, jax.Array, Arrays]:
            for number in range(repeats):
                lefts, right, results = lax.optimization_barrier(state)
                state = lefts, right, (*results[:number], product(lefts[number], right), *results[number + 1 :])
            return state

        def run(*arguments: jax.Array) -> Arrays:
            state = arguments[:repeats], arguments[repeats], arguments[repeats + 1 :]
            return lax.fori_loop(0, turns, body, state)[-1]

        return run

    return make


def _products(accelerator: Accelerator, sizes: Sizes) -> Iterator[Iterator[Point]]:
    """Products of every type with a rate of its own on the device."""
    seen = set()
    for dtype, precision in (("float32", "highest"), ("float32", "default"), ("bfloat16", "default"), ("float16", "default")):
        computed_in = matmul_precision(accelerator, precision, dtype)
        if computed_in is None or (computed_in, dtype) in seen or (computed_in == "float32" and dtype != "float32"):
            continue
        seen.add((computed_in, dtype))
        yield _products_in(accelerator, computed_in, dtype, precision, sizes)


def _products_in(accelerator: Accelerator, computed_in: str, dtype: str, precision: str, sizes: Sizes) -> Iterator[Point]:
    shapes = [
        [(1, size, size, size) for size in sizes.squares],
        [(1, n, wide, wide) for n, wide in sizes.skinny],
        [*sizes.batched],
    ]
    for shape in chain.from_iterable(zip_longest(*shapes)):
        if shape is None:
            continue
        batch, m, n, k = shape
        lhs, rhs, out = (Array((batch, *two) if batch > 1 else two, dtype) for two in ((m, k), (k, n), (m, n)))
        dims = (((2,), (1,)), ((0,), (0,))) if batch > 1 else (((1,), (0,)), ((), ()))
        # Several short ones make a CUDA graph, so that the device does not wait for the host.
        repeats = _SHORT if batch == 1 and min(m, n) <= 1024 else 1

        def product(x: jax.Array, y: jax.Array, dims: lax.DotDimensionNumbers = dims) -> jax.Array:
            return lax.dot_general(x, y, dims, precision=precision)

        yield Point(
            f"product in {computed_in}, {batch} x [{m}, {k}] @ [{k}, {n}] of {dtype}",
            _group(accelerator, computed_in, batch, m, n, rhs.bytes),
            _multiplied(product, repeats),
            (*[lhs] * repeats, rhs, *[out] * repeats),
            repeats * 2.0 * batch * m * n * k,
            repeats * float(lhs.bytes + rhs.bytes + out.bytes),
            precision,
        )


def _group(accelerator: Accelerator, computed_in: str, batch: int, m: int, n: int, weights: int) -> str:
    """Skinny products measure memory where their weights do not stay in the cache, and launches elsewhere."""
    if accelerator.platform == "tpu":
        return "matrix"
    tensor = on_tensor_cores(accelerator, computed_in)
    if batch == 1 and min(m, n) <= SKINNY:
        units = "tensor" if tensor else "plain"
        return f"{units}_{'skinny' if weights > (accelerator.cache_bytes or _CACHE) / 2 else 'start'}"
    return "plain" if not tensor else "tf32" if computed_in == "tf32" else "tensor"


def _streams(accelerator: Accelerator, sizes: Sizes) -> Iterator[Point]:
    """Streams through memory, and a chain of kernels over an array that stays in the last-level cache."""
    for size in sizes.cold:
        for name, step, fixed in (("copy", lambda x: -x, 0), ("add", lambda x, y: x + y, 1), ("exp", lambda x: jnp.exp(-x), 0)):
            if name != "exp" or size == sizes.cold[-1]:
                yield Point(
                    f"{name} of {size} bytes",
                    "streams",
                    _looped(step, fixed),
                    (Array((size // 4,)),) * (fixed + 1),
                    bytes=(2.0 + fixed) * size,
                )
    for part in sizes.cached:
        size = (accelerator.cache_bytes or _CACHE) // part
        # In a CUDA graph, and one by one. Each is long enough to hide the host, so the difference is the gap between kernels.
        for kernels, group in ((_CHAINED, "cache"), (2, "gap")):
            if group == "cache" or (part <= _LARGE and accelerator.platform == "cuda"):
                yield Point(
                    f"{kernels} kernels over {size} bytes",
                    group,
                    _looped(_chain(kernels), 0),
                    (Array((size // 4,)),),
                    bytes=2.0 * kernels * size,
                )


def _folds(sizes: Sizes) -> Iterator[Point]:
    for rows, columns in sizes.folded:
        size = 4.0 * rows * columns
        yield Point(
            f"sums of {rows} rows of {columns}",
            "rows",
            _looped(lambda x, s: jnp.sum(x * s[:, None], axis=1), 1),
            (Array((rows, columns)), Array((rows,))),
            bytes=size,
        )
        yield Point(
            f"sums of {columns} columns of {rows}",
            "columns",
            _looped(lambda x, s: jnp.sum(x * s[None], axis=0), 1),
            (Array((rows, columns)), Array((columns,))),
            bytes=size,
        )


def _rows(sizes: Sizes) -> Iterator[Point]:
    """Gathers and scatters with as many rows as a table has."""
    for count, width in sizes.gathered:
        table, places, rows = Array((count, width)), Array((count,), "int32", count), Array((count, width))
        size = 3.0 * rows.bytes
        yield Point(
            f"gather of {count} rows of {width}",
            "gathers",
            _looped(lambda t, i, _: jnp.take(t, i, axis=0, mode="clip"), 2),
            (table, places, rows),
            bytes=size,
        )
        yield Point(
            f"scatter of {count} rows of {width}",
            "scatters",
            _looped(lambda i, u, t: t.at[i].add(u, mode="drop"), 2),
            (places, rows, table),
            bytes=size,
        )


def _sorts(sizes: Sizes) -> Iterator[Point]:
    for rows, keys in sizes.sorted:
        yield Point(
            f"sort of {rows} x {keys}",
            "sorts",
            _looped(lambda x: -jnp.sort(x, axis=-1), 0),
            (Array((rows, keys)),),
            bytes=64.0 * rows * keys,
        )


def _launches(accelerator: Accelerator, sizes: Sizes) -> Iterator[Point]:
    """Kernels without work. XLA adds one that counts the iterations, so four and more make a CUDA graph."""
    tiny, gpu = (Array((_TINY,)),), accelerator.platform != "tpu"
    kind = "launches" if gpu else "tpu"

    def looped(group: str, kernels: int) -> Point:
        graph = kernels > 3 if accelerator.platform == "cuda" else None
        return Point(f"loop, {kernels} kernels", group, _looped(_chain(kernels), 0), tiny, kind=kind, graph=graph)

    yield looped("enqueue", 1)
    yield looped("launches", 3)
    yield Point("call", "call", lambda _: lambda x: x + 1, tiny, kind=kind, called=True)
    if not gpu:
        yield looped("launches", 6)
        yield looped("launches", 12)
        return
    yield looped("graph_kernel", sizes.chained)
    yield looped("graph", 4)
    yield looped("launches", 6)
    yield looped("launches", 12)
    yield looped("launches", 2)
    for kernels, group in ((1, "wait"), (3, "launches")):
        yield Point(f"loop of unknown length, {kernels} kernels", group, _unknown(kernels), tiny, kind=kind)


def _chain(kernels: int) -> Callable[[jax.Array], jax.Array]:
    """A number of kernels, one after the other, that XLA may not fuse."""

    def step(x: jax.Array) -> jax.Array:
        for number in range(kernels):
            x = x + 1 if number == kernels - 1 else lax.optimization_barrier(x + 1)
        return x

    return step


def _unknown(kernels: int) -> Callable[[int], Function]:
    """A loop that ends when a number computed on the device is large enough: after ``UNKNOWN_TURNS``."""
    step = _chain(kernels)

    def run(x: jax.Array) -> jax.Array:
        return lax.while_loop(lambda state: state[0] < kernels * UNKNOWN_TURNS, step, x * 0)

    return lambda _: run


def that_fit(points_: Sequence[Point], memory_bytes: float) -> tuple[list[Point], list[tuple[str, str]]]:
    """The points that fit into a quarter of the memory, and (name, reason) of the others."""
    fits = [point for point in points_ if point.memory_bytes <= memory_bytes / 4]
    left = [
        (p.name, f"needs {p.memory_bytes / 2**30:.3g} GiB, more than a quarter of the memory")
        for p in points_
        if p.memory_bytes > memory_bytes / 4
    ]
    return fits, left
