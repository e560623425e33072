"""One whole document of every kind that is typed, as JSON."""

import json

from documents import comparing_samples, cost_report_sample
from round_tables import calibration

from cr_jax import count_hlo
from cr_jax.documents.recommender import AspectValues, DatasetFiles, KnownUser, LongestTexts, RecommendedItem, RecommenderDocument
from cr_jax.paper.table_ii import paper_document
from cr_jax.report.document import to_json
from cr_jax.report.hlo_count import hlo_count_document
from cr_jax.resources import shipped_profile, times_file

_HLO = """HloModule m

body {
  p = (s32[], f32[4,4]{1,0}) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  one = s32[] constant(1)
  next = s32[] add(i, one)
  x = f32[4,4]{1,0} get-tuple-element(p), index=1
  d = f32[4,4]{1,0} dot(x, x), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT t = (s32[], f32[4,4]{1,0}) tuple(next, d)
}

condition {
  p = (s32[], f32[4,4]{1,0}) parameter(0)
  i = s32[] get-tuple-element(p), index=0
  n = s32[] constant(5)
  ROOT less = pred[] compare(i, n), direction=LT
}

big {
  p = f32[4,4]{1,0} parameter(0)
  ROOT e = f32[4,4]{1,0} exponential(p)
}

small {
  p = f32[4,4]{1,0} parameter(0)
  ROOT c = f32[4,4]{1,0} copy(p)
}

ENTRY e {
  a = f32[4,4]{1,0} parameter(0)
  choice = pred[] parameter(1)
  zero = s32[] constant(0)
  start = (s32[], f32[4,4]{1,0}) tuple(zero, a)
  loop = (s32[], f32[4,4]{1,0}) while(start), condition=condition, body=body
  y = f32[4,4]{1,0} get-tuple-element(loop), index=1
  either = f32[4,4]{1,0} conditional(choice, y, y), true_computation=big, false_computation=small
  root = f32[4,4]{1,0} cholesky(either), lower=true
  ROOT c = f32[4,4]{1,0} custom-call(root), custom_call_target="unheard_of"
}
"""


def hlo_count():
    """A loop, a conditional, a call with a declared cost and one without a rule."""
    return json.loads(to_json(hlo_count_document(count_hlo(_HLO))))


def paper_table():
    return json.loads(to_json(paper_document()))


def recommender():
    return json.loads(
        to_json(
            RecommenderDocument(
                model="dmn",
                dataset=DatasetFiles(name="talks", sha256="0" * 64),
                seed=3,
                dialogues=False,
                longest=LongestTexts(request=9, question=2, answer=1),
                words=("red", "blue"),
                aspects=(AspectValues(aspect="colour", values=("red", "blue")),),
                items=(
                    RecommendedItem(item="a", title=None, description=""),
                    RecommendedItem(item="b", title="B", description="red . blue"),
                ),
                users=(KnownUser(user="one", items=(1, 0)), KnownUser(user="two", items=())),
            )
        )
    )


def dataset_profile():
    return json.loads(shipped_profile("datasets", "cell-phones").read_text())


def accelerator_profile():
    """A card with a compiler target, a calibration, a validation and anchors: more than one device has."""
    document = json.loads(shipped_profile("accelerators", "h100").read_text())
    errors = {"rows": 7, "median": 0.1, "p90": 0.2, "worst": 0.3, "ratio_low": 0.8, "ratio_high": 1.2}
    constant = {"value": 0.9, "unit": "1", "kind": "measured", "source": "a test"}
    return document | {
        "calibration": calibration(),
        "validated_on": json.loads(shipped_profile("accelerators", "cpu").read_text())["validated_on"],
        "anchors": {
            "constants": {"products_plain.utilisation": constant},
            "errors": {"products_float32": errors},
            "created": "2026-11-30",
            "device": None,
            "jax": None,
            "driver": "1",
            "took_s": 60.5,
            "passes": 3,
            "skipped": [{"what": "an operation", "why": "too long"}],
            "rows": [{"name": "a", "class": "b", "seconds": 1e-3, "predicted_s": 2e-3, "shipped_s": 3e-3, "judged": True}],
        },
    }


def accelerator_times():
    """A few constants and classes of the shipped file."""
    document = json.loads(times_file().read_text())
    return document | {key: dict(list(document[key].items())[:6]) for key in ("constants", "residuals")}


