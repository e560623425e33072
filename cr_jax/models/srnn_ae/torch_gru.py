"""PyTorch's ``GRU``: two biases per gate, reset applied after the recurrent product.

``r, z = σ(W x + b_i + U h + b_h)``, ``n = tanh(W x + b_in + r⊙(U h + b_hn))``, ``h' = (1−z)n + z h``,
gates in the order r, z, n. Variable lengths behave as packed sequences: past a row's length the
state does not change and outputs are zero. A mask does this without sorting the rows.

Letters: B rows, T steps, E inputs, H hidden, S states (layers × directions, PyTorch's order:
layer 0 forward, layer 0 backward, layer 1 forward, ...), O outputs (H per direction).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from cr_jax.models.srnn_ae.torch_linear import uniform
from cr_jax.nn.module import Module


class Direction(Module):
    """One layer in one direction, time first. It has no submodules, so all its FLOPs have its own path."""

    def __init__(self, inputs: int, hidden: int, *, reverse: bool, kind: type[nnx.Variable], rngs: nnx.Rngs) -> None:
        self.reverse = reverse
        self.input_kernel = kind(uniform(rngs, (inputs, 3 * hidden), hidden))
        self.hidden_kernel = kind(uniform(rngs, (hidden, 3 * hidden), hidden))
        self.input_bias = kind(uniform(rngs, (3 * hidden,), hidden))
        self.hidden_bias = kind(uniform(rngs, (3 * hidden,), hidden))

    def __call__(
        self, x: Float[Array, "T B E"], live: Bool[Array, "T B 1"], state: Float[Array, "B H"]
    ) -> tuple[Float[Array, "T B H"], Float[Array, "B H"]]:
        """Outputs (zero where not ``live``) and the state after the last live step."""
        recur, bias = self.hidden_kernel[...], self.hidden_bias[...][None]
        # One matmul outside the loop projects the inputs for all gates and steps.
        projected = jnp.matmul(x, self.input_kernel[...]) + self.input_bias[...][None, None]

        def step(h: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            given, alive = now
            from_input = jnp.split(given, 3, axis=-1)
            from_state = jnp.split(jnp.matmul(h, recur) + bias, 3, axis=-1)
            r = jax.nn.sigmoid(from_input[0] + from_state[0])
            z = jax.nn.sigmoid(from_input[1] + from_state[1])
            n = jnp.tanh(from_input[2] + r * from_state[2])
            new = (1 - z) * n + z * h
            return jnp.where(alive, new, h), jnp.where(alive, new, jnp.zeros_like(new))

        last, outputs = jax.lax.scan(step, state, (projected, live), reverse=self.reverse)
        return outputs, last


class TorchGRU(Module):
    """Several layers, one or two directions; weights are ``kind`` (``nnx.Param`` or ``Frozen``)."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int = 1,
        bidirectional: bool = False,
        *,
        kind: type[nnx.Variable] = nnx.Param,
        rngs: nnx.Rngs,
    ) -> None:
        self.hidden = hidden
        self.states = layers * (1 + bidirectional)
        width = hidden * (1 + bidirectional)
        sizes = [inputs] + [width] * (layers - 1)
        self.forward = nnx.List([Direction(n, hidden, reverse=False, kind=kind, rngs=rngs) for n in sizes])
        self.backward = nnx.List([Direction(n, hidden, reverse=True, kind=kind, rngs=rngs) for n in sizes if bidirectional])

    def __call__(
        self, x: Float[Array, "B T E"], lengths: Int[Array, "B"], state: Float[Array, "B S H"] | None = None
    ) -> tuple[Float[Array, "B T O"], Float[Array, "B S H"]]:
        """The last layer's outputs, zero past each length, and every state at each length.

        Rows of length 0 keep their start state (zero by default).
        """
        dtype = self.forward[0].input_kernel.dtype
        if state is None:
            state = jnp.zeros((x.shape[0], self.states, self.hidden), dtype)
        state = state.astype(dtype)
        live = (jnp.arange(x.shape[1])[:, None] < lengths[None, :])[:, :, None]
        below = jnp.swapaxes(x.astype(dtype), 0, 1)
        last: list[Array] = []
        for layer in range(len(self.forward)):
            outputs = []
            for directions in (self.forward, self.backward):
                if len(directions):
                    output, final = directions[layer](below, live, state[:, len(last)])
                    outputs.append(output)
                    last.append(final)
            below = jnp.concatenate(outputs, axis=-1)
        return jnp.swapaxes(below, 0, 1), jnp.stack(last, axis=1)


def published_gru(name: str, path: str, layers: int, bidirectional: bool = False) -> dict[str, tuple[str, bool]]:
    """PyTorch's parameter names under ``name`` -> (our dotted path, whether it is transposed)."""
    pairs = {}
    for layer in range(layers):
        for suffix, direction in (("", "forward"), ("_reverse", "backward"))[: 1 + bidirectional]:
            for theirs, ours in (("ih", "input"), ("hh", "hidden")):
                leaf = f"{path}.{direction}.{layer}.{ours}"
                pairs[f"{name}.weight_{theirs}_l{layer}{suffix}"] = (f"{leaf}_kernel", True)
                pairs[f"{name}.bias_{theirs}_l{layer}{suffix}"] = (f"{leaf}_bias", False)
    return pairs
