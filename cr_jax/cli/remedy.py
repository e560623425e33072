"""``crjax remedy``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cr_jax.cli.options import Model, PricingOptions, Settings, add_command, names, settings
from cr_jax.cli.paths import check_file, check_folder
from cr_jax.cli.progress import StatusLine
from cr_jax.cli.streams import say, write_json
from cr_jax.cli.train import Bar
from cr_jax.errors import BadConfig

if TYPE_CHECKING:
    from cr_jax.documents.remedy_report import RemedyReport
    from cr_jax.remedy.request import RemedyRequest

#: Seeds at most.
_SEEDS = 1000


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "remedy", remedy)


@dataclass(frozen=True, kw_only=True)
class RemedyOptions(PricingOptions):
    """The options of ``crjax remedy``."""

    model: Model
    dataset: Annotated[Path | None, typer.Option(help="A file or folder of conversations. Default: the shipped sample.")] = None
    student: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE,... in which a student differs from its teacher; repeat it.")
    ] = None
    out: Annotated[Path, typer.Option(help="Folder for report.json, the run folders and the finished cells.")] = Path("remedy")
    set_: Settings = None
    preset: Annotated[str, typer.Option(help="published or matched.")] = "published"
    reviews: Annotated[Path | None, typer.Option(help="5-core reviews (JSON lines) of the same items: their texts.")] = None
    epochs: Annotated[int | None, typer.Option(help="Epochs of every stage. Default: as published.")] = None
    steps: Annotated[int | None, typer.Option(help="Steps of every stage. Default: as published.")] = None
    batch: Annotated[int | None, typer.Option(help="Examples per step. Default: as published.")] = None
    patience: Annotated[int | None, typer.Option(help="Epochs without improvement; 0: never stop early.")] = None
    stage: Annotated[list[str] | None, typer.Option(help="Run only the stage of this objective; repeat it.")] = None
    seeds: Annotated[int, typer.Option(help="Number of seeds; fewer than 5 decide nothing.")] = 5
    ensemble: Annotated[int, typer.Option(help="Teachers of each student, trained on its split.")] = 1
    temperature: Annotated[str, typer.Option(help="Of the softened scores; several with commas: tuning chooses.")] = "2"
    weight: Annotated[str, typer.Option(help="Of the teachers' part of the loss; several with commas: tuning chooses.")] = "0.5"
    smoothing: Annotated[str, typer.Option(help="Of smoothed labels; several with commas: tuning chooses.")] = "0.1"
    learning_rate: Annotated[
        str | None, typer.Option(help="Of students from scratch; several with commas: tuning chooses. Default: the teacher's.")
    ] = None
    augment: Annotated[int, typer.Option(help="Recombined conversations per training conversation.")] = 0
    rival: Annotated[
        list[str] | None,
        typer.Option(help="scratch, smoothed, compressed, fewer, early, replayed or popularity; repeat it. Default: all."),
    ] = None
    compress: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE,... as crjax compress takes; repeat it. Default: what the model has.")
    ] = None
    device: Annotated[str | None, typer.Option(help="Devices with commas, whose time, energy and price are predicted.")] = None
    margin: Annotated[float, typer.Option(help="Of non-inferiority, as a share of the teacher's MRR.")] = 0.05
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False
    plot: Annotated[Path | None, typer.Option(help="SVG file (or .png) for quality against FLOPs per turn.")] = None
    json_: Annotated[bool, typer.Option("--json", help="Print the document instead of the table.")] = False

    def request(self) -> "RemedyRequest":
        """The requested remedy. Raises ``BadConfig`` and ``UnknownName``."""
        from cr_jax.data.demo import demo_file
        from cr_jax.remedy.request import RIVALS, RemedyRequest

        devices = [] if self.device is None else names("--device", self.device)
        if not 1 <= self.seeds <= _SEEDS:
            raise BadConfig(f"--seeds {self.seeds}: legal: 1 to {_SEEDS}")
        same = ("model", "reviews", "preset", "epochs", "steps", "batch", "patience", "ensemble", "augment", "margin", "strict")
        given: dict[str, Any] = {name: getattr(self, name) for name in same}
        return RemedyRequest(
            dataset=demo_file() if self.dataset is None else self.dataset,
            students=tuple(_pairs("--student", one) for one in self.student or ()),
            settings=settings(self.set_),
            stages=None if self.stage is None else tuple(self.stage),
            seeds=tuple(range(self.seeds)),
            temperatures=_numbers("--temperature", self.temperature),
            weights=_numbers("--weight", self.weight),
            smoothings=_numbers("--smoothing", self.smoothing),
            learning_rates=() if self.learning_rate is None else tuple(names("--learning-rate", self.learning_rate)),
            rivals=RIVALS if self.rival is None else tuple(self.rival),
            compressions=None if self.compress is None else tuple(_pairs("--compress", one) for one in self.compress),
            devices=tuple(devices),
            rates=self.rates(devices),
            **given,
        )


def _pairs(option: str, text: str) -> dict[str, str]:
    try:
        return settings(text.split(","))
    except BadConfig:
        raise BadConfig(f"{option} {text!r}: legal: KEY=VALUE, several with commas between them") from None


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in names(option, text))
    except ValueError:
        raise BadConfig(f"{option} {text!r}: legal: numbers with commas between them") from None


def remedy(options: RemedyOptions) -> None:
    """Train a teacher, its students and their rivals over seeds: what each loses, what a turn costs, and when it has paid.

    Every finished run is kept in --out: the same command goes on after a kill, and another student, rival, seed or device is
    added to what is there.
    """
    from cr_jax.profiling.request import Listener
    from cr_jax.remedy.run import remedy as run
    from cr_jax.render.cost import show
    from cr_jax.render.remedy import render_remedy
    from cr_jax.report.document import to_json

    check_folder("--out", options.out)
    check_file("--plot", options.plot)
    request, line = options.request(), StatusLine()
    with Bar() as bar:
        report = run(
            request,
            options.out,
            tick=bar.tick,
            say=say,
            listener=Listener(line.compiling, line.warn),
            command=["crjax", *sys.argv[1:]],
        )
    line.clear()
    if options.json_:
        write_json(to_json(report))
    else:
        show(render_remedy(report))
    if options.plot is not None:
        _plot(report, options.plot)
    say(f"report written to {options.out / 'report.json'}")


def _plot(report: "RemedyReport", file: Path) -> None:
    from cr_jax.render.pareto import pareto
    from cr_jax.render.png import to_png
    from cr_jax.resources import write_atomically

    drawn = pareto(report)
    if drawn is None:
        raise BadConfig("--plot: no variant has both a ranking and a program, there is nothing to draw")
    write_atomically(file, to_png(drawn) if file.suffix.lower() == ".png" else drawn)
    say(f"chart written to {file}")
