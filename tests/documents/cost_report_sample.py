"""A whole cost report, as JSON."""

from reports import changed, only, sample

from cr_jax.documents.base import plain


def cost_report(counted):
    """A training step and a turn of DMN, with a prediction of either kind of validation, and everything that may be left out.

    counted: an HLO count with a loop, a conditional, a declared call and one without a rule.
    """
    programs = {
        "devices": ["a"],
        "method": "calibrated",
        "n": 3,
        **dict.fromkeys(("median_error", "p90_error", "worst_error", "ratio_low", "ratio_high"), 0.5),
        "source": "s",
        "date": "2026",
    }
    launches = {"class": "launches", "seconds": 1.0, "kinship": None, "n": None, "cards": []}
    launches |= {"median_error": None, "p90_error": None, "worst_error": None, "ratio_low": 0.4, "ratio_high": 2.5}
    known = dict.fromkeys(("median_error", "p90_error", "worst_error"), 0.1)
    sorts = launches | {"class": "sorts", "kinship": "same_card", "n": 4, "cards": ["h100"], **known}
    energy = {"limit_w": 700, "idle_w": 105.0, "idle_is": "profile", "active_share": 0.5, "host_w": 0.0, "pue": 1.0}
    energy |= {"grid_g_per_kwh": None, "grid_source": None}
    spent = {"energy_j": 1.5, "power_w": 200.5, "reason": None, "carbon_g": None, "assumptions": energy, "tag": "predicted"}
    price = {"price_usd": 1e-6, "per_hour_usd": 4, "source": "s", "reason": None, "tag": "predicted"}
    loop = {"name": "w", "seconds": 0.5, "starting_s": 0.25, "iterations": 4, "kernels": 3, "graphs": 0, "waits": True}
    operation = {"name": "o", "family": "matmul", "times": 2, "seconds": 0.5, "bound": "memory"}
    replayed = {"name": "o", "family": "matmul", "times": 2, "analytic_s": 0.5, "replay_s": None, "reason": "r"}
    tables = {"profile": "cpu", "created": "c", "device": "d", "median_spread": 0.1, "canary_spread": 0.1}
    predicted = {"seconds": 1.5, "seconds_per_turn": 0.5, "low_s": 1.0, "high_s": 2.0, "coverage": 0.9, "bound": "compute"}
    predicted |= {"shares": {"compute": 1.0}, "method": "model", "reason": None, "utilisation": {"matmul": 0.5, "memory": None}}
    batch = {"objective": "answer", "memory_bytes": 9, "batch": 3, "peak_bytes": 8, "next_batch": 4, "next_peak_bytes": None}

    def first(values):
        return dict(list(values.items())[:1]) if isinstance(values, dict) else values[:1]

    lists = ("steps.*.modules", "steps.*.passes", "steps.*.families", "steps.*.loops", "parameters.modules", "definitions")
    lists += ("steps.*.memory.timeline.alive", "steps.*.memory.timeline.points", "parameters.tensors", "dataset.origins")
    lists += ("dataset.lengths", "dataset.turn_histogram", "versions", "dataset.sizes", "model.config", "turns")
    report = plain(
        changed(only(sample(), lambda one: one.name in ("train/answer", "infer/replay/t0")), dict.fromkeys(lists, first))
    )
    train, turn = report["steps"]
    train["prediction"] |= predicted | {"validated_on": {"method": "model", "classes": [launches, sorts]}, "calibration": tables}
    train["prediction"] |= {"loops": [loop], "operations": [operation], "energy": spent, "price": price, "replayed": [replayed]}
    turn["prediction"] |= predicted | {"validated_on": programs, "method": "calibrated"}
    train["coverage"] |= {key: counted[key] for key in ("uncounted", "conditionals", "declared")}
    return report | {"max_batch": [batch | {"programs_compiled": 5, "tag": "compiler"}]}
