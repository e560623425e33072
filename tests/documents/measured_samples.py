"""Documents of measurements, as JSON: each function is one literal, however long."""


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
    times_s = dict.fromkeys(("min_s", "max_s", "p50_s", "p90_s"), 1.0) | {"p95_s": None, "p99_s": None}
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
    case = dict.fromkeys(("batch", "turns", "turn", "mode", "objective", "items_scored"))
    case |= {"model": "dmn", "dataset": "cell-phones", "device": "cpu", "phase": "train", "preset": "published"}
    case |= {"dtype": "float32", "precision": "default", "users": 1, "question_items": 10, "top_k": 10, "settings": {"a": "1"}}
    argument = {"name": "x", "role": "batch", "shape": [4, 2], "dtype": "float32", "bytes": 32, "donated": False}
    function = {"call": "m:f", "title": "f", "batch": 4, "arguments": [argument], "made": ["x"], "tag": "counted"}
    order = "model dataset device phase preset dtype precision batch users turns turn mode objective items_scored question_items"
    return {
        "schema": "urn:cr-jax:schema:bench-report:1.0",
        "kind": "bench-report",
        "schema_version": "1.0",
        "created": "2026-11-30T00:00:00+00:00",
        "tool": {"name": "cr-jax", "version": "0"},
        "versions": {"jax": "0"},
        "command": None,
        "case": {key: case[key] for key in (*order.split(), "top_k", "settings")} | {"functions": ["m:f"]},
        "model": {"name": "dmn", "title": "DMN", "config": {"classes": 9}, "config_sha256": hash_of},
        "functions": [function],
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
