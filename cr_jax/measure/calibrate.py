"""Measure the predictor's tables on the attached CPU; the result is a user accelerator profile.

Every point is measured in each of many short passes over all points, because a state of the machine (the threads of a product
have both cores, or only one) may last for seconds. The median of the passes is kept, and their spread is the quality of the fit.
"""

import gc
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median, quantiles
from typing import Any

import jax

from cr_jax.catalog.accelerator import unreliable
from cr_jax.documents.base import plain
from cr_jax.documents.calibration import Calibration, CalibrationFit, CalibrationTables, Canary, GatherRow, MatmulRow, StreamRow
from cr_jax.errors import BadConfig
from cr_jax.measure import calibration_cases
from cr_jax.measure.calibration_cases import Point
from cr_jax.targets.device_protocol import Device

PASSES = 15
LIMIT_S = 90.0
STATISTICS: dict[str, Callable[[list[float]], float]] = {"median": median, "fastest": min}
#: The most calls, and the seconds, of one point in one pass.
_CALLS, _POINT_S = 20, 0.01


@dataclass
class _Ready:
    point: Point
    call: Callable[[], None]
    passes: list[float]


def calibrate(limit_s: float = LIMIT_S, say: Callable[[str], None] | None = None, statistic: str = "median") -> Calibration:
    """The ``calibration`` block of an accelerator profile, measured on the default device.

    limit_s: seconds for everything; passes beyond are left out, and ``passes`` has their number. statistic: one of
    ``STATISTICS``, over the calls of a pass; ``fastest`` is for a shared machine, to compare with samples taken the same way.
    Raises ``BadConfig`` where the attached device is not a CPU.
    """
    device = jax.devices()[0]
    if device.platform != "cpu":
        raise BadConfig(f"calibrate measures the CPU model's tables; attached is {device.device_kind!r}; legal: a CPU")
    chosen = STATISTICS[statistic]
    begun = time.perf_counter()
    if say:
        say("compiling")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ready = list(pool.map(_prepare, all_points()))
    watch = _prepare(calibration_cases.canary())
    watched = [_measure(watch, 0.1, chosen)]
    passes = 0
    spent = 0.0
    collecting = gc.isenabled()
    gc.disable()
    try:
        while passes < PASSES:
            started = time.perf_counter()
            if passes and started - begun + spent > limit_s:
                break
            if say:
                say(f"pass {passes + 1} of {PASSES}")
            for entry in ready:
                entry.passes.append(_measure(entry, _POINT_S, chosen))
            watched.append(_measure(watch, 0.1, chosen))
            passes += 1
            spent = time.perf_counter() - started
    finally:
        if collecting:
            gc.enable()
    return _block(ready, watched, passes, time.perf_counter() - begun, device, statistic)


def all_points() -> list[Point]:
    """Every point of a calibration, in the order of measurement."""
    return [
        *calibration_cases.overhead_points(),
        *calibration_cases.stream_points(),
        *calibration_cases.fresh_points(),
        *calibration_cases.gather_points(),
        *calibration_cases.element_points(),
        *calibration_cases.matmul_points(),
    ]


def _prepare(point: Point) -> _Ready:
    function, arguments, donated = point.make()
    compiled = jax.jit(function, donate_argnums=donated).lower(*arguments).compile()
    held = list(arguments)

    def call() -> None:
        result = jax.block_until_ready(compiled(*held))
        for number in donated:  # its buffer is donated: the result, in the same place and shape, is the next argument
            held[number] = result[number] if isinstance(result, tuple) else result

    return _Ready(point, call, [])


def _measure(entry: _Ready, seconds: float, chosen: Callable[[list[float]], float]) -> float:
    """Seconds of a call, over ``seconds`` or one call at least."""
    entry.call()
    times: list[float] = []
    begun = time.perf_counter()
    while not times or (time.perf_counter() - begun < seconds and len(times) < _CALLS):
        started = time.perf_counter()
        entry.call()
        times.append(time.perf_counter() - started)
    return chosen(times)


