"""Modules of user code are named by attribute path, whatever rebuilds them, and nothing of it stays behind."""

import re
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import linen, nnx

from cr_jax.nn.module_scopes import scoped_modules

WIDTH = 8
IDS = jax.ShapeDtypeStruct((5,), "int32")
ROWS = jax.ShapeDtypeStruct((5, WIDTH), "float32")


class Attention(nnx.Module):
    def __init__(self, rngs):
        self.query, self.key = nnx.Linear(WIDTH, WIDTH, rngs=rngs), nnx.Linear(WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x):
        return jax.nn.softmax(self.query(x) @ self.key(x).T) @ x


class Block(nnx.Module):
    def __init__(self, rngs):
        self.attention = Attention(rngs)
        self.feed = nnx.Dict(up=nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs), down=nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs))

    def __call__(self, x):
        x = x + self.attention(x)
        return x + self.feed["down"](jax.nn.gelu(self.feed["up"](x)))


class RematBlock(Block):
    @nnx.remat
    def __call__(self, x):
        x = x + self.attention(x)
        return x + self.feed["down"](jax.nn.gelu(self.feed["up"](x)))


class JittedBlock(Block):
    @nnx.jit
    def __call__(self, x):
        return Block.__call__(self, x)


class Transformer(nnx.Module):
    """``run``: applies the layers to x."""

    def __init__(self, rngs, run, block=Block, stacked=False):
        self.embed, self.run = nnx.Embed(10, WIDTH, rngs=rngs), run
        if stacked:
            create = nnx.split_rngs(splits=2)(nnx.vmap(block, in_axes=(0,), out_axes=0))
            self.layers = create(rngs)
        else:
            self.layers = nnx.List([block(rngs) for _ in range(2)])

    def __call__(self, ids):
        return self.embed.attend(self.run(self, self.embed(ids)))


def one_by_one(self, x):
    for layer in self.layers:
        x = layer(x)
    return x


def rematerialized(self, x):
    for layer in self.layers:
        x = nnx.remat(lambda m, x: m(x))(layer, x)
    return x


def parts_rematerialized(self, x):
    for n in range(2):
        x = nnx.remat(lambda m, x: m.feed["down"](m.feed["up"](x + m.attention(x))))(self.layers[n], x)
    return x


def vectorized(self, x):
    for layer in self.layers:
        x = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(layer, x[None])[0]
    return x


