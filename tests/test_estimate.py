"""Whole runs: the published schedules times the cost of a step."""

import pytest

from cr_jax import profile
from cr_jax.errors import BadConfig
from cr_jax.estimate import estimate
from cr_jax.render.estimate import duration


def test_published_steps_and_epochs():
    dmn = estimate("dmn", turns=1)
    (row,) = dmn["objectives"]
    step = profile("dmn", turns=1, phases=["train"])["steps"][0]
    assert row["optimizer_steps"] == 100_000  # the public configuration
    assert row["flops"] == 100_000 * step["compiled"]["flops"]
    assert row["hbm_bytes"] == 100_000 * step["compiled"]["hbm_bytes"]
    assert row["epochs"] == pytest.approx(100_000 / -(-68_709 // 16))
    assert dmn["total"]["flops"] == row["flops"]
    assert (row["seconds"] is None) == (row["reason"] is not None)


def test_epochs_of_both_objectives_of_a_stage_add_up():
    found = estimate("aim", "cell-phones", "epochs=2", turns=1, device="h100", settings={"words": "50", "embedding": "8"})
    rows = found["objectives"]
    assert [r["objective"] for r in rows] == ["discriminator", "generator"]
    assert {r["optimizer_steps"] for r in rows} == {2 * -(-68_709 // 32)}
    assert found["total"]["flops"] == sum(r["flops"] for r in rows)
    assert found["total"]["optimizer_steps"] == sum(r["optimizer_steps"] for r in rows)


@pytest.mark.parametrize("schedule", ["epochs=0", "epochs=x", "forever", ""])
def test_other_schedules_are_refused(schedule):
    with pytest.raises(BadConfig, match="legal: published"):
        estimate("dmn", schedule=schedule)


def test_durations():
    assert [duration(s) for s in (None, 0.5, 90, 5400, 180_000)] == ["unknown", "0.5 s", "1.5 min", "1.5 h", "2.08 d"]
