"""Waiting and service time of a turn on a device that answers up to B users at once.

The model is the bulk-service queue M/D[1,B]/1: turns arrive as a Poisson stream; a device that is free
takes what waits, at most B, at once, or the next turn when nothing waits, and is busy for a constant
time S, however many it took (the program is compiled for B users). The numbers left behind at the ends
of service form a chain (Bailey 1954, "On queueing processes with bulk service", J. R. Stat. Soc. B 16;
the rule "at least one" is Neuts 1967, "A general class of bulk queues with Poisson input", Ann. Math.
Stat. 38): X' = max(X - B, 0) + Poisson(rate · S). From its stationary law the latency of a turn, first
come first served, follows exactly. B = 1 is M/D/1 (Erlang 1909).

A stream that is split at random over c devices gives each a Poisson stream of rate / c, so c such queues
are c times this one; a queue that all devices share, or turns sent to the shortest one, wait less.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

#: The highest planned load of a device, as a share of the throughput of full batches.
FULLEST = 0.95
#: States beyond 2 B at which the chain is cut: at 95% load the rest is below 1e-12.
_TAIL = 400


@dataclass(frozen=True)
class BatchQueue:
    """One device. rate: turns per second that reach it, more than 0. users: B. service_s: S.

    Raises ``ValueError`` for a load, rate · S / B, above ``FULLEST``.
    """

    rate: float
    users: int
    service_s: float

    def __post_init__(self) -> None:
        if not 0 < self.load <= FULLEST + 1e-12:
            raise ValueError(f"load {self.load:.3g}: must be above 0 and at most {FULLEST}")

    @property
    def load(self) -> float:
        """Arrival rate over the throughput of full batches."""
        return self.rate * self.service_s / self.users

    @cached_property
    def left_behind(self) -> np.ndarray:
        """Probabilities of 0, 1, 2, ... turns waiting at the end of a service."""
        size, b = 2 * self.users + _TAIL, self.users
        arrivals = _poisson(self.rate * self.service_s, size)
        matrix = np.zeros((size, size))  # [from, to]
        for state in range(size):
            waiting = max(state - b, 0)
            matrix[state, waiting:] = arrivals[: size - waiting]
        matrix[:, -1] += 1 - matrix.sum(axis=1)  # the cut
        # pi (P - 1) = 0 with the sum of pi in place of one equation.
        equations = matrix.T - np.eye(size)
        equations[-1] = 1.0
        probabilities = cast(np.ndarray, np.linalg.solve(equations, np.eye(size)[-1]))
        return np.clip(probabilities, 0.0, None)

    @property
    def mean_batch(self) -> float:
        """Turns in a service on average."""
        return self.rate * self.service_s + float(self.left_behind[0])

    @property
    def busy_share(self) -> float:
        """Share of the time that the device computes."""
        return self.service_s / (self.service_s + float(self.left_behind[0]) / self.rate)

    def latency_within(self, limit_s: float) -> float:
        """Share of the turns that are answered, wait and service, within ``limit_s``.

        A turn that arrives u after the start of a service that left q behind, k others having come since,
        waits S - u and floor((q + k) / B) whole services. k is Poisson(rate · u) and u uniform.
        """
        s, rate = self.service_s, self.rate
        if limit_s < s:
            return 0.0
        pi = self.left_behind
        waiting = np.concatenate([[pi[: self.users + 1].sum()], pi[self.users + 1 :]])  # q, once B are taken
        idle = float(pi[0])
        spare = (limit_s - 2 * s) / s
        batches = math.floor(spare)  # whole services that may pass for u below the break, one more above it
        turn = (batches + 1 - spare) * s
        served = idle
        for begin, end, whole in ((0.0, min(turn, s), batches), (min(turn, s), s, batches + 1)):
            if whole >= 0 and end > begin:
                served += float(waiting @ self._arrived(begin, end, (whole + 1) * self.users, len(waiting)))
        return min(1.0, served / (rate * s + idle))

    def _arrived(self, begin: float, end: float, places: int, size: int) -> np.ndarray:
        """[q]: turns that come between two moments of a service and find q + k < places; the mean number.

        The integral of rate · P(Poisson(rate u) = k) du from a to b is P(N(a) <= k) - P(N(b) <= k).
        """
        length = max(places, 1)
        below = [np.cumsum(_poisson(self.rate * moment, length)) for moment in (begin, end)]
        upto = np.concatenate([[0.0], np.cumsum(below[0] - below[1])])  # [j]: k < j
        return upto[np.clip(places - np.arange(size), 0, length)]

    def quantile_s(self, share: float) -> float:
        """The latency that ``share`` of the turns do not exceed, to a thousandth of S and never below."""
        low, high = 0.0, self.service_s
        while self.latency_within(high) < share:
            low, high = high, 2 * high
        while high - low > 1e-3 * self.service_s:
            middle = (low + high) / 2
            low, high = (low, middle) if self.latency_within(middle) >= share else (middle, high)
        return high


@dataclass(frozen=True)
class Fleet:
    """devices: c. queue: what each of them sees. p95_s: of the latency."""

    devices: int
    queue: BatchQueue
    p95_s: float


def smallest_fleet(turns_per_second: float, users: int, service_s: float, p95_s: float, share: float = 0.95) -> Fleet | None:
    """The fewest devices that answer ``share`` of the turns within ``p95_s``; ``None``: no number does, since a batch alone takes
    longer. More devices never wait longer, so bisection finds the number.
    """
    if service_s > p95_s:
        return None

    def enough(devices: int) -> bool:
        return BatchQueue(turns_per_second / devices, users, service_s).latency_within(p95_s) >= share

    low = max(1, math.ceil(turns_per_second * service_s / (users * FULLEST) - 1e-9))
    high = low
    while not enough(high):
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    queue = BatchQueue(turns_per_second / high, users, service_s)
    return Fleet(high, queue, queue.quantile_s(share))


def _poisson(mean: float, size: int) -> np.ndarray:
    """P(0), ..., P(size - 1) of a Poisson number."""
    k = np.arange(size)
    if mean <= 0:
        return (k == 0).astype(float)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size)))]) if size > 1 else np.zeros(1)
    return np.exp(k * math.log(mean) - mean - factorials)
