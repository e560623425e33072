"""A sixth model as one file or one folder, a data set and an accelerator as one file each: nothing else is edited."""

import json
import sys
from pathlib import Path

import pytest
from tiny import dataset_file
from typer.testing import CliRunner

import cr_jax.models
from cr_jax import profile
from cr_jax.cli.main import app
from cr_jax.models import spec as specs
from cr_jax.report.document import validate

CPU = Path(__file__).resolve().parent.parent / "profiles" / "accelerators" / "cpu.json"

#: The sixth model: mean word vector of the conversation times the item vectors.
MODEL = """
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from cr_jax.models.spec import ConversationalModel, Objective, Positions, Spec, expect_state, positive
from cr_jax.nn.module import Module, name_scopes, scoped
from cr_jax.records import bucket


@dataclass(frozen=True)
class Config:
    words: int
    items: int
    width: int = 7

    def __post_init__(self):
        positive(words=self.words, items=self.items, width=self.width)


class Items(Module):
    def __init__(self, config, rngs):
        self.kernel = nnx.Param(nnx.initializers.normal()(rngs.params(), (config.width, config.items)))

    def __call__(self, x):
        return x @ self.kernel[...]


class Bag(Module):
    def __init__(self, config, rngs):
        self.config = config
        self.table = nnx.Param(nnx.initializers.normal()(rngs.params(), (config.words, config.width)))
        self.items = Items(config, rngs)

    @scoped
    def total(self, words):
        return self.table[...][words].sum(1)


def loss(model, batch, key):
    logits = model.items(model.total(batch["words"]))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["target"])), {}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    total: jax.Array


def start(model, side, batch):
    return State(jnp.zeros((batch, model.config.width)))


def turn(model, side, state, utterance):
    expect_state(state, jax.eval_shape(lambda: start(model, side, utterance["words"].shape[0])))
    state = State(state.total + model.total(utterance["words"]))
    return state, {"item_scores": model.items(state.total)}


def ints(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def texts(config, work, t, batch):
    return {"words": ints(batch, bucket(work.lengths.request.p95 + t * work.lengths.turn_words))}


SPEC = Spec(
    name="bag",
    title="Bag of words",
    paper="none",
    code="github.com/nobody/bag@0123456",
    deviations=("none",),
    config=Config,
    fields={"words": "rows of the table", "items": "items scored", "width": "length of a vector"},
    configure=lambda dataset, work: Config(dataset.words, dataset.items),
    build=lambda config, rngs: name_scopes(Bag(config, rngs), "bag"),
    objectives=lambda config: (
        Objective(
            name="next_item",
            example="a conversation",
            batch=4,
            supervised_turns=lambda config, work: 1.0,
            examples_per_epoch=lambda config, dataset: dataset.conversations,
            trains=lambda path, variable: isinstance(variable, nnx.Param),
            loss=loss,
            optimizer=lambda config: optax.sgd(0.1),
            inputs=lambda config, work, batch: {**texts(config, work, work.turns, batch), "target": ints(batch)},
        ),
    ),
    conversation=ConversationalModel(
        items=lambda config, work: None,
        precompute=lambda model, items: None,
        start=start,
        turn=turn,
        replay=lambda model, side, history: turn(model, side, State(0 * model.total(history["words"])), history)[1],
        utterance=lambda config, work, t, batch: {"words": ints(batch, 4)},
        history=texts,
        positions=lambda config, work, t, mode: Positions(3.0, 4 if mode == "incremental" else 8 * (t + 1)),
        carried="the sum of the word vectors",
        limits="none",
    ),
    published=lambda config: {},
    paper_count=lambda config, trainable: None,
    scores_subset=False,
)
"""


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
