import random

import pytest

from cr_jax.data.hash_set import TABLES, HashSet


def test_like_a_set():
    draw, ours, theirs = random.Random(4), HashSet(), set()
    for _ in range(120_000):
        number = draw.getrandbits(64) if draw.random() < 0.7 else draw.choice((0, 1 << 63, 7 * TABLES)) + draw.randrange(999)
        number = number or 1  # 0 stands for 1
        assert ours.add(number) == (number not in theirs)
        theirs.add(number)
    assert len(ours) == len(theirs) > 70_000


@pytest.mark.parametrize("number", [-1, -(1 << 63), (1 << 63) - 1])
def test_a_hash_may_be_negative(number):
    found = HashSet()
    assert found.add(number) and not found.add(number)