def _block(
    ready: Sequence[_Ready], watched: list[float], passes: int, took: float, device: Device, statistic: str
) -> Calibration:
    over = median if statistic == "median" else STATISTICS[statistic]
    seconds = {id(r): over(r.passes) for r in ready}
    spread = sorted(_apart(r.passes) for r in ready)
    named = {r.point.facts["what"]: seconds[id(r)] for r in ready if "what" in r.point.facts}
    overhead = _overheads(named)
    streams: dict[str, list[StreamRow]] = {"stream": [], "fresh": []}
    products, gathered = [], []
    elements: dict[str, float] = {}
    for r in ready:
        point, value = r.point, seconds[id(r)]
        if point.table == "overhead":
            continue
        value -= overhead["call_s"] + (overhead["loop_s"] if point.looped else 0.0)
        each = value / point.per - (overhead["base_s"] if point.looped else 0.0)
        each = max(each, 0.1 * seconds[id(r)] / point.per)  # a cost below that of the loop itself stays small, not negative
        if point.table == "element":
            elements[point.facts["what"]] = each / point.facts["elements"]
        elif point.table == "matmul":
            facts = point.facts
            flops = 2 * facts["batch"] * facts["m"] * facts["n"] * facts["k"]
            products.append(MatmulRow(**facts, flops_per_s=flops / each))
        elif point.table in ("stream", "fresh"):
            facts = point.facts
            streams[point.table].append(StreamRow(footprint_bytes=facts["footprint_bytes"], bytes_per_s=facts["bytes"] / each))
        else:
            facts = point.facts
            sizes = {key: facts[key] for key in ("table_bytes", "row_bytes")}
            gathered.append(GatherRow(**sizes, s_per_row=each / facts["rows"]))
    elements["page_fault"] = max(0.0, elements["page_fault"] - elements.pop("page_fault_reused"))
    return Calibration(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        device=device.device_kind,
        versions={"jax": jax.__version__},
        took_s=round(took, 1),
        passes=passes,
        statistic=f"{statistic} of the calls of a pass, {statistic} of the passes",
        cores=os.cpu_count() or 1,
        fit=CalibrationFit(
            points=len(ready),
            median_spread=spread[len(spread) // 2],
            p90_spread=spread[int(0.9 * (len(spread) - 1))],
            meaning="(third quartile - first quartile) / median of the passes, over the points",
        ),
        canary=Canary(what="512 x 512 x 512 float32 product", seconds=tuple(watched), spread=_apart(watched)),
        overheads=overhead,
        elements_s=elements,
        tables=CalibrationTables(
            matmul=tuple(products), stream=tuple(streams["stream"]), fresh=tuple(streams["fresh"]), gather=tuple(gathered)
        ),
    )


def _apart(times: list[float]) -> float:
    """The interquartile range of some times, as a share of their median."""
    if len(times) < 2:
        return 0.0
    first, middle, third = quantiles(times, n=4, method="inclusive")
    return (third - first) / middle


def _overheads(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds of one call, argument, donated argument, operation, product, iteration and loop. base_s: an iteration of the loops
    around other points; hand_off_s: the added time of a call that threads run; straight_s: the added time of its operations
    outside loops; cold_straight_s: of one whose code and runtime data other work has driven out of the caches.
    """
    loops = calibration_cases.LOOPS
    call = seconds["call"]
    argument = max(0.0, seconds["call_40_arguments"] - call) / 39
    single = max(0.0, seconds["products_1"] - call) / loops
    product = min(single / 2, max(0.0, seconds["products_9"] - seconds["products_1"]) / (8 * loops))
    operation = max(0.0, seconds["pairs_9"] - seconds["products_9"]) / (9 * loops)
    iteration = max(0.0, single - 2 * product)
    donated = max(0.0, (seconds["call_40_donated"] - seconds["call_40_arguments"]) / 40 - operation)
    pair = product + operation
    straight = max(0.0, (seconds["straight_40"] - seconds["straight_9"]) / 31 - pair) / 2
    cold = max(straight, ((seconds["cold_320"] - seconds["cold_40"]) / 280 - pair) / 2)
    hand_off = max(0.0, seconds["straight_9"] - call - 9 * (pair + 2 * straight))
    loop = max(0.0, seconds["loop_of_one"] - call - hand_off - 2 * product - iteration)
    base = max(0.0, (seconds["base"] - call) / loops)
    return {
        "call_s": call,
        "argument_s": argument,
        "donated_s": donated,
        "operation_s": operation,
        "product_s": product,
        "iteration_s": iteration,
        "loop_s": loop,
        "base_s": base,
        "hand_off_s": hand_off,
        "straight_s": straight,
        "cold_straight_s": cold,
    }


def profile(block: Calibration, name: str, base: dict[str, Any]) -> dict[str, object]:
    """The accelerator profile ``name``: ``base`` (the shipped CPU's document) with the measurements.

    Rates at the top level are the best of the tables, so that a roofline can be drawn.
    """

    def quantity(value: float, what: str) -> dict[str, float | str]:
        return {"value": value, "kind": "measured", "source": f"crjax calibrate: {what}", "date": block.created[:10]}

    best = max(row.flops_per_s for row in block.tables.matmul)
    widest = max(block.tables.stream, key=lambda row: row.footprint_bytes)
    validated = {"validated_on": []} if unreliable(block) else {}  # those errors belong to another calibration
    return (
        base
        | validated
        | {
            "name": name,
            "title": f"Calibrated CPU ({block.cores} cores)",
            "cores": quantity(block.cores, "logical processors"),
            "memory_bandwidth_bytes_per_s": quantity(widest.bytes_per_s, f"a stream of {widest.footprint_bytes >> 20} MiB"),
            "matmul_flops_per_s": base["matmul_flops_per_s"] | {"float32": quantity(best, "the fastest product of the table")},
            "calibration": plain(block),
        }
    )
