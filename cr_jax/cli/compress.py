"""``crjax compress``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cr_jax.cli.options import OptionalModel, add_command
from cr_jax.cli.paths import check_folder
from cr_jax.cli.streams import say
from cr_jax.errors import BadConfig

if TYPE_CHECKING:
    from cr_jax.train.finished import FinishedRun


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "compress", compress)


@dataclass(frozen=True, kw_only=True)
class CompressOptions:
    """The options of ``crjax compress``."""

    run: Annotated[Path, typer.Argument(help="Folder of a finished run, written by crjax train.")]
    out: Annotated[Path, typer.Option(help="Folder of the compressed run.")]
    item_rank: Annotated[int | None, typer.Option(help="Rank of the item table, by truncated SVD (dmn, srnn-ae).")] = None
    item_codes: Annotated[int | None, typer.Option(help="Parts of an item's vector, by product quantisation (dmn).")] = None
    item_centroids: Annotated[int | None, typer.Option(help="Vectors that items share in each part. Default: 256.")] = None
    weights: Annotated[str | None, typer.Option(help="Type of the weights: bfloat16 or int8 (dmn, mmn, pmmn).")] = None
    dataset: Annotated[Path | None, typer.Option(help="The run's data: both runs are ranked on its test part.")] = None
    reviews: Annotated[Path | None, typer.Option(help="The run's 5-core reviews, with --dataset.")] = None
    model: OptionalModel = None

    def settings(self) -> dict[str, str]:
        """The choices as configuration values. Raises ``BadConfig`` where none is made."""
        given = {key: getattr(self, key) for key in ("item_rank", "item_codes", "item_centroids", "weights")}
        chosen = {key: str(value) for key, value in given.items() if value is not None}
        if not chosen:
            raise BadConfig(f"nothing to compress; legal: {', '.join('--' + key.replace('_', '-') for key in given)}")
        return chosen


def compress(options: CompressOptions) -> None:
    """Compress the weights of a finished run, without training, into a run folder of its own.

    The folder holds conversations (crjax recommend) like any other run; the printed settings count it (crjax profile).
    """
    from cr_jax.train.compress import compressed, write_compressed
    from cr_jax.train.finished import read_run

    check_folder("--out", options.out)
    settings = options.settings()
    run = read_run(options.run, options.model)
    made = compressed(run, settings)
    write_compressed(made, options.run, options.out)
    before, after = (sum(a.nbytes for a in one.weights.values()) for one in (run, made.run))
    print(f"weights: {before:,} -> {after:,} bytes")
    for name, error in made.errors.items():
        print(f"{name}: relative error {error:.3f} (Frobenius norm)")
    if options.dataset is not None:
        _rank({"before": run, "after": made.run}, options.dataset, options.reviews)
    chosen = " ".join(f"--set {key}={value}" for key, value in settings.items())
    say(f"run written to {options.out}; crjax profile --model {run.identity['model']} {chosen} counts its programs")


def _rank(runs: "dict[str, FinishedRun]", dataset: Path, reviews: Path | None) -> None:
    """Print the figures of the test part after the last turn."""
    from cr_jax.train.compress import ranked

    for name, run in runs.items():
        found = ranked(run, dataset, reviews)
        if found is None:
            raise BadConfig(f"{run.spec.name} ranks nothing on {dataset}; legal: without --dataset")
        figures = found.figures()
        print(f"{name}: " + ", ".join(f"{key} {figures[key]:.4f}" for key in ("mrr", "recall@10", "ndcg@10")))
