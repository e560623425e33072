"""Compressed item tables: what they compute, their sizes by hand, and how near they come to a matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import PartitionSpec as P

from cr_jax.models.layer_counts import low_rank, product_quantised
from cr_jax.nn.item_table import Dense, LowRank, ProductQuantised
from cr_jax.nn.module import Frozen
from cr_jax.nn.tf_gru import glorot
from cr_jax.steps.sharding import SHARDED_ROWS, Sharding
from cr_jax.targets.jaxpr import count_jaxpr

H, V, R, M, K = 8, 30, 3, 4, 5


def tables():
    rngs = nnx.Rngs(1)
    return Dense(H, V, glorot, rngs), LowRank(H, V, R, glorot, rngs=rngs), ProductQuantised(H, V, M, K, glorot, rngs)


def matrix(seed=0, shape=(H, V)):
    return np.random.default_rng(seed).normal(size=shape)


def test_scores_are_those_of_the_matrix_that_each_table_stands_for():
    x = jnp.asarray(matrix(2, (3, H)), jnp.float32)
    for table in tables():
        assert table.dense().shape == (H, V)
        with jax.default_matmul_precision("highest"):
            np.testing.assert_allclose(table(x), np.asarray(x) @ table.dense(), atol=1e-5)
            np.testing.assert_allclose(table(x[0]), np.asarray(x[0]) @ table.dense(), atol=1e-5)


def test_weights_and_flops_by_hand():
    x = jnp.zeros((2, H))
    by_hand = [
        (H * V, 2 * 2 * H * V, 0),
        (low_rank(H, V, R), 2 * 2 * R * (H + V), 0),
        (product_quantised(H, K), 2 * 2 * H * K, (M - 1) * 2 * V),
    ]
    for table, (weights, products, sums) in zip(tables(), by_hand, strict=True):
        trained = jax.tree.leaves(nnx.state(table, nnx.Param))
        assert sum(leaf.size for leaf in trained) == sum(kernel.size for kernel in table.kernels()) == weights
        jaxpr = jax.make_jaxpr(lambda x, table=table: table(x))(x)
        assert count_jaxpr(jaxpr).matmul_flops == products
        added = [
            e.outvars[0].aval.size for e in jaxpr.jaxpr.eqns if e.primitive.name == "add" and e.outvars[0].aval.shape == (2, V)
        ]
        assert sum(added) == sums


@pytest.mark.parametrize("shape", [(H, V), (V, H)])
def test_low_rank_is_the_truncated_svd(shape):
    """The error is the root of the squares of the singular values that are left out, and no smaller one exists."""
    wanted = matrix(3, shape)
    values = np.linalg.svd(wanted, compute_uv=False)
    for rank in range(1, H):
        table = LowRank(*shape, rank, glorot, rngs=nnx.Rngs(0))
        table.approximate(wanted)
        error = np.linalg.norm(wanted - table.dense())
        np.testing.assert_allclose(error, np.sqrt(np.sum(values[rank:] ** 2)), rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(table.a[...]), np.linalg.norm(table.b[...]), rtol=1e-5)


def test_a_matrix_of_low_rank_is_met():
    wanted = matrix(4, (H, R)) @ matrix(5, (R, V))
    table = LowRank(H, V, R, glorot, rngs=nnx.Rngs(0))
    table.approximate(wanted)
    np.testing.assert_allclose(table.dense(), wanted, atol=1e-5)


def test_a_matrix_of_few_parts_is_met_by_product_quantisation():
    rng = np.random.default_rng(6)
    parts = [rng.normal(size=(H // M, K))[:, rng.integers(K, size=V)] for _ in range(M)]
    table = ProductQuantised(H, V, M, 4 * K, glorot, nnx.Rngs(0))
    table.approximate(np.concatenate(parts))
    np.testing.assert_allclose(table.dense(), np.concatenate(parts), atol=1e-5)


def test_more_centroids_come_nearer_and_every_column_has_the_nearest_one():
    wanted, errors = matrix(7, (H, 400)), []
    for number in (2, 8, 32, 256):
        table = ProductQuantised(H, 400, M, number, glorot, nnx.Rngs(0))
        table.approximate(wanted)
        errors.append(np.linalg.norm(wanted - table.dense()))
        means, codes = np.asarray(table.centroids[...]), np.asarray(table.codes[...])
        for part, mean, code in zip(np.split(wanted, M), means, codes, strict=True):
            distances = np.sum((part[:, :, None] - mean[:, None]) ** 2, axis=0)
            chosen = distances[np.arange(400), code]
            np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-4, atol=1e-5)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.3 * errors[0]


def test_the_first_codes_share_every_centroid_alike():
    table = ProductQuantised(H, V, M, K, glorot, nnx.Rngs(2))
    assert isinstance(table.codes, Frozen) and table.codes[...].dtype == jnp.uint8
    for row in np.asarray(table.codes[...]):
        assert np.bincount(row, minlength=K).tolist() == [V // K] * K


def test_a_mesh_splits_the_items_side_alone():
    long = SHARDED_ROWS
    for table, split in (
        (LowRank(H, long, R, glorot, rngs=nnx.Rngs(0)), {"b": P(None, "model")}),
        (LowRank(long, H, R, glorot, table_axis=0, rngs=nnx.Rngs(0)), {"a": P("model")}),
        (ProductQuantised(H, long, M, K, glorot, nnx.Rngs(0)), {"codes": P(None, "model")}),
    ):
        state = nnx.state(table)
        specs = Sharding({"model": 2}).weights(state)
        found = {
            str(path[0].key): spec
            for path, spec in jax.tree_util.tree_leaves_with_path(specs, is_leaf=lambda node: isinstance(node, P))
            if spec != P()
        }
        assert found == split
