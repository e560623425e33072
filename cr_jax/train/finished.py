"""What ``crjax train`` and ``crjax distil`` left in a folder, read back: architecture, configuration, vocabulary, weights."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import jax
import numpy as np
from jaxtyping import PyTree

from cr_jax.data.recommender_assets import RecommenderAssets
from cr_jax.data.recommender_file import read
from cr_jax.errors import BadInput
from cr_jax.files import expanded, is_file
from cr_jax.models import spec as specs
from cr_jax.models.spec import Spec
from cr_jax.nn.module import Frozen
from cr_jax.records import Configuration
from cr_jax.steps.step import AbstractModel, abstract_model
from cr_jax.train.checkpoint import Stored, difference, stored, told
from cr_jax.train.position import Identity
from cr_jax.train.state import shapes, unnamed

#: File beside the checkpoints with words, items and aspects.
RECOMMENDER = "recommender.json"


@dataclass(frozen=True)
class FinishedRun:
    """A run that was trained to its end. where: its folder as it was given. weights: by dotted path."""

    where: str
    spec: Spec
    config: Configuration
    identity: Identity
    assets: RecommenderAssets
    steps: int
    weights: Mapping[str, np.ndarray]

    @property
    def split_seed(self) -> int:
        """The seed that drew the parts of the data."""
        return self.identity.get("split_seed", self.identity["seed"])

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives that were trained."""
        return tuple(name for stage in self.identity["stages"] for name in cast(list[str], stage["objectives"]))

    def sha256(self) -> str:
        """Of architecture, configuration and weights."""
        digest = hashlib.sha256(json.dumps([self.identity["model"], self.identity["config"]], sort_keys=True).encode())
        for name, array in sorted(self.weights.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def halves(self, model: AbstractModel) -> tuple[PyTree, PyTree]:
        """Weights and frozen weights in the structure of ``model``, on JAX's default device."""
        frozen, weights = model.split(Frozen)
        return tuple(jax.device_put(unnamed(tree, self.weights)) for tree in (weights, frozen))


def read_run(folder: str | Path, model: str | None = None) -> FinishedRun:
    """The run in ``folder``. model: the architecture of a run whose model is not in the package.

    Raises ``BadInput`` for a folder that is no run, a damaged or an unfinished one.
    """
    place = expanded(folder)
    checkpoint = stored(place / "checkpoints")
    spec = spec_of(checkpoint, model)
    config, assets = config_of(checkpoint, spec), assets_in(place, checkpoint)
    at, stages = checkpoint.progress, len(checkpoint.identity["stages"])
    if at.stage < stages:
        taken = f"stage {at.stage + 1} of {stages}, {at.total:,} steps taken"
        raise BadInput(str(folder), f"not finished: {taken}; legal: a finished run (--resume finishes it)")
    frozen, weights = abstract_model(spec, config).split(Frozen)
    flat = checkpoint.weights(shapes(weights) | shapes(frozen))
    held = {name: np.asarray(array) for name, array in flat.items()}
    return FinishedRun(str(folder), spec, config, checkpoint.identity, assets, at.total, held)


def spec_of(checkpoint: Stored, model: str | None) -> Spec:
    """The architecture of a checkpoint. model: ``package.module:SPEC`` by the user. Raises ``BadInput`` where it is another."""
    name = checkpoint.identity["model"]
    if model is None and ":" in name:  # a checkpoint must not choose what is imported
        raise BadInput(checkpoint.place, f"model {name!r} is not in the package; legal: --model package.module:SPEC")
    spec = specs.find(name if model is None else model)
    if spec.name != name:
        raise BadInput(checkpoint.place, "of another origin: " + told(difference({"model": name}, {"model": spec.name})))
    return spec


def config_of(checkpoint: Stored, spec: Spec) -> Configuration:
    """The configuration of a checkpoint. Raises ``BadInput`` for one of another version."""
    try:
        return spec.config(**checkpoint.identity["config"])
    except (TypeError, ValueError) as error:
        raise BadInput(checkpoint.place, f"configuration of another version of {spec.name}: {error}") from None


def assets_in(place: Path, checkpoint: Stored) -> RecommenderAssets:
    """Words, items, aspects and users beside a checkpoint. Raises ``BadInput`` where they are missing or of another run."""
    file = place / RECOMMENDER
    if not is_file(file):
        raise BadInput(
            str(file), "missing; legal: the whole folder written by crjax train (the same command with --resume adds it)"
        )
    document, assets = read(file)
    theirs, name = checkpoint.identity, document.dataset.name
    dataset = theirs["dataset"] | {"name": name, "sha256": document.dataset.sha256}
    ours = {"model": document.model, "seed": document.seed, "dataset": dataset}
    if differences := difference({key: theirs[key] for key in ours}, ours):
        raise BadInput(checkpoint.place, f"{RECOMMENDER} is of another run ({name}): " + told(differences))
    return assets
