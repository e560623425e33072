"""A remedy report with a teacher and a student, as JSON."""


def remedy_report():
    over_seeds = {"mean": -0.01, "low": None, "high": None}
    paired = {"mean": -0.01, "low": -0.02, "high": 0.005, "users": 9, "draws": 1000, "above": False}
    turn = {"t": 0, "mrr": 0.25, "recall_10": 0.5}
    quality = [{**turn, "mrr_difference": over_seeds, "recall_10_difference": over_seeds}]
    counted = {"parameters": 100, "weight_bytes": 400, "flops": 1000.5, "share_of_teacher": 0.1, "tag": "counted"}
    predicted = {
        "device": "h100",
        "hbm_bytes": 2000.0,
        "seconds": 1e-5,
        "low_s": 5e-6,
        "high_s": 2e-5,
        "joules_per_million_turns": 3.0,
        "usd_per_million_turns": None,
        "reason": None,
        "tag": "predicted",
    }
    teacher = {
        "name": "teacher",
        "kind": "teacher",
        "settings": {},
        "options": {},
        "runs": [
            {
                "seed": 0,
                "conversations": 12,
                "by_turn": [{**turn, "mrr_difference": None, "recall_10_difference": None}],
                "figures": {},
            }
        ],
        "quality": quality,
        "noninferiority": None,
        "counted": counted,
        "measured": None,
        "predicted": [predicted],
        "making": None,
        "break_even": [],
        "on_front": True,
        "notes": [],
    }
    student = {
        **teacher,
        "name": "distilled hidden=8",
        "kind": "distilled",
        "settings": {"hidden": "8"},
        "options": {"temperature": "2", "weight": "0.5"},
        "runs": [
            {
                "seed": 0,
                "conversations": 12,
                "by_turn": [{**turn, "mrr_difference": paired, "recall_10_difference": paired}],
                "figures": {"ratings": {"rmse": 0.5}},
            }
        ],
        "noninferiority": {"ratio": 0.96, "low": 0.9, "high": 1.01, "seeds": 1, "verdict": "not decided"},
        "measured": {
            "median_us": 12.5,
            "interval_us": [12.0, 13.0],
            "samples": 100,
            "device": "cpu",
            "how": "in turn",
            "tag": "measured",
        },
        "making": {
            "training_flop": 1e9,
            "training_s": 2.5,
            "teacher_inference_flop": None,
            "teacher_inference_s": None,
            "tuning_runs": 1,
            "tuning_flop": 0.0,
            "tuning_s": 0.0,
            "teacher_training_flop": None,
            "teacher_training_s": 10.0,
            "tag": "measured",
        },
        "break_even": [
            {
                "unit": "seconds",
                "device": "cpu",
                "with_teacher": False,
                "cost": 2.5,
                "saving_per_turn": 1e-5,
                "turns": 250001,
                "reason": None,
            }
        ],
        "on_front": None,
        "notes": ["one"],
    }
    return {
        "schema": "urn:cr-jax:schema:remedy-report:1.0",
        "kind": "remedy-report",
        "schema_version": "1.0",
        "created": "2026-11-30T00:00:00+00:00",
        "tool": {"name": "cr-jax", "version": "0"},
        "versions": {"jax": "0"},
        "command": ["crjax", "remedy"],
        "model": "dmn",
        "dataset": {"name": "talks", "sha256": "0" * 64, "users": 9, "items": 8, "turns": 5},
        "seeds": [0],
        "margin": 0.05,
        "variants": [teacher, student],
        "comparisons": [{"variant": "distilled hidden=8", "against": "teacher", "mrr_difference": over_seeds, "above": False}],
        "definitions": {"mrr": "mean reciprocal rank"},
        "notes": [],
    }
