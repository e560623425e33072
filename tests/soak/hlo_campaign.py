"""The HLO part of the campaign: what XLA refuses must not be counted as exact."""

import json
import re
import tempfile
import threading
from collections import Counter
from pathlib import Path

from soak import hlo_texts
from soak.outcomes import Outcome, Tally, guarded, run_command
from soak.workers import Worker, in_parallel
from soak.xla_parser import XlaParser, kind_of


def count_text(text: str) -> Outcome:
    """``crjax hlo`` of a text, as JSON and as tables; the output is ``exact`` or ``bound``."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(text)
        file.flush()
        outcome = run_command(["hlo", file.name, "--json"])
        outcome = Outcome(outcome.kind, outcome.cause.replace(file.name, "FILE"), outcome.output)
        if outcome.kind != "ok":
            return outcome
        document = json.loads(outcome.output)
        shown = run_command(["hlo", file.name])
        if shown.kind != "ok":
            return Outcome("traceback" if shown.kind == "traceback" else "wrong", f"as tables: {shown.cause}")
        figures = (document[key] for key in ("matmul_flops", "other_flops", "hbm_bytes", "transcendentals"))
        if any(figure < 0 for figure in figures):
            return Outcome("wrong", "a negative count")
        return Outcome("ok", output="exact" if document["bound"] == "exact" else "bound")


class HloJudge:
    """Both answers for one text: the counter's and XLA's."""

    def __init__(self) -> None:
        self.ours: Worker[str, Outcome] = Worker(count_text)
        self.xla = XlaParser()

    def judge(self, text: str) -> tuple[Outcome, str]:
        """The outcome, and XLA's reason where it refuses the text."""
        outcome = guarded(lambda: self.ours.ask(text))
        if outcome.kind in ("traceback", "hang", "wrong"):
            return outcome, ""
        refusal = self.xla.refusal(text)
        if refusal and outcome.output == "exact":
            return Outcome("wrong", f"XLA refuses it: {refusal}"), refusal
        return outcome, refusal

    def close(self) -> None:
        self.ours.stop()
        self.xla.close()


def run(count: int, seed: int, threads: int, texts: list[str] | None = None) -> tuple[Tally, Counter[str]]:
    """The tally, and the messages with which we refuse what XLA takes."""
    tally, stricter, local, judges = Tally("hlo"), Counter(), threading.local(), []
    texts = usable(texts or hlo_texts.whole_texts())

    def work(number: int) -> tuple[Outcome, str, str]:
        if not hasattr(local, "judge"):
            local.judge = HloJudge()
            judges.append(local.judge)
        text, _ = hlo_texts.mutated(number, seed, texts)
        return (*local.judge.judge(text), text)

    for outcome, refusal, text in in_parallel(work, range(count), threads):
        cause = _cause(outcome)
        tally.add(outcome, text.encode("utf-8", "surrogatepass"), cause)
        if outcome.kind == "refused" and not refusal:
            stricter[kind_of(outcome.cause)] += 1
    for judge in judges:
        judge.close()
    return tally, stricter


def usable(texts: list[str]) -> list[str]:
    """The whole texts that this jaxlib's parser takes too; another version may have written the others."""
    xla = XlaParser()
    taken = [text for text in texts if not xla.refusal(text)]
    xla.close()
    return taken


def minimised(text: str, judge: HloJudge) -> str:
    """The text with every line and every attribute left out that the same failure does not need."""
    wanted = _key(judge, text)
    for parts in (_computations, _lines, _lines, _attributes):
        text = _reduce(parts(text), lambda candidate: _key(judge, candidate) == wanted)
    return text


def _key(judge: HloJudge, text: str) -> tuple[str, str]:
    outcome, _ = judge.judge(text)
    return outcome.kind, _cause(outcome)


def _cause(outcome: Outcome) -> str:
    return kind_of(outcome.cause) if outcome.kind == "wrong" else outcome.cause


def _computations(text: str) -> list[str]:
    return re.split(r"(?m)(?<=^\}\n)", text)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _attributes(text: str) -> list[str]:
    parts = [", " + part for part in text.split(", ")]
    parts[0] = parts[0][2:]
    return parts


def _reduce(parts: list[str], same) -> str:
    """Leave out runs of parts, halving their length, as long as the failure stays."""
    size = max(1, len(parts) // 2)
    while size:
        place = 0
        while place < len(parts):
            candidate = parts[:place] + parts[place + size :]
            if candidate and same("".join(candidate)):
                parts = candidate
            else:
                place += size
        size //= 2
    return "".join(parts)


def keep_minimised(tally: Tally, folder: Path, most: int = 200) -> None:
    """Replace each cause's input by its minimised form, then write them all."""
    judge = HloJudge()
    for key, data in sorted(tally.failures.items())[:most]:
        if key[0] in ("wrong", "traceback"):
            tally.failures[key] = minimised(data.decode("utf-8", "surrogatepass"), judge).encode("utf-8", "surrogatepass")
    judge.close()
    tally.keep(folder, ".txt")
