"""PyTorch's ``Linear``: kernel and bias start uniform in ±1/√inputs."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cr_jax.nn.item_table import LowRank
from cr_jax.nn.module import Module


def uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan: int) -> Array:
    """PyTorch's default start of a layer with ``fan`` inputs: U(−1/√fan, 1/√fan)."""
    bound = 1 / math.sqrt(fan)
    return jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound)


class TorchLinear(Module):
    """``x·kernel + bias``; PyTorch stores the kernel transposed, ``[out, in]``."""

    def __init__(
        self, inputs: int, outputs: int, *, table_axis: int | None = None, rank: int | None = None, rngs: nnx.Rngs
    ) -> None:
        """table_axis: the dimension of the kernel that has a row, or a column, per item. rank: of a kernel that is kept as the
        product of two matrices; ``None``: it is full.
        """
        if rank is None:
            self.kernel = nnx.Param(uniform(rngs, (inputs, outputs), inputs), table_axis=table_axis)
        else:
            start = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # ``uniform`` of each factor
            self.kernel = LowRank(inputs, outputs, rank, start, table_axis=table_axis, rngs=rngs)
        self.bias = nnx.Param(uniform(rngs, (outputs,), inputs))

    def __call__(self, x: Float[Array, "*B I"]) -> Float[Array, "*B O"]:
        """``x·kernel + bias`` in their type."""
        x, kernel = x.astype(self.bias.dtype), self.kernel
        product = kernel(x) if isinstance(kernel, LowRank) else jnp.matmul(x, kernel[...])
        return product + jnp.expand_dims(self.bias[...], range(x.ndim - 1))


def published_linear(name: str, path: str) -> dict[str, tuple[str, bool]]:
    """PyTorch's parameter names under ``name`` -> (our dotted path, whether it is transposed)."""
    return {f"{name}.weight": (f"{path}.kernel", True), f"{name}.bias": (f"{path}.bias", False)}
