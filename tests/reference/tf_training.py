"""Training checks shared by the TensorFlow models: weights by public name, gradients, Adam steps."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import FORWARD, TINY_GRADIENT, Row, compare
from flax import nnx

Names = Mapping[str, tuple[str, Any]]


@dataclass(frozen=True)
class Step:
    """Loss and weights after a step, and the gradients that the step was made of, by NNX path."""

    loss: float
    weights: dict[str, np.ndarray]
    gradients: dict[str, np.ndarray]


def by_path(state: Any) -> dict[str, np.ndarray]:
    """Leaves of an NNX state by dotted path."""
    return {".".join(map(str, path)): np.asarray(v[...]) for path, v in nnx.to_flat_state(state)}


def restored(spec: Any, config: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The model with the arrays ``var/<public name>``; every weight must get one of its shape."""
    model = nnx.eval_shape(lambda: spec.build(config, nnx.Rngs(0)))
    names: Names = spec.published(config)
    given = {path: convert(arrays[f"var/{name}"]) for name, (path, convert) in names.items()}
    state = nnx.state(model)
    flat = [(".".join(map(str, path)), variable) for path, variable in nnx.to_flat_state(state)]
    if (want := {path: v.shape for path, v in flat}) != (have := {p: v.shape for p, v in given.items()}):
        raise AssertionError(f"weights differ: {sorted(set(want.items()) ^ set(have.items()))}")
    for path, variable in flat:
        variable.set_value(jnp.asarray(given[path]))
    nnx.update(model, state)
    return model


def trainable(model: nnx.Module) -> int:
    """Numbers in the model's weights."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def train(objective: Any, config: Any, model: nnx.Module, batch: dict[str, Any], steps: int) -> list[Step]:
    """``steps`` optimizer steps on one batch; the model itself is left as it is."""
    graph, params = nnx.split(model)
    optimizer = objective.optimizer(config)

    @jax.jit
    def value_and_grad(params: Any) -> Any:
        def loss(params: Any) -> Any:
            return objective.loss(nnx.merge(graph, params), batch, jax.random.key(0))[0]

        return jax.value_and_grad(loss)(params)

    @jax.jit
    def apply(gradient: Any, state: Any, params: Any) -> Any:
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    state, done = optimizer.init(params), []
    gradient = value_and_grad(params)[1]
    for _ in range(steps):
        params, state = apply(gradient, state, params)
        used, (loss, gradient) = gradient, value_and_grad(params)
        done.append(Step(float(loss), by_path(params), by_path(used)))
    return done


def gradient_rows(steps: list[Step], names: Names, arrays: Mapping[str, np.ndarray]) -> Iterator[Row]:
    """The first step's gradients against ``grad/<public name>``."""
    for name, (path, convert) in names.items():
        want = arrays[f"grad/{name}"]
        yield compare(f"grad/{name}", steps[0].gradients[path], convert(want), atol=FORWARD)


def weight_rows(steps: list[Step], names: Names, arrays: Mapping[str, np.ndarray]) -> Iterator[Row]:
    """Weights after n steps against every array ``var_after<n>/`` or ``adam<n>/<public name>``."""
    for n in range(1, len(steps) + 1):
        kept = _settled(steps[:n])
        for name, (path, convert) in names.items():
            for after in _after(n, name, arrays):
                weights = steps[n - 1].weights[path]
                yield compare(after, weights, convert(arrays[after]), atol=FORWARD, keep=kept[path])


def _after(n: int, name: str, arrays: Mapping[str, np.ndarray]) -> list[str]:
    return [key for key in (f"var_after{n}/{name}", f"adam{n}/{name}") if key in arrays]


def recorded_steps(arrays: Mapping[str, np.ndarray]) -> int:
    """The most optimizer steps that an array of the case is recorded after."""
    found = [re.match(r"(?:var_after|adam|out/loss_after_)(\d+)", name) for name in arrays]
    return max(int(match[1]) for match in found if match)


def _settled(steps: list[Step]) -> dict[str, np.ndarray]:
    """Entries whose gradient was never below ``TINY_GRADIENT``: Adam divides by it."""
    return {path: np.all([np.abs(step.gradients[path]) >= TINY_GRADIENT for step in steps], axis=0) for path in steps[0].weights}


def adam_rule(objective: Any, config: Any, names: Names, arrays: Mapping[str, np.ndarray]) -> Iterator[Row]:
    """The update rule alone, all entries: one step on the recorded gradients against the formula in
    float64 (with β as TensorFlow holds them, in float32) and, where recorded, the weights after it."""
    optimizer = objective.optimizer(config)
    gradients = {name: arrays[f"grad/{name}"] for name in names}
    updates, _ = jax.jit(optimizer.update)(gradients, optimizer.init(gradients))
    b1, b2 = float(np.float32(0.9)), float(np.float32(0.999))
    for name, gradient in gradients.items():
        g = gradient.astype(np.float64)
        rate = config.learning_rate * np.sqrt(1 - b2) / (1 - b1)
        want = -rate * (1 - b1) * g / (np.sqrt((1 - b2) * g**2) + 1e-8)
        yield compare(f"grad/{name} [Adam's update]", updates[name], want, rtol=FORWARD)
        for after in _after(1, name, arrays):
            got = arrays[f"var/{name}"] + np.asarray(updates[name])
            yield compare(f"{after} [from the recorded gradient]", got, arrays[after], atol=FORWARD)
