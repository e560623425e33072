"""The rules that split a model's arrays over a mesh, on arrays of known shapes and on the models' own steps."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P
from tiny import DATA, SMALL, WORK

from cr_jax.errors import BadConfig
from cr_jax.models import spec as specs
from cr_jax.nn.module import Frozen
from cr_jax.steps.sharding import SHARDED_ROWS, Sharding, over_mesh, sharded, splits
from cr_jax.steps.step import abstract_model
from cr_jax.steps.train import training_steps
from cr_jax.steps.turn import precompute_step, turn_steps

ROWS = 2 * SHARDED_ROWS


class Weights(nnx.Module):
    def __init__(self):
        self.words = nnx.Param(jnp.zeros((ROWS, 3)), table_axis=0)
        self.frozen = Frozen(jnp.zeros((ROWS, 3)), table_axis=0)
        self.out = nnx.Param(jnp.zeros((3, ROWS)), table_axis=1)
        self.kernel = nnx.Param(jnp.zeros((ROWS, 3)))
        self.few = nnx.Param(jnp.zeros((SHARDED_ROWS - 2, 3)), table_axis=0)
        self.odd = nnx.Param(jnp.zeros((ROWS + 1, 3)), table_axis=0)


def _by_name(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: isinstance(node, P))
    return {jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value"): spec for path, spec in leaves}


def test_tables_are_split_and_everything_else_is_whole():
    specs_ = _by_name(Sharding({"data": 4, "model": 2}).weights(nnx.state(Weights())))
    assert specs_ == {"words": P("model"), "frozen": P("model"), "out": P(None, "model"), "kernel": P(), "few": P(), "odd": P()}


def test_moments_are_split_like_their_weights():
    import optax

    weights = nnx.state(Weights(), nnx.Param)
    moments = jax.eval_shape(optax.adam(1e-3).init, weights)
    split = {name for name, spec in _by_name(Sharding({"model": 2}).weights(moments)).items() if spec != P()}
    assert split == {f"0.{moment}.{name}" for moment in ("mu", "nu") for name in ("words", "out")}


def test_without_the_axis_or_with_one_device_along_it_nothing_is_split():
    for axes in ({"data": 8}, {"model": 1}):
        assert set(_by_name(Sharding(axes).weights(nnx.state(Weights()))).values()) == {P()}


def test_training_splits_tables_over_its_only_axis():
    split = _by_name(Sharding({"data": 2}, tables="data").weights(nnx.state(Weights())))
    assert split["words"] == P("data")


def test_rows_of_a_batch_are_split_where_the_axis_divides_them():
    arrays = {"words": jnp.zeros((8, 5)), "scale": jnp.zeros(()), "common": jnp.zeros((5, 8))}
    assert _by_name(Sharding({"data": 4}).rows(arrays, 8)) == {"words": P("data"), "scale": P(), "common": P()}
    assert set(_by_name(Sharding({"data": 3}).rows(arrays, 8)).values()) == {P()}


def _model(name, **settings):
    spec = specs.find(name)
    config = specs.override(spec, spec.configure(DATA, WORK), SMALL.get(name, {}) | settings)
    return abstract_model(spec, config)


@pytest.mark.parametrize("name", ["aim", "dmn", "mmn", "pmmn", "srnn-ae"])
def test_every_step_of_every_model_has_a_spec_per_array_that_divides_it(name):
    model, work = _model(name), dataclasses.replace(WORK, batch=8, users=4)
    items = precompute_step(model, work)
    steps = [*training_steps(model, work), *([items] if items else []), *turn_steps(model, work)]
    axes = {"data": 4, "model": 2}
    for step in over_mesh(model, steps, [("data", 4)]):
        assert step.shardings is not None
        leaves = jax.tree.leaves(step.arguments)
        found = splits(step)
        assert len(found) == len(leaves)
        for leaf, split in zip(leaves, found, strict=True):
            assert len(split) == len(leaf.shape)
            assert all(length % axes[axis] == 0 for length, over in zip(leaf.shape, split, strict=True) for axis in over)
        assert any("data" in over for split in found for over in split) == (step.phase != "precompute")


def test_donated_arguments_come_back_as_they_were_given():
    model = _model("dmn")
    (step,) = training_steps(model, dataclasses.replace(WORK, batch=8))
    shared = sharded(step, {"data": 4})
    assert shared.results == (shared.shardings[0], shared.shardings[1], P())
    incremental = next(s for s in turn_steps(model, WORK) if s.labels.mode == "incremental")
    shared = sharded(incremental, {"data": 3})
    assert shared.results == (shared.shardings[3], None)


def test_without_a_mesh_steps_stay_as_they_are():
    model = _model("dmn")
    steps = training_steps(model, WORK)
    assert over_mesh(model, steps, ()) == list(steps)
    assert splits(steps[0]) == ()


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        (
            [("data", 3)],
            r"data=3: does not divide the batch of 8 of train/answer; legal: --batch 3, 6, 9, \.\.\., or data=1, 2, 4, 8",
        ),
        (
            [("data", 8)],
            r"data=8: does not divide the users of 6 of infer/replay/t0.*; legal: --users 8, 16, 24, \.\.\., or data=1, 2",
        ),
        ([("model", 2)], r"model=2: divides no table of dmn; legal: without that axis: it has no table of 256 rows or more"),
    ],
)
def test_an_axis_that_does_not_divide_is_refused_with_what_does(mesh, message):
    model, work = _model("dmn"), dataclasses.replace(WORK, batch=8, users=6)
    with pytest.raises(BadConfig, match=message):
        over_mesh(model, [*training_steps(model, work), *turn_steps(model, work)], mesh)


def test_a_table_that_is_not_divided_is_refused_only_where_no_other_is():
    model = _model("mmn", words=str(ROWS))
    (step,) = over_mesh(model, training_steps(model, dataclasses.replace(WORK, batch=8)), [("model", 2)])
    assert set(_by_name(step.shardings[0]).values()) == {P(), P("model")}
    with pytest.raises(
        BadConfig, match=rf"model=3: divides no table of mmn; legal: words.rows has {ROWS} rows: 1, 2, 4, 8, 16, 32, 64"
    ):
        over_mesh(model, [], [("model", 3)])


def test_a_single_user_is_whole_on_every_device():
    model = _model("dmn")
    steps = over_mesh(model, turn_steps(model, dataclasses.replace(WORK, users=1)), [("data", 8)])
    assert all(over == () for step in steps for split in splits(step) for over in split)