def training_report():
    figures = {"mrr": 0.5, "success@10_by_turn": [0.25, 0.5]}
    difference = {"mean": 0.1, "low": -0.1, "high": 0.3, "users": 9, "draws": 1000, "above": False}
    return {
        "schema": "urn:cr-jax:schema:training-report:1.1",
        "kind": "training-report",
        "schema_version": "1.1",
        "created": "2026-11-30T00:00:00+00:00",
        "tool": {"name": "cr-jax", "version": "0"},
        "versions": {"jax": "0", "jaxlib": None},
        "command": ["crjax", "train"],
        "model": {
            "name": "dmn",
            "title": "DMN",
            "paper": "p",
            "code": "c",
            "deviations": ["d"],
            "config": {"classes": 9, "share": 0.5, "sizes": [1, 2], "name": "x", "on": True, "none": None},
            "preset": "published",
        },
        "dataset": {
            "name": "talks",
            "sha256": "0" * 64,
            "split": "by user",
            "users": 9,
            "items": 8,
            "aspects": 7,
            "words": 6,
            "turns": 5,
            "parts": {"train": 4, "test": 1},
            "problems": [],
        },
        "seed": 0,
        "resumed_at_step": None,
        "target": {"platform": "cpu", "kind": "cpu", "devices": 1, "hosts": 1, "tables_sharded": False},
        "notes": [],
        "stages": [
            {
                "name": "answer",
                "objectives": ["answer"],
                "batch": 16,
                "examples": 40,
                "steps_per_epoch": 3,
                "steps_planned": 3,
                "published": {"epochs": None, "steps": 1000, "patience": 5},
                "patience": None,
                "stopped_early": False,
                "best": {"criterion": "mrr", "value": 0.5, "epoch": 1},
                "padded_shapes": [[4, 8]],
                "padding_share": 0.25,
            }
        ],
        "epochs": [
            {
                "stage": "answer",
                "epoch": 1,
                "step": 3,
                "loss": {"answer": 0.7},
                "validation": {"ranking": figures},
                "validation_s": 0.1,
            }
        ],
        "test": {"ranking": figures},
        "baselines": {"popularity": {"figures": figures, "difference": {"mrr": difference}}},
        "cost": {
            "measured": {
                "time_s": 2.5,
                "training_s": 1.5,
                "validation_s": 0.1,
                "steps": 3,
                "examples": 40,
                "supervised_turns": 80.5,
                "examples_per_s": 26.5,
                "turns_per_s": None,
                "compiling_s": 0.5,
                "first_steps_s": 0.6,
                "input_wait_share": 0.1,
                "later_input_wait_share": None,
            },
            "predicted": {
                "training_s": 1.1,
                "low_s": 0.9,
                "high_s": 1.3,
                "coverage": 0.9,
                "method": "calibrated",
                "validated_on": {"method": "calibrated", "n": 3},
                "objectives": [{"objective": "answer", "steps": 3, "seconds_per_step": 0.4, "bound": "memory", "reason": None}],
                "reason": None,
                "tag": "predicted",
                "measured_s": 1.0,
                "ratio": 1.1,
            },
        },
        "definitions": {"turn": "t"},
    }


