"""Energy against replayed readings and a made-up powercap folder."""

import pytest

from cr_jax.measure import power


class Fake:
    def __init__(self, step=0.1):
        self.now, self.step, self.calls = 0.0, step, 0

    def __call__(self):
        return self.now

    def call(self):
        self.now, self.calls = self.now + self.step, self.calls + 1


def test_joules_per_step_from_two_readings():
    clock = Fake()
    found, warnings = power.energy(clock.call, power.ReplayMeter([100.0, 112.0]), 0.1, clock=clock)
    assert found.repeats == clock.calls == 6 and warnings == []
    assert found.joules_per_step == pytest.approx(2.0) and found.average_w == pytest.approx(12 / 0.6)


def test_the_repeats_span_twenty_updates_of_the_meter():
    clock = Fake()
    found, _ = power.energy(clock.call, power.ReplayMeter([0.0, 1.0], period_s=0.25), 0.1, clock=clock)
    assert found.repeats * 0.1 >= 20 * 0.25


@pytest.mark.parametrize(("readings", "word"), [([5.0, 4.0], "backwards"), ([5.0], "failed"), ([], "failed")])
def test_a_meter_that_fails_or_runs_back_gives_null_and_a_warning(readings, word):
    clock = Fake()
    found, warnings = power.energy(clock.call, power.ReplayMeter(readings), 0.1, clock=clock)
    assert found.joules_per_step is None and found.average_w is None and word in warnings[0]


def test_a_clock_that_stands_gives_null():
    clock = Fake(0.0)
    found, warnings = power.energy(clock.call, power.ReplayMeter([0.0, 1.0]), 0.1, clock=clock)
    assert found.joules_per_step is None and "clock" in warnings[0]


def test_rapl_adds_packages_and_follows_a_counter_that_wraps(tmp_path):
    for name, now in (("intel-rapl:0", 9_000_000), ("intel-rapl:1", 1_000_000), ("intel-rapl:0:0", 77)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(str(now))
        (tmp_path / name / "max_energy_range_uj").write_text("10000000")
    meter = power.RaplMeter(tmp_path)
    assert meter.read_j() == 0
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("2000000")  # wrapped: 1 J to the top, 2 J on
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("1500000")
    assert meter.read_j() == pytest.approx(3.5)


def test_no_meter_says_why(tmp_path):
    for platform in ("cpu", "cuda", "tpu"):
        meter, why = power.find_meter(platform, tmp_path)
        assert meter is None and why is not None and why.startswith("no energy: ")
