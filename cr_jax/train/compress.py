"""A finished run with fewer numbers in its weights, without training: a run folder like the first."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import jax
import numpy as np
from flax import nnx

from cr_jax.data.corpus import read_corpus
from cr_jax.errors import BadConfig, BadInput
from cr_jax.files import expanded, read_text
from cr_jax.models import spec as specs
from cr_jax.models.spec import Weights
from cr_jax.nn.module import Module
from cr_jax.nn.quantised import in_type
from cr_jax.records import Configuration, plain
from cr_jax.resources import write_atomically
from cr_jax.steps.step import abstract_model
from cr_jax.train.checkpoint import Checkpoints
from cr_jax.train.evaluate import Ranked, Tester
from cr_jax.train.finished import RECOMMENDER, FinishedRun
from cr_jax.train.initial_student import initial_student_parameters, item_tables, table_at
from cr_jax.train.position import Identity, Position
from cr_jax.train.run import folder_of
from cr_jax.train.state import named, unnamed

#: The configuration keys that say how a trained model's weights are held.
CHOICES = ("item_rank", "item_codes", "item_centroids", "weights")


@dataclass(frozen=True)
class Compressed:
    """A compressed run. errors: by the path of an item table, ‖W − W'‖ / ‖W‖ in the Frobenius norm."""

    run: FinishedRun
    errors: Mapping[str, float]


def compressed(run: FinishedRun, settings: Mapping[str, str]) -> Compressed:
    """``run`` with the ``CHOICES`` of ``settings``; everything that these do not concern is as it was.

    Raises ``BadConfig`` for a choice that the model does not have, or that changes nothing.
    """
    chosen = {key: value for key, value in settings.items() if key in CHOICES}
    config = specs.override(run.spec, run.config, chosen)
    if config == run.config:
        raise BadConfig(f"{run.where}: nothing to compress; legal: a choice of {', '.join(CHOICES)} that the run does not have")
    if _in_float32(run.config) != run.config:
        raise BadConfig(f"{run.where}: its weights are compressed already; legal: a run with float32 weights")
    teacher, student = concrete(run), run.spec.build(_in_float32(config), nnx.Rngs(0))
    initial_student_parameters(teacher, student)
    in_type(student, getattr(config, "weights", "float32"))
    errors = {".".join(map(str, path)): _error(table_at(teacher, path), table_at(student, path)) for path in item_tables(student)}
    # Its origin is part of its identity: it is not to be trained on as if it were the first.
    origin = {"config": plain(config), "compressed": {"sha256": run.sha256(), "settings": chosen}}
    identity = cast(Identity, {**run.identity, **origin})
    return Compressed(dataclasses.replace(run, config=config, identity=identity, weights=named(nnx.state(student))), errors)


def write_compressed(made: Compressed, source: str | Path, out: str | Path) -> None:
    """Write ``checkpoints/`` and ``recommender.json`` to ``out``. Raises ``BadInput`` and ``NotWritten``."""
    folder, run = folder_of(out, resume=False), made.run
    checkpoints = Checkpoints(folder / "checkpoints", run.identity)
    try:
        position = Position(stage=len(run.identity["stages"]), total=run.steps)
        checkpoints.save(run.steps, {"weights": dict(run.weights), "best": dict(run.weights)}, vars(position))
    finally:
        checkpoints.close()
    write_atomically(folder / RECOMMENDER, read_text(expanded(source) / RECOMMENDER))


def concrete(run: FinishedRun) -> Module:
    """The model of a run with its weights."""
    return abstract_model(run.spec, run.config).merger()(_state(run))


def ranked(run: FinishedRun, dataset: str | Path, reviews: str | Path | None = None, part: str = "test") -> Ranked | None:
    """The ranking of a part of the data that the run was trained on; ``None`` for a model that ranks nothing there.

    Raises ``BadInput`` for other data.
    """
    corpus = read_corpus(dataset, run.split_seed, False, reviews)
    theirs = run.identity["dataset"]["sha256"]
    if corpus.fingerprint != theirs:
        raise BadInput(str(dataset), f"not the data of {run.where}: sha256 {corpus.fingerprint[:12]}, there {theirs[:12]}")
    assert run.spec.training is not None
    examples = run.spec.training.examples(corpus, run.config, run.split_seed)
    merge = abstract_model(run.spec, run.config).merger()
    return Tester(run.spec, merge, examples).ranked(_state(run), part)


def _in_float32(config: Configuration) -> Configuration:
    return dataclasses.replace(config, weights="float32") if hasattr(config, "weights") else config


def _state(run: FinishedRun) -> Weights:
    (state,) = abstract_model(run.spec, run.config).split()
    return jax.device_put(unnamed(state, run.weights))


def _error(wanted: np.ndarray, found: np.ndarray) -> float:
    whole = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(wanted - found)) / whole if whole else 0.0
