"""The points of a calibration: small programs, each for one number of the predictor.

A program of a few microseconds runs in a ``while`` loop together with a tiny product, which keeps XLA's CPU compiler from making
the loop one native call. The cost of the loop itself is a point of its own and is subtracted.
"""

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import PyTree

#: Steps of the matmul table. The models' products lie inside; beyond, the nearest rate holds.
ROWS = (1, 4, 16, 64, 256, 1024, 8192)
WIDTHS = (1, 32, 256, 2048)
DEPTHS = (16, 64, 256, 1024)
_LARGEST_FLOPS = 1.1e9
KINDS = ("nt", "tn")
#: (m, n, k) at which the other kinds are compared with ``nn``. The cost of reading a transposed operand is shared by
#: all columns: with a hundred of them it may be half the product's time, with a thousand much less.
KIND_SHAPES = (
    (4, 512, 64),
    (16, 64, 32),
    (64, 128, 1024),
    (256, 512, 256),
    (1024, 128, 64),
    (2048, 1024, 64),
    (32, 2048, 256),
    (16, 32, 8192),
    (64, 512, 8192),
)
#: (batch, m, n, k) of batched products.
BATCHED = ((16, 12, 32, 32), (64, 1, 64, 32), (64, 64, 64, 64), (512, 8, 32, 32), (4096, 1, 12, 32))
FOOTPRINTS = (1 << 15, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26, 1 << 27)
#: Bytes of a buffer that is read into another. Below, both fit a cache, and the rate is that of one buffer in place.
FRESH = (1 << 21, 1 << 23, 1 << 24, 1 << 25, 56 << 20)
GATHERS = ((1 << 20, 128), (1 << 20, 2048), (1 << 26, 128), (1 << 26, 2048))
#: Rows picked at once.
GATHERED = 8192
_MIB = 1 << 20
#: Bytes touched between two calls to drive a program out of the caches.
COLD_BYTES = 16 * _MIB
#: Iterations of the loops that measure overheads.
LOOPS = 1000


#: A function, its arguments, and the numbers of those that are donated: the first ones, which the first results replace.
Made = tuple[Callable[..., PyTree], tuple[PyTree, ...], tuple[int, ...]]
#: The result so far, the first argument and the tiny product of a loop.
State = tuple[PyTree, jax.Array, jax.Array]


@dataclass(frozen=True)
class Point:
    """One number of a calibration."""

    table: str
    facts: Mapping[str, Any]
    """Its place in the table."""
    make: Callable[[], Made]
    per: float
    """How often the function does the operation."""
    looped: bool = False
    """Whether it runs in a loop, whose own cost is subtracted."""


def _normal(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape) * 0.1, jnp.float32)


def _looped(work: Callable[..., PyTree], iterations: int, first: jax.Array, *rest: jax.Array) -> Made:
    """``work(first, *rest)`` again and again. ``first`` changes by one element each time, so that nothing can be moved out of the
    loop, and the whole result is carried, so that nothing can be left out. Both keep their buffers from call to call: fresh pages
    of the system are a point of their own.
    """

    def run(result: PyTree, first: jax.Array, tiny: jax.Array, *rest: jax.Array) -> State:
        def once(_: object, state: State) -> State:
            _, first, tiny = state
            corner = tiny[:1, :1].reshape((1,) * first.ndim).astype(first.dtype)
            first = lax.dynamic_update_slice(first, corner, (0,) * first.ndim)
            return work(first, *rest), first, tiny @ tiny

        return lax.fori_loop(0, iterations, once, (result, first, tiny))

    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(work, first, *rest))
    return run, (empty, first, _tiny(), *rest), (0, 1)


def _in_place(work: Callable[[jax.Array], jax.Array], iterations: int, x: jax.Array) -> Made:
    """``x = work(x)`` again and again, beside a tiny product."""

    def run(x: jax.Array, tiny: jax.Array) -> tuple[jax.Array, jax.Array]:
        return lax.fori_loop(0, iterations, lambda _, state: (work(state[0]), state[1] @ state[1]), (x, tiny))

    return run, (x, _tiny()), (0,)


