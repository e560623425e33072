"""The type that a matrix product is computed in, which may differ from the type of its inputs.

XLA computes float32 products in fewer bits unless ``highest`` is requested: in tf32 on NVIDIA GPUs from Ampere on (JAX's
``default`` and ``high`` alike), in one or three bfloat16 passes on TPU, where ``highest`` is six passes. Inputs without a unit on
the card are converted first.

GPUs: read off the texts that XLA of JAX 0.10.2 compiles for sm_52 to sm_120, one product per type (2026-11-30). bfloat16 becomes
float32 before Ampere; 8-bit floats become float16 where the card or the type has no unit. float16 is always accumulated in
float32 (openxla/xla, stream_executor/gpu/gpu_blas_lt.cc), so that the plain lanes of Pascal, which have no unit for that, compute
it in float32: their rate for pure float16 is not used. TPU: the types that the chip multiplies without a conversion (JAX 0.10.2,
jax/_src/pallas/mosaic/tpu_info.py, ``is_matmul_supported``).
"""

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.documents.accelerator_profile import CudaTarget

_Capability = tuple[int, int]

#: Compute capability of a generation, for cards without a compiler target: the lowest it has.
_OF_GENERATION: dict[str | None, _Capability] = {
    "maxwell": (5, 2),
    "pascal": (6, 0),
    "volta": (7, 0),
    "turing": (7, 5),
    "ampere-datacenter": (8, 0),
    "ampere": (8, 6),
    "ada": (8, 9),
    "hopper": (9, 0),
    "blackwell-datacenter": (10, 0),
    "blackwell": (12, 0),
}
_VOLTA, _AMPERE, _ADA, _HOPPER = (7, 0), (8, 0), (8, 9), (9, 0)
#: Compute capability from which tensor cores have a type (NVIDIA's CUDA programming guide). float64
#: is only on the cards of data centres, and float32 on none.
_TENSOR_FROM: dict[str, _Capability] = {"float16": _VOLTA, "int8": (7, 5), "bfloat16": _AMPERE, "tf32": _AMPERE, "float8": _ADA}
_TENSOR_FLOAT64 = (_AMPERE, _HOPPER, (10, 0))
#: 8-bit floats that tensor cores multiply, by the compute capability XLA first leaves them as they are.
_GPU_FLOAT8 = {"float8_e4m3fn": _ADA, "float8_e5m2": _HOPPER}

_TPU_PASSES = {"default": "bfloat16", "high": "bfloat16_3x", "highest": "bfloat16_6x"}
#: Types other than float32 and bfloat16 that a TPU multiplies as they are.
_TPU_5_AND_6 = {"int8": "int8", "uint8": "int8", "float8_e5m2": "float8", "float8_e4m3b11fnuz": "float8"}
_TPU_NATIVE: dict[str | None, dict[str, str]] = {
    "tpu-v5e": _TPU_5_AND_6,
    "tpu-v5p": _TPU_5_AND_6,
    "tpu-v6e": _TPU_5_AND_6,
    "tpu-v7x": {"float8_e5m2": "float8", "float8_e4m3fn": "float8"},
}


def compute_capability(accelerator: Accelerator) -> tuple[int, int] | None:
    """(major, minor) of an NVIDIA GPU, ``None`` where the profile has no compiler target."""
    target = accelerator.compiler_target
    return target.config.compute_capability if isinstance(target, CudaTarget) else None


def matmul_precision(accelerator: Accelerator, precision: str, dtype: str) -> str | None:
    """The type in which a product of two arrays of ``dtype`` is computed; ``None``: unknown.

    One of ``MATMUL_TYPES``, or ``bfloat16_3x`` or ``bfloat16_6x``; on CPU ``dtype`` itself. precision: JAX's ``default``,
    ``high`` or ``highest``, which only affects float32. dtype: a type's name, such as ``float8_e4m3fn``.
    """
    if accelerator.platform == "cpu":
        return dtype
    if accelerator.platform == "tpu":
        return _on_tpu(accelerator, precision, dtype)
    capability = _capability(accelerator)
    return None if capability is None else _on_gpu(capability, precision, dtype)


def on_tensor_cores(accelerator: Accelerator, computed_in: str) -> bool:
    """Whether products in a type of ``matmul_precision`` run on the device's matrix units.

    On a GPU the others run on its plain lanes; a TPU runs all on its matrix units, and a CPU has none.
    """
    if accelerator.platform != "cuda":
        return accelerator.platform == "tpu"
    capability = _capability(accelerator)
    if capability is None:
        return False
    if computed_in == "float64":
        return capability in _TENSOR_FLOAT64
    return computed_in in _TENSOR_FROM and capability >= _TENSOR_FROM[computed_in]


def _capability(accelerator: Accelerator) -> _Capability | None:
    return compute_capability(accelerator) or _OF_GENERATION.get(accelerator.generation)


def _on_gpu(capability: _Capability, precision: str, dtype: str) -> str | None:
    if dtype == "float64":
        return "float64"
    if dtype == "float32":
        return "tf32" if capability >= _AMPERE and precision != "highest" else "float32"
    if dtype == "bfloat16":
        return "bfloat16" if capability >= _AMPERE else "float32"
    if dtype == "int8":  # before Volta XLA multiplies in int32, at a rate that no profile gives
        return "int8" if capability >= _VOLTA else None
    if dtype in _GPU_FLOAT8 and capability >= _GPU_FLOAT8[dtype]:
        return "float8"
    if dtype == "float16" or dtype.startswith("float8_"):
        return "float16" if capability >= _VOLTA else "float32"
    return None


def _on_tpu(accelerator: Accelerator, precision: str, dtype: str) -> str | None:
    if dtype == "float32":
        return _TPU_PASSES[precision]
    if dtype == "bfloat16":
        return "bfloat16"
    return _TPU_NATIVE.get(accelerator.generation, {}).get(dtype)
