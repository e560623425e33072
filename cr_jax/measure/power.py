"""Energy: NVML's counter on NVIDIA cards, RAPL's on Intel and AMD processors, a replay for tests.

A meter counts joules since some moment. It is updated rarely compared with the length of a step, so a step is repeated until the
meter has been updated many times.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec import structs

from cr_jax.documents.bench_report import MeasuredEnergy
from cr_jax.measure.clock import Clock

POWERCAP = Path("/sys/class/powercap")
#: The fewest updates of the meter that a measurement spans.
_UPDATES = 20


class Meter(Protocol):
    """A counter of energy."""

    name: str
    period_s: float
    """Seconds between its updates."""

    def read_j(self) -> float:
        """Joules so far. Raises ``OSError`` when the meter cannot be read."""
        ...


@dataclass
class ReplayMeter:
    """A meter that returns given readings."""

    readings_j: Iterable[float]
    name: str = "replay"
    period_s: float = 0.0

    def __post_init__(self) -> None:
        self._rest = iter(self.readings_j)

    def read_j(self) -> float:
        """The next reading; ``OSError`` after the last."""
        try:
            return next(self._rest)
        except StopIteration:
            raise OSError("no more readings") from None


class RaplMeter:
    """The processor packages' counters under ``/sys/class/powercap``, which wrap around."""

    name, period_s = "RAPL", 0.001

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        if not self._zones:
            raise OSError("no RAPL counter (/sys/class/powercap has no package)")
        self._range = [float((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
        self._seen = [self._raw(zone) for zone in self._zones]
        self._total_uj = 0.0

    def read_j(self) -> float:
        """Joules of all packages since the meter was made; read it before a counter wraps twice."""
        for number, zone in enumerate(self._zones):
            now = self._raw(zone)
            moved = now - self._seen[number]
            self._total_uj += moved if moved >= 0 else moved + self._range[number]
            self._seen[number] = now
        return self._total_uj / 1e6

    @staticmethod
    def _raw(zone: Path) -> float:
        return float((zone / "energy_uj").read_text())


class NvmlMeter:
    """The card's own counter (Volta and later), through the optional package ``pynvml``."""

    name, period_s = "NVML", 0.1

    def __init__(self, index: int = 0) -> None:
        try:
            import pynvml  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise OSError("NVML needs the package nvidia-ml-py") from None
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        except pynvml.NVMLError as error:
            raise OSError(f"NVML: {error}") from None
        self._nvml = pynvml

    def read_j(self) -> float:
        """Joules since the driver was loaded."""
        try:
            return self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1e3
        except self._nvml.NVMLError as error:
            raise OSError(f"NVML: {error}") from None


def find_meter(platform: str, powercap: Path = POWERCAP) -> tuple[Meter | None, str | None]:
    """The meter of a platform (cpu, cuda, tpu), or ``None`` and why there is none."""
    try:
        if platform == "cpu":
            return RaplMeter(powercap), None
        if platform == "cuda":
            return NvmlMeter(), None
    except (OSError, ValueError) as error:
        return None, f"no energy: {getattr(error, 'strerror', None) or error}"
    return None, f"no energy: there is no meter for {platform}"


def energy(
    call: Callable[[], object], meter: Meter, step_s: float, limit_s: float = 10.0, clock: Clock = time.perf_counter
) -> tuple[MeasuredEnergy, list[str]]:
    """Joules per call, and warnings; ``None`` where the meter fails or goes backwards.

    step_s: seconds of a call. The call is repeated for 20 updates of the meter and at least half a second, at most ``limit_s``.
    The figure includes everything that the meter counts, idle power too.
    """
    wanted = min(limit_s, max(_UPDATES * meter.period_s, 0.5))
    repeats = max(3, int(wanted / step_s) + 1)
    entry = MeasuredEnergy(meter=meter.name, repeats=repeats, joules_per_step=None, average_w=None, tag="measured")
    try:
        before, begun = meter.read_j(), clock()
        for _ in range(repeats):
            call()
        seconds, joules = clock() - begun, meter.read_j() - before
    except OSError as error:
        return entry, [f"the {meter.name} meter failed ({error}): energy is null"]
    if joules < 0:
        return entry, [f"the {meter.name} meter went backwards: energy is null"]
    if seconds <= 0:
        return entry, ["the clock did not go forward while energy was measured: energy is null"]
    return structs.replace(entry, joules_per_step=joules / repeats, average_w=joules / seconds), []
