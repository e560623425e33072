"""What a matrix product is computed in, which is not what its inputs are stored in.

XLA computes float32 products in fewer bits unless ``highest`` is asked for: in tf32 on NVIDIA GPUs
from Ampere on (JAX's ``default`` and ``high`` alike), in one or three bfloat16 passes on TPU, where
``highest`` is six passes. GPUs before Ampere and CPUs have float32 only.
"""

from cr_jax.catalog.accelerator import Accelerator

#: Compute capability from which an NVIDIA GPU has tf32 and bfloat16 matrix units (Ampere).
_AMPERE = 8
_TPU_PASSES = {"default": "bfloat16", "high": "bfloat16_3x", "highest": "bfloat16_6x"}


def compute_capability(accelerator: Accelerator) -> tuple[int, int] | None:
    """(major, minor) of an NVIDIA GPU, ``None`` where the profile has no compiler target."""
    target = accelerator.compiler_target or {}
    found = target.get("config", {}).get("gpu_device_info", {}).get("cuda_compute_capability")
    return (int(found["major"]), int(found["minor"])) if found else None


def matmul_precision(accelerator: Accelerator, precision: str, dtype: str) -> str | None:
    """``float32``, ``tf32``, ``bfloat16``, ``bfloat16_3x`` or ``bfloat16_6x``; ``None``: unknown."""
    if accelerator.platform == "cpu":
        return dtype
    if accelerator.platform == "tpu":
        return _TPU_PASSES[precision] if dtype == "float32" else dtype
    capability = compute_capability(accelerator)
    if capability is None:
        return None
    if capability[0] < _AMPERE:
        return "float32"
    if dtype != "float32":
        return dtype
    return "float32" if precision == "highest" else "tf32"
