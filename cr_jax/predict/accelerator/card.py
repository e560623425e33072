"""Sizes, rates and constants of an accelerator, for the formulas of each mechanism."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.anchors import check_anchors
from cr_jax.catalog.times import MissingConstant, Times, shipped


@dataclass(frozen=True, eq=False)
class Card:
    """One GPU or TPU."""

    name: str
    platform: str
    generation: str
    memory_kind: str
    cores: int
    """Streaming multiprocessors."""
    lanes: int
    """float32 multiply-adds of one core in a clock."""
    clock_hz: float
    """The highest clock."""
    watts: float
    """The board's limit."""
    bandwidth: float
    """Peak bytes per second of main memory."""
    cache_bytes: int
    """Bytes of the last-level cache."""
    peaks: Mapping[str, float | None]
    """FLOP/s of matrix products by type."""
    accelerator: Accelerator
    times: Times
    replaced: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    """Constants that replace those of ``times``, by mechanism."""
    anchored: frozenset[str] = frozenset()
    """Names of the constants that were measured on this card."""
    _known: dict[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])

    def constants(self, mechanism: str) -> Mapping[str, float]:
        """The constants of one mechanism. Raises ``MissingConstant`` where one has no value for this card."""
        known = self._known.get(mechanism)
        if known is None:
            values = self.times.values(self.accelerator, mechanism) | dict(self.replaced.get(mechanism, {}))
            known = self._known[mechanism] = values
        return known

    def with_constants(self, mechanism: str, values: Mapping[str, float]) -> "Card":
        """The same card with other constants of one mechanism."""
        changed = {**self.replaced, mechanism: {**self.replaced.get(mechanism, {}), **values}}
        return replace(self, replaced=changed, _known={})

    def with_anchors(self, values: Mapping[str, float]) -> "Card":
        """The same card with constants that were measured on it, such as ``{"launches.enqueue_s": 2e-6}``."""
        changed = self
        for name, value in values.items():
            mechanism, _, constant = name.partition(".")
            changed = changed.with_constants(mechanism, {constant: value})
        return replace(changed, anchored=self.anchored | set(values), _known={})


def card(accelerator: Accelerator, times: Times | None = None) -> Card:
    """The card of an accelerator's profile, with its anchors. Raises ``MissingConstant`` with the values that the profile lacks,
    and ``BadInput`` for an impossible anchor.
    """
    gpu = accelerator.platform == "cuda"
    needed = {
        "generation": accelerator.generation,
        "memory_bandwidth_bytes_per_s": accelerator.memory_bandwidth_bytes_per_s,
        "cores": accelerator.cores,
        "cache_bytes": accelerator.cache_bytes,
    }
    if gpu:
        needed |= {
            "memory_kind": accelerator.memory_kind,
            "lanes_per_core": accelerator.lanes_per_core,
            "clock_hz": accelerator.clock_hz,
            "power_w": accelerator.power_w,
        }
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise MissingConstant(
            f"{accelerator.name}: {', '.join(missing)} not known (null or absent in its profile); the "
            "maker's data sheet would give it"
        )
    plain_card = Card(
        accelerator.name,
        accelerator.platform,
        str(accelerator.generation),
        accelerator.memory_kind or "hbm",
        int(accelerator.cores or 0),
        int(accelerator.lanes_per_core or 0),
        float(accelerator.clock_hz or 0.0),
        float(accelerator.power_w or 0.0),
        float(accelerator.memory_bandwidth_bytes_per_s or 0.0),
        int(accelerator.cache_bytes or 0),
        accelerator.matmul_flops_per_s,
        accelerator,
        times or shipped(),
    )
    if accelerator.anchors is None:
        return plain_card
    check_anchors(accelerator, plain_card.times, accelerator.name)
    return plain_card.with_anchors({name: float(one.value) for name, one in accelerator.anchors.constants.items()})
