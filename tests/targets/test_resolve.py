"""What a device name means, on machines with and without cards and compilers."""

import pytest

from cr_jax.catalog import load
from cr_jax.catalog.precision import matmul_precision
from cr_jax.errors import BadConfig, UnknownName
from cr_jax.targets import overlay, resolve, worker_process

CUDA_12 = overlay.Compiler("gpu", None, {"nvidia-cuda-nvcc-cu12": "12.9.86"})


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No cards, CUDA 12.9 and a libtpu."""
    monkeypatch.setattr(resolve, "_NODES", {"cuda": (), "tpu": ()})
    found = {"gpu": CUDA_12, "tpu": overlay.Compiler("tpu", None, {"libtpu": "1"})}
    monkeypatch.setattr(overlay, "find", found.get)
    return found


@pytest.mark.parametrize(("asked", "name"), [("gpu", "h100"), ("tpu", "tpu-v5e"), ("a100-80gb", "a100-80gb"), ("cpu", "cpu")])
def test_names_without_cards(asked, name):
    target = resolve.resolve(asked)
    assert target.name == name
    assert target.attached is (name == "cpu")
    assert target.problem is None
    assert target.autotuned is (False if target.platform == "cuda" else None)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="h100"):
        resolve.resolve("h10")


def test_without_a_compiler_the_line_that_installs_it(bare):
    bare.clear()
    target = resolve.resolve("tpu-v6e")
    assert target.compiler is None
    assert "crjax targets install tpu" in target.problem


def test_the_attached_card_is_found_by_a_worker(monkeypatch, tmp_path):
    monkeypatch.setattr(resolve, "_NODES", {"cuda": (str(tmp_path),), "tpu": (str(tmp_path),)})
    monkeypatch.setattr(resolve, "_own_versions", lambda kind: {"jax-cuda12-plugin": "0"})
    titles = {"cuda": "NVIDIA H100 80GB HBM3", "tpu": "TPU v6 lite"}
    monkeypatch.setattr(worker_process, "probe", titles.get)
    target = resolve.resolve("gpu")
    assert (target.name, target.attached, target.autotuned) == ("h100", True, True)
    assert resolve.resolve("tpu").name == "tpu-v6e"
    assert resolve.resolve("h100").attached is False  # a full name means exactly that
    titles["cuda"] = "NVIDIA Something Else"
    assert resolve.resolve("gpu").name == "gpu"  # nothing is borrowed from another card's profile
    titles.clear()
    assert resolve.resolve("gpu").attached is False


def test_without_wheels_of_ones_own_no_worker_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(resolve, "_NODES", {"cuda": (str(tmp_path),), "tpu": ()})
    monkeypatch.setattr(resolve, "_own_versions", lambda kind: {})
    monkeypatch.setattr(worker_process, "probe", lambda platform: pytest.fail("asked"))
    assert resolve.resolve("gpu").attached is False


@pytest.mark.parametrize(
    ("device", "nvcc", "legal"),
    [
        ("v100", "13.0.48", "CUDA 12"),
        ("p100", "13.1", "CUDA 12"),
        ("b200", "12.6.85", "CUDA 12.8 or later"),
        ("t4", "13.0", None),
        ("v100", "12.9", None),
        ("b200", "13.0", None),
    ],
)
def test_a_gpu_the_compiler_refuses(bare, device, nvcc, legal):
    bare["gpu"] = overlay.Compiler("gpu", None, {"nvidia-cuda-nvcc": nvcc})
    if legal is None:
        assert resolve.resolve(device).problem is None
        return
    with pytest.raises(BadConfig, match=f"legal: {legal}") as caught:
        resolve.resolve(device)
    assert device in str(caught.value)


def test_every_profile_describes_its_target():
    for name in load.accelerator_names():
        found = resolve.description(resolve.resolve(name))
        if found["platform"] == "cuda":
            assert "cuda_compute_capability" in found["config"]
            assert found["options"] == {"xla_gpu_autotune_level": 0}
        elif found["platform"] == "tpu":
            assert found["topology"].replace("tpu", "v").startswith(name.removeprefix("tpu-"))
    different = {str(resolve.description(resolve.resolve(n)).get("config")) for n in ("h100", "h200", "a100-40gb", "a100-80gb")}
    assert len(different) == 4


@pytest.mark.parametrize(
    ("device", "precision", "dtype", "effective"),
    [
        ("cpu", "default", "float32", "float32"),
        ("h100", "default", "float32", "tf32"),
        ("l4", "high", "float32", "tf32"),
        ("h100", "highest", "float32", "float32"),
        ("v100", "default", "float32", "float32"),
        ("t4", "default", "float32", "float32"),
        ("p100", "default", "float32", "float32"),
        ("h100", "default", "bfloat16", "bfloat16"),
        ("tpu-v5e", "default", "float32", "bfloat16"),
        ("tpu-v5e", "high", "float32", "bfloat16_3x"),
        ("tpu-v5e", "highest", "float32", "bfloat16_6x"),
    ],
)
def test_what_a_product_is_computed_in(device, precision, dtype, effective):
    assert matmul_precision(load.accelerator(device), precision, dtype) == effective
