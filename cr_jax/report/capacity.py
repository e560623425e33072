"""The devices that answer a rate of turns within a latency, from predicted times at several batch sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

from cr_jax.catalog import load
from cr_jax.documents.base import known
from cr_jax.documents.capacity import Capacity, CapacityRow, Fits, TriedUsers
from cr_jax.documents.cost_report import CostReport
from cr_jax.errors import BadConfig
from cr_jax.predict.money.price import MONTH_HOURS, price
from cr_jax.predict.money.pricing import Rates
from cr_jax.predict.serving_queue import FULLEST, Fleet, smallest_fleet
from cr_jax.report.timing import NO_PREDICTION
from cr_jax.units import scaled, time_text

#: The most users answered at once that are tried: 1, 2, 4, ..., each with a program of its own.
MOST_USERS = 256
ASSUMPTIONS = (
    "turns arrive as a Poisson stream, each sent to one device at random; a free device takes what waits, at most the users "
    "answered at once, without waiting for more, and computes the whole batch however full it is; the item side is there",
    "latency is wait and service: the bulk-service queue M/D[1,B]/1 (Bailey 1954, Neuts 1967), exact; the network, the "
    "tokenizer and the host are not in it",
    "service time: the upper end of the predicted interval of the last turn, incremental; earlier turns are taken to be as dear",
    f"no device is planned above {FULLEST:.0%} of what full batches carry; there is no spare device",
    "states of conversations that wait for their user are kept outside the device; sizes tried: 1, 2, 4, ... as long as a "
    f"larger one can save devices, at most {MOST_USERS}",
    f"a month has {MONTH_HOURS:g} hours, rented whole",
)


@dataclass(frozen=True)
class Target:
    """turns_per_second: the rate to answer. p95_s: the latency that 95% of the turns must keep."""

    turns_per_second: float
    p95_s: float


def target(turns_per_second: float | None, p95_ms: float | None, phases: Sequence[str], profiled: bool) -> Target | None:
    """The requested capacity, if any. Raises ``BadConfig`` for half of the options or impossible values."""
    if turns_per_second is None and p95_ms is None:
        return None
    for option, value in (("--turns-per-second", turns_per_second), ("--p95-ms", p95_ms)):
        if value is None:
            raise BadConfig(f"{option} is missing; legal: --turns-per-second and --p95-ms together")
        if not 0 < value < float("inf"):
            raise BadConfig(f"{option} {value:g}: legal: a number above 0")
    if not profiled:
        raise BadConfig("--turns-per-second with saved reports: every number of users is profiled anew; legal: with --model")
    if "infer" not in phases:
        raise BadConfig(f"--turns-per-second with --phase {', '.join(phases)}: legal: with the phase infer")
    assert turns_per_second is not None and p95_ms is not None
    return Target(turns_per_second, p95_ms / 1e3)


class Search:
    """The batch sizes of one row: the next one to profile, and the best fleet so far."""

    def __init__(self, name: str, device: str, target: Target) -> None:
        self.name, self.device, self.target = name, device, target
        self.tried: list[TriedUsers] = []
        self.best: tuple[int, Fleet] | None = None
        self.reason: str | None = None
        self.next: int | None = 1

    def fail(self, reason: str) -> None:
        """A size that cannot be profiled ends the search."""
        if not self.tried:
            self.reason = reason
        self.next = None

    def add(self, report: CostReport) -> None:
        """Add the report of the last incremental turn at ``next`` users."""
        users, step = self.next, next(s for s in report.steps if s.phase == "infer")
        assert users is not None and step.labels.users == users
        prediction, peak = known(step.prediction), step.memory.peak_bytes
        if prediction is None or prediction.seconds is None or prediction.high_s is None:
            return self.fail(f"no time is predicted: {prediction.reason if prediction else NO_PREDICTION}")
        fits = _fits(peak, self.device)
        rate, limit_s = self.target.turns_per_second, self.target.p95_s
        fleet = smallest_fleet(rate, users, prediction.high_s, limit_s) if fits != "no" else None
        self.tried.append(
            TriedUsers(
                users=users,
                seconds=prediction.seconds,
                high_s=prediction.high_s,
                peak_bytes=peak,
                fits=fits,
                devices=fleet.devices if fleet else None,
                p95_s=fleet.p95_s if fleet else None,
                busy_share=fleet.queue.busy_share if fleet else None,
            )
        )
        if fleet is not None and (self.best is None or fleet.devices < self.best[1].devices):
            self.best = (users, fleet)
        if fleet is None and self.best is None:
            self.reason = (
                f"even one user at once needs {scaled(peak, 'B')}, more than the device has"
                if fits == "no"
                else f"even one user at once takes up to {time_text(prediction.high_s)} (predicted "
                f"{time_text(prediction.seconds)})"
            )
        done = fleet is None or (self.best is not None and self.best[1].devices == 1) or 2 * users > MOST_USERS
        self.next = None if done else 2 * users

    def row(self, rates: Rates) -> CapacityRow:
        """The finished row."""
        users, fleet = self.best or (None, None)
        chosen = next((one for one in self.tried if one.users == users), None)
        rent = None
        accelerator = load.accelerator_or_none(self.device)
        if fleet is not None and accelerator is not None:
            rent = price(3600.0 * MONTH_HOURS * fleet.devices, accelerator, rates.hourly(self.device))
        return CapacityRow(
            name=self.name,
            status="met" if self.best else "not met" if self.tried else "unknown",
            reason=None if self.best else self.reason,
            users=users,
            devices=fleet.devices if fleet else None,
            service_s=chosen.high_s if chosen else None,
            p95_s=fleet.p95_s if fleet else None,
            busy_share=fleet.queue.busy_share if fleet else None,
            mean_batch=fleet.queue.mean_batch if fleet else None,
            peak_bytes=chosen.peak_bytes if chosen else None,
            price_usd_per_month=rent.price_usd if rent else None,
            price_reason=rent.reason if rent else None,
            tried=tuple(self.tried),
            tag="predicted",
        )


def capacity(searches: Sequence[Search], target: Target, rates: Rates) -> Capacity:
    """The comparison's ``capacity``."""
    return Capacity(
        turns_per_second=target.turns_per_second,
        p95_s=target.p95_s,
        assumptions=ASSUMPTIONS,
        rows=tuple(search.row(rates) for search in searches),
        tag="predicted",
    )


def _fits(peak: int | None, device: str) -> Fits:
    accelerator = load.accelerator_or_none(device)
    size = accelerator.memory_bytes if accelerator else None
    return "unknown" if peak is None or size is None else "yes" if peak <= size else "no"
