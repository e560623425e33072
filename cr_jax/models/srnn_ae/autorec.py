"""User-based AutoRec: a user's ratings in, a rating for every item out.

Input 0 means unknown, target −1 unobserved; the loss is the *sum* of squared errors over observed
targets. Sedhain et al. (WWW 2015); public code as in the model file that uses it.
Letters: B users, n items, K the last hidden layer.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cr_jax.errors import BadConfig
from cr_jax.models.srnn_ae.torch_linear import TorchLinear, published_linear
from cr_jax.nn.module import Module, scoped

#: The functions of ``config.ACTIVATIONS``.
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {"identity": lambda x: x, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}


class AutoRec(Module):
    """``g(decoder(f(encoder(ratings))))`` with one or more encoder layers."""

    def __init__(
        self,
        items: int,
        sizes: tuple[int, ...],
        f: str,
        g: str,
        bias: float = 0.0,
        *,
        item_rank: int | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        """bias: added to the decoder's first biases, since PyTorch's start near 0 rates every item g(0). item_rank: of the first
        and the last matrix; ``None``: they are full.
        """
        for key, name in (("autorec_f", f), ("autorec_g", g)):
            if name not in _FUNCTIONS:
                raise BadConfig(f"{key}={name!r}: no such activation; legal: {', '.join(_FUNCTIONS)}")
        self.f, self.g = f, g
        widths = (items, *sizes)
        layers = enumerate(itertools.pairwise(widths))
        self.encoder = nnx.List(
            [
                TorchLinear(inputs, outputs, table_axis=None if n else 0, rank=None if n else item_rank, rngs=rngs)
                for n, (inputs, outputs) in layers
            ]
        )
        self.decoder = TorchLinear(sizes[-1], items, table_axis=1, rank=item_rank, rngs=rngs)
        self.decoder.bias[...] += bias

    @scoped
    def encode(self, ratings: Float[Array, "*B n"], context: Float[Array, "*B K"] | None = None) -> Float[Array, "*B K"]:
        """The user; ``context`` is added before the last layer's activation."""
        activate = _FUNCTIONS[self.f]
        hidden = ratings
        for i, layer in enumerate(self.encoder):
            hidden = layer(hidden)
            if context is not None and i == len(self.encoder) - 1:
                hidden = hidden + context.astype(hidden.dtype)
            hidden = activate(hidden)
        return hidden

    @scoped
    def raw(self, ratings: Float[Array, "*B n"], context: Float[Array, "*B K"] | None = None) -> Float[Array, "*B n"]:
        """Item scores without the final activation, as the recommender uses them."""
        return self.decoder(self.encode(ratings, context))

    def __call__(self, ratings: Float[Array, "*B n"]) -> Float[Array, "*B n"]:
        """Ratings with the final activation, as AutoRec is trained."""
        return _FUNCTIONS[self.g](self.raw(ratings))


def reconstruction_loss(output: Float[Array, "B n"], target: Float[Array, "B n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Sum of squared errors over observed targets (not −1), and how many are observed."""
    target = target.astype(jnp.float32)
    observed = target != -1
    errors = jnp.where(observed, jnp.square(output.astype(jnp.float32) - target), 0.0)
    return errors.sum(), observed.sum().astype(jnp.float32)


def published_autorec(name: str, path: str, layers: int, full: bool = True) -> dict[str, tuple[str, bool]]:
    """The public parameter names under ``name`` -> (our dotted path, whether it is transposed).

    full: with the first and the last matrix, which have no counterpart here where they are of low rank.
    """
    pairs = published_linear(f"{name}.decoder", f"{path}.decoder")
    for i in range(layers):
        pairs |= published_linear(f"{name}.encoder.layers.{i}", f"{path}.encoder.{i}")
    factored = () if full else (f"{name}.decoder.weight", f"{name}.encoder.layers.0.weight")
    return {theirs: ours for theirs, ours in pairs.items() if theirs not in factored}
