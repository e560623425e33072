"""A clock that is set during training changes no figure; what no run can be at is refused when it is read back."""

import copy
import shutil
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train.corpora import SMALL, conversations, losses, train_on

from cr_jax.errors import BadInput, CrJaxError
from cr_jax.report.document import validate_file
from cr_jax.train import compiling
from cr_jax.train.position import Position, read_identity, read_position, strict


class Clocks:
    """Both clocks of a machine; the one of the day can be set."""

    def __init__(self, monkeypatch):
        self.now, self.ahead = 100.0, 1.7e9
        monkeypatch.setattr(compiling.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(compiling.time, "time", lambda: self.now + self.ahead)

    def span(self, seconds, step=0.0):
        """Seconds of a span by the clock of the day, which is set by ``step`` within it."""
        begin = self.now + self.ahead
        self.now, self.ahead = self.now + seconds, self.ahead + step
        return self.now + self.ahead - begin


@pytest.mark.parametrize("step", [-3600.0, -60.0, 0.0, 60.0, 86400.0])
def test_spans_are_those_of_the_monotonic_clock(monkeypatch, step):
    clocks = Clocks(monkeypatch)
    day = compiling.Day()
    assert day.seconds(clocks.span(0.5)) == pytest.approx(0.5)
    assert day.seconds(clocks.span(0.25, step)) == pytest.approx(0.25, abs=1e-5)
    assert day.seconds(clocks.span(0.5)) == pytest.approx(0.5, abs=1e-5)
    clocks.span(2.0, step)  # between two spans
    day.look()
    assert day.seconds(clocks.span(0.25)) == pytest.approx(0.25, abs=1e-5)
    # The clock is set within a span that lies in another one.
    begin = clocks.now + clocks.ahead
    clocks.span(1.0)
    assert day.seconds(clocks.span(0.25, step)) == pytest.approx(0.25, abs=1e-5)
    clocks.span(0.5)
    assert day.seconds(clocks.now + clocks.ahead - begin) == pytest.approx(1.75, abs=1e-5)


def test_a_span_of_less_than_nothing_is_none():
    spans = compiling.Spans()
    spans.add(2.0, -5.0)
    spans.add(3.0, 0.5)
    assert spans.total() == pytest.approx(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_a_clock_set_during_training(tmp_path, monkeypatch, step):
    pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
    pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")

    path, options = conversations(tmp_path), {"settings": SMALL["dmn"], "batch": 8, "checkpoint_steps": 10}
    whole = train_on("dmn", path, tmp_path / "whole", steps=60, **options)
    compiling.clock.cache_clear()
    real, calls = time.time, 0

    def stepping():
        # Set again and again, so that it happens while a program compiles too.
        nonlocal calls
        calls += 1
        return real() + step * (calls // 50)

    monkeypatch.setattr(time, "time", stepping)
    found = train_on("dmn", path, tmp_path / "out", steps=60, **options)
    monkeypatch.undo()
    assert calls > 100 and validate_file(tmp_path / "out" / "report.json") == "training-report"
    cost = found.report.cost.measured
    assert 0 <= cost.compiling_s <= cost.training_s <= cost.time_s and cost.training_s < 3600
    assert losses(tmp_path / "out") == losses(tmp_path / "whole") and found.report.test == whole.report.test
    again = train_on("dmn", path, tmp_path / "out", steps=60, resume=True, **options)
    assert again.report.test == whole.report.test


GOOD = {
    **vars(Position()),
    "total": 4,
    "step": 4,
    "seconds": 2.0,
    "waited": 0.5,
    "compiling": 1.0,
    "taken": {"answer": 4},
    "epochs": [{"stage": "answer", "epoch": 1, "step": 4, "loss": {"answer": 1.5}, "validation": {}, "validation_s": 0.1}],
    "best": {"answer": {"criterion": "mrr", "value": -0.1, "epoch": 1}},
    "sums": {"answer": -3.0},
}
IDENTITY = {
    "model": "dmn",
    "config": {},
    "seed": 0,
    "preset": "published",
    "stages": [],
    "dataset": {"name": "a", "sha256": "0", "split": "b"},
}


def test_what_a_run_was_at_is_read_back():
    assert vars(read_position(copy.deepcopy(GOOD), "x")) == GOOD
    assert read_identity(IDENTITY, "x") == IDENTITY


@pytest.mark.parametrize("key", ["seconds", "waited", "first_seconds", "compiling", "turns", "total", "stage", "examples"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "3", None, True])
def test_no_run_can_be_there(key, value):
    with pytest.raises(BadInput, match=f"damaged: {key} is .*legal: another checkpoint"):
        read_position(GOOD | {key: value}, "x")


@pytest.mark.parametrize(
    "changes",
    [
        {"compiling": 3.0},
        {"waited": 2.5},
        {"taken": {"answer": -1}},
        {"stopped": [3]},
        {"epochs": [{}]},
        {"best": {"answer": 3}},
        {"epochs": [GOOD["epochs"][0] | {"validation_s": -0.5}]},
        {"sums": {"answer": float("nan")}},
        {"another": 1},
    ],
)
def test_parts_that_do_not_fit(changes):
    with pytest.raises(BadInput, match="damaged: "):
        read_position(GOOD | changes, "x")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3))


@given(st.data(), JSON)
@settings(deadline=None)
def test_anything_else_is_refused_in_one_line(data, value):
    for read, good in ((read_position, GOOD), (read_identity, IDENTITY)):
        key = data.draw(st.sampled_from(sorted(good)))
        for found in (value, good | {key: value}, {k: v for k, v in good.items() if k != key}):
            try:
                read(strict(found, "x"), "x")
            except CrJaxError as error:
                assert str(error).startswith("x: damaged: ")


@pytest.mark.slow
def test_damaged_checkpoints_are_refused(tmp_path):
    pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
    pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
    from cr_jax.serving.recommender import Recommender

    path, options = conversations(tmp_path), {"settings": SMALL["dmn"], "batch": 8, "checkpoint_steps": 10, "steps": 30}
    train_on("dmn", path, tmp_path / "whole", **options)
    Recommender(tmp_path / "whole")
    files = [place.relative_to(tmp_path / "whole") for place in sorted((tmp_path / "whole").rglob("*")) if place.is_file()]
    texts = [place for place in files if place.name in ("metadata", "recommender.json", "log.jsonl") or place.suffix == ".json"]
    assert len([place for place in texts if place.parent.name in ("progress", "identity")]) >= 2
    damages = (
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"[1]",
        lambda data: b"\xff" + data,
        lambda data: data.replace(b"0", b"-1", 3),
        lambda data: data.replace(b": 0", b": NaN"),
    )
    cut = tmp_path / "cut"
    for place in texts:
        for damage in damages:
            shutil.rmtree(cut, ignore_errors=True)
            shutil.copytree(tmp_path / "whole", cut)
            file = cut / place
            file.write_bytes(damage(file.read_bytes()))
            for use in (lambda: Recommender(cut), lambda: train_on("dmn", path, cut, resume=True, **options)):
                try:
                    use()
                except CrJaxError as error:
                    assert str(error).isprintable() and len(str(error)) <= 320
