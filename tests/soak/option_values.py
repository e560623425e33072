"""Nasty values for every option and argument of every command, by introspection of the command line."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak import workers
from soak.outcomes import Outcome, Tally, guarded, run_command

VALUES = (
    "",
    " ",
    "-",
    "--",
    ".",
    "..",
    "/",
    "~",
    "~nobody/x",
    "~nosuchuser/x",
    "a" * 5000,
    "9" * 400,
    "9" * 5000,
    "-1",
    "0",
    "-0",
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "-inf",
    "1e-400",
    "1.5",
    "0x10",
    "1_000",
    "²",
    "٣",
    "2147483648",
    "9223372036854775808",
    "\n",
    "a\nb",
    "\x1b[31m",
    "[/b]",
    "[bold]x",
    "\u202e",
    "é",
    "\udcff",
    "/dev/null",
    "/nonexistent/x",
    "FILE",
    "FOLDER",
    "FILE/x",
    "FOLDER/x",
    "a.b:C",
    "json:loads",
    "cr_jax.models.dmn:SPEC",
    "cr_jax.models.dmn:x",
    ":",
    "=",
    "x=",
    "=x",
    "a,b",
    ",",
    "a,,b",
    "dmn,dmn",
    "{}",
    "[]",
    "null",
)
#: Seconds a command may take: a legal value makes it compile.
LIMIT = 20.0
#: Values behind KEY= of the options that take pairs.
NUMBERS = (
    "",
    "0",
    "-1",
    "9" * 400,
    "9" * 5000,
    "1e400",
    "nan",
    "inf",
    "1.5",
    "²",
    "1_000",
    "a" * 5000,
    "true",
    "\n",
    "2147483648",
)
PAIRS = {
    "--set": ("hidden", "hops", "learning_rate", "x", "a" * 5000, ""),
    "--kernel": ("flash", "x", "a" * 5000, ""),
    "--trips": ("while.1", "x", "a" * 5000, ""),
    "--price-per-hour": ("cpu", "h100", "x"),
    "--schedule": ("epochs", "equal-turns", "x"),
}


@dataclass(frozen=True)
class Trial:
    """One command line; ``option`` is what was given the nasty value."""

    arguments: tuple[str, ...]
    command: str
    option: str
    value: str


def bases(folder: Path) -> dict[str, list[str]]:
    """A quick, legal command line for each command; files are in ``folder``."""
    tiny = ["--dataset", "tiny", "--set", "hidden=4", "--set", "embedding=6", "--phase", "train"]
    report, talks = str(folder / "report.json"), str(folder / "talks.txt")
    return {
        "profile": ["--model", "dmn", *tiny],
        "hlo": [str(folder / "text.hlo")],
        "compare": ["--model", "dmn", *tiny],
        "diff": [report, report],
        "validate": [report],
        "list": ["models"],
        "estimate": ["--model", "dmn", "--dataset", "tiny", "--set", "hidden=4", "--set", "embedding=6"],
        "data stats": ["--dataset", talks],
        "data derive": [str(folder / "reviews.json"), str(folder / "lexicon.txt"), "--out", "-"],
        "train": [
            "--model",
            "dmn",
            "--dataset",
            talks,
            "--out",
            str(folder / "run"),
            "--steps",
            "1",
            "--set",
            "hidden=4",
            "--set",
            "embedding=6",
        ],
        "recommend": [str(folder / "nowhere")],
        "check": ["--baseline", report, report],
        "targets status": [],
        "paper": [],
    }


def prepare(folder: Path) -> None:
    """Files that the command lines name, and a data set ``tiny`` of the user's own."""
    from tiny import dataset_file

    from cr_jax import profile
    from cr_jax.data.demo import demo_text
    from cr_jax.report.document import to_json

    folder.mkdir(parents=True, exist_ok=True)
    path = dataset_file(folder / "profiles")
    os.environ["CRJAX_PROFILES"] = str(folder / "profiles")
    os.environ["CRJAX_CACHE"] = str(folder / "cache")
    small = {"hidden": "4", "embedding": "6"}
    (folder / "report.json").write_text(to_json(profile("dmn", path, turns=1, phases=["train"], settings=small)))
    (folder / "talks.txt").write_text(demo_text(seed=3, conversations=40), encoding="utf-8")
    (folder / "text.hlo").write_text((Path(__file__).parents[1] / "corpus/hlo/whole/unknown_while.traced.txt").read_text())
    (folder / "reviews.json").write_text('{"reviewerID": "u", "asin": "i", "reviewText": "a good battery", "overall": 5.0}\n' * 5)
    (folder / "lexicon.txt").write_text("[1]\tbattery|good\t20\t3\n")
    (folder / "FILE").write_text("a file\n")
    (folder / "FOLDER").mkdir(exist_ok=True)


def trials(folder: Path, commands: list[str]) -> Iterator[Trial]:
    """Every option and argument of every command with every nasty value."""
    known = bases(folder)
    for name in commands:
        for option, flag in _options(name):
            if flag:
                continue
            for value in _values(option):
                told = value.replace("FILE", str(folder / "FILE")).replace("FOLDER", str(folder / "FOLDER"))
                base = _without(known[name], option)
                if option.startswith("-"):
                    arguments = [*name.split(), *base, f"{option}={told}"]
                else:
                    arguments = [*name.split(), told, *base[1:]]
                yield Trial(tuple(arguments), name, option, value)


def _values(option: str) -> Iterator[str]:
    yield from VALUES
    for key in PAIRS.get(option, ()):
        for number in NUMBERS:
            yield f"{key}={number}"


def _options(name: str) -> Iterator[tuple[str, bool]]:
    import typer

    from cr_jax.cli.main import app

    command: Any = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]
    for parameter in command.params:
        if parameter.name != "help":
            option = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
            yield option, bool(getattr(parameter, "is_flag", False))


def _without(arguments: list[str], option: str) -> list[str]:
    """The base without the option that is given another value; ``--set`` may stand several times."""
    if option == "--set" or option not in arguments:
        return arguments
    place = arguments.index(option)
    return arguments[:place] + arguments[place + 2 :]


def attempt(trial: Trial) -> Outcome:
    os.environ["JAX_PLATFORMS"] = "cpu"
    before = set(os.listdir())
    outcome = run_command(list(trial.arguments))
    for left in set(os.listdir()) - before:  # what an odd name made in the working folder
        shutil.rmtree(left) if os.path.isdir(left) else os.remove(left)
    return outcome


def run(folder: Path, commands: list[str]) -> tuple[Tally, list[str]]:
    """The tally, and a line for every failure."""
    prepare(folder)
    (folder / "work").mkdir(exist_ok=True)
    os.chdir(folder / "work")
    tally, lines = Tally("options"), []
    worker: workers.Worker[Trial, Outcome] = workers.Worker(attempt, LIMIT)
    for trial in trials(folder, commands):
        outcome = guarded(lambda trial=trial: worker.ask(trial))
        tally.add(outcome, repr(trial.arguments).encode(), f"{trial.command} {trial.option}: {outcome.cause}")
        if outcome.kind not in ("ok", "refused"):
            lines.append(f"{outcome.kind} {trial.command} {trial.option}={trial.value[:30]!r}: {outcome.cause}")
            workers.progress(lines[-1])
    worker.stop()
    return tally, lines
