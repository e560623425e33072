"""The layer that scores every item: a dense matrix, or fewer numbers in its place.

The last product of a recommender has a column per item, so its cost grows with the catalogue when everything before it has a
fixed one. Per row of input, a dense matrix of H rows and V columns takes 2·H·V FLOPs in its product. In its place stand

- ``LowRank``, ``A·B`` of rank R: 2·R·(H + V);
- ``ProductQuantised``, columns put together from shared parts (Jegou et al., Product Quantization for Nearest Neighbor Search,
  TPAMI 2011; for recommenders Petrov and Macdonald, RecJPQ, WSDM 2024): 2·H·K in its products, and M − 1 additions per item.

Letters: H inputs, V items or classes, R rank, M parts of a column, K centroids of a part.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from cr_jax.nn.module import Frozen, Module

#: Rounds of k-means; the error hardly falls after them.
ROUNDS = 25
#: Columns whose distances to all centroids are held at once.
COLUMNS = 8192
_Initial = Callable[[Array, tuple[int, ...]], Array]


class Dense(Module):
    """``x·W``, without a bias."""

    def __init__(self, inputs: int, outputs: int, initial: _Initial, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(initial(rngs.params(), (inputs, outputs)))

    def __call__(self, x: Float[Array, "*B H"]) -> Float[Array, "*B V"]:
        """Scores of V items."""
        return x @ self.kernel[...]

    def kernels(self) -> tuple[nnx.Param, ...]:
        """The trained matrices."""
        return (self.kernel,)

    def dense(self) -> np.ndarray:
        """W, [H, V]."""
        return np.asarray(self.kernel[...])

    def approximate(self, matrix: np.ndarray) -> None:
        """Take ``matrix`` [H, V] as W."""
        self.kernel[...] = jnp.asarray(matrix, self.kernel.dtype)


class LowRank(Module):
    """``x·A·B``, without a bias: a matrix of rank R."""

    def __init__(
        self, inputs: int, outputs: int, rank: int, initial: _Initial, *, table_axis: int | None = 1, rngs: nnx.Rngs
    ) -> None:
        """table_axis: whether the items are W's rows (0), which are rows of A, or its columns (1), which are columns of B."""
        self.a = nnx.Param(initial(rngs.params(), (inputs, rank)), table_axis=0 if table_axis == 0 else None)
        self.b = nnx.Param(initial(rngs.params(), (rank, outputs)), table_axis=1 if table_axis == 1 else None)

    def __call__(self, x: Float[Array, "*B H"]) -> Float[Array, "*B V"]:
        """Scores of V items."""
        return (x @ self.a[...]) @ self.b[...]

    def kernels(self) -> tuple[nnx.Param, ...]:
        """The trained matrices."""
        return (self.a, self.b)

    def dense(self) -> np.ndarray:
        """``A·B``, [H, V]."""
        return np.asarray(self.a[...]) @ np.asarray(self.b[...])

    def approximate(self, matrix: np.ndarray) -> None:
        """Take the nearest matrix of rank R to ``matrix`` [H, V] in the Frobenius norm, by its truncated SVD.

        Both factors get the square roots of the singular values. The error is the root of the sum of squares of the values
        that are left out (Eckart and Young, 1936).
        """
        rank = self.a.shape[1]
        left, values, right = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
        root = np.sqrt(values[:rank])
        self.a[...] = jnp.asarray(left[:, :rank] * root, self.a.dtype)
        self.b[...] = jnp.asarray(root[:, None] * right[:rank], self.b.dtype)


class ProductQuantised(Module):
    """Column i of W is ``[C_1[:, code_1(i)], ..., C_M[:, code_M(i)]]``: an item has the sum of M scores that are looked up.

    The codes are not trained. They start at random, each centroid shared by as many items as every other; ``approximate``
    chooses them by a matrix.
    """

    def __init__(self, inputs: int, outputs: int, codes: int, centroids: int, initial: _Initial, rngs: nnx.Rngs) -> None:
        self.centroids = nnx.Param(initial(rngs.params(), (codes, inputs // codes, centroids)))
        shared = jnp.arange(outputs) % centroids
        rows = [jax.random.permutation(rngs.params(), shared) for _ in range(codes)]
        self.codes = Frozen(jnp.stack(rows).astype(jnp.uint8), table_axis=1)

    def __call__(self, x: Float[Array, "*B H"]) -> Float[Array, "*B V"]:
        """Scores of V items."""
        parts = jnp.split(x, len(self.codes), axis=-1)
        scores = [part @ centroids for part, centroids in zip(parts, self.centroids[...], strict=True)]
        looked_up = [
            score.at[..., code].get(mode="promise_in_bounds") for score, code in zip(scores, self.codes[...], strict=True)
        ]
        return functools.reduce(jnp.add, looked_up)

    def kernels(self) -> tuple[nnx.Param, ...]:
        """The trained matrices."""
        return (self.centroids,)

    def dense(self) -> np.ndarray:
        """W, [H, V]."""
        pairs = zip(np.asarray(self.centroids[...]), np.asarray(self.codes[...]), strict=True)
        return np.concatenate([centroids[:, code] for centroids, code in pairs])

    def approximate(self, matrix: np.ndarray) -> None:
        """Choose codes and centroids for ``matrix`` [H, V] by k-means, part by part."""
        number = self.centroids.shape[2]
        parts = np.split(np.asarray(matrix, np.float32), len(self.codes))
        means, codes = zip(*(_k_means(part.T, number) for part in parts), strict=True)
        self.centroids[...] = jnp.asarray(np.stack([mean.T for mean in means]), self.centroids.dtype)
        self.codes[...] = jnp.asarray(np.stack(codes), jnp.uint8)


def fitted(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``matrix``, or where one side has another length in ``shape``, the leading singular directions of that side.

    The side of the items has one length in both. What is left is the nearest matrix of that rank, in the basis of its own
    singular vectors; zeros follow where there are too few. Raises ``ValueError`` where both sides differ.
    """
    theirs, ours = matrix.shape, shape
    if theirs == ours:
        return matrix
    if theirs[0] == ours[0]:
        return fitted(matrix.T, (ours[1], ours[0])).T
    if theirs[1] != ours[1]:
        raise ValueError(f"a table of {theirs[0]} x {theirs[1]} for one of {ours[0]} x {ours[1]}")
    _, values, right = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
    leading = (values[:, None] * right)[: ours[0]]
    return np.pad(leading, ((0, ours[0] - len(leading)), (0, 0)))


def _k_means(rows: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """``number`` means of rows [N, D], and the nearest one of each row. A mean without a row stays where it is."""
    rng = np.random.default_rng(0)
    means = rows[rng.choice(len(rows), number, replace=len(rows) < number)]
    nearest = _nearest(rows, means)
    for _ in range(ROUNDS):
        counts = np.bincount(nearest, minlength=number)
        sums = np.stack([np.bincount(nearest, column, number) for column in rows.T], axis=1)
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], means).astype(rows.dtype)
        before, nearest = nearest, _nearest(rows, means)
        if np.array_equal(before, nearest):
            break
    return means, nearest


def _nearest(rows: np.ndarray, means: np.ndarray) -> np.ndarray:
    squares = np.sum(np.square(means), axis=1)
    parts = [rows[at : at + COLUMNS] for at in range(0, len(rows), COLUMNS)]
    return np.concatenate([np.argmin(squares - 2 * part @ means.T, axis=1) for part in parts])
