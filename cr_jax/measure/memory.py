"""Peak memory of one step: the device's own statistics, or the growth of a fresh CPU process."""

import ctypes
import gc
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cr_jax.measure.cases import AnyCase
from cr_jax.measure.inputs import Held
from cr_jax.measure.run import Compiled, Program
from cr_jax.records import plain
from cr_jax.targets.device_protocol import Device
from cr_jax.targets.supervise import Limits, default_limits, run_worker

#: Seconds a fresh process may take to import, trace, compile and run a step twice.
_LIMIT_S = 300.0
RESIDENT = "growth of a fresh process's resident size over its state after compiling"
#: The value of a flat argument by its number.
Values = Callable[[int], Held]
STATISTICS = "the device's peak of bytes in use, less what was in use before the step's arguments"


def in_use(device: Device) -> tuple[int, int] | None:
    """(bytes in use, their peak since the process began) by the device's statistics; ``None``: it has none."""
    stats = device.memory_stats()
    if not stats or "peak_bytes_in_use" not in stats:
        return None
    return stats["bytes_in_use"], stats["peak_bytes_in_use"]


def device_peak(before: tuple[int, int] | None, after: tuple[int, int] | None) -> tuple[int | None, list[str]]:
    """Peak bytes between two readings of :func:`in_use`, and warnings.

    ``None`` when an earlier step of the process had a higher peak, which hides this one's.
    """
    if before is None or after is None:
        return None, ["the device gives no memory statistics: peak memory is null"]
    if after[1] <= before[1]:
        return None, ["an earlier step of this process used more memory: peak memory is null; measure the step alone"]
    return after[1] - before[0], []


def fresh_peak(
    case: AnyCase, step: str, command: Sequence[str], environment: dict[str, str], limits: Limits | None = None
) -> tuple[int | None, list[str]]:
    """Peak bytes of ``step`` in a process of its own (``resident_growth``), and warnings.

    command: starts ``cr_jax.measure.worker``.
    """
    peaks: list[int | None] = []
    with tempfile.TemporaryDirectory(prefix="crjax-") as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps({"kind": "memory", "case": plain(case), "step": step}), encoding="utf-8")
        limits = limits or Limits(_LIMIT_S, default_limits(1).bytes)
        reason = run_worker(
            [*command, str(request)],
            environment,
            Path(folder) / "log",
            limits,
            lambda event: peaks.append(event.get("peak_bytes")),
        )
    if reason is not None:
        return None, [f"peak memory is null: {reason}"]
    if not peaks or peaks[-1] is None:
        return None, ["this system does not tell a process's peak resident size: peak memory is null"]
    return peaks[-1], []


def resident_growth(compiled: Compiled, proc: Path = Path("/proc/self"), values: Values | None = None) -> int | None:
    """Bytes by which the peak resident size, the step running twice, exceeds the size before its arguments were made; ``None``
    where the system does not report it. The process must have done nothing else before.

    values: of the flat arguments by number; by default ones, and zeros for whole numbers.
    """
    _map_at_once()
    _warm()
    gc.collect()
    _trim()
    before = _status(proc, "VmRSS")
    leaves = enumerate(zip(jax.tree.leaves(compiled.step.arguments), compiled.read, strict=True))
    arrays = [
        _touched(leaf, None if values is None else values(number)) if read else _absent(leaf) for number, (leaf, read) in leaves
    ]
    program = Program(compiled, tuple(arrays))
    del arrays  # a donated argument has to end with the call that takes it
    _touched(jax.ShapeDtypeStruct((8,), jnp.float32))  # JAX lets go of the last one's host memory with its next array
    _trim()
    if before is None or not _reset(proc):
        return None
    program()
    program()
    peak = _status(proc, "VmHWM")
    return None if peak is None else peak - before


def _map_at_once() -> None:
    """Keep glibc from serving large buffers out of its heap, which it does not give back."""
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(-3, 128 * 1024)  # M_MMAP_THRESHOLD


def _warm() -> None:
    """Run a small program, so that threads, allocators and transfers have their memory already."""
    square = jax.jit(lambda x: jnp.tanh(x @ x)).lower(jax.ShapeDtypeStruct((256, 256), jnp.float32)).compile()
    jax.block_until_ready([square(_touched(jax.ShapeDtypeStruct((256, 256), jnp.float32))) for _ in range(3)])
    jax.block_until_ready([_touched(jax.ShapeDtypeStruct((8,), kind)) for kind in (jnp.int32, jnp.bfloat16)])


def _touched(leaf: jax.ShapeDtypeStruct, value: Held | None = None) -> jax.Array:
    """An array whose every page is in memory: of ``value``, else ones, zeros for whole numbers."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key(0) if value is None else jnp.array(value)
    # Out of step with the alignment XLA wants, so that the device gets a buffer of its own, which a
    # step may take; jnp.array would compile a program per shape, and leave its memory behind.
    raw = np.empty(leaf.size * leaf.dtype.itemsize + 64, np.uint8)
    offset = (leaf.dtype.itemsize - raw.ctypes.data) % 64
    view = raw[offset : offset + leaf.size * leaf.dtype.itemsize].view(leaf.dtype).reshape(leaf.shape)
    view[...] = np.asarray(value) if value is not None else 1 if jnp.issubdtype(leaf.dtype, jnp.floating) else 0
    return jax.block_until_ready(jax.device_put(view))  # else the host's copy still exists when the step runs


def _absent(leaf: jax.ShapeDtypeStruct) -> np.ndarray | jax.Array:
    """A stand-in for an argument that the program does not read: its shape, without its memory."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key(0)
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)


def _trim() -> None:
    """Give freed memory back to the system, so that the arguments grow the process again."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset(proc: Path) -> bool:
    """Start the peak resident size anew (Linux)."""
    try:
        (proc / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(proc: Path, name: str) -> int | None:
    try:
        lines = (proc / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), None)
