"""The constants of matrix products: what each means, where its search starts, and the entries of the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NEUSIGHT = (
    "sitar-lab/NeuSight at 6945927d (float32 bmm and linear, torch 2.1: P100 PCIe without linear, V100 PCIe, T4, "
    "A100-40 PCIe) and baidu-research/DeepBench at da81ba78 (float32: V100 SXM2, T4)"
)
_XLA = "openxla/xla's table of measured products, H100 SXM5, bfloat16"
_TF32 = "openxla/xla's table of measured products, H100 SXM5, tf32"
_V100 = "baidu-research/DeepBench at da81ba78, V100 SXM2, float16"
_T4 = "baidu-research/DeepBench at da81ba78, T4, float16"
_STUDY = "the study ../shared/docs/accelerators.md"


@dataclass(frozen=True)
class Term:
    """One number. where: the generation or kind of memory that it holds for, ``None``: all others. fitted: it moves in the
    fit; otherwise ``start`` holds, of the kind and source named.
    """

    constant: str
    start: float
    unit: str = ""
    meaning: str = ""
    source: str = _NEUSIGHT
    where: str | None = None
    kind: str = "fitted"

    @property
    def key(self) -> str:
        return self.constant if self.where is None else f"{self.constant}@{self.where}"

    @property
    def fitted(self) -> bool:
        return self.kind == "fitted"


_PROCESS = {
    "maxwell": 28,
    "pascal": 16,
    "volta": 12,
    "turing": 12,
    "ampere-datacenter": 7,
    "ampere": 8,
    "ada": 5,
    "hopper": 5,
    "blackwell-datacenter": 5,
    "blackwell": 5,
}
_PRINTED = "NVIDIA's architecture white papers: TSMC 28 nm, 16 nm, 12 nm, 7 nm, Samsung 8 nm, TSMC 4N and 4NP (of the 5 nm class)"


def _processes() -> list[Term]:
    general = Term(
        "process_nm",
        5,
        "nm",
        "name of the chip's process, which energies scale by; the newest where unknown",
        _PRINTED,
        kind="printed",
    )
    return [general, *(Term("process_nm", nm, where=name, kind="printed") for name, nm in _PROCESS.items())]


PLAIN: tuple[Term, ...] = (
    Term("utilisation", 0.945, "1", "share of the peak that a tile of 128 x 128 reaches, 64 lanes a core"),
    Term(
        "utilisation_128",
        0.79,
        "1",
        "the same of cores with 128 lanes, whose loads compete with multiplications for issue",
        f"{_STUDY}; no card of 128 lanes is in the rows fitted here",
        kind="assumed",
    ),
    Term("utilisation_128", 0.945, where="pascal", kind="assumed"),
    Term("utilisation_128", 0.945, where="maxwell", kind="assumed"),
    Term("edge", 11.0, "multiply-adds", "time of loading an element of a tile's edge from shared memory"),
    Term("overhead_steps", 6.0, "steps of k", "a tile's start and end"),
    Term("overhead_steps", 18.0, where="pascal"),
    Term("overlap", 4.2, "1", "exponent by which computing and main memory hide one another"),
    Term("unvectorised", 0.98, "1", "rate where rows are no multiple of 16 bytes"),
    Term("start_s", 6e-6, "seconds", "a kernel's start"),
    Term("split_s", 5e-6, "seconds", "the second kernel, that adds partial sums"),
    Term("split_loss", 0.03, "1", "exponent of the number of splits by which computing takes longer"),
    Term("bandwidth_share", 0.85, "1", "share of main memory's peak that is reached"),
    Term("bandwidth_share", 0.75, where="gddr"),
    Term("unaligned", 0.5, "1", "share that rows of part sectors (no multiple of 32 bytes) add to their bytes"),
    Term("both_along_k_bandwidth", 0.8, "1", "share of the bandwidth left where both operands lie along k"),
    Term("both_along_k_rate", 0.985, "1", "share of the rate left where both operands lie along k"),
    Term(
        "ramp",
        0.055,
        "1",
        "share of the bandwidth with hardly any tile at work; the rest grows with busy cores",
        _STUDY,
        kind="assumed",
    ),
    Term(
        "cache_speedup",
        2.0,
        "1",
        "last cache's bandwidth as a multiple of main memory's, for products that fit into half",
        "assumed: H100's cache reads about 5.5 to 7 TB/s against 3.35; the rows fitted here say little of it",
        kind="assumed",
    ),
    Term("latency", 1.3, "1", "time of a warp's step of k by itself, as a multiple of its multiply-adds' issue"),
    Term("wave_share", 0.8, "1", "share of a last wave's emptiness that costs time"),
    Term("picojoules_per_flop_nm", 1.44, "pJ / nm", "energy of a float32 operation and its data, per nm of the process"),
    Term("picojoules_per_flop_nm", 2.0, where="ampere-datacenter"),
    Term("idle_share", 0.108, "1", "share of the power limit that does no work", _STUDY, kind="assumed"),
    Term("burst_s", 1e-4, "seconds", "the limit's energy that a load may draw beyond it before it is held"),
    *_processes(),
)

TENSOR: tuple[Term, ...] = (
    Term("utilisation", 0.874, "1", "share of the peak that a tile of 256 x 256 would reach", _XLA),
    Term(
        "tf32_rate",
        1.0,
        "1",
        "rate of tf32 as a share of what its peak says; Hopper's fast instruction wants all operands along k",
        "assumed; by generation fitted on " + _TF32,
        kind="assumed",
    ),
    Term("tf32_rate", 0.9, where="hopper", source=_TF32),
    Term("edge", 5.0, "multiply-adds", "as in products_plain", _XLA),
    Term("overhead_steps", 16.0, "steps of k", "a tile's start and end", _XLA),
    Term(
        "tf32_feed",
        1.0,
        "1",
        "the same of chip_bytes_per_clock; Hopper's older instruction shares no loads between cores",
        "assumed; by generation fitted on " + _TF32,
        kind="assumed",
    ),
    Term("tf32_feed", 0.5, where="hopper", source=_TF32),
    Term(
        "feed_bytes_per_clock",
        64.0,
        "bytes",
        "from the last cache to a core in a clock, loads that cores share counted for "
        "each of them; half before Hopper, which introduced sharing",
        _XLA,
    ),
    *(
        Term("feed_bytes_per_clock", 32.0, where=name, kind="assumed")
        for name in ("volta", "turing", "ampere-datacenter", "ampere", "ada")
    ),
    Term("feed_bytes_per_clock", 128.0, where="blackwell-datacenter", kind="assumed"),
    Term(
        "chip_bytes_per_clock",
        48.0,
        "bytes",
        "from the last cache to all cores in a clock, for each core; loads that cores share counted as for the feed",
        _XLA + "; volta to ada, unshared: NVIDIA A100 whitepaper, 2,048 bytes a clock of "
        "V100's cache for 80 cores, 5,120 of A100's for 108; blackwell-datacenter: assumed, as its feed",
    ),
    Term("chip_bytes_per_clock", 47.4, where="ampere-datacenter", kind="assumed"),
    *(Term("chip_bytes_per_clock", 25.6, where=name, kind="assumed") for name in ("volta", "turing", "ampere", "ada")),
    Term("chip_bytes_per_clock", 96.0, where="blackwell-datacenter", kind="assumed"),
    Term(
        "latency_cycles",
        1.2,
        "clocks per step of k",
        "chain of loads of two-byte elements; copies run ahead since Ampere",
        _XLA + "; volta on " + _V100 + "; turing on " + _T4,
    ),
    Term("latency_cycles", 8.0, where="volta"),
    Term("latency_cycles", 8.0, where="turing"),
    Term("tile_s", 1e-6, "seconds", "a tile's first loads and its result", _XLA),
    Term("wave_share", 0.9, "1", "as in products_plain", _XLA),
    Term("overlap", 4.2, "1", "as in products_plain", _XLA),
    Term("start_s", 4.5e-6, "seconds", "a kernel's start", _XLA),
    Term("split_s", 3e-6, "seconds", "the second kernel, that adds partial sums", _XLA),
    Term("ramp", 0.22, "1", "as in products_plain", _XLA),
    Term("bandwidth_share", 0.93, "1", "share of main memory's peak that is reached", "assumed: that of streams", kind="assumed"),
    Term("cache_speedup", 1.0, "1", "as in products_plain", _XLA + " shows none", kind="assumed"),
    Term("unaligned", 0.5, "1", "as in products_plain", "that of products_plain", kind="assumed"),
    Term("both_along_k_bandwidth", 0.8, "1", "as in products_plain", "that of products_plain", kind="assumed"),
    Term(
        "picojoules_per_flop_nm",
        0.1,
        "pJ / nm",
        "energy of a float16 operation and its data, per nm of the process",
        "assumed: H100's 800 TFLOP/s in 700 W allow 0.15 at most; turing on " + _T4,
        kind="assumed",
    ),
    Term("picojoules_per_flop_nm", 0.12, where="turing"),
    Term("idle_share", 0.108, "1", "as in products_plain", _STUDY, kind="assumed"),
    Term("burst_s", 1e-4, "seconds", "as in products_plain", "that of products_plain", kind="assumed"),
    *_processes(),
)


def entries(mechanism: str, terms: Sequence[Term], values: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """``constants`` of ``profiles/accelerator_times.json``."""
    found: dict[str, dict[str, Any]] = {}
    for term in terms:
        if term.where is None:
            source = f"fitted on {term.source}" if term.fitted else term.source
            found[f"{mechanism}.{term.constant}"] = {
                "value": values[term.key],
                "unit": term.unit,
                "meaning": term.meaning,
                "kind": term.kind,
                "source": source,
                "would_give": "crjax calibrate on the device",
            }
    for term in terms:
        if term.where is not None:
            what = "memory_kind" if term.where in ("hbm", "gddr") else "generation"
            by = found[f"{mechanism}.{term.constant}"].setdefault("by", {}).setdefault(what, {})
            by[term.where] = values[term.key]
    return found
