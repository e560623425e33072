"""The contract of every program of the battery: a figure said to be exact is the truth, and a bound is on its side of it."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from battery.check import complaints
from battery.program import Program
from battery.registry import kinds, makers
from cr_jax import analyze
from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.counting.count import count_hlo

SHARDED = makers("sharded")
ALONE = {name: make for name, make in makers().items() if name not in SHARDED}


@pytest.fixture(autouse=True)
def ordinary_promotion():
    """Programs of others promote ranks and types as JAX does by default."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def _made(name):
    """The program; skipped where its framework is not installed."""
    for framework in ("equinox", "haiku"):
        if f".{framework}" in name:
            pytest.importorskip(framework, reason=f"{framework} is not installed")
    return ALONE[name]()


@pytest.mark.parametrize("name", ALONE)
def test_the_count_keeps_its_word(name):
    program = _made(name)
    lowered = jax.jit(program.function).lower(*program.arguments)
    texts = {"traced": lowered.as_text("hlo", debug_info=True), "compiled": lowered.compile().as_text()}
    for kind, text in texts.items():
        assert complaints(program, count_hlo(text), kind == "compiled") == [], kind
        if program.trips:
            found = count_hlo(text, assumptions=Assumptions(program.trips))
            counted = found.matmul_flops + found.total.replaced_matmul_flops
            assert (found.bound, counted) == ("assumed", program.trips_flops), kind


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("haiku_language_model", ("multi_head_attention_1/query", "sequential/linear_1", "words")),
        ("equinox_vision_transformer", ("Network/patches", "Network/blocks.1/attention/key_proj", "Network/head")),
        ("linen_residual_network", ("_ResidualNetwork/deep/Conv_1", "_ResidualNetwork/deep/projection", "_ResidualNetwork/head")),
    ],
)
def test_a_train_step_is_counted_by_module(name, modules):
    """As a user asks for it: the whole step exactly, its modules by the names that the framework gives them."""
    program = _made(f"train_steps.{name}")
    found = analyze(program.function, *program.arguments)
    assert (found.bound, found.matmul_flops) == ("exact", program.flops)
    multiplied = {module.path: module.matmul_flops for module in found.modules if module.matmul_flops}
    assert sum(multiplied.values()) == program.flops and set(modules) <= set(multiplied)


@pytest.fixture(scope="session")
def sharded_texts(tmp_path_factory):
    """The compiled texts of the programs for eight devices."""
    folder = tmp_path_factory.mktemp("sharded")
    path = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])
    command = [sys.executable, "-m", "battery.compile_sharded", str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path}, timeout=300)
    return {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.txt")}


@pytest.mark.parametrize("name", SHARDED)
def test_one_device_counts_its_share(name, sharded_texts, monkeypatch):
    monkeypatch.setattr("jax.devices", lambda *_: [jax.local_devices()[0]] * 8)  # the truth needs no devices
    program = SHARDED[name]()
    assert complaints(program, count_hlo(sharded_texts[name]), compiled=True) == []


def test_every_collective_is_in_the_battery(sharded_texts):
    kinds_of = {one.kind for text in sharded_texts.values() for one in count_hlo(text).collectives}
    assert kinds_of >= {"all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"}


def test_the_battery_is_wide_and_most_of_it_exact():
    bounds = [make().bound for name, make in ALONE.items() if ".equinox" not in name and ".haiku" not in name]
    assert len(kinds()) >= 13 and len(bounds) + len(SHARDED) >= 100
    assert bounds.count("exact") >= 0.75 * len(bounds) and {"lower", "upper", "range"} <= set(bounds)


@pytest.mark.parametrize(
    ("text", "flops", "said"), [("exact", 7, "said to be exact"), ("exact", (0, 9), "said to be exact"), ("exact", 8, None)]
)
def test_a_wrong_figure_is_a_complaint(text, flops, said):
    """The contract itself fails where it should: a product of 2 x 1 x 2 has 8 FLOPs."""
    hlo = """HloModule m

ENTRY e {
  a = f32[2,1] parameter(0)
  b = f32[1,2] parameter(1)
  ROOT d = f32[2,2] dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}
"""
    found = complaints(Program(lambda: None, (), flops, bound=text), count_hlo(hlo), compiled=False)
    assert found == [] if said is None else said in found[0]
