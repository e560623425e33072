import numpy as np
import pytest

from cr_jax.data.examples.pool import padded
from cr_jax.data.examples.ragged import columns

ROWS = [[5, 6, 7], [], [8], [9, 1, 2, 3, 4]]


@pytest.mark.parametrize(("width", "lead"), [(7, 0), (7, 2), (3, 0), (3, 1), (0, 0), (2, 2)])
def test_rows_are_padded_as_by_hand(width, lead):
    want = [([0] * lead + row + [0] * width)[:width] for row in ROWS]
    (found,) = columns([(row,) for row in ROWS], (list,))
    assert found.padded(width, lead).tolist() == want == padded(ROWS, width, lead).tolist()
    assert found.padded(width).dtype == np.int32
    rows = np.array([3, 3, 1, 0])
    assert found.take(rows).padded(width, lead).tolist() == [want[row] for row in rows]
    assert found.take(rows.reshape(2, 2)).padded(width, lead).tolist() == [[want[3], want[3]], [want[1], want[0]]]


def test_places_of_every_id():
    (found,) = columns([(row,) for row in ROWS], (list,))
    row, place = found.take(np.array([3, 1, 0])).places()
    assert row.tolist() == [0] * 5 + [2] * 3 and found.ids[place].tolist() == ROWS[3] + ROWS[0]


def test_columns_by_kind():
    ids, number, name, some = columns([([1], 2**40, "a", (1, 2)), ([], -1, "b", (3, 4))], (list, int, str, tuple))
    assert ids.padded(2).tolist() == [[1, 0], [0, 0]] and number.tolist() == [2**40, -1]
    assert name.take(np.array([1, 1])).tolist() == ["b", "b"] and some.tolist() == [(1, 2), (3, 4)] and some.shape == (2,)


def test_rows_of_nothing():
    (found,) = columns([([],), ([],)], (list,))
    assert found.padded(3).tolist() == [[0] * 3] * 2 and padded([], 3).shape == (0, 3)
    assert [len(one) for one in found.places()] == [0, 0]
