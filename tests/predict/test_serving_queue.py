"""The latency of batched turns: against Erlang's M/D/1, and against a simulation event by event."""

import bisect
import math
import random

import pytest

from cr_jax.predict.serving_queue import FULLEST, BatchQueue, smallest_fleet


def erlang(load: float, x: float) -> float:
    """P(wait <= x services) of M/D/1 (Erlang 1909): an alternating sum, good for small x."""
    return (1 - load) * sum((load * (k - x)) ** k / math.factorial(k) * math.exp(-load * (k - x)) for k in range(int(x) + 1))


@pytest.mark.parametrize("load", [0.2, 0.7, 0.9])
def test_one_user_at_once_is_erlangs_queue(load):
    queue = BatchQueue(load / 0.01, 1, 0.01)
    for waits in (0.0, 0.3, 1.0, 1.7, 2.5, 4.2, 7.9):
        assert queue.latency_within(0.01 * (1 + waits) + 1e-12) == pytest.approx(erlang(load, waits + 1e-10), abs=1e-8)
    assert queue.busy_share == pytest.approx(load) and queue.mean_batch == pytest.approx(1)


def simulate(rate: float, users: int, service: float, devices: int, turns: int, seed: int) -> tuple[list[float], float]:
    """Latencies and busy share of ``devices``, each turn sent to one at random; first come first served."""
    random_ = random.Random(seed)
    latencies, busy, now = [], 0.0, 0.0
    queues: list[list[float]] = [[] for _ in range(devices)]
    for _ in range(turns):
        now += random_.expovariate(rate)
        queues[random_.randrange(devices)].append(now)
    for arrived in queues:
        free, first = 0.0, 0
        while first < len(arrived):
            start = max(free, arrived[first])
            last = min(bisect.bisect_right(arrived, start), first + users)
            free = start + service
            busy += service
            latencies += [free - at for at in arrived[first:last]]
            first = last
    return sorted(latencies), busy / (now * devices)


@pytest.mark.parametrize(("users", "load", "devices"), [(1, 0.6, 1), (2, 0.8, 1), (4, 0.5, 3), (8, 0.9, 1), (32, 0.8, 2)])
def test_latencies_are_those_of_a_simulation(users, load, devices):
    service = 0.02
    rate = load * users * devices / service
    queue = BatchQueue(rate / devices, users, service)
    seen, busy = simulate(rate, users, service, devices, 200_000, seed=users)
    assert busy == pytest.approx(queue.busy_share, rel=0.02)
    for share in (0.5, 0.95):
        assert queue.quantile_s(share) == pytest.approx(seen[int(share * len(seen))], rel=0.04)
    for limit in (1.0, 1.4, 2.0, 2.6):
        below = bisect.bisect_right(seen, limit * service * (1 + 1e-9)) / len(seen)
        assert queue.latency_within(limit * service * (1 + 1e-9)) == pytest.approx(below, abs=0.01)


def test_the_fewest_devices_meet_the_target_and_one_less_does_not():
    fleet = smallest_fleet(1000.0, 4, 0.03, 0.075)
    assert fleet is not None and fleet.p95_s <= 0.075 * (1 + 1e-3)
    assert fleet.queue.rate * fleet.devices == pytest.approx(1000)
    fewer = 1000 / (fleet.devices - 1)
    assert fewer * 0.03 / 4 > FULLEST or BatchQueue(fewer, 4, 0.03).latency_within(0.075) < 0.95


def test_a_batch_slower_than_the_target_is_met_by_no_number_of_devices():
    assert smallest_fleet(1.0, 1, 0.14, 0.1) is None
    idle = smallest_fleet(1e-6, 1, 0.1, 0.1)
    assert idle is not None and idle.devices == 1 and idle.p95_s == pytest.approx(0.1, rel=1e-3)


def test_an_overloaded_device_is_refused():
    with pytest.raises(ValueError, match="load"):
        BatchQueue(100.0, 1, 0.01)
