"""``crjax distil``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cr_jax.cli.options import OptionalModel, Settings, add_command, settings
from cr_jax.cli.paths import check_folder
from cr_jax.cli.streams import say
from cr_jax.cli.train import Bar

if TYPE_CHECKING:
    from cr_jax.train.distil_request import DistillationRequest


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "distil", distil)


@dataclass(frozen=True, kw_only=True)
class DistilOptions:
    """The options of ``crjax distil``."""

    teacher: Annotated[
        list[Path], typer.Argument(help="Folders of finished runs of `crjax train`: one teacher, or an ensemble of several.")
    ]
    dataset: Annotated[
        Path | None, typer.Option(help="The conversations that the teachers were trained on. Default: the shipped sample.")
    ] = None
    out: Annotated[Path, typer.Option(help="Folder for report.json, log.jsonl and checkpoints.")] = Path("student")
    set_: Settings = None
    temperature: Annotated[float, typer.Option(help="T by which scores are divided before the softmax.")] = 2.0
    weight: Annotated[float, typer.Option(help="Of the teachers' part of the loss, above 0 to 1; the rest is as published.")] = (
        0.5
    )
    on_the_fly: Annotated[
        bool, typer.Option("--on-the-fly", help="Teachers score within the step, instead of once beforehand into the cache.")
    ] = False
    initial: Annotated[
        str | None,
        typer.Option(help="First weights: seed, or the teacher's where they fit. Default: teacher for a compressed item table."),
    ] = None
    augment: Annotated[
        int, typer.Option(help="Recombined conversations of the same item per training conversation, labelled by the teachers.")
    ] = 0
    reviews: Annotated[Path | None, typer.Option(help="The reviews that the teachers were trained with.")] = None
    model: OptionalModel = None
    epochs: Annotated[int | None, typer.Option(help="Epochs of every stage. Default: the teacher's steps.")] = None
    steps: Annotated[int | None, typer.Option(help="Steps of every stage. Default: the teacher's.")] = None
    patience: Annotated[
        int | None, typer.Option(help="Epochs without improvement; 0: never stop early. Default: the teacher's.")
    ] = None
    batch: Annotated[int | None, typer.Option(help="Examples per step. Default: the teacher's.")] = None
    seed: Annotated[int, typer.Option(help="Seed of order, negatives and first weights; the split is the teachers'.")] = 0
    stage: Annotated[list[str] | None, typer.Option(help="Run only the stage of this objective; repeat it.")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint in --out.")] = False
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False
    devices: Annotated[int | None, typer.Option(help="Devices to split a batch over. Default: all that divide it.")] = None
    checkpoint_steps: Annotated[int, typer.Option(help="Steps between checkpoints, besides one per epoch.")] = 1000

    def request(self) -> "DistillationRequest":
        """The requested run. Raises ``BadConfig``."""
        from cr_jax.data.demo import demo_file
        from cr_jax.train.distil_request import DistillationRequest

        same = (
            "reviews",
            "model",
            "temperature",
            "weight",
            "on_the_fly",
            "initial",
            "augment",
            "epochs",
            "steps",
            "patience",
            "batch",
        )
        return DistillationRequest(
            tuple(self.teacher),
            demo_file() if self.dataset is None else self.dataset,
            settings=settings(self.set_),
            seed=self.seed,
            strict=self.strict,
            devices=self.devices,
            stages=None if self.stage is None else tuple(self.stage),
            **{name: getattr(self, name) for name in same},
        )


def distil(options: DistilOptions) -> None:
    """Train a smaller configuration of a trained model against its scores over the whole catalogue, after every turn.

    The student starts from the first teacher's configuration and schedule; --set and the other options change them. --out is a
    folder as `crjax train` writes it. After a kill at any moment, the same command with --resume continues to the same losses.
    """
    from cr_jax.render.cost import show
    from cr_jax.render.training import render_training
    from cr_jax.train.distil import distil as run

    check_folder("--out", options.out)
    request = options.request()
    with Bar() as bar:
        trained = run(
            request,
            options.out,
            resume=options.resume,
            checkpoint_steps=options.checkpoint_steps,
            command=["crjax", *sys.argv[1:]],
            tick=bar.tick,
            say=say,
        )
    show(render_training(trained.report))
    for line in trained.report.dataset.problems:
        say(f"skipped: {line}")
    say(f"report written to {options.out / 'report.json'}")
