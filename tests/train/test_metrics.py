import json

import numpy as np
import pytest

from cr_jax.train import metrics


def test_published_figures(shared):
    case = json.loads(shared("reference/extra_loader_metrics.json").read_text())["metrics"]
    found = metrics.published(case["relevant"], case["ranked"])
    assert found == pytest.approx(case["expected"], abs=1e-12)


def test_ranks_count_who_is_ahead():
    scores = np.array([[0.1, 0.9, 0.5], [3.0, 2.0, 1.0], [0.0, np.nan, -1.0]])
    assert metrics.ranks(scores, np.array([2, 0, 1])).tolist() == [2, 1, 3]


def test_ties_are_broken_alike_and_fairly():
    target = np.arange(40)
    found = metrics.ranks(np.zeros((40, 40)), target)
    assert sorted(found) == list(range(1, 41))
    assert (metrics.popularity(np.zeros(40), target) == found).all()


def test_figures_by_hand():
    found = metrics.means(np.array([1, 3, 20]), (1, 10))
    assert found["recall@10"] == found["hit@10"] == pytest.approx(2 / 3)
    assert found["hit@1"] == pytest.approx(1 / 3)
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 20) / 3)
    assert found["mrr@10"] == pytest.approx((1 + 1 / 3) / 3)
    assert found["ndcg@10"] == pytest.approx((1 + 1 / 2) / 3)


def test_success_by_turn_keeps_outcomes():
    rank = np.array([30, 4, 30, 20, 30, 30])
    conversation, t = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 0, 1, 0])
    assert metrics.success_by_turn(rank, conversation, t, 10) == pytest.approx([0, 1 / 3, 1 / 3])


def test_bootstrap_finds_a_difference_and_no_difference():
    rng = np.random.default_rng(1)
    base, users = rng.random(300), [f"u{i // 2}" for i in range(300)]
    better = metrics.paired_bootstrap(base + 0.1 + rng.normal(size=300) * 0.2, base, users, draws=500)
    assert better.above and better.low < 0.1 < better.high and better.users == 150
    same = metrics.paired_bootstrap(base + rng.normal(size=300), base + rng.normal(size=300), users, draws=500)
    assert not same.above and same.low < 0 < same.high


def test_bootstrap_draws_users_not_rows():
    # One user's hundred rows are one observation: with two users the interval must be as wide as theirs.
    users = ["a"] * 100 + ["b"]
    found = metrics.paired_bootstrap(np.array([1.0] * 100 + [-1.0]), np.zeros(101), users, draws=200)
    assert (found.low, found.high) == (-1.0, 1.0)


def test_baselines_row_by_row_are_those_of_all_at_once(monkeypatch):
    target = np.random.default_rng(3).integers(0, 30, 50)
    counts = np.random.default_rng(4).integers(0, 9, 30)
    monkeypatch.setattr(metrics, "ROWS", 7)
    assert (metrics.random_order(30, target, 5) == metrics.ranks(np.random.default_rng(5).random((50, 30)), target)).all()
    assert (metrics.popularity(counts, target) == metrics.ranks(np.tile(counts.astype(float), (50, 1)), target)).all()
