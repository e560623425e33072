"""Ranks by conversation and turn, and their figures."""

import numpy as np
import pytest

from cr_jax.errors import BadConfig
from cr_jax.remedy.quality import Ranks, final_pairs, noninferiority_test, quality_over_seeds, turn_quality
from cr_jax.train.metrics import paired_bootstrap


def _ranks(shift=0, users=("a", "b", "a")):
    """Conversations of 2, 1 and 3 turns beyond the first state."""
    lengths = (2, 1, 3)
    rows = [(c, t) for c, last in enumerate(lengths) for t in range(last + 1)]
    rank = [1 + shift + 3 * c + (5 - t) for c, t in rows]
    return Ranks.of(rank, [c for c, _ in rows], [t for _, t in rows], users)


def test_a_conversation_that_has_ended_keeps_its_last_state():
    assert _ranks().ranks.tolist() == [[6, 5, 4, 4], [9, 8, 8, 8], [12, 11, 10, 9]]
    assert _ranks().lengths.tolist() == [2, 1, 3]


def test_stopped_early_the_list_of_that_turn_stays():
    assert _ranks().stopped(1).ranks.tolist() == [[6, 5, 5, 5], [9, 8, 8, 8], [12, 11, 11, 11]]


def test_figures_after_every_turn_by_hand():
    first, *_, last = turn_quality(_ranks(), None, 0)
    assert first.mrr == pytest.approx((1 / 6 + 1 / 9 + 1 / 12) / 3)
    assert (first.recall_10, last.recall_10) == (pytest.approx(2 / 3), 1.0)
    assert last.mrr == pytest.approx((1 / 4 + 1 / 8 + 1 / 9) / 3)
    assert last.mrr_difference is None


def test_differences_are_those_of_the_paired_bootstrap():
    rng = np.random.default_rng(0)
    users = tuple(f"u{i % 40}" for i in range(120))
    lengths = np.zeros(120, np.int64)
    mine, teacher = (Ranks(rng.integers(1, 30, (120, 1)), lengths, users) for _ in range(2))
    (row,) = turn_quality(mine, teacher, 0)
    other = paired_bootstrap(mine.mrr(0), teacher.mrr(0), users)
    assert row.mrr_difference is not None
    assert row.mrr_difference.mean == pytest.approx(other.mean)
    assert (row.mrr_difference.users, row.mrr_difference.draws) == (other.users, other.draws)
    width = other.high - other.low
    assert (row.mrr_difference.low, row.mrr_difference.high) == pytest.approx((other.low, other.high), abs=0.05 * width)


def test_ranks_of_other_conversations_are_refused():
    with pytest.raises(BadConfig, match="other conversations"):
        final_pairs([_ranks()], [_ranks(users=("a", "b", "c"))])


def test_over_seeds_the_mean_is_of_seeds():
    mine, teachers = [_ranks(1), _ranks(3)], [_ranks(), _ranks()]
    last = quality_over_seeds(mine, teachers)[-1]
    each = [one.mrr(3).mean() for one in mine]
    assert last.mrr == pytest.approx(np.mean(each))
    assert last.mrr_difference.mean == pytest.approx(np.mean(each) - teachers[0].mrr(3).mean())


def test_equal_ranks_of_five_seeds_are_not_inferior():
    found = noninferiority_test([_ranks()] * 5, [_ranks()] * 5, 0.05)
    assert (found.verdict, found.ratio) == ("not inferior", 1.0)
    assert noninferiority_test([_ranks()] * 4, [_ranks()] * 4, 0.05).verdict == "not decided"
