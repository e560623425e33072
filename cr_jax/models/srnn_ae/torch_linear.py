"""PyTorch's ``Linear``: kernel and bias start uniform in ±1/√inputs."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cr_jax.nn.module import Module


def uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan: int) -> Array:
    """PyTorch's default start of a layer with ``fan`` inputs: U(−1/√fan, 1/√fan)."""
    bound = 1 / math.sqrt(fan)
    return jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound)


class TorchLinear(Module):
    """``x·kernel + bias``; PyTorch stores the kernel transposed, ``[out, in]``."""

    def __init__(self, inputs: int, outputs: int, *, table_axis: int | None = None, rngs: nnx.Rngs) -> None:
        """table_axis: the dimension of the kernel that has a row, or a column, per item."""
        self.kernel = nnx.Param(uniform(rngs, (inputs, outputs), inputs), table_axis=table_axis)
        self.bias = nnx.Param(uniform(rngs, (outputs,), inputs))

    def __call__(self, x: Float[Array, "*B I"]) -> Float[Array, "*B O"]:
        """``x·kernel + bias`` in the type of the kernel."""
        x = x.astype(self.kernel.dtype)
        return jnp.matmul(x, self.kernel[...]) + jnp.expand_dims(self.bias[...], range(x.ndim - 1))


def published_linear(name: str, path: str) -> dict[str, tuple[str, bool]]:
    """PyTorch's parameter names under ``name`` -> (our dotted path, whether it is transposed)."""
    return {f"{name}.weight": (f"{path}.kernel", True), f"{name}.bias": (f"{path}.bias", False)}
