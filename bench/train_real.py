"""Trains the models on the real data in ../shared and prints their figures beside the baselines'.

    python bench/train_real.py [--only CASE ...] [--seeds N] [--out]

DMN, MMN and PMMN must rank above popularity and random order (MRR after the last turn, 95% interval
of a paired bootstrap over users, every seed) within 300 s each; exit status 1 where one does not. AIM
and sRNN-AE are shown as they come out. A seed also draws the split. What is set beside the published
configuration is in the table.
"""

import argparse
import dataclasses
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import finish, table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"
TALKS, REDIAL = "conversations/cell_head_av_min10.txt", "redial"
LIMIT_S = 300.0


@dataclass(frozen=True)
class Case:
    """settings: of the configuration; more: other arguments of ``train``. must: it has to rank above
    both baselines. seeds: ``None`` = as many as asked for."""

    model: str
    data: str
    settings: dict[str, str]
    more: dict[str, Any]
    must: bool = False
    seeds: int | None = 1


SENTIMENT = {"encoder": "table", "embedding": "64", "sentence_hidden": "64", "sentence_layers": "1", "conversation_hidden": "64",
             "conversation_layers": "1"}  # fmt: skip
RANKED = {"learning_rate": "0.01", "item_words": "32", "facts": "12"}
CASES = {
    "dmn": Case("dmn", TALKS, {"learning_rate": "0.003"}, {"steps": 4000, "batch": 32}, True, None),
    "mmn": Case("mmn", TALKS, RANKED, {"steps": 3000, "batch": 64}, True, None),
    "pmmn": Case("pmmn", TALKS, RANKED, {"steps": 3000, "batch": 64}, True, None),
    "aim": Case("aim", TALKS, {}, {"steps": 40, "preset": "matched"}),
    "srnn-ae": Case("srnn-ae", TALKS, SENTIMENT, {"epochs": 2, "preset": "matched"}),
    "sentiment": Case("srnn-ae", REDIAL, SENTIMENT, {"epochs": 4, "stages": ["sentiment"]}),
    "autorec": Case("srnn-ae", REDIAL, SENTIMENT, {"epochs": 30, "stages": ["autorec"]}),
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
        above = all(b["difference"]["mrr"]["above"] for b in self.report["baselines"].values())
        return above and self.seconds <= LIMIT_S

    def row(self) -> tuple[str, ...]:
        """The ranking table's."""
        mine, others = self.report["test"]["ranking"], self.report["baselines"]
        shown = []
        for name in ("popularity", "random"):
            d = others[name]["difference"]["mrr"]
            shown.append(f"{others[name]['figures']['mrr']:.4f}  {d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]")
        return (self.case, str(self.seed), f"{mine['mrr']:.4f}", f"{mine['recall@10']:.4f}", f"{mine['ndcg@10']:.4f}", *shown,
                f"{self.seconds:.0f}")  # fmt: skip


def run(name: str, seed: int) -> Result:
    """Train one case in a folder that goes again."""
    from cr_jax.train.run import train

    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        found = train(case.model, DATA / case.data, Path(folder) / name, settings=case.settings, seed=seed, **case.more)
    return Result(name, seed, found.report)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3, help="of DMN, MMN and PMMN")
    parser.add_argument("--out", action="store_true", help="write bench/results/train_real.json")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"needs {DATA}, which is not here", file=sys.stderr)
        return 2
    results: list[Result] = []
    for name in options.only:
        for seed in range(CASES[name].seeds or options.seeds):
            results.append(run(name, seed))
            print(f"{name} seed {seed}: {results[-1].seconds:.0f} s", file=sys.stderr, flush=True)
    ranked = [r for r in results if "ranking" in r.report["test"]]
    if ranked:
        table(("case", "seed", "MRR", "recall@10", "NDCG@10", "popularity MRR, difference", "random MRR, difference", "s"),
              [r.row() for r in ranked])  # fmt: skip
    checks = []
    for r in results:
        for test, figures in r.report["test"].items():
            if test != "ranking":
                checks += [(r.case, str(r.seed), f"{test}.{key}", f"{value:.4f}") for key, value in figures.items()]
    if checks:
        print()
        table(("case", "seed", "figure", "value"), checks)
    print()
    table(("case", "set beside the published configuration"),
          [(name, ", ".join(f"{k}={v}" for k, v in (CASES[name].settings | CASES[name].more).items())) for name in options.only])
    failed = [f"{r.case} seed {r.seed}" for r in results if CASES[r.case].must and not r.passed]
    print(f"\nabove both baselines within {LIMIT_S:.0f} s: {'not ' + ', '.join(failed) if failed else 'all that must'}")
    runs = []
    for r in results:
        kept = {key: r.report[key] for key in ("test", "baselines", "cost")}
        runs.append({"case": r.case, "seed": r.seed, **dataclasses.asdict(CASES[r.case]), "seconds": r.seconds, **kept})
    finish("train_real", {"limit_s": LIMIT_S, "runs": runs}, options.out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
