"""The loop of samples against clocks that are made up."""

import pytest

from cr_jax.errors import BadConfig
from cr_jax.measure.clock import Plan, interleave, sample


class Fake:
    """A clock that calls move: each call takes the next of ``durations``, the last one for ever."""

    def __init__(self, *durations: float):
        self.now, self.calls, self.durations = 100.0, 0, durations

    def __call__(self) -> float:
        return self.now

    def call(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1


def test_even_calls_stop_as_soon_as_runs_and_seconds_are_reached():
    clock = Fake(0.5)
    found = sample(clock.call, Plan(warmup=2, runs=10, seconds=3), clock)
    assert found.stopped == "tight" and len(found.times_s) == 10 and len(found.warmup_s) == 2
    assert found.valid_s == pytest.approx([0.5] * 10) and clock.calls == 12


def test_short_calls_go_on_until_the_seconds_are_reached():
    clock = Fake(0.01)
    found = sample(clock.call, Plan(warmup=0, runs=10, seconds=3), clock)
    assert found.stopped == "tight" and 3 - 1e-9 <= sum(found.valid_s) < 4.5


def test_uneven_calls_go_on_to_the_time_limit():
    clock = Fake(*([0.1, 0.9] * 500))
    found = sample(clock.call, Plan(warmup=0, runs=10, seconds=1, limit_s=20), clock)
    assert found.stopped == "time limit" and 20 <= sum(found.valid_s) < 21


def test_a_slow_call_still_runs_as_often_as_asked():
    clock = Fake(30.0)
    found = sample(clock.call, Plan(warmup=0, runs=4, seconds=1, limit_s=20), clock)
    assert len(found.times_s) == 4


def test_the_run_limit_ends_it():
    clock = Fake(1e-6)
    found = sample(clock.call, Plan(warmup=0, runs=5, seconds=3, most_runs=7), clock)
    assert found.stopped == "run limit" and len(found.times_s) == 7


def test_a_clock_that_goes_backwards_once_costs_one_sample_and_says_so():
    clock = Fake(1.0, 1.0, -3.0, 1.0)
    found = sample(clock.call, Plan(warmup=0, runs=5, seconds=2), clock)
    assert found.times_s[2] is None and found.valid_s == pytest.approx([1.0] * (len(found.times_s) - 1))
    assert "did not go forward during 1 of" in found.warnings[0]


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_a_clock_that_stands_or_runs_back_ends_it_without_figures(step):
    clock = Fake(step)
    found = sample(clock.call, Plan(warmup=1, runs=3, seconds=1), clock)
    assert found.stopped == "clock" and set(found.times_s) == {None} and found.warmup_s == (None,)


def test_interleaved_calls_take_turns_in_both_orders():
    seen, clock = [], Fake(1.0)

    def named(name):
        def call():
            seen.append(name)
            clock.call()

        return call

    found = interleave([named("a"), named("b")], Plan(warmup=0, runs=4, seconds=1), clock)
    assert "".join(seen) == "abba" * (len(found[0].times_s) // 2)
    assert len(found[0].times_s) == len(found[1].times_s)


def test_ctrl_c_passes_through():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(stop, Plan(warmup=0))


@pytest.mark.parametrize(
    ("field", "value"), [("runs", 0), ("warmup", -1), ("seconds", -1.0), ("limit_s", float("nan")), ("most_runs", 3)]
)
def test_a_plan_refuses(field, value):
    with pytest.raises(BadConfig, match=field):
        Plan(**{field: value})
