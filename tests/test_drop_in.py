"""A sixth model as one file or one folder, a data set and an accelerator as one file each: nothing else is edited."""

import json
import sys
from pathlib import Path

import pytest
from one_file_model import MODEL
from tiny import dataset_file
from typer.testing import CliRunner

import cr_jax.models
from cr_jax import profile
from cr_jax.cli.main import app
from cr_jax.models import spec as specs
from cr_jax.report.document import validate

CPU = Path(__file__).resolve().parent.parent / "profiles" / "accelerators" / "cpu.json"


@pytest.fixture
def user(tmp_path, monkeypatch):
    """The user's folder with a data set and an accelerator of their own."""
    dataset_file(tmp_path, "corner-shop")
    accelerator = json.loads(CPU.read_text()) | {"name": "old-laptop", "title": "An old laptop"}
    place = tmp_path / "accelerators" / "old-laptop.json"
    place.parent.mkdir()
    place.write_text(json.dumps(accelerator))
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    return tmp_path


def check(report):
    assert validate(report, "report") == "cost-report"
    assert (report["model"]["name"], report["dataset"]["name"], report["target"]["name"]) == ("bag", "corner-shop", "old-laptop")
    words, items, width, batch, users, turns = 40, 12, 7, 4, 2, 2
    assert report["parameters"]["trainable"] == words * width + width * items
    steps = {s["name"]: s for s in report["steps"]}
    forward = 2 * batch * width * items  # the kernel's gradient and the vector's cost as much each
    assert steps["train/next_item"]["model"]["matmul_flops"] == 3 * forward
    assert steps["infer/incremental/t0-2"]["model"]["matmul_flops"] == 2 * users * width * items
    assert all(s["jaxpr"]["agrees"] and s["coverage"]["complete"] for s in report["steps"])
    assert {row["module"] for s in report["steps"] for row in s["modules"]} >= {"bag", "items", "optimizer", "top_k"}
    assert {(r["t"], r["mode"]) for r in report["turns"]} == {
        (t, mode) for t in range(turns + 1) for mode in ("replay", "incremental")
    }


def run(model):
    return profile(model, "corner-shop", device="old-laptop", users=2, turns=2, top_k=3)


def test_from_anywhere_on_the_path(user, monkeypatch):
    package = user / "their_models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "bag.py").write_text(MODEL)
    monkeypatch.syspath_prepend(user)
    check(run("their_models.bag:SPEC"))
    for name in ("their_models.bag", "their_models"):
        sys.modules.pop(name)


@pytest.fixture(params=["file", "folder"])
def among_the_models(request, user, monkeypatch):
    """The sixth model beside the others: ``bag.py``, or ``bag/`` with its layers and its ``model.py``."""
    place = user / "more"
    place.mkdir()
    if request.param == "file":
        (place / "bag.py").write_text(MODEL)
    else:
        folder = place / "bag"
        folder.mkdir()
        layers, _, rest = MODEL.partition("def loss(")
        (folder / "__init__.py").touch()
        (folder / "layers.py").write_text(layers)
        (folder / "model.py").write_text(f"from cr_jax.models.bag.layers import *\n\n\ndef loss({rest}")
    with monkeypatch.context() as patch:
        patch.setattr(cr_jax.models, "__path__", [*cr_jax.models.__path__, str(place)])
        yield
    for name in [name for name in sys.modules if name.startswith("cr_jax.models.bag")]:
        sys.modules.pop(name)
    assert "bag" not in specs.names()


def test_beside_the_other_models(among_the_models):
    assert "bag" in specs.names() and specs.find("cr_jax.models.bag:SPEC") is specs.find("bag")
    listed = CliRunner().invoke(app, ["list", "models"], env={"COLUMNS": "200"})
    assert "Bag of words" in listed.output
    check(run("bag"))
