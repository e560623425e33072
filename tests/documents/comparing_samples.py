"""Documents that are made of cost reports: estimates of runs, comparisons, differences and gate results."""

import json

from msgspec import structs
from reports import changed

from cr_jax.documents.base import decode, plain
from cr_jax.documents.capacity import Capacity, CapacityRow, TriedUsers
from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.gate_result import StepTimeVerdict, TimeVerdicts
from cr_jax.documents.grid_shard import Grid, ShardCell, ShardNumber
from cr_jax.report import grid_shards
from cr_jax.report.compare import Cell, compare, saved
from cr_jax.report.diff import difference as report_difference
from cr_jax.report.document import to_json
from cr_jax.report.gate import LIMITS, gate
from cr_jax.report.gate_time import with_times


def _json(document):
    return json.loads(to_json(document))


def _report(cost_report):
    return decode(cost_report, CostReport, "sample")


def comparison(cost_report):
    """A row with predictions, one that failed, and a capacity."""
    tried = TriedUsers(users=1, seconds=0.5, high_s=1, peak_bytes=7, fits="yes", devices=2, p95_s=1.5, busy_share=0.5)
    met = CapacityRow(
        name="a",
        status="met",
        reason=None,
        users=1,
        devices=2,
        service_s=1,
        p95_s=1.5,
        busy_share=0.5,
        mean_batch=1.0,
        peak_bytes=7,
        price_usd_per_month=3.5,
        price_reason=None,
        tried=(tried,),
        tag="predicted",
    )
    capacity = Capacity(turns_per_second=100.5, p95_s=0.1, assumptions=("one",), rows=(met,), tag="predicted")
    report = _report(cost_report)
    cells = [saved(report, "a.json"), saved(changed(report, {"model.name": "other"}), "b.json"), Cell("m", "d", None, "no")]
    return _json(structs.replace(compare(cells, "0", command=["crjax", "compare"]), capacity=capacity))


def difference(cost_report):
    """Figures, modules and turns that moved, and a condition that differs."""
    a = _report(cost_report)
    step = a.steps[0].name
    moved = {
        "model.config.hops": 9,
        "parameters.modules.0.trainable": lambda size: size + 50,
        f"steps.{step}.modules.0.matmul_flops": lambda flops: flops + 5,
        "turns.0.flops_per_turn": lambda flops: flops + 10,
    }
    return _json(report_difference(a, changed(a, moved), "a.json", "b.json", "0"))


def gate_result(cost_report):
    """A breach, an improvement, a skipped comparison and verdicts on time."""
    a = _report(cost_report)
    step = next(one for one in a.steps if one.compiled is not None).name
    now = changed(
        a,
        {
            "parameters.trainable": lambda size: size + 1,
            "parameters.total": lambda size: size + 1,
            f"steps.{step}.compiled.flops": lambda flops: flops - 1,
            f"steps.{step}.memory.peak_bytes": None,
            "model.config.hops": 9,
        },
    )
    steps = (
        StepTimeVerdict(step=step, status="within", ratio=1.0, ratio_interval=(0.9, 1.1), p_value=0.5, samples=9, reason=None),
        StepTimeVerdict(
            step="gone", status="skipped", ratio=None, ratio_interval=None, p_value=None, samples=None, reason="gone"
        ),
    )
    times = TimeVerdicts(limit_percent=5.0, programs="a", kept_with_jax="0", steps=steps, warnings=("busy",), tag="measured")
    return _json(with_times(gate(a, now, LIMITS, "a.json", "0"), times))


def run_estimate(cost_report):
    """Two objectives, one measured; an item side, frozen modules, a prediction by class of operations."""
    report = plain(_report(cost_report))
    prediction = next(step["prediction"] for step in report["steps"] if step.get("prediction"))
    sums = {"flops": 10, "hbm_bytes": 20, "seconds": 1.5, "low_s": 1, "high_s": 2.5, "energy_j": None, "price_usd": 0.5}
    sums |= {"carbon_g": None}
    head = {"optimizer_steps": 3, "epochs": 1.5, "supervised_turns": 40, "patience": None, "peak_bytes": 7}
    tail = {"reason": None, "tag": "predicted"}
    clock = {"seconds": 3.5, "seconds_per_step": 0.5, "source": "a.json", "note": "n", "tag": "measured"}
    row = {"objective": "answer", "batch": 16, **head, **sums, **tail, "measured": None}
    energy = {"limit_w": 700, "idle_w": 105.0, "idle_is": "profile", "host_w": 0.0, "pue": 1.0, "grid_g_per_kwh": None}
    return {
        "schema": "urn:cr-jax:schema:run-estimate:1.2",
        "kind": "run-estimate",
        "schema_version": "1.2",
        "model": {"name": "dmn", "config": {"hops": 3}},
        "dataset": {"name": "talks", "turns": 100, "problems": ["p"]},
        "target": report["target"],
        "versions": {"jax": "0", "libtpu": None},
        "schedule": "published",
        "note": "one\ntwo",
        "objectives": [row, row | {"objective": "other", "measured": clock, "supervised_turns": None}],
        "total": {"optimizer_steps": 6, **sums, "measured_s": None, "peak_bytes": 7, "tag": "predicted"},
        "evaluation": {
            "validation_passes": 1,
            "test_passes": 1,
            "states_per_pass": 5,
            "batch": 64,
            "peak_bytes": 8,
            **sums,
            **tail,
        },
        "item_side": {"peak_bytes": 9, **sums, **tail},
        "frozen": {"modules": ["words"], "flops": 4, "hbm_bytes": 5, "flops_once": 2, "hbm_bytes_once": 3, "tag": "counted"},
        "whole": {**sums, "peak_bytes": 9, "tag": "predicted"},
        "grounds": {
            "method": prediction["method"],
            "validated_on": prediction["validated_on"],
            "coverage": 0.9,
            "device_memory_bytes": 100,
            "energy": energy | {"grid_source": None},
            "energy_reason": None,
            "per_hour_usd": 3.6,
            "price_source": "given by the user",
            "price_reason": None,
        },
    }


def run_estimates(cost_report):
    """A run and one that failed."""
    run = run_estimate(cost_report)
    return {key: run[key] for key in ("schema", "kind", "schema_version")} | {
        "runs": [run, {"model": "mmn", "device": "h1000", "error": "no such device"}]
    }


def grid_shard(cost_report):
    """The second of two shards: a cell with its report and one without."""
    grid = Grid(kind="comparison", settings={"baseline": None}, cells=("dmn@cpu", "dmn@h100", "mmn@cpu", "mmn@h100"))
    cells = (
        ShardCell(cell=1, name="dmn@h100", result=cost_report, error=None),
        ShardCell(cell=3, name="mmn@h100", result=None, error="why not"),
    )
    versions = {"jax": "0.10", "libtpu": None}
    return plain(grid_shards.grid_shard(grid, ShardNumber(number=2, of=2), cells, "0.1", versions, ["crjax"]))
