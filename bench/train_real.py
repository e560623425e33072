"""Trains the models on the real data in ../shared and prints their figures beside the baselines'.

    python bench/train_real.py [--only CASE ...] [--seeds N] [--out]

DMN, MMN and PMMN must rank above popularity and random order (MRR after the last turn, 95% interval
of a paired bootstrap over users, every seed) within 300 s each. On ReDial the sentiment network must be
right about "liked" more often than the majority class, by macro F1 and Cohen's kappa too, and AutoRec nearer than
the items' mean ratings.
Exit status 1 where one is not. AIM and sRNN-AE on conversations are shown as they come out. A seed also
draws the split. What is set beside the published configuration is in the table. Every finished run is
written at once, in the place of an earlier one of the same case and seed.

Every run is a ``crjax train`` on the CPU in a process of its own. The last table but one holds the estimate of its optimizer
steps against the clock; aim: within 15%. Unless the ``cpu`` profile is calibrated, every run
begins with a calibration (under a minute, into a temporary folder): a shared machine changes within half an hour.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import RESULTS, finish, fresh, machine, table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"
TALKS, REDIAL = "conversations/cell_head_av_min10.txt", "redial"
LIMIT_S = 300.0


@dataclass(frozen=True)
class Case:
    """settings: of the configuration; more: other options of ``crjax train``. must: it has to rank above
    both baselines. beats: (check, figure, the figure it has to be better than, whether more is better).
    seeds: ``None`` = as many as asked for.
    """

    model: str
    data: str
    settings: dict[str, str]
    more: dict[str, Any]
    must: bool = False
    seeds: int | None = 1
    beats: tuple[tuple[str, str, str, bool], ...] = ()


SENTIMENT = {
    "encoder": "table",
    "embedding": "64",
    "sentence_hidden": "64",
    "sentence_layers": "1",
    "conversation_hidden": "64",
    "conversation_layers": "1",
}
#: Few dialogues, and the answers as often as they are given: a smaller network, a plain loss.
FORMS = SENTIMENT | {
    "embedding": "32",
    "sentence_hidden": "32",
    "conversation_hidden": "32",
    "learning_rate": "0.003",
    "liked_weights": "false",
    "dropout": "0.1",
}
RATINGS = SENTIMENT | {"autorec_bias": "3", "autorec_learning_rate": "0.0001"}
LIKED = tuple(
    ("sentiment", f"{who}_liked.likeliest_{figure}", f"{who}_liked.majority_{figure}", True)
    for who in ("initiator", "respondent")
    for figure in ("accuracy", "macro_f1", "kappa")
)
RANKED = {"learning_rate": "0.01", "item_words": "32", "facts": "12"}
CASES = {
    "dmn": Case("dmn", TALKS, {"learning_rate": "0.003"}, {"steps": 4000, "batch": 32}, True, None),
    "mmn": Case("mmn", TALKS, RANKED, {"steps": 3000, "batch": 64}, True, None),
    "pmmn": Case("pmmn", TALKS, RANKED | {"l2": "0.0001"}, {"steps": 3000, "batch": 64}, True, None),
    "aim": Case("aim", TALKS, {}, {"steps": 40, "preset": "matched"}),
    "srnn-ae": Case("srnn-ae", TALKS, SENTIMENT, {"preset": "matched"}),
    "sentiment": Case("srnn-ae", REDIAL, FORMS, {"epochs": 5, "batch": 64, "stage": "sentiment"}, beats=LIKED),
    "autorec": Case(
        "srnn-ae", REDIAL, RATINGS, {"epochs": 30, "stage": "autorec"}, beats=(("ratings", "rmse", "item_mean_rmse", False),)
    ),
}


@dataclass
class Result:
    """One training run."""

    case: str
    seed: int
    report: dict[str, Any] = field(repr=False)

    @property
    def seconds(self) -> float:
        return self.report["cost"]["measured"]["time_s"]

    @property
    def passed(self) -> bool:
        if CASES[self.case].must and self.seconds > LIMIT_S:
            return False
        above = not CASES[self.case].must or all(b["difference"]["mrr"]["above"] for b in self.report["baselines"].values())
        return above and all(ours > theirs if more else ours < theirs for ours, theirs, more in self.beaten())

    def beaten(self) -> list[tuple[float, float, bool]]:
        """Of each figure that has to beat another: both, and whether more is better."""
        test = self.report["test"]
        return [(test[check][mine], test[check][other], more) for check, mine, other, more in CASES[self.case].beats]

    def predicted(self) -> tuple[str, ...]:
        """The estimate's row: optimizer steps alone, compilation apart on both sides."""
        p = self.report["cost"]["predicted"]
        shown = ("-", "-", "-")
        if p["ratio"] is not None:
            shown = (f"{p['training_s']:.1f}", f"{p['low_s']:.1f} to {p['high_s']:.1f}", f"{p['ratio']:.2f}")
        return (self.case, str(self.seed), *shown[:2], f"{p['measured_s']:.1f}", shown[2])

    def row(self) -> tuple[str, ...]:
        """The ranking table's."""
        mine, others = self.report["test"]["ranking"], self.report["baselines"]
        shown = []
        for name in ("popularity", "random"):
            d = others[name]["difference"]["mrr"]
            shown.append(f"{others[name]['figures']['mrr']:.4f}  {d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]")
        return (
            self.case,
            str(self.seed),
            f"{mine['mrr']:.4f}",
            f"{mine['recall@10']:.4f}",
            f"{mine['ndcg@10']:.4f}",
            *shown,
            f"{self.seconds:.0f}",
        )


