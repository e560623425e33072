"""Several processes that train one model: joining them, and data sent from host 0 to the others.

Every host runs the same program on the same data; host 0 alone writes. With one process every function here is a plain call.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from cr_jax.errors import BadConfig, CrJaxError
from cr_jax.printable import one_line
from cr_jax.train import clusters

Told = TypeVar("Told")
#: Bytes sent at once.
PIECE = 1 << 26


def join(coordinator: str | None, hosts: int | None, host: int | None) -> str | None:
    """Join a run of ``hosts`` processes as number ``host``, before JAX has found its devices.

    coordinator: HOST:PORT of process 0, where all connect. A ``None`` is read from ``JAX_COORDINATOR_ADDRESS``,
    ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``; all absent: the processes of the cluster that JAX finds, else one process.
    ``hosts`` alone may be 1: this process alone, whatever the cluster. Returns one line on the cluster, on every host; ``None``
    where there is none. Raises ``BadConfig`` for only some of the arguments, or where the others do not connect.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    hosts = _number("JAX_NUM_PROCESSES") if hosts is None else hosts
    host = _number("JAX_PROCESS_ID") if host is None else host
    given = {"coordinator": coordinator, "hosts": hosts, "host": host}
    if given == {"coordinator": None, "hosts": 1, "host": None}:
        return None
    if all(value is None for value in given.values()):
        return _join_cluster()
    if missing := [name for name, value in given.items() if value is None]:
        raise BadConfig(f"{', '.join(missing)} not given; legal: all of coordinator (HOST:PORT), hosts and host, or none")
    assert coordinator is not None and hosts is not None and host is not None
    name, colon, port = coordinator.rpartition(":")
    if not colon or not name or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadConfig(f"coordinator={coordinator!r}: legal: HOST:PORT of process 0")
    if hosts < 1 or not 0 <= host < hosts:
        raise BadConfig(f"host={host} of hosts={hosts}: legal: 0 to hosts - 1")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, hosts, host)
    except (RuntimeError, ValueError) as error:
        raise BadConfig(f"coordinator={coordinator}: host {host} of {hosts} did not join: {one_line(error, 200)}") from None
    return None


def _join_cluster() -> str | None:
    cluster = clusters.detected()
    if cluster is None:
        return clusters.unjoined()
    if cluster.processes == 1:
        return f"{cluster.title}: one process, nothing to join"
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    return clusters.join(cluster)


def writes() -> bool:
    """Whether this is host 0."""
    return jax.process_index() == 0


def first(work: Callable[[], Told]) -> Told:
    """The result of ``work`` on host 0, on every host; plain values. Its ``CrJaxError`` is raised on every host."""
    if jax.process_count() == 1:
        return work()
    told: dict[str, object] = {}
    failed: CrJaxError | None = None
    if writes():
        try:
            told["value"] = work()
        except CrJaxError as error:
            failed, told = error, {"error": str(error)}
    told = json.loads(_told(json.dumps(told).encode() if writes() else b""))
    if failed is not None:
        raise failed
    if "error" in told:
        raise CrJaxError(str(told["error"]))
    return cast(Told, told["value"])


def same(what: str, value: Mapping[str, object]) -> None:
    """Raise ``BadConfig`` on every host unless all have the same ``value``."""
    if jax.process_count() == 1:
        return
    mine = np.frombuffer(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest(), np.uint8)
    everyone = np.asarray(multihost_utils.process_allgather(mine))
    if wrong := [number for number, theirs in enumerate(everyone) if (theirs != everyone[0]).any()]:
        raise BadConfig(f"hosts {', '.join(map(str, wrong))} have another {what} than host 0; legal: the same on all")


def arrays(tree: PyTree) -> PyTree:
    """Host 0's arrays on every host, bit by bit; the others give arrays of the same shapes."""
    if jax.process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, tree))
    data = _told(b"".join(leaf.tobytes() for leaf in leaves) if writes() else b"")
    copies, begin = [], 0
    for leaf in leaves:
        copies.append(np.frombuffer(data, leaf.dtype, leaf.size, begin).reshape(leaf.shape).copy())
        begin += leaf.nbytes
    return jax.tree.unflatten(structure, copies)


def whole(leaf: jax.Array | np.ndarray) -> np.ndarray:
    """An array on this host, wherever its parts lie; a copy. Every host calls it for the same arrays."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable and not leaf.is_fully_replicated:
        leaf = multihost_utils.process_allgather(leaf, tiled=True)
    return np.array(leaf)


def put(array: jax.Array | np.ndarray, where: jax.sharding.NamedSharding) -> jax.Array:
    """A host array that is equal on all hosts, spread over the devices of all."""
    if jax.process_count() == 1:
        return jax.device_put(array, where)
    array = np.asarray(array)
    return jax.make_array_from_callback(array.shape, where, lambda index: array[index])


def _told(data: bytes) -> bytes:
    """Host 0's bytes on every host."""
    # A sum over the hosts, of which all but one give zeros: whole numbers, so that nothing is rounded.
    size = np.array(divmod(len(data), 1 << 30), np.int32)
    high, low = (int(part) for part in multihost_utils.broadcast_one_to_all(size))
    length, pieces = (high << 30) + low, []
    for begin in range(0, length, PIECE):
        # A power of two: a program is compiled for each size.
        piece = np.zeros(1 << max(10, (min(PIECE, length - begin) - 1).bit_length()), np.uint8)
        part = data[begin : begin + len(piece)]
        piece[: len(part)] = np.frombuffer(part, np.uint8)
        pieces.append(np.asarray(multihost_utils.broadcast_one_to_all(piece)).tobytes())
    return b"".join(pieces)[:length]


def _number(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise BadConfig(f"{name}={text!r}: legal: a whole number")
    return int(text)
