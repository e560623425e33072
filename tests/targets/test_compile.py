"""Compiling one step: the text of a program that its executable cannot print."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
import tiny

from cr_jax.errors import BadConfig
from cr_jax.steps.step import abstract_model
from cr_jax.steps.turn import turn_steps
from cr_jax.targets import compile as compiling
from cr_jax.targets.resolve import resolve


class Mute:
    """An executable whose ``as_text`` fails as XLA's does."""

    def __init__(self, said: str):
        self.said = said

    def as_text(self):
        raise jax.errors.JaxRuntimeError(self.said)


def test_a_program_that_cannot_be_printed_is_read_from_the_compilers_dump():
    lowered = jax.jit(lambda x: jnp.tanh(x @ x)).lower(jnp.ones((8, 8)))
    said = "INTERNAL: RET_CHECK failure: async-update instruction should have 1 operands but sees 3"
    found = compiling._text(Mute(said), lowered, {})
    printed = lowered.compile().as_text()
    assert found.split("\n\n", 1)[0].split(",")[0] == printed.split(",")[0]  # HloModule and its name
    assert found.count(" dot(") + found.count("ynn") == printed.count(" dot(") + printed.count("ynn")
    assert "tanh(" in found


def test_any_other_failure_to_print_is_not_hidden():
    lowered = jax.jit(lambda x: x + 1).lower(jnp.ones(4))
    with pytest.raises(jax.errors.JaxRuntimeError, match="out of words"):
        compiling._text(Mute("out of words"), lowered, {})


class Refusing:
    """A lowered program whose compilation fails as told, by whether Triton makes products; its executable is a string."""

    def __init__(self, triton: str | None, cublas: str | None = None):
        self.said = {True: triton, False: cublas}
        self.tried = []

    def compile(self, compiler_options):
        self.tried.append(compiler_options)
        said = self.said[(compiler_options or {}).get("xla_gpu_enable_triton_gemm", True)]
        if said is not None:
            raise jax.errors.JaxRuntimeError(said)
        return "executable"


GPU = compiling.Place("cuda", options={"xla_gpu_autotune_level": 0})


@pytest.mark.parametrize(
    ("said", "note"),
    [
        ("INTERNAL: output tile sizes (16, 2)\nof a fusion", "the untuned tiles of a Triton product do not fit"),
        (
            "INVALID_ARGUMENT: Shapes must be equal rank,\nbut are f32[16]",
            "XLA cannot build a Triton product (INVALID_ARGUMENT: Shapes must be equal rank, but are f32[16])",
        ),
    ],
)
def test_a_triton_product_that_xla_cannot_build_is_a_cublas_call(said, note):
    lowered = Refusing(triton=said)
    options = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}
    assert compiling.compile_lowered(lowered, GPU) == ("executable", options, f"{note}; products are cuBLAS calls")
    assert lowered.tried == [GPU.options, options] and GPU.options == {"xla_gpu_autotune_level": 0}


def test_a_program_that_cublas_does_not_save_fails_as_it_did_first():
    lowered = Refusing(triton="first", cublas="second")
    with pytest.raises(jax.errors.JaxRuntimeError, match="first"):
        compiling.compile_lowered(lowered, GPU)
    assert len(lowered.tried) == 2


def test_only_programs_for_gpus_are_compiled_again():
    lowered = Refusing(triton="no such operation")
    with pytest.raises(jax.errors.JaxRuntimeError, match="no such operation"):
        compiling.compile_lowered(lowered, compiling.Place("tpu"))
    assert len(lowered.tried) == 1


def test_a_program_that_compiles_is_compiled_once():
    lowered = Refusing(triton=None)
    assert compiling.compile_lowered(lowered, GPU) == ("executable", GPU.options, None) and len(lowered.tried) == 1


def test_an_array_that_xla_cannot_count_is_one_line(monkeypatch):
    monkeypatch.setattr("cr_jax.models.config_checks.LARGEST", 2**31 - 1)  # products of legal sizes can be counted
    work = dataclasses.replace(tiny.WORK, users=2**31 - 1)
    config = dataclasses.replace(tiny.case("dmn").config, hidden=2**31 - 1)
    step = turn_steps(abstract_model(tiny.case("dmn").spec, config), work)[0]
    with pytest.raises(BadConfig, match=r"too large to be counted: .*overflow.*; legal: smaller sizes") as caught:
        compiling.lower_step(step, resolve("cpu"), "default")
    assert "\n" not in str(caught.value)
