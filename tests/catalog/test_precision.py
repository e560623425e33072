"""What products are computed in, and on which units, by card; expected values by hand from the sources in the module."""

import dataclasses

import pytest

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import MATMUL_TYPES
from cr_jax.catalog.precision import matmul_precision, on_tensor_cores

#: Types of inputs, in the order of the tables below; ``e4m3``: float8_e4m3fn, ``e5m2``: float8_e5m2.
COLUMNS = ("float64", "float32", "bfloat16", "float16", "int8", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz")
PLAIN = "float64 float32 float32 float32 -    float32 float32 float32"
VOLTA = "float64 float32 float32 float16 int8 float16 float16 float16"
AMPERE = "float64 tf32 bfloat16 float16  int8 float16 float16 float16"
ADA = "float64   tf32 bfloat16 float16   int8 float8  float16 float16"
HOPPER = "float64 tf32 bfloat16 float16  int8 float8  float8  float16"
#: Cards and what they compute each column in, ``-``: unknown.
GPUS = [
    ("m40 titanx-maxwell", PLAIN),
    ("p100 p100-pcie gtx1080ti titanxp titanx-pascal", PLAIN),
    ("v100 v100-pcie-16gb v100-pcie-32gb t4", VOLTA),
    ("a100-40gb a100-80gb a100-40gb-pcie a100-80gb-pcie a10g a6000 rtx3090", AMPERE),
    ("l4 l40s rtx4090", ADA),
    ("h100 h100-pcie h100-nvl h200 b200 b300 gb200 gb300 rtx6000pro", HOPPER),
]
#: Cards and what runs on their tensor cores; float32 never does.
TENSOR = [
    ("m40 titanx-maxwell p100 p100-pcie gtx1080ti titanxp titanx-pascal", ""),
    ("v100 v100-pcie-16gb v100-pcie-32gb", "float16"),
    ("t4", "float16 int8"),
    ("a100-40gb a100-80gb a100-40gb-pcie a100-80gb-pcie", "float64 tf32 bfloat16 float16 int8"),
    ("a10g a6000 rtx3090", "tf32 bfloat16 float16 int8"),
    ("l4 l40s rtx4090 rtx6000pro b300 gb300", "tf32 bfloat16 float16 int8 float8"),
    ("h100 h100-pcie h100-nvl h200 b200 gb200", "float64 tf32 bfloat16 float16 int8 float8"),
]
TPU_5_AND_6 = "- bfloat16 bfloat16 - int8 - float8 -"
TPUS = [
    ("tpu-v4", "- bfloat16 bfloat16 - - - - -"),
    ("tpu-v5e tpu-v5p tpu-v6e", TPU_5_AND_6),
    ("tpu-v7x", "- bfloat16 bfloat16 - - float8 float8 -"),
]


def by_card(rows):
    return [(name, expected) for names, expected in rows for name in names.split()]


def test_the_tables_have_every_card():
    named = [name for rows in (GPUS, TPUS) for name, _ in by_card(rows)]
    assert sorted([*named, "cpu"]) == sorted(load.accelerator_names())
    assert sorted(name for name, _ in by_card(TENSOR)) == sorted(name for name, _ in by_card(GPUS))


@pytest.mark.parametrize(("name", "expected"), by_card(GPUS) + by_card(TPUS))
def test_computed_in(name, expected):
    device = load.accelerator(name)
    found = [matmul_precision(device, "default", dtype) for dtype in COLUMNS]
    assert found == [None if one == "-" else one for one in expected.split()]
    assert all(one is None or one in MATMUL_TYPES for one in found)


@pytest.mark.parametrize(("name", "expected"), by_card(TENSOR))
def test_on_tensor_cores(name, expected):
    device = load.accelerator(name)
    assert {kind for kind in MATMUL_TYPES if on_tensor_cores(device, kind)} == set(expected.split())
    assert not on_tensor_cores(device, "float32") and not on_tensor_cores(device, "int32")


@pytest.mark.parametrize(
    ("name", "default", "high", "highest"),
    [
        ("m40", "float32", "float32", "float32"),
        ("v100", "float32", "float32", "float32"),
        ("a100-40gb", "tf32", "tf32", "float32"),
        ("b300", "tf32", "tf32", "float32"),
        ("tpu-v4", "bfloat16", "bfloat16_3x", "bfloat16_6x"),
        ("tpu-v7x", "bfloat16", "bfloat16_3x", "bfloat16_6x"),
        ("cpu", "float32", "float32", "float32"),
    ],
)
def test_float32_heeds_the_precision_asked_for(name, default, high, highest):
    device = load.accelerator(name)
    assert [matmul_precision(device, p, "float32") for p in ("default", "high", "highest")] == [default, high, highest]


@pytest.mark.parametrize("precision", ["default", "high", "highest"])
def test_other_types_do_not_heed_it(precision):
    for name in ("v100", "h100", "tpu-v6e"):
        assert matmul_precision(load.accelerator(name), precision, "float16") == {"tpu-v6e": None}.get(name, "float16")
        assert matmul_precision(load.accelerator(name), precision, "int8") == "int8"


@pytest.mark.parametrize(("name", "expected"), by_card(GPUS))
def test_a_card_without_a_compiler_target_is_known_by_its_generation(name, expected):
    device = dataclasses.replace(load.accelerator(name), compiler_target=None)
    found = [matmul_precision(device, "default", dtype) for dtype in COLUMNS]
    assert found == [None if one == "-" else one for one in expected.split()]


def test_a_card_without_either_is_unknown():
    device = dataclasses.replace(load.accelerator("h100"), compiler_target=None, generation=None)
    assert matmul_precision(device, "default", "float32") is None
    assert not on_tensor_cores(device, "float16")


@pytest.mark.parametrize("dtype", ["uint8", "int4", "int32", "bool", "complex64", "float8"])
def test_a_type_that_no_source_tells_of_is_unknown_on_a_gpu(dtype):
    assert matmul_precision(load.accelerator("h100"), "default", dtype) is None


def test_a_cpu_computes_in_what_it_stores_and_has_no_matrix_units():
    cpu = load.accelerator("cpu")
    assert [matmul_precision(cpu, "highest", dtype) for dtype in ("float64", "bfloat16")] == ["float64", "bfloat16"]
    assert not any(on_tensor_cores(cpu, kind) for kind in MATMUL_TYPES)


def test_a_tpu_multiplies_on_its_matrix_units():
    tpu = load.accelerator("tpu-v5e")
    assert all(on_tensor_cores(tpu, kind) for kind in ("bfloat16", "bfloat16_3x", "bfloat16_6x", "int8"))


def test_tpu_types_are_those_that_jax_says():
    jnp, tpu = pytest.importorskip("jax.numpy"), pytest.importorskip("jax.experimental.pallas.tpu")
    if not hasattr(tpu, "get_tpu_info_for_chip"):
        pytest.skip("this JAX does not tell what a chip multiplies")
    for name, _ in by_card(TPUS):
        version = name.removeprefix("tpu-v") if name == "tpu-v7x" else name.removeprefix("tpu-")
        chip = tpu.get_tpu_info_for_chip(tpu.ChipVersion(version), 1)
        for dtype in ("int8", "uint8", "float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz"):
            native = chip.is_matmul_supported(jnp.dtype(dtype), jnp.dtype(dtype))
            assert native == (matmul_precision(load.accelerator(name), "default", dtype) is not None), (name, dtype)