def _tiny() -> jax.Array:
    return jnp.eye(8, dtype=jnp.float32)  # smaller, and the loop becomes one native call again


def matmul_points() -> list[Point]:
    """The rate by shape, ``nn``, then other kinds and batches."""
    shapes = itertools.product(ROWS, WIDTHS, DEPTHS)
    points = [_product(m, n, k, "nn") for m, n, k in shapes if 2 * m * n * k <= _LARGEST_FLOPS]
    for shape in KIND_SHAPES:
        points += [_product(*shape, kind) for kind in ("nn", *KINDS)]
    for b, m, n, k in BATCHED:
        points.append(_batched(b, m, n, k))
    return points


def _multiply(kind: str, a: jax.Array, b: jax.Array) -> jax.Array:
    return lax.dot_general(a, b, (((0 if kind[0] == "t" else 1,), (1 if kind[1] == "t" else 0,)), ((), ())))


def _product(m: int, n: int, k: int, kind: str) -> Point:
    flops = 2 * m * n * k
    left, right = ((k, m) if kind[0] == "t" else (m, k)), ((n, k) if kind[1] == "t" else (k, n))
    facts = {"m": m, "n": n, "k": k, "batch": 1, "kind": kind, "dtype": "float32"}
    iterations = int(min(1000, max(1, 4e7 / flops)))

    def make() -> Made:
        return _looped(partial(_multiply, kind), iterations, _normal(*left), _normal(*right))

    return Point("matmul", facts, make, iterations, True)


def _batched(b: int, m: int, n: int, k: int) -> Point:
    iterations = int(max(4, 4e7 / (2 * b * m * n * k)))

    def make() -> Made:
        return _looped(partial(jnp.einsum, "bmk,bkn->bmn"), iterations, _normal(b, m, k), _normal(b, k, n))

    facts = {"m": m, "n": n, "k": k, "batch": b, "kind": "nn", "dtype": "float32"}
    return Point("matmul", facts, make, iterations, True)


def stream_points() -> list[Point]:
    """Points that read a buffer and write it in place."""
    points = []
    for footprint in FOOTPRINTS:
        n = footprint // 4
        iterations = int(min(1000, max(1, 3e7 / footprint)))

        def make(n: int = n, iterations: int = iterations) -> Made:
            return _in_place(lambda x: x * 1.0001, iterations, _normal(n))

        facts = {"footprint_bytes": footprint, "bytes": 8 * n}
        points.append(Point("stream", facts, make, iterations, True))
    return points


def fresh_points() -> list[Point]:
    """Points that read a buffer and write another."""
    points = []
    for footprint in FRESH:
        n = footprint // 8
        iterations = int(max(4, 3e7 / footprint))

        def make(n: int = n, iterations: int = iterations) -> Made:
            return _looped(lambda x: x * 1.0001, iterations, _normal(n))

        points.append(Point("fresh", {"footprint_bytes": footprint, "bytes": footprint}, make, iterations, True))
    return points


