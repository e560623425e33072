"""Costs of JAX programs, counted from the compiled program; models of conversational recommenders to count."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.cost.kernels import KernelArray, KernelCall, KernelCost
from cr_jax.errors import CrJaxError
from cr_jax.predict.program_count import ProgramCount, count_hlo
from cr_jax.version import __version__

if TYPE_CHECKING:
    from cr_jax.analysis import Analysis, analyze

__all__ = [
    "Analysis",
    "CrJaxError",
    "HloCount",
    "KernelArray",
    "KernelCall",
    "KernelCost",
    "ProgramCount",
    "__version__",
    "analyze",
    "count_hlo",
    "profile",
]


def __getattr__(name: str) -> Any:
    # JAX comes with these: whoever reads HLO or reports alone does not wait for JAX.
    if name in ("analyze", "Analysis"):
        from cr_jax import analysis

        return getattr(analysis, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def profile(model: str, dataset: str | Path = "cell-phones", *, device: str = "cpu", **choices: Any) -> dict[str, Any]:
    """The cost report of training and serving ``model`` on ``dataset``, as its JSON has it.

    choices: further fields of ``cr_jax.profiling.request.Request``, such as ``batch``, ``turns`` and ``settings``.
    Raises ``CrJaxError`` for anything a caller can mend.
    """
    # JAX comes with it: whoever reads HLO or reports alone does not wait for JAX.
    from cr_jax.documents.base import plain
    from cr_jax.profiling.pipeline import profile as run
    from cr_jax.profiling.request import Request

    return plain(run(Request(model, dataset, (device,), **choices)))