def scanned(self, x):
    return nnx.scan(lambda m, x: m(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)(self.layers, x)


def merged_in_scan(self, x):
    graph, state = nnx.split(self.layers)
    return jax.lax.scan(lambda x, state: (nnx.merge(graph, state)(x), None), x, state)[0]


def names(function, *arguments):
    """The scopes of the matrix products of a traced function, without what transformations add."""
    text = jax.jit(function).lower(*arguments).as_text("hlo", debug_info=True)
    found = set()
    for name in re.findall(r'op_name="(?:([^"]*)/)?dot_general"', text):
        path = re.sub(r"(?:while/body|closed_call|eval_jaxpr|jit\([^()]*\))/?", "", name)
        path = re.sub(r"\b(?:transpose|jvp|vmap)\(|\)|\(\)", "", path)
        path = re.sub(r"/+", "/", path.replace("rematted_computation/", ""))
        path = re.sub(r"(^|^.*?/)(.+)/\2/checkpoint/", r"\1\2/", path)  # the names of a checkpointed call come twice
        found.add(path.strip("/"))
    return found


def train_step(build):
    """A functional step that splits and merges, and its abstract state."""
    optimizer = optax.sgd(1e-3, momentum=0.9)
    model, state = nnx.split(nnx.eval_shape(lambda: (m := build(nnx.Rngs(0)), nnx.Optimizer(m, optimizer, wrt=nnx.Param))))

    def step(state, ids):
        network, update = nnx.merge(model, state)
        loss, gradients = nnx.value_and_grad(lambda m: m(ids).sum())(network)
        update.update(network, gradients)
        return nnx.state((network, update)), loss

    return step, state


PARTS = ("attention", "attention/query", "attention/key", "feed.up", "feed.down")
LAYERS = {f"layers.{n}/{part}" for n in range(2) for part in PARTS}


@pytest.mark.parametrize(
    ("run", "block"),
    [(one_by_one, Block), (one_by_one, RematBlock), (rematerialized, Block), (parts_rematerialized, Block), (vectorized, Block)],
)
def test_layers_of_a_list_have_their_numbers(run, block):
    step, state = train_step(lambda rngs: Transformer(rngs, run, block))
    with scoped_modules():
        found = names(step, state, IDS)
    assert {name.removeprefix("Transformer/") for name in found} == LAYERS | {"embed"}
    assert "Transformer/embed" in found


def test_modules_inside_a_jitted_method():
    """The names inside a called computation begin at the call, here at the layer."""
    step, state = train_step(lambda rngs: Transformer(rngs, one_by_one, JittedBlock))
    with scoped_modules():
        assert {re.sub(r"^Transformer/|layers\.\d/", "", name) for name in names(step, state, IDS)} == {*PARTS, "embed"}


@pytest.mark.parametrize("run", [scanned, merged_in_scan])
@pytest.mark.parametrize("block", [Block, RematBlock])
def test_stacked_layers_have_the_name_of_the_attribute(run, block):
    step, state = train_step(lambda rngs: Transformer(rngs, run, block, stacked=True))
    with scoped_modules():
        found = names(step, state, IDS)
    assert {name.removeprefix("Transformer/") for name in found} == {*(f"layers/{part}" for part in PARTS), "embed"}


def test_updates_of_optimizers_are_named():
    step, state = train_step(lambda rngs: Transformer(rngs, one_by_one))
    with scoped_modules():
        text = jax.jit(step).lower(state, IDS).as_text("hlo", debug_info=True)
    assert 'op_name="jit(step)/optimizer/mul"' in text
    assert "optimizer/optimizer" not in text


def test_optax_without_nnx_is_named():
    transformation = optax.chain(optax.clip(1.0), optax.sgd(1e-3))

    def step(weights, gradients):
        updates, _ = transformation.update(gradients, transformation.init(weights), weights)
        return optax.apply_updates(weights, updates)

    with scoped_modules():
        text = jax.jit(step).lower(jnp.ones(3), jnp.ones(3)).as_text("hlo", debug_info=True)
    assert {"jit(step)/optimizer/mul", "jit(step)/optimizer/add"} <= set(re.findall(r'op_name="([^"]*)"', text))


class Nested(nnx.Module):
    """Calls a module that a module of its holds, a method that is not ``__call__``, and a module that it does not hold."""

    def __init__(self, rngs):
        self.outer = Block(rngs)

    def __call__(self, x, borrowed):
        return borrowed(self.encode(self.outer.attention.query(x)))

    def encode(self, x):
        return self.outer.feed["up"](x)[:, :WIDTH]


def test_paths_through_modules_methods_and_borrowed_modules():
    model = Nested(nnx.Rngs(0))
    borrowed = nnx.Linear(WIDTH, WIDTH, rngs=nnx.Rngs(0))
    with scoped_modules():
        found = names(lambda x: model(x, borrowed), ROWS)
    assert found == {"Nested/outer/attention/query", "Nested/outer/feed.up", "Nested/Linear"}


class Failing(nnx.Module):
    def __call__(self, x):
        raise FloatingPointError("inside")


def test_everything_is_restored_after_errors_and_nested_uses():
    before = {cls: dict(vars(cls)) for cls in (Block, nnx.Linear, nnx.Optimizer, optax.GradientTransformation)}
    update = optax.apply_updates
    with pytest.raises(FloatingPointError), scoped_modules(), scoped_modules():
        Failing()(1)
    with scoped_modules():
        with scoped_modules():
            pass
        assert vars(Block)["__call__"] is not before[Block]["__call__"]  # still open
        assert names(Attention(nnx.Rngs(0)), ROWS) == {"Attention", "Attention/query", "Attention/key"}
    assert {cls: dict(vars(cls)) for cls in before} == before
    assert optax.apply_updates is update


def test_a_function_traced_before_is_traced_again():
    block = Block(nnx.Rngs(0))
    call = jax.jit(lambda x: block(x))
    assert names(call, ROWS) == {""}
    with scoped_modules():
        assert names(call, ROWS) == {f"Block/{part}" for part in PARTS}
    assert names(call, ROWS) == {""}


def test_threads_do_not_mix_their_modules():
    blocks = [(Block if n % 2 else Nested)(nnx.Rngs(n)) for n in range(8)]
    borrowed = nnx.Linear(WIDTH, WIDTH, rngs=nnx.Rngs(0))

    def traced(n):
        with scoped_modules():
            return names(lambda x: blocks[n](x) if n % 2 else blocks[n](x, borrowed), ROWS)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(traced, range(8)))
    assert found[0::2] == [{"Nested/outer/attention/query", "Nested/outer/feed.up", "Nested/Linear"}] * 4
    assert found[1::2] == [{f"Block/{part}" for part in PARTS}] * 4


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(WIDTH)(linen.relu(linen.Dense(WIDTH)(x)))


def test_linen_names_its_modules_itself():
    block = LinenBlock()
    weights = jax.eval_shape(block.init, jax.random.key(0), ROWS)
    alone = names(block.apply, weights, ROWS)
    with scoped_modules():
        assert names(block.apply, weights, ROWS) == alone == {"LinenBlock/Dense_0", "LinenBlock/Dense_1"}


def test_haiku_names_its_modules_itself():
    haiku = pytest.importorskip("haiku", reason="needs the extra cr-jax[frameworks]")
    network = haiku.transform(lambda x: haiku.nets.MLP([WIDTH, WIDTH], name="tower")(x))
    weights = jax.eval_shape(network.init, jax.random.key(0), ROWS)
    with scoped_modules():
        assert names(lambda w, x: network.apply(w, None, x), weights, ROWS) == {"tower/linear_0", "tower/linear_1"}


def test_equinox_modules():
    equinox = pytest.importorskip("equinox", reason="needs the extra cr-jax[frameworks]")

    class Tower(equinox.Module):
        first: list
        second: equinox.Module

        def __init__(self, key):
            self.first = [equinox.nn.Linear(WIDTH, WIDTH, key=key), jax.nn.relu]
            self.second = equinox.nn.MLP(WIDTH, WIDTH, WIDTH, 1, key=key)

        def __call__(self, x):
            for layer in self.first:
                x = jax.vmap(layer)(x)
            return jax.vmap(equinox.filter_checkpoint(self.second))(x)

    model = equinox.filter_eval_shape(Tower, jax.random.key(0))
    weights, static = equinox.partition(model, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))

    def loss(weights, x):
        return equinox.combine(weights, static)(x).sum()

    with scoped_modules():
        found = names(jax.grad(loss), weights, ROWS)
    assert {name.removeprefix("Tower/") for name in found} == {"first.0", "second/layers.0", "second/layers.1"}
    assert not hasattr(vars(Tower)["__call__"], "__wrapped__")