def bench_report():
    hash_of = "0" * 64
    interval, times = [0.9, 1.1], [1.0, None, 1.1]
    times_s = {key: 1.0 for key in ("min_s", "max_s", "p50_s", "p90_s")} | {"p95_s": None, "p99_s": None}
    step = {
        "name": "train/answer",
        "phase": "train",
        "labels": {"objective": "answer", "example": "turn", "batch": 16, "supervised_turns_per_example": 1.5},
        "stages_s": {"trace_s": 0.1, "lower_s": 0.2, "compile_s": None, "first_call_s": 0.3, "tag": "measured"},
        "time": {
            "samples": 3,
            "median_s": 1.0,
            "median_interval_s": interval,
            "repeat_interval_s": None,
            "mean_s": 1.0,
            "mean_interval_s": interval,
            **times_s,
            "outliers": 0,
            "stopped": "tight",
            "tag": "measured",
        },
        "rates": {"steps_per_s": 1.0, "turns_per_s": 24.0, "examples_per_s": 16.0, "s_per_turn": None, "tag": "measured"},
        "counted": {
            "flops": 10,
            "matmul_flops": 8,
            "transcendentals": 1,
            "hbm_bytes": 100,
            "bound": "exact",
            "program_sha256": hash_of,
            "tag": "counted",
        },
        "achieved": {
            "flops_per_s": 10.0,
            "matmul_flops_per_s": 8.0,
            "bytes_per_s": 100.0,
            "matmul_utilisation": 0.5,
            "bandwidth_utilisation": None,
            "peak_profile": "cpu",
            "matmul_type": "float32",
            "tag": "measured",
        },
        "memory": {
            "peak_bytes": 5,
            "method": "a test",
            "predicted_peak_bytes": 6,
            "predicted_rule": "a rule",
            "error_share": 0.2,
            "tag": "measured",
        },
        "energy": {"meter": "a test", "repeats": 3, "joules_per_step": 1.5, "average_w": None, "tag": "measured"},
        "conditions": {
            "load_average": 0.5,
            "others_share": 0.1,
            "stolen_share": None,
            "clock_hz": 1e9,
            "clock_change": -0.1,
            "tag": "measured",
        },
        "warmup_samples_s": times,
        "samples_s": times,
        "warnings": [],
    }
    turn = step | {
        "name": "infer/t1",
        "phase": "infer",
        "labels": {"mode": "replay", "turns": [1, 2], "users": 1},
        "energy": None,
    }
    comparison = {
        "step": "train/answer",
        "against": "b.json",
        "against_step": "train/answer",
        "median_s": 1.0,
        "against_median_s": 2.0,
        "against_samples_s": times,
        "program_equal": True,
        "ratio": 0.5,
        "ratio_interval": interval,
        "p_value": 0.01,
        "test": "a test",
        "interleaved": True,
        "verdict": "2.00 times as fast",
        "warnings": ["w"],
        "tag": "measured",
    }
    case = {key: None for key in ("batch", "turns", "turn", "mode", "objective", "items_scored")}
    case |= {"model": "dmn", "dataset": "cell-phones", "device": "cpu", "phase": "train", "preset": "published"}
    case |= {"dtype": "float32", "precision": "default", "users": 1, "question_items": 10, "top_k": 10, "settings": {"a": "1"}}
    order = "model dataset device phase preset dtype precision batch users turns turn mode objective items_scored question_items"
    return {
        "schema": "urn:cr-jax:schema:bench-report:1.0",
        "kind": "bench-report",
        "schema_version": "1.0",
        "created": "2026-11-30T00:00:00+00:00",
        "tool": {"name": "cr-jax", "version": "0"},
        "versions": {"jax": "0"},
        "command": None,
        "case": {key: case[key] for key in (*order.split(), "top_k", "settings")},
        "model": {"name": "dmn", "title": "DMN", "config": {"classes": 9}, "config_sha256": hash_of},
        "dataset": {"name": "cell-phones", "title": "Cell Phones", "sha256": hash_of},
        "device": {"platform": "cpu", "kind": "cpu", "profile": None},
        "plan": {"warmup": 1, "runs": 3, "seconds": None, "limit_s": 9.5, "tightness": 0.05, "most_runs": 9},
        "machine": {"cpu": "c", "cores": 2, "memory_bytes": None, "system": "s"},
        "definitions": {"turn": "t"},
        "status": "failed",
        "error": {"kind": "out of memory", "reason": "r", "step": None, "predicted_peak_bytes": 7},
        "steps": [step, turn],
        "comparisons": [comparison],
        "warnings": [],
    }


def cost_report():
    """A training step and a turn of DMN, with everything that may be left out."""
    return cost_report_sample.cost_report(hlo_count())


_ALL = (
    cost_report,
    hlo_count,
    paper_table,
    recommender,
    dataset_profile,
    accelerator_profile,
    accelerator_times,
    training_report,
    bench_report,
)
_COMPARING = (
    comparing_samples.comparison,
    comparing_samples.difference,
    comparing_samples.gate_result,
    comparing_samples.run_estimate,
    comparing_samples.run_estimates,
)
#: By kind; a second form of a document has a plural name.
SAMPLES = {sample.__name__.replace("_", "-"): sample for sample in _ALL} | {
    made.__name__.replace("_", "-"): lambda made=made: made(cost_report()) for made in _COMPARING
}
