"""The data part: files of every layout that ``crjax data`` reads, mutated."""

import gzip
import json
import random
import re
import tempfile
import threading
from pathlib import Path

from soak.bytes_changed import byte_mutation, line_mutation
from soak.outcomes import Outcome, Tally, guarded, run_command
from soak.workers import Worker, in_parallel

#: Files of a layout by their path; the layout's name is the folder's.
Layout = dict[str, bytes]
REVIEW = {"reviewerID": "u{}", "asin": "i{}", "reviewText": "A good battery, a bad screen. Size is small!", "overall": 4.0}


def layouts() -> dict[str, Layout]:
    """A small whole example of every layout."""
    from data.formats.test_hem import FILES
    from train.corpora import dialogue

    from cr_jax.data.demo import demo_text

    talks = demo_text(seed=3, conversations=30).encode()
    redial = "".join(json.dumps(dialogue(n)) + "\n" for n in range(12)).encode()
    reviews = "".join(json.dumps(REVIEW | {"reviewerID": f"u{n % 5}", "asin": f"i{n % 7}"}) + "\n" for n in range(20)).encode()
    lexicon = b"[1]\tbattery|good\t20\t3\n[-1]\tscreen|bad\t15\t2\n[1]\tsize|small\t11\t4\n"
    return {
        "talks": {"talks.txt": talks},
        "packed": {"talks.txt.gz": gzip.compress(talks, mtime=0)},
        "redial": {"train.jsonl": redial, "test.jsonl": redial[: redial.index(b"\n") + 1]},
        "reviews": {"reviews.json": reviews, "lexicon.txt": lexicon},
        "hem": {f"{name}.gz": gzip.compress(text.encode(), mtime=0) for name, text in FILES.items()},
        "hem plain": {name: text.encode() for name, text in FILES.items()},
    }


def read_data(task: tuple[str, Layout, bool]) -> Outcome:
    """``data stats`` of the layout, and ``data derive`` of reviews."""
    name, files, strict = task
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            place = Path(folder) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        flags = ["--strict"] if strict else []
        if name == "reviews":
            both = [f"{folder}/reviews.json", f"{folder}/lexicon.txt"]
            commands = [
                ["data", "derive", *both, "--out", "-", "--min-count", "1", *flags],
                ["data", "stats", "--dataset", both[0], "--lexicon", both[1], *flags],
            ]
        else:
            place = folder if len(files) != 1 else f"{folder}/{next(iter(files))}"
            commands = [["data", "stats", "--dataset", place, *flags]]
        taken = "refused"
        for arguments in commands:
            outcome = run_command(arguments)
            if outcome.kind not in ("ok", "refused"):
                return Outcome(outcome.kind, f"{name}, {arguments[1]}: {outcome.cause}".replace(folder, ""))
            taken = outcome.kind if taken == "refused" else taken
        if name == "talks" and taken == "ok":
            return silent_drop(Path(folder) / "talks.txt")
        return Outcome(taken)


def silent_drop(path: Path) -> Outcome:
    """Every line of aspect-value text is a conversation, or is told as skipped."""
    from cr_jax.data.conversation import Problems
    from cr_jax.data.formats import aspect_value

    problems = Problems(str(path))
    kept = sum(1 for _ in aspect_value.conversations(path, problems))
    lines = sum(1 for line in re.split(rb"\n", path.read_bytes()) if line.strip(b" \t\r\v\f\x1c\x1d\x1e\x1f"))
    if kept + problems.total < lines:
        return Outcome("wrong", "a line is neither a conversation nor told as skipped")
    return Outcome("ok")


def run(count: int, seed: int, threads: int) -> Tally:
    tally, local, workers = Tally("data"), threading.local(), []
    whole = layouts()

    def work(number: int) -> tuple[Outcome, bytes]:
        if not hasattr(local, "worker"):
            local.worker = Worker(read_data)
            workers.append(local.worker)
        draw = random.Random(f"data {seed} {number}")
        name = draw.choice(sorted(whole))
        files = dict(whole[name])
        path = draw.choice(sorted(files))
        data = files[path]
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            data = (line_mutation if draw.random() < 0.6 and not path.endswith(".gz") else byte_mutation)(data, draw)
        if path.endswith(".gz") and draw.random() < 0.5:  # what is packed is mutated, not the archive
            data = gzip.compress(line_mutation(gzip.decompress(files[path]), draw), mtime=0)
        if draw.random() < 0.03:
            del files[path]
        else:
            files[path] = data
        outcome = guarded(lambda: local.worker.ask((name, files, draw.random() < 0.2)))
        return outcome, f"{name}/{path}\n".encode() + data

    for outcome, data in in_parallel(work, range(count), threads):
        tally.add(outcome, data)
    for worker in workers:
        worker.stop()
    return tally
