"""A student's first weights from its teacher's: the item table by truncated SVD, the rest as it fits."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cr_jax.errors import BadConfig
from cr_jax.models.dmn import model as dmn
from cr_jax.models.srnn_ae.autorec import AutoRec
from cr_jax.nn.item_table import fitted
from cr_jax.train.initial_student import initial_student_parameters, item_tables, table_at

CONFIG = dmn.Config(classes=13, items=10, facts=4, embedding=6, hidden=5)


def build(seed, **changes):
    return dmn.build(dataclasses.replace(CONFIG, **changes), nnx.Rngs(seed))


def flat(model):
    return {".".join(map(str, path)): np.asarray(v.get_value()) for path, v in nnx.to_flat_state(nnx.state(model))}


def tail(matrix, rank):
    return np.sqrt(np.sum(np.linalg.svd(matrix, compute_uv=False)[rank:] ** 2))


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_table_is_the_nearest_of_its_rank_and_the_rest_is_the_teachers(rank):
    teacher, student = build(0), build(1, item_rank=rank)
    state = initial_student_parameters(teacher, student)
    wanted = teacher.answer.dense()
    np.testing.assert_allclose(np.linalg.norm(wanted - student.answer.dense()), tail(wanted, rank), rtol=1e-4)
    theirs, ours = flat(teacher), flat(student)
    assert set(ours) - set(theirs) == {"answer.a", "answer.b"}
    for name in set(ours) & set(theirs):
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert nnx.to_flat_state(state)[0][0] == nnx.to_flat_state(nnx.state(student))[0][0]


def test_without_copying_only_the_table_is_the_teachers():
    teacher, student, untouched = build(0), build(1, item_rank=2), build(1, item_rank=2)
    initial_student_parameters(teacher, student, copy=False)
    ours, before = flat(student), flat(untouched)
    assert {name for name in ours if not np.array_equal(ours[name], before[name])} == {"answer.a", "answer.b"}


@pytest.mark.parametrize("changes", [{}, {"item_rank": 2}, {"item_codes": 3, "item_centroids": 8}])
def test_fewer_hidden_units_take_the_leading_directions(changes):
    """Scores of a student's memory are those of the teacher for the same coordinates along its singular vectors."""
    teacher, student = build(0), build(1, hidden=3, **changes)
    initial_student_parameters(teacher, student)
    left, values, _ = np.linalg.svd(teacher.answer.dense(), full_matrices=False)
    table = student.answer.dense()
    assert table.shape == (3, 13)
    if not changes:
        np.testing.assert_allclose(np.linalg.norm(table, axis=1), values[:3], rtol=1e-5)
        np.testing.assert_allclose(left[:, :3].T @ teacher.answer.dense(), table, atol=1e-5)
    if "item_rank" in changes:
        np.testing.assert_allclose(np.linalg.norm(table), np.linalg.norm(values[:2]), rtol=1e-5)
    assert flat(student)["episodic.gate.b2"].shape == (1,)
    np.testing.assert_array_equal(flat(student)["episodic.gate.b2"], flat(teacher)["episodic.gate.b2"])


def test_a_larger_student_starts_with_the_teachers_directions_and_zeros():
    matrix = build(0).answer.dense()
    more = fitted(matrix, (7, 13))
    assert not more[5:].any()
    np.testing.assert_allclose(more.T @ more, matrix.T @ matrix, atol=1e-5)
    np.testing.assert_allclose(fitted(matrix.T, (13, 7)), more.T)


def test_a_compressed_teacher_has_a_table_too():
    teacher, student = build(0, item_codes=5, item_centroids=4), build(1)
    initial_student_parameters(teacher, student)
    np.testing.assert_array_equal(student.answer.dense(), teacher.answer.dense())


def test_other_items_are_refused():
    with pytest.raises(BadConfig, match=r"answer: a table of 5 x 13 for one of 3 x 14; legal: a teacher of the same items"):
        initial_student_parameters(build(0), build(1, classes=14, hidden=3))


def test_both_tables_of_autorec():
    def model(seed, hidden=6, rank=None):
        return AutoRec(9, (hidden,), "sigmoid", "identity", item_rank=rank, rngs=nnx.Rngs(seed))

    teacher, student = model(0), model(1, rank=2)
    initial_student_parameters(teacher, student)
    assert set(item_tables(student)) == {("encoder", 0, "kernel"), ("decoder", "kernel")}
    for path in item_tables(student):
        wanted = table_at(teacher, path)
        np.testing.assert_allclose(np.linalg.norm(wanted - table_at(student, path)), tail(wanted, 2), rtol=1e-4)
    np.testing.assert_array_equal(student.decoder.bias[...], teacher.decoder.bias[...])
    fewer = model(1, hidden=4, rank=3)
    initial_student_parameters(teacher, fewer)
    assert fewer.encoder[0].kernel.dense().shape == (9, 4) and jnp.isfinite(fewer(jnp.ones((2, 9)))).all()
