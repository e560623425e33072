"""``crjax train``."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cr_jax.cli.options import Model, Settings, add_command, settings
from cr_jax.cli.paths import check_folder
from cr_jax.cli.progress import progress_bar
from cr_jax.cli.streams import say
from cr_jax.train.request import TrainingRequest


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "train", train)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of ``crjax train``."""

    model: Model
    dataset: Annotated[Path | None, typer.Option(help="A file or folder of conversations. Default: the shipped sample.")] = None
    out: Annotated[Path, typer.Option(help="Folder for report.json, log.jsonl and checkpoints.")] = Path("training")
    reviews: Annotated[Path | None, typer.Option(help="5-core reviews (JSON lines) of the same items: their texts.")] = None
    preset: Annotated[str, typer.Option(help="published or matched.")] = "published"
    epochs: Annotated[int | None, typer.Option(help="Epochs of every stage. Default: as published.")] = None
    steps: Annotated[int | None, typer.Option(help="Steps of every stage. Default: as published.")] = None
    patience: Annotated[int | None, typer.Option(help="Epochs without improvement; 0: never stop early.")] = None
    batch: Annotated[int | None, typer.Option(help="Examples per step. Default: as published.")] = None
    seed: Annotated[int, typer.Option(help="Seed of split, order, negatives and first weights.")] = 0
    split_seed: Annotated[
        int | None, typer.Option(help="Seed of the split alone, so that runs of several seeds share it. Default: --seed.")
    ] = None
    stage: Annotated[list[str] | None, typer.Option(help="Run only the stage of this objective; repeat it.")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint in --out.")] = False
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False
    devices: Annotated[int | None, typer.Option(help="Devices to split a batch over. Default: all that divide it.")] = None
    shard_tables: Annotated[bool, typer.Option("--shard-tables", help="Split large tables over the devices.")] = False
    coordinator: Annotated[
        str | None,
        typer.Option(
            help="HOST:PORT of host 0, of a run on several hosts. Default: $JAX_COORDINATOR_ADDRESS, else of the SLURM step, "
            "Open MPI job, Kubernetes indexed Job or TPU pod that JAX finds."
        ),
    ] = None
    hosts: Annotated[
        int | None, typer.Option(help="Number of hosts. Default: $JAX_NUM_PROCESSES, else the cluster's. 1: no others.")
    ] = None
    host: Annotated[int | None, typer.Option(help="Number of this host, from 0; host 0 writes. Default: $JAX_PROCESS_ID.")] = None
    checkpoint_steps: Annotated[int, typer.Option(help="Steps between checkpoints, besides one per epoch.")] = 1000
    set_: Settings = None

    def request(self) -> TrainingRequest:
        """The requested run. Raises ``BadConfig``."""
        from cr_jax.data.demo import demo_file

        return TrainingRequest(
            self.model,
            demo_file() if self.dataset is None else self.dataset,
            self.reviews,
            self.preset,
            epochs=self.epochs,
            steps=self.steps,
            patience=self.patience,
            batch=self.batch,
            seed=self.seed,
            settings=settings(self.set_),
            strict=self.strict,
            devices=self.devices,
            shard_tables=self.shard_tables,
            split_seed=self.split_seed,
            stages=None if self.stage is None else tuple(self.stage),
        )


def train(options: TrainOptions) -> None:
    """Train a model on conversations; test it against popularity and random order.

    After a kill at any moment, the same command with --resume continues to the same losses. On several hosts the
    same command runs on each: started by SLURM, Open MPI, a Kubernetes indexed Job or on a TPU pod as it is, else with
    --coordinator, --hosts and its own --host. Each needs the data set, and host 0 alone writes --out.
    """
    from cr_jax.render.cost import show
    from cr_jax.render.training import render_training
    from cr_jax.train.hosts import join, writes
    from cr_jax.train.run import train as run

    check_folder("--out", options.out)
    request = options.request()
    found = join(options.coordinator, options.hosts, options.host)
    if found is not None and writes():
        say(found)
    with Bar(writes()) as bar:
        trained = run(
            request,
            options.out,
            resume=options.resume,
            checkpoint_steps=options.checkpoint_steps,
            command=["crjax", *sys.argv[1:]],
            tick=bar.tick,
        )
    if not writes():
        return
    show(render_training(trained.report))
    for line in trained.report.dataset.problems:
        say(f"skipped: {line}")
    say(f"report written to {options.out / 'report.json'}")


class Bar:
    """A progress bar on a terminal's stderr: stage, loss, turns per second, time left."""

    def __init__(self, shown: bool = True) -> None:
        from rich.progress import TextColumn, TimeRemainingColumn

        figures = TextColumn("{task.fields[shown]}", markup=False)
        self._progress = progress_bar(figures, TimeRemainingColumn(), transient=True, shown=shown)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tick(self, tick: Any) -> None:
        """Show where the run is."""
        if tick.stage not in self._tasks:
            self._tasks[tick.stage] = self._progress.add_task(tick.stage, total=tick.steps, shown="")
        losses = ", ".join(f"{name} {value:.4g}" for name, value in tick.losses.items())
        # AutoRec's examples are users, not turns.
        rate = f"{tick.turns_per_second:,.0f} turns/s" if tick.turns_per_second else f"{tick.examples_per_second:,.0f} examples/s"
        self._progress.update(self._tasks[tick.stage], completed=tick.step, shown=f"loss {losses}  {rate}")
