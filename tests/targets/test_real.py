"""Real compilers: DMN for an H100 and a TPU v5e. Skipped, with the line that mends it, without them."""

import contextlib
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from reports import typed

from cr_jax import profile
from cr_jax.profiling.pipeline import profile_devices
from cr_jax.profiling.request import Request
from cr_jax.report.document import without_times
from cr_jax.targets import ahead, cache, overlay
from cr_jax.targets.resolve import DEFAULTS
from cr_jax.targets.worker_process import environment

pytestmark = pytest.mark.slow
SMALL = {"turns": 1, "batch": 4, "phases": ["train", "infer"], "settings": {"hidden": "16", "hops": "2"}}


def _needs(kind):
    if overlay.find(kind) is None:
        pytest.skip(f"needs the {kind} compiler: {overlay.command(kind)}")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Compiled programs go to a cache of the tests' own, so that they are made and not found."""
    patch = pytest.MonkeyPatch()
    patch.setattr(cache, "cache_root", lambda folder=tmp_path_factory.mktemp("cache"): folder)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def reports(elsewhere):
    """kind -> report, made when first asked for."""
    made = {}

    def report(kind):
        if kind != "cpu":
            _needs(kind)
        if kind not in made:
            made[kind] = profile("dmn", device=DEFAULTS[kind], **SMALL)
        return made[kind]

    return report


@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_compiled_counted_and_labelled(reports, kind):
    report = reports(kind)
    target = report["target"]
    assert target["compiled_for"] == DEFAULTS[kind]
    assert target["attached"] is False
    assert target["autotuned"] is (False if kind == "gpu" else None)
    assert target["effective_precision"] == {"gpu": "tf32", "tpu": "bfloat16"}[kind]
    assert target["compiler"]
    for step in report["steps"]:
        assert step["outcome"] == "compiled" and step["reason"] is None
        assert step["coverage"]["uncounted"] == []
        assert step["coverage"]["complete"]
        assert step["memory"]["temp_bytes"] is not None
        assert step["memory"]["peak_bytes"] > step["memory"]["argument_bytes"] - step["memory"]["alias_bytes"]
    train = report["steps"][0]
    assert train["memory"]["alias_bytes"] > 0  # donated
    assert {m["module"] for m in train["modules"]} >= {"input_module.encoder", "episodic.gate", "answer"}
    assert train["coverage"]["unattributed_share"] < 0.01


@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_the_same_traced_program_everywhere(reports, kind):
    here, there = reports("cpu"), reports(kind)
    for ours, theirs in zip(here["steps"], there["steps"], strict=True):
        assert ours["model"] == theirs["model"]
        assert theirs["program_sha256"] != ours["program_sha256"]
        for step in (ours, theirs):
            account, traced = step["matmul_account"], step["model"]["matmul_flops"]
            assert account["traced_flops"] == traced
            assert account["compiled_flops"] == step["compiled"]["matmul_flops"]
            # In so small a model the gate's product with w2, done again by two fusions, is 1.3%.
            assert account["padding_and_repeats_flops"] + account["removed_flops"] < 0.02 * traced
    # one user's turn is rows times matrices, which neither compiler gives to a matrix unit
    last = theirs["matmul_account"]
    assert last["as_multiply_and_sum_flops"] > 0.1 * last["traced_flops"]


@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_the_second_time_without_a_worker(reports, kind, monkeypatch):
    first = reports(kind)
    monkeypatch.setattr(ahead, "run_worker", lambda *_: pytest.fail("a worker was started"))
    again = profile("dmn", device=DEFAULTS[kind], **SMALL)
    assert without_times(typed(again)) == without_times(typed(first))


