"""Whether the device waits for its batches: the share of training time spent waiting for the next one.

    python bench/input_pipeline.py [--models dmn mmn ...] [--steps 200] [--out]

Trains each model on the shipped sample and, where ../shared is, on the real conversations, at its
published batch and configuration, and reads from the training report the waited share, of all steps and
without the first ones, in which programs are compiled; the time of a step; the share of padding. Aim:
under 5% waited without the first steps. Exit status 1 where it is more.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import ROOT, finish, table

sys.path.insert(0, str(ROOT))
REAL = ROOT.parent / "shared" / "data" / "conversations" / "cell_head_av_min10.txt"
LIMIT = 0.05
#: sRNN-AE with its published encoder takes seconds a step on a CPU; as in train_real.py.
SETTINGS: dict[str, dict[str, str]] = {
    "srnn-ae": {"encoder": "table", "embedding": "64", "sentence_hidden": "64", "sentence_layers": "1",
                "conversation_hidden": "64", "conversation_layers": "1"},
}  # fmt: skip
#: A step of these takes longer than a second on two cores.
SLOW = {"aim": 50, "srnn-ae": 60}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["dmn", "mmn", "pmmn", "aim", "srnn-ae"])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", action="store_true", help="write bench/results/input_pipeline.json")
    options = parser.parse_args()
    from cr_jax.data.demo import demo_file
    from cr_jax.train.run import train

    places = {"sample": demo_file()} | ({"real": REAL} if REAL.is_file() else {})
    rows, runs = [], []
    for name, path in places.items():
        for model in options.models:
            steps = min(options.steps, SLOW.get(model, options.steps))
            with tempfile.TemporaryDirectory() as folder:
                report = train(model, path, Path(folder) / "run", steps=steps, patience=0, settings=SETTINGS.get(model)).report
            cost: dict[str, Any] = report["cost"]["measured"]
            share = cost["later_input_wait_share"]
            padding = {stage["name"]: stage["padding_share"] for stage in report["stages"]}
            runs.append({"data": name, "model": model, "steps": cost["steps"], "input_wait_share": cost["input_wait_share"],
                         "later_input_wait_share": share, "training_s": cost["training_s"],
                         "first_steps_s": cost["first_steps_s"], "padding_share": padding})  # fmt: skip
            rows.append((f"{model}, {name}", str(cost["steps"]), f"{1e3 * cost['training_s'] / cost['steps']:.1f}",
                         f"{cost['input_wait_share']:.2%}", "-" if share is None else f"{share:.2%}",
                         ", ".join(f"{value:.0%}" for value in padding.values())))  # fmt: skip
            print(*rows[-1], file=sys.stderr, flush=True)
    table(("model, data", "steps", "ms/step", "waited", "without the first steps", "padding"), rows)
    kept = [r for r in runs if r["later_input_wait_share"] is not None and r["later_input_wait_share"] < LIMIT]
    over = [f"{r['model']} on {r['data']}" for r in runs if r not in kept]
    print(f"\nwaited under {LIMIT:.0%}: {'not ' + ', '.join(over) if over else 'all'}")
    finish("input_pipeline", {"limit_share": LIMIT, "runs": runs}, options.out)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
