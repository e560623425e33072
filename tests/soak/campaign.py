"""The campaign against bad input, with one summary line; see ``main`` for its options."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from soak import data_campaign, document_campaign, hlo_campaign, kill_campaign, option_values, store_campaign
from soak.outcomes import BAD, Tally
from soak.workers import progress

#: Commands whose options are tried; the others take minutes, or measure.
COMMANDS = (
    "hlo",
    "diff",
    "validate",
    "list",
    "data stats",
    "data derive",
    "recommend",
    "profile",
    "compare",
    "estimate",
    "check",
    "targets status",
    "paper",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are asked for; returns 1 where anything failed."""
    parser = argparse.ArgumentParser(description="Mutated HLO texts, documents and data, kills, damaged stores, nasty options.")
    for part, what in (
        ("hlo", "mutated HLO texts"),
        ("documents", "mutated reports and profiles"),
        ("data", "mutated data files"),
        ("kills", "processes killed and run again"),
        ("stores", "damaged stores"),
    ):
        parser.add_argument(f"--{part}", type=int, default=0, metavar="N", help=what)
    parser.add_argument("--options", action="store_true", help="every option of every command with every nasty value")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="a folder for the smallest input of every cause that failed")
    asked = parser.parse_args(arguments)
    begun, tallies = time.monotonic(), _run(asked)
    for tally in tallies:
        progress(tally.line())
        for (kind, cause), times in tally.times.most_common():
            progress(f"  {times} {kind}: {cause}")
    total = Counter[str]()
    for tally in tallies:
        total += tally.counts
    counts = " · ".join(f"{total[kind]} {kind}" for kind in ("ok", "refused", *BAD))
    print(f"{sum(total.values())} inputs, seed {asked.seed}: {counts} · {time.monotonic() - begun:.0f} s")
    return int(any(tally.bad for tally in tallies))


def _run(asked: argparse.Namespace) -> list[Tally]:
    found = []
    if asked.hlo:
        tally, stricter = hlo_campaign.run(asked.hlo, asked.seed, asked.threads)
        for reason, times in stricter.most_common(20):
            progress(f"hlo: XLA takes, we refuse {times}: {reason}")
        if asked.keep:
            hlo_campaign.keep_minimised(tally, asked.keep)
        found.append(tally)
    if asked.documents:
        found.append(document_campaign.run(asked.documents, asked.seed, asked.threads))
    if asked.data:
        found.append(data_campaign.run(asked.data, asked.seed, asked.threads))
    if asked.kills:
        found.append(kill_campaign.run(asked.kills, asked.seed))
    if asked.stores:
        found.append(store_campaign.run(asked.stores, asked.seed))
    if asked.options:
        here = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            found.append(option_values.run(Path(folder), list(COMMANDS))[0])
            os.chdir(here)
    if asked.keep:
        for tally in found:
            if tally.name != "hlo":
                tally.keep(asked.keep)
    return found


if __name__ == "__main__":
    sys.exit(main())