def gather_points() -> list[Point]:
    """Points that gather random rows of a table."""
    points = []
    for size, row in GATHERS:

        def make(size: int = size, row: int = row) -> Made:
            ids = jnp.asarray(np.random.default_rng(1).integers(0, size // row, GATHERED), jnp.int32)
            work = lambda table, ids: jnp.take(table, ids, axis=0, mode="clip") * 1.5  # noqa: E731
            return _looped(work, 4, _normal(size // row, row // 4), ids)

        points.append(Point("gather", {"table_bytes": size, "row_bytes": row, "rows": GATHERED}, make, 4, True))
    return points


def _gate(place: jax.Array, x: jax.Array, h: jax.Array) -> jax.Array:
    """A GRU gate: a slice of the inputs, cut in two, through the logistic function."""
    now = lax.dynamic_slice(x, (place[0], 0, 0), (1, *x.shape[1:]))[0]
    width = h.shape[1]
    return jax.nn.sigmoid(now[:, :width] + h) * jnp.tanh(now[:, width : 2 * width] * h)


def _blend(place: jax.Array, x: jax.Array, h: jax.Array) -> jax.Array:
    """Arithmetic on a slice of the inputs, as in the backward pass of a gate."""
    now = lax.dynamic_slice(x, (place[0], 0, 0), (1, *x.shape[1:]))[0]
    width = h.shape[1]
    return now[:, :width] * h + (1 - now[:, width : 2 * width]) * h


def _polynomial(x: jax.Array) -> jax.Array:
    for c in (1.01, 0.99, 1.02, 0.98, 1.03, 0.97, 1.005, 0.995):
        x = x * c + 0.001
    return x


def _element(what: str, elements: float, work: Callable[..., PyTree], iterations: int, *shapes: tuple[int, ...]) -> Point:
    def make() -> Made:
        return _looped(work, iterations, *(_normal(*shape) for shape in shapes))

    return Point("element", {"what": what, "elements": elements}, make, iterations, True)


def _sliced(what: str, elements: float, work: Callable[..., PyTree]) -> Point:
    def make() -> Made:
        return _looped(work, 200, jnp.zeros(8, jnp.int32), _normal(4, 32, 192), _normal(32, 64))

    return Point("element", {"what": what, "elements": elements}, make, 200, True)


def element_points() -> list[Point]:
    """Costs per element of operations that are no products: seconds of the whole, over its elements."""
    n, wide = 1 << 14, (4096, 12, 32)
    ids = np.random.default_rng(2).integers(0, 8192, 2048)
    size = wide[0] * wide[1] * wide[2]
    return [
        Point("element", {"what": "arithmetic", "elements": 16 * n}, lambda: _in_place(_polynomial, 400, _normal(n)), 400, True),
        _element("transcendental", 2 * n, lambda x: jnp.tanh(jnp.exp(-x * x)), 100, (n,)),
        # In seconds of one thread, since threads share it. Flattened as the models' gates are: in four axes it is scalar code.
        _element(
            "narrow_tanh",
            32 * 400 * 10 * 32 / (os.cpu_count() or 1),
            lambda b, x: jnp.tanh(x[None] + b[:, None, None]).reshape(-1, 32),
            4,
            (32, 32),
            (400, 10, 32),
        ),
        _element("root", n, lambda x: lax.sqrt(x * x + 1) / (x * x + 2), 200, (n,)),
        _sliced("scalar_transcendental", 2 * 32 * 64, _gate),
        _sliced("scalar_arithmetic", 4 * 32 * 64, _blend),
        _element("argmax", 64 * 1024, lambda x: jnp.argmax(x, axis=1), 10, (64, 1024)),
        _element("reduce_minor", 64 * 1024, lambda x: jnp.max(x, axis=1), 30, (64, 1024)),
        _element("reduce_major", 256 * 256, lambda x: jnp.max(x, axis=0), 30, (256, 256)),
        _element("sum_minor", 64 * 1024, lambda x: jnp.sum(x, axis=1), 30, (64, 1024)),
        _element("sum_major", 256 * 256, lambda x: jnp.sum(x, axis=0), 30, (256, 256)),
        _element("library_reduce", size, lambda w, x: jnp.sum(jax.nn.sigmoid(w)[:, :, None] * x, axis=1), 1, wide[:2], wide),
        _element(
            "library_reduce_single",
            size,
            lambda w, x: jnp.sum(jax.nn.sigmoid(w)[..., None] * x, axis=2),
            1,
            (1, *wide[:2]),
            (1, *wide),
        ),
        # Few rows against weights that no cache holds: the time of reading the weights.
        _element("cold_product_byte", 4.0 * 8192 * 2048, jnp.matmul, 2, (4, 8192), (8192, 2048)),
        _element("cold_vector_byte", 4.0 * 8192 * 2048, jnp.matmul, 2, (1, 8192), (8192, 2048)),
        _element("transpose", 512 * 512, lambda x: x.T, 20, (512, 512)),
        _element("top_k", 4 * 8192, lambda x: lax.top_k(x, 10), 10, (4, 8192)),
        _element("scatter", 2048 * 32, lambda x, u: x.at[jnp.asarray(ids)].add(u), 4, (8192, 32), (2048, 32)),
        _element("convolution", 2.0 * 32 * 46 * 64 * 3 * 64, _convolve, 2, (32, 48, 64), (3, 64, 64)),
        Point(
            "element",
            {"what": "page_fault", "elements": 64 * _MIB},
            lambda: (lambda x: jnp.broadcast_to(x, (16 * _MIB,)) + 1.0, (jnp.float32(1),), ()),
            1,
        ),
        Point(
            "element",
            {"what": "page_fault_reused", "elements": 64 * _MIB},
            lambda: (
                lambda x, y: lax.dynamic_update_slice(x, jnp.broadcast_to(y, x.shape), (0,)),
                (jnp.zeros(16 * _MIB), jnp.float32(1)),
                (0,),
            ),
            1,
        ),
    ]


def _convolve(x: jax.Array, w: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, w, (1,), "VALID", dimension_numbers=("NWC", "WIO", "NWC"))


def overhead_points() -> list[Point]:
    """Points for a call, its arguments, an operation, an iteration, a loop, and the handing of a program to the threads.

    Each operation of a chain depends on the one before, in buffers above the size up to which XLA runs a program in the caller's
    thread, like the models' operations. Operations outside loops are also measured behind work that has filled the caches.
    """

    def chain(x: jax.Array, length: int) -> jax.Array:
        for _ in range(length):
            x = x @ x
        return x

    def pairs(x: jax.Array, length: int) -> jax.Array:
        """A product and an operation that the compiler cannot join."""
        for _ in range(length):
            x = (x @ x)[::-1] * 0.5
        return x

    def after_other_work(other: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
        other = other * 1.0001
        return other, pairs(other[:256].reshape(16, 16), length)

    def loop(work: Callable[..., PyTree], length: int, iterations: int) -> Callable[[], Made]:
        return lambda: _in_place(partial(work, length=length), iterations, _normal(16, 16))

    def state(leaves: int) -> list[jax.Array]:
        return [jnp.full((8,), 0.5 + n, jnp.float32) for n in range(leaves)]

    def add(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: x + 1, tree)

    def first(tree: PyTree) -> jax.Array:
        return jax.tree.leaves(tree)[0] + 1

    return [
        Point("overhead", {"what": "call"}, lambda: (first, ({"w": _normal(8)},), ()), 1),
        Point("overhead", {"what": "call_40_arguments"}, lambda: (first, (state(40),), ()), 1),
        Point("overhead", {"what": "call_40_donated"}, lambda: (add, (state(40),), (0,)), 1),
        Point("overhead", {"what": "products_1"}, loop(chain, 1, LOOPS), 1),
        Point("overhead", {"what": "products_9"}, loop(chain, 9, LOOPS), 1),
        Point("overhead", {"what": "pairs_9"}, loop(pairs, 9, LOOPS), 1),
        *(
            Point("overhead", {"what": f"straight_{n}"}, lambda n=n: (partial(pairs, length=n), (_normal(16, 16),), ()), 1)
            for n in (9, 40)
        ),
        *(
            Point(
                "overhead",
                {"what": f"cold_{n}"},
                lambda n=n: (partial(after_other_work, length=n), (_normal(COLD_BYTES // 4),), (0,)),
                1,
            )
            for n in (40, 320)
        ),
        Point("overhead", {"what": "base"}, lambda: _looped(lambda x: x[0], LOOPS, _normal(1024)), 1),
        Point("overhead", {"what": "loop_of_one"}, loop(chain, 1, 1), 1),
    ]


def canary() -> Point:
    """A product run before, between and after the passes, as a gauge of the machine's state."""
    return Point("canary", {}, lambda: (jnp.matmul, (_normal(512, 512), _normal(512, 512)), ()), 1)