@pytest.mark.parametrize(("kind", "model", "device"), [("gpu", "dmn", "h100"), ("gpu", "pmmn", "l4"), ("tpu", "mmn", "tpu-v5e")])
def test_bfloat16_reaches_the_compiled_program(elsewhere, kind, model, device):
    """Whole-number inputs too (PMMN): the header, the weights and the program are of one dtype."""
    _needs(kind)
    settings = {"hidden": "16"} if model == "dmn" else {"embedding": "8", "hidden": "8"}
    options = SMALL | {"phases": ["train", "infer"], "settings": settings, "device": device}
    full, half = (profile(model, dtype=dtype, **options) for dtype in ("float32", "bfloat16"))
    for ours, theirs in zip(half["steps"], full["steps"], strict=True):
        assert ours["outcome"] == theirs["outcome"] == "compiled"
        assert ours["program_sha256"] != theirs["program_sha256"]
        memory = ours["memory"]
        roles = sum(memory["roles_bytes"].values())
        assert roles == memory["argument_bytes"] + memory["dropped_bytes"] - memory["padding_bytes"]
        assert 2 * memory["roles_bytes"]["weights"] == theirs["memory"]["roles_bytes"]["weights"]
        assert memory["argument_bytes"] < theirs["memory"]["argument_bytes"]


def test_several_devices_at_once_one_of_them_unknown(reports):
    _needs("gpu")
    made = profile_devices(Request("dmn", devices=("cpu", "h101", "h100"), **SMALL))
    assert "h100" in str(made[1].reason)
    assert without_times(made[0]) == without_times(typed(reports("cpu")))
    assert without_times(made[2]) == without_times(typed(reports("gpu")))


@pytest.mark.parametrize("name", ["h100-pcie", "gb200", "gb300"])
def test_the_gpu_compiler_knows_targets_no_other_test_uses(elsewhere, name):
    _needs("gpu")
    report = profile("dmn", device=name, **SMALL | {"phases": ["infer"]})
    assert report["target"]["compiled_for"] == name and report["target"]["effective_precision"] == "tf32"
    assert all(step["outcome"] == "compiled" and step["coverage"]["complete"] for step in report["steps"])


def test_three_tpu_workers_at_once():
    """Their library would abort on its lock file if it were not told that others may load it."""
    _needs("tpu")
    code = (
        "import jax, jax.numpy as jnp; from cr_jax.targets.worker import _place; from cr_jax.targets.compile import _on\n"
        "place = _place({'platform': 'tpu', 'attached': False, 'topology': 'v5e:1x1', 'chip': None, 'options': {}})\n"
        "x = _on(place.device, (jax.ShapeDtypeStruct((256, 256), jnp.float32),))\n"
        "done = jax.jit(lambda x: x @ x).trace(*x).lower(lowering_platforms=('tpu',)).compile()\n"
        "input(); print(len(done.as_text()) > 100)"
    )
    environ = environment("tpu", attached=False)
    workers = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env=environ,
            stdin=subprocess.PIPE,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    said = [None] * 3

    def end(number):
        said[number] = workers[number].communicate("\n", timeout=120)

    threads = [threading.Thread(target=end, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [out for out, _ in said] == ["True\n"] * 3


def test_a_topology_the_compiler_does_not_know_is_a_reason(elsewhere, tmp_path, monkeypatch):
    _needs("tpu")
    shipped = json.loads((Path(__file__).resolve().parents[2] / "profiles/accelerators/tpu-v5e.json").read_text())
    (tmp_path / "accelerators").mkdir()
    mine = shipped | {"name": "tpu-v9", "compiler_target": {"platform": "tpu", "topology": "v9:1x1"}}
    (tmp_path / "accelerators" / "tpu-v9.json").write_text(json.dumps(mine))
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    report = profile("dmn", device="tpu-v9", **SMALL)
    assert report["target"]["compiled_for"] is None
    for step in report["steps"]:
        assert step["outcome"] == "failed"
        assert re.search("v9", step["reason"])
        assert step["compiled"] is None


@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_the_workers_say_nothing_on_the_users_stderr(kind, tmp_path):
    _needs(kind)
    arguments = [
        "profile",
        "--model",
        "dmn",
        "--device",
        kind,
        "--phase",
        "infer",
        "--turns",
        "1",
        "--set",
        "hidden=8",
        "--get",
        "target.compiled_for",
    ]
    code = (
        f"from cr_jax.targets import cache; from pathlib import Path; cache.cache_root = lambda: Path({str(tmp_path)!r});"
        f"import sys; sys.argv[1:] = {arguments!r}; from cr_jax.cli.main import main; main()"
    )
    root = Path(__file__).resolve().parents[2]
    with contextlib.chdir(tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{DEFAULTS[kind]}\n", "")
