"""``crjax bench --function``: the command that runs a user's function."""

import json
import sys

import pytest

from cr_jax.report.document import validate

MODULE = """
import jax
import jax.numpy as jnp
import numpy as np

SHAPE = jax.ShapeDtypeStruct


def train_step(weights, batch):
    gradient = jax.grad(lambda w: jnp.square(batch @ w).sum())(weights)
    return weights - 0.001 * gradient


def step():
    return train_step, (SHAPE((64, 32), jnp.float32), jnp.ones((16, 64))), {"donate": "weights", "batch": "batch"}


def forward():
    return (lambda x: x @ x), (SHAPE((64, 64), jnp.float32),), {"name": "square"}


def divided():
    def call(x):
        return jax.pure_callback(lambda v: np.float32(1 / int(v)), SHAPE((), jnp.float32), 0 * x.sum())

    return call, (SHAPE((4,), jnp.float32),)


def unfit():
    return (lambda x: x @ jnp.ones((3, 3))), (SHAPE((4, 4), jnp.float32),)
"""
QUICK = ("--runs", "4", "--warmup", "1", "--seconds", "0", "--limit", "0", "--no-memory", "--no-energy")


@pytest.fixture
def bench(crjax, monkeypatch, tmp_path):
    """``bench(...)`` -> exit code, stdout, stderr; in a folder with the module ``clocked``."""
    (tmp_path / "clocked.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "clocked", raising=False)
    monkeypatch.delenv("CRJAX_DEBUG", raising=False)
    yield lambda *arguments: crjax("bench", *arguments)
    sys.modules.pop("clocked", None)


def test_functions_are_measured_like_a_model(bench, tmp_path):
    code, out, _ = bench("--function", "clocked:step", "--function", "clocked:forward", *QUICK, "--out", tmp_path / "b.json")
    assert code == 0 and "examples/s" in out and "turn" not in out
    assert "clocked:step: train_step, 2 arrays as arguments, 1 of them made, 1 donated" in out
    document = json.loads((tmp_path / "b.json").read_text())
    assert validate(document, "b") == "bench-report" and document["case"]["functions"] == ["clocked:step", "clocked:forward"]
    assert [step["name"] for step in document["steps"]] == ["clocked:step", "clocked:forward"]
    assert [step["counted"]["matmul_flops"] for step in document["steps"]] == [2 * 2 * 16 * 64 * 32, 2 * 64**3]
    code, out, _ = bench("--function", "clocked:forward", *QUICK, "--against", tmp_path / "b.json", "--json")
    (entry,) = json.loads(out)["comparisons"]
    assert code == 0 and entry["step"] == "clocked:forward" and entry["program_equal"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--function", "clocked:step", "--users", "3"),
            "--users: belongs to --model; legal with --function: --device, --precision",
        ),
        (("--function", "clocked:step", "--dataset", "talks"), "--dataset: belongs to --model"),
        (("--function", "clocked:step", "--set", "hops=2"), "--set: belongs to --model"),
        (("--function", "clocked:step", "--model", "dmn"), "both --model and --function"),
        (("--function", "clocked:step", "--precision", "low"), "unknown precision 'low'"),
        (("--function", "clocked:step", "--against", "users=3"), "--against users=...: legal for a function"),
        (("--function", "clocked:step", "--device", "h100"), "none attached, and a measurement needs one"),
        (("--function", "clocked:nothing"), "has no 'nothing'"),
        (("--function", "clocked"), "legal: package.module:NAME"),
        (("--function", "clocked:unfit"), "raised TypeError while it was traced, clocked.py, line "),
        (
            ("--function", "clocked:divided"),
            "'clocked:divided' raised while it was run: ZeroDivisionError: division by zero; --debug",
        ),
        (("sweep", "--out", "o", "--function", "clocked:step", "--users", "1"), "--users: belongs to --model"),
        (("sweep", "--out", "o", "--function", "clocked:step", "--models", "dmn"), "--models: belongs to --model"),
        (("sweep", "--out", "o", "--function", "clocked"), "legal: package.module:NAME"),
        ((), "bench needs --model"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(bench, arguments, said):
    code, out, err = bench(*arguments, *QUICK)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err


def test_the_users_traceback_is_shown_on_request(bench, monkeypatch):
    monkeypatch.setenv("CRJAX_DEBUG", "1")
    code, _, err = bench("--function", "clocked:divided", *QUICK)
    assert code == 2 and "clocked.py" in err and err.splitlines()[-1].startswith("crjax: function 'clocked:divided' raised")


@pytest.mark.slow
def test_a_sweep_of_functions_in_two_shards_leaves_the_files_of_one(bench, crjax, tmp_path):
    functions = ("--function", "clocked:step,clocked:divided", "--function", "clocked:forward")
    for number in (1, 2):
        code, _, err = bench("sweep", *functions, *QUICK, "--shard", f"{number}/2", "--out", tmp_path / "parts")
        assert code == 0, err
    parts = [tmp_path / "parts" / f"shard-{number}-of-2.json" for number in (1, 2)]
    code, out, err = crjax("merge", *parts, "--out", tmp_path / "whole")
    assert code == 0 and "clocked:divided" in out, err
    whole = {file.name: file.read_text() for file in (tmp_path / "whole").iterdir()}
    assert sorted(whole) == [f"clocked-{name}_step_cpu.json" for name in ("divided", "forward", "step")]
    assert whole == {name: (tmp_path / "parts" / name).read_text() for name in whole}
    assert {name: json.loads(text)["status"] for name, text in whole.items()} == {
        "clocked-divided_step_cpu.json": "failed",
        "clocked-forward_step_cpu.json": "measured",
        "clocked-step_step_cpu.json": "measured",
    }
