"""Checkpoints: arrays through Orbax, and their identity as JSON beside them; nothing is pickled.

A checkpoint appears whole or not at all (Orbax writes to a temporary folder and renames it). It is refused for another model,
configuration, data set or seed, with the difference. Of several hosts the first one writes and reads, and sends the content to
the others, which need no access to the folder.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from cr_jax.errors import BadConfig, BadInput, NotWritten
from cr_jax.files import is_folder
from cr_jax.printable import cut, one_line
from cr_jax.train import hosts
from cr_jax.train.position import Identity, Position, read_identity, read_position, strict

#: Newest checkpoints kept.
KEPT = 2


class Checkpoints:
    """The checkpoints in a folder."""

    def __init__(self, folder: str | Path, identity: Identity) -> None:
        """identity: plain values that a run must agree in to continue from a checkpoint."""
        ocp = _orbax()
        self._ocp = ocp
        self.folder = Path(folder).resolve()
        self.identity: Identity = json.loads(json.dumps(identity))
        self._manager: Any = None
        hosts.first(self._open)

    def _open(self) -> None:
        ocp = self._ocp
        alone: dict[str, object] = {}
        if jax.process_count() > 1:
            alone["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix="cr_jax"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Remove the half-written checkpoint of a killed run.
            options = ocp.CheckpointManagerOptions(
                max_to_keep=KEPT, create=False, enable_async_checkpointing=False, cleanup_tmp_directories=True, **alone
            )
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        except OSError as error:
            raise NotWritten(f"{self.folder}: no folder for checkpoints: {error.strerror or error}") from None

    def latest(self) -> int | None:
        """Step of the newest whole checkpoint."""
        return hosts.first(lambda: self._manager.latest_step())

    def save(self, step: int, arrays: PyTree, progress: Mapping[str, object]) -> None:
        """Write a checkpoint. ``progress`` is plain data with the position of the run."""
        # Keys are typed arrays and scalars Python's: both become arrays.
        arrays = jax.tree.map(np.asarray, arrays)
        hosts.first(lambda: self._save(step, arrays, progress))

    def _save(self, step: int, arrays: PyTree, progress: Mapping[str, object]) -> None:
        ocp = self._ocp
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardSave(arrays),
                    identity=ocp.args.JsonSave(self.identity),
                    progress=ocp.args.JsonSave(dict(progress)),
                ),
            )
            self._manager.wait_until_finished()
        except Exception as error:  # the writers of arrays raise their own errors for a full disk
            reason = getattr(error, "strerror", None) or one_line(error, 200)
            raise NotWritten(f"{self.folder}: checkpoint {step} not written, earlier ones are intact: {reason}") from None

    def restore(self, like: PyTree) -> tuple[PyTree, object]:
        """The newest checkpoint's arrays, shaped ``like`` those given, and its progress as saved, unchecked.

        Raises ``BadInput`` where there is none, it is damaged, or it belongs to another run.
        """
        read = jax.tree.map(np.asarray, like)

        def work() -> object:
            nonlocal read
            read, progress = self._restore(read)
            return progress

        progress = hosts.first(work)
        return hosts.arrays(read), progress

    def _restore(self, like: PyTree) -> tuple[PyTree, object]:
        ocp, step = self._ocp, self._manager.latest_step()
        if step is None:
            raise BadInput(str(self.folder), "no checkpoint here; legal: a folder that crjax train wrote to")
        try:
            plain = self._manager.restore(
                step, args=ocp.args.Composite(identity=ocp.args.JsonRestore(), progress=ocp.args.JsonRestore())
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{self.folder}/{step}", f"damaged: {one_line(error, 200)}") from None
        plain = strict(dict(plain), f"{self.folder}/{step}")
        if differences := difference(read_identity(plain["identity"], f"{self.folder}/{step}"), self.identity):
            raise BadInput(f"{self.folder}/{step}", "belongs to another run: " + told(differences))
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like)
        try:
            arrays = self._manager.restore(step, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(abstract)))["arrays"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{self.folder}/{step}", f"damaged: {one_line(error, 200)}") from None
        return arrays, plain["progress"]

    def close(self) -> None:
        """Release the folder."""
        if self._manager is not None:
            self._manager.close()


@dataclass(frozen=True)
class Stored:
    """The newest checkpoint of a folder, without its arrays. identity and progress are as saved."""

    place: str
    identity: Identity
    progress: Position
    weights: Callable[[Mapping[str, jax.ShapeDtypeStruct]], dict[str, jax.Array | np.ndarray]]


def stored(folder: str | Path) -> Stored:
    """Open the newest checkpoint for reading. Nothing in it is executed, and nothing is written.

    ``weights(like)`` reads the weights alone, which must have the names, shapes and kinds of ``like``. Both raise ``BadInput``
    where there is no checkpoint, or it is damaged or of another shape.
    """
    ocp, place = _orbax(), Path(folder).resolve()
    if not is_folder(place):
        raise BadInput(str(folder), "no checkpoint here; legal: a folder that crjax train wrote to")
    handlers = {
        "arrays": ocp.PyTreeCheckpointHandler(),
        "identity": ocp.JsonCheckpointHandler(),
        "progress": ocp.JsonCheckpointHandler(),
    }
    options = ocp.CheckpointManagerOptions(create=False, read_only=True)
    try:
        manager = ocp.CheckpointManager(place, item_handlers=handlers, options=options)
        step = manager.latest_step()
    except (OSError, ValueError) as error:
        raise BadInput(str(folder), f"damaged: {one_line(error, 200)}") from None
    if step is None:
        raise BadInput(str(folder), "no checkpoint here; legal: a folder that crjax train wrote to")
    where = f"{folder}/{step}"

    def read(**items: object) -> Any:
        try:
            return manager.restore(step, args=ocp.args.Composite(**items))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(where, f"damaged: {one_line(error, 200)}") from None

    def weights(like: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array | np.ndarray]:
        try:
            saved = manager.item_metadata(step).arrays.tree["weights"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(where, f"damaged: {one_line(error, 200)}") from None
        theirs, ours = ({name: [str(a.dtype), *a.shape] for name, a in tree.items()} for tree in (saved, like))
        if differences := difference(theirs, ours):
            raise BadInput(where, "weights of another configuration: " + told(differences))
        return read(arrays=ocp.args.PyTreeRestore(item={"weights": dict(like)}, partial_restore=True))["arrays"]["weights"]

    plain = strict(dict(read(identity=ocp.args.JsonRestore(), progress=ocp.args.JsonRestore())), where)
    return Stored(where, read_identity(plain["identity"], where), read_position(plain["progress"], where), weights)


def _orbax() -> ModuleType:
    try:
        import orbax.checkpoint as ocp  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise BadConfig("checkpoints need Orbax, which is not installed; pip install 'cr-jax[train]'") from None
    logging.getLogger("absl").setLevel(logging.ERROR)
    return ocp


def difference(theirs: Mapping[str, object], ours: Mapping[str, object], path: str = "") -> list[str]:
    """The differences between two identities: ``config.hidden is 16, here 32``."""
    differences: list[str] = []
    for key in sorted(set(theirs) | set(ours)):
        name, a, b = f"{path}{key}", theirs.get(key), ours.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            differences += difference(a, b, f"{name}.")
        elif a != b:
            differences.append(f"{name} is {json.dumps(a)}, here {json.dumps(b)}")
    return differences


def told(differences: list[str]) -> str:
    """The first few differences, another model before all others."""
    first = sorted(differences, key=lambda one: not one.startswith("model "))[:3]
    more = len(differences) - len(first)
    return "; ".join(cut(one, 120) for one in first) + (f"; and {more} more" if more else "")
