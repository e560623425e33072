"""The process that compiles: its command, its environment, and the device that it finds attached."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cr_jax.targets import overlay
from cr_jax.targets.supervise import Limits, run_worker

COMMAND = (sys.executable, "-P", "-m", "cr_jax.targets.worker")

#: What the worker's libraries are told before they start: no device but the CPU, no look for a
#: cloud machine around it, no log lines, no lock between several TPU compilers.
_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
    "ABSL_MIN_LOG_LEVEL": "3",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_AHEAD = {
    "JAX_PLATFORMS": "cpu",
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_ATTACHED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def environment(platform: str, attached: bool, devices: int = 1) -> dict[str, str]:
    """The worker's environment: this one's, the compiler's wheels on the path, the plugins quiet; so many CPU devices."""
    kind = next((k for k, of in overlay.KINDS.items() if of == platform), None)
    compiler = overlay.find(kind) if kind and not attached else None
    folders = [str(compiler.folder)] if compiler is not None and compiler.folder is not None else []
    folders += [path or os.getcwd() for path in sys.path]
    variables = dict(os.environ) | _QUIET | {"PYTHONPATH": os.pathsep.join(folders)}
    if devices > 1 and platform == "cpu":
        flags = variables.get("XLA_FLAGS", "")
        variables["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}".strip()
    if attached:
        platforms = platform if platform == "cpu" else f"{platform},cpu"
        return variables | _ATTACHED | {"JAX_PLATFORMS": platforms}
    return variables | _AHEAD


def probe(platform: str, limits: Limits = Limits(seconds=120.0), command: Sequence[str] = COMMAND) -> str | None:
    """Title of the attached device of a platform, found in a worker that does not reserve its memory."""
    titles: list[str | None] = []
    with tempfile.TemporaryDirectory(prefix="crjax-") as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps({"kind": "probe", "platform": platform}), encoding="utf-8")
        run_worker(
            [*command, str(request)],
            environment(platform, attached=True),
            Path(folder) / "log",
            limits,
            lambda event: titles.append(event.get("title")),
        )
    return titles[0] if titles else None
