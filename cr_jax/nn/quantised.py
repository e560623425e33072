"""Weights of a trained model in bfloat16 or int8.

An int8 matrix has one symmetric scale per output: w ≈ value · scale, value in -127..127. Its products are int8 x int8 -> int32:
each row of activations is rounded to int8 with a scale of its own, found while the program runs (dynamic quantisation).
Which unit multiplies them is the compiler's choice, read off the compiled program. A table that is looked up has a scale per row,
and the rows that are read become floats. Biases, and arrays that are neither matrix nor table, stay float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int8

from cr_jax.nn.module import Frozen, Module

#: A model.
M = TypeVar("M", bound=Module)
#: The largest int8 that has a negative counterpart.
LARGEST = 127
#: The metadata of a weight whose rows are looked up.
LOOKED_UP = "looked_up"


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Int8Matrix:
    """A matrix in int8 that a row of activations is multiplied with."""

    values: Int8[Array, "K N"]
    scales: Float[Array, "1 N"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix."""
        return self.values.shape

    @property
    def dtype(self) -> jnp.dtype:
        """Of its products."""
        return self.scales.dtype

    def __getitem__(self, rows: slice | EllipsisType) -> "Int8Matrix":
        return Int8Matrix(self.values[rows], self.scales)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(np.asarray(self.values) * np.asarray(self.scales), dtype)

    def __rmatmul__(self, x: Float[Array, "*B K"]) -> Float[Array, "*B N"]:
        rounded, scale = to_int8(x, axis=-1)
        summed = (((x.ndim - 1,), (0,)), ((), ()))
        product = jax.lax.dot_general(rounded, self.values, summed, preferred_element_type=jnp.int32)
        return product.astype(x.dtype) * scale * jnp.expand_dims(self.scales[0], range(x.ndim - 1))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Int8Table:
    """A table in int8 whose rows are looked up."""

    values: Int8[Array, "R E"]
    scales: Float[Array, "R 1"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the table."""
        return self.values.shape

    @property
    def dtype(self) -> jnp.dtype:
        """Of its rows."""
        return self.scales.dtype

    def __getitem__(self, index: Array | EllipsisType) -> "Array | Int8Table":
        if isinstance(index, EllipsisType):  # the whole weight, as NNX reads it
            return self
        return self.values[index].astype(self.dtype) * self.scales[index]


def to_int8(x: Float[Array, "..."], axis: int) -> tuple[Int8[Array, "..."], Float[Array, "..."]]:
    """``x`` as int8 and its scales, one for all numbers along ``axis``: the largest of them becomes ±127."""
    largest = jnp.max(jnp.abs(x), axis=axis, keepdims=True)
    scale = jnp.where(largest > 0, largest, 1) / LARGEST
    return jnp.round(x / scale).astype(jnp.int8), scale


def beside(parts: Sequence[Array | Int8Matrix]) -> Array | Int8Matrix:
    """Matrices with the same rows, one beside the other."""
    matrices = [part for part in parts if isinstance(part, Int8Matrix)]
    if not matrices:
        return jnp.concatenate([part for part in parts if not isinstance(part, Int8Matrix)], axis=1)
    values, scales = ([getattr(part, name) for part in matrices] for name in ("values", "scales"))
    return Int8Matrix(jnp.concatenate(values, axis=1), jnp.concatenate(scales, axis=1))


def in_type(model: M, weights: str) -> M:
    """``model`` with its trained weights in ``bfloat16`` or ``int8``, and frozen; ``float32``: as it is. Changed in place."""
    if weights == "float32":
        return model
    for _, module in nnx.iter_modules(model):
        for name, variable in list(vars(module).items()):
            if isinstance(variable, nnx.Param):
                setattr(module, name, Frozen(_converted(variable, weights), **_kept(variable)))
    return model


def _converted(variable: nnx.Param, weights: str) -> Array | Int8Matrix | Int8Table:
    value = jnp.asarray(variable[...])
    if weights == "bfloat16":
        return value.astype(jnp.bfloat16)
    if variable.get_metadata().get(LOOKED_UP):
        return Int8Table(*to_int8(value, axis=1))
    return Int8Matrix(*to_int8(value, axis=0)) if value.ndim == 2 else value


def _kept(variable: nnx.Param) -> dict[str, Any]:
    return {key: value for key, value in variable.get_metadata().items() if key in ("table_axis", LOOKED_UP)}