def run(name: str, seed: int, calibrated: bool) -> Result:
    """Train one case in a temporary folder."""
    case = CASES[name]
    arguments = ["--model", case.model, "--dataset", str(DATA / case.data), "--seed", str(seed)]
    for option, value in case.more.items():
        arguments += [f"--{option}", str(value)]
    for key, value in case.settings.items():
        arguments += ["--set", f"{key}={value}"]
    with tempfile.TemporaryDirectory() as folder:
        here = {} if calibrated else {"CRJAX_PROFILES": folder}
        if not calibrated:
            print(fresh(["-m", "cr_jax.cli.main", "calibrate"], **here).output.splitlines()[0], file=sys.stderr)
        out = Path(folder) / name
        fresh(["-m", "cr_jax.cli.main", "train", *arguments, "--out", str(out)], **here)
        return Result(name, seed, json.loads((out / "report.json").read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3, help="of DMN, MMN and PMMN")
    parser.add_argument("--out", action="store_true", help="write bench/results/train_real.json")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"needs {DATA}, which is not here", file=sys.stderr)
        return 2
    from cr_jax.catalog import load

    calibrated = load.accelerator("cpu").calibration is not None
    results: list[Result] = []
    for name in options.only:
        for seed in range(CASES[name].seeds or options.seeds):
            results.append(run(name, seed, calibrated))
            print(f"{name} seed {seed}: {results[-1].seconds:.0f} s", file=sys.stderr, flush=True)
            if options.out:
                keep(results[-1])
    ranked = [r for r in results if "ranking" in r.report["test"]]
    if ranked:
        table(
            ("case", "seed", "MRR", "recall@10", "NDCG@10", "popularity MRR, difference", "random MRR, difference", "s"),
            [r.row() for r in ranked],
        )
    checks = []
    for r in results:
        for test, figures in r.report["test"].items():
            if test != "ranking":
                checks += [(r.case, str(r.seed), f"{test}.{key}", f"{value:.4f}") for key, value in figures.items()]
    if checks:
        print()
        table(("case", "seed", "figure", "value"), checks)
    print()
    table(("case", "seed", "training predicted, s", "90% interval", "measured, s", "ratio"), [r.predicted() for r in results])
    reasons = {r.case: r.report["cost"]["predicted"]["reason"] for r in results if r.report["cost"]["predicted"]["reason"]}
    for case, reason in reasons.items():
        print(f"{case}: no prediction: {reason}")
    print()
    table(
        ("case", "set beside the published configuration"),
        [(name, ", ".join(f"{k}={v}" for k, v in (CASES[name].settings | CASES[name].more).items())) for name in options.only],
    )
    failed = [f"{r.case} seed {r.seed}" for r in results if not r.passed]
    print(f"\nbeats what it must (rankings within {LIMIT_S:.0f} s): {'not ' + ', '.join(failed) if failed else 'all that must'}")
    finish("train_real", {}, False)
    return 1 if failed else 0


def keep(result: Result) -> None:
    """Write the run into ``bench/results/train_real.json``, in the place of an earlier one."""
    file = RESULTS / "train_real.json"
    document = json.loads(file.read_text()) if file.exists() else {"bench": "train_real", "limit_s": LIMIT_S, "runs": []}
    mine = {
        "case": result.case,
        "seed": result.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        **dataclasses.asdict(CASES[result.case]),
        "seconds": result.seconds,
        "passed": result.passed,
        **{key: result.report[key] for key in ("test", "baselines", "cost")},
    }
    from cr_jax.resources import write_atomically

    others = [r for r in document["runs"] if (r["case"], r["seed"]) != (result.case, result.seed)]
    order = list(CASES)
    document["runs"] = sorted([*others, mine], key=lambda r: (order.index(r["case"]), r["seed"]))
    write_atomically(file, json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
