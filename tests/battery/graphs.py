"""Graph networks: sums over edges by segments, attention over neighbours, gradients through gathers and scatters."""

import jax
import jax.numpy as jnp
from jax import lax

from battery.program import Program, array, integers, product

NODES, EDGES, WIDTH, LAYERS = 10, 24, 6, 3
_GRAPH = array(NODES, WIDTH), integers(EDGES), integers(EDGES)


def _convolve(w, x, sources, targets):
    return jax.nn.relu(jax.ops.segment_sum((x @ w)[sources], targets, NODES))


def graph_convolutions() -> Program:
    def network(layers, x, sources, targets):
        for w in layers:
            x = _convolve(w, x, sources, targets)
        return x.mean(0)

    return Program(network, ([array(WIDTH, WIDTH)] * LAYERS, *_GRAPH), LAYERS * product(NODES, WIDTH, WIDTH))


def gradient_of_graph_convolutions() -> Program:
    """The nodes are data: the first layer has one gradient."""

    def loss(w, x, sources, targets):
        return jnp.sum(lax.scan(lambda x, w: (_convolve(w, x, sources, targets), None), x, w)[0] ** 2)

    arguments = array(LAYERS, WIDTH, WIDTH), *_GRAPH
    return Program(jax.grad(loss), arguments, 3 * LAYERS * product(NODES, WIDTH, WIDTH))


def attention_over_neighbours() -> Program:
    def layer(w, x, sources, targets):
        h = x @ w["x"]
        scores = jax.nn.leaky_relu(jnp.concatenate([h[sources], h[targets]], -1) @ w["score"])
        top = jax.ops.segment_max(scores, targets, NODES)
        weights = jnp.exp(scores - top[targets])
        total = jax.ops.segment_sum(weights, targets, NODES)
        return jax.ops.segment_sum(weights[:, None] * h[sources], targets, NODES) / (total[:, None] + 1e-9)

    weights = {"x": array(WIDTH, WIDTH), "score": array(2 * WIDTH)}
    return Program(layer, (weights, *_GRAPH), product(NODES, WIDTH, WIDTH) + product(EDGES, 2 * WIDTH))


def messages_by_a_network_on_edges() -> Program:
    def step(w, x, sources, targets):
        def once(x, _):
            message = jax.nn.relu(jnp.concatenate([x[sources], x[targets]], -1) @ w["edge"])
            received = jnp.zeros((NODES, WIDTH)).at[targets].add(message)
            return x + jnp.tanh(jnp.concatenate([x, received], -1) @ w["node"]), None

        return lax.scan(once, x, None, length=4)[0]

    weights = {"edge": array(2 * WIDTH, WIDTH), "node": array(2 * WIDTH, WIDTH)}
    return Program(step, (weights, *_GRAPH), 4 * product(EDGES + NODES, 2 * WIDTH, WIDTH))
