"""One whole document of every kind that is typed, as JSON."""

import json

from documents import comparing_samples, cost_report_sample
from documents.measured_samples import bench_report, training_report
from documents.remedy_sample import remedy_report
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


def cost_report():
    """A training step and a turn of DMN, with everything that may be left out."""
    return cost_report_sample.cost_report(hlo_count())


def scaling_estimate():
    """Two numbers of devices, one of them without figures."""
    known = {
        "batch": 64,
        "steps": 10.0,
        "flops_per_device": 1000,
        "peak_bytes": 2000,
        "fits": True,
        "step_seconds": 0.25,
        "step_low_s": 0.125,
        "step_high_s": 0.5,
        "alone_share": 0.75,
        "efficiency": 1.0,
        "seconds": 2.5,
        "energy_j": 20.0,
        "price_usd": 0.5,
    }
    rows = [
        {"device": "h100", "devices": 1, **known, "reason": None, "tag": "predicted"},
        {"device": "h100", "devices": 2, **dict.fromkeys(known), "steps": 0.0, "reason": "no compiler", "tag": "predicted"},
    ]
    return {
        "schema": "urn:cr-jax:schema:scaling-estimate:1.0",
        "kind": "scaling-estimate",
        "schema_version": "1.0",
        "subject": "dmn",
        "dataset": "cell-phones",
        "work": "1 epoch",
        "growth": "strong",
        "versions": {"jax": "0.10.2"},
        "rows": rows,
        "deadline_s": 7200.0,
        "cheapest": 0,
        "communication": 0,
    }


_ALL = (
    scaling_estimate,
    cost_report,
    hlo_count,
    paper_table,
    recommender,
    dataset_profile,
    accelerator_profile,
    accelerator_times,
    training_report,
    bench_report,
    remedy_report,
)
_COMPARING = (
    comparing_samples.comparison,
    comparing_samples.difference,
    comparing_samples.gate_result,
    comparing_samples.run_estimate,
    comparing_samples.run_estimates,
    comparing_samples.grid_shard,
)
#: By kind; a second form of a document has a plural name.
SAMPLES = {sample.__name__.replace("_", "-"): sample for sample in _ALL} | {
    made.__name__.replace("_", "-"): lambda made=made: made(cost_report()) for made in _COMPARING
}
