"""``crjax new-model`` writes a model that is counted and trained as it is, and overwrites nothing."""

import json
import sys

import pytest

from cr_jax.models import spec as specs
from cr_jax.report.document import validate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder, which is the current one; modules imported from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("my_model", "shelf", "shelf.other"):
        sys.modules.pop(name, None)


def test_the_new_model_is_counted_at_once(crjax, folder):
    code, out, err = crjax("new-model", "my_model")
    assert (code, out) == (0, "")
    assert err.startswith("model written to my_model.py; crjax profile --model my_model:SPEC counts it, crjax train --model my")
    text = (folder / "my_model.py").read_text()
    assert text.startswith('"""my_model: a recommender') and "model_template" not in text
    code, out, _ = crjax("profile", "--model", "my_model:SPEC", "--turns", "1", "--json")
    report = json.loads(out)
    assert code == 0 and validate(report, "report") == "cost-report" and report["model"]["name"] == "my_model"
    words, items, width, batch = 51272, 9292, 32, 64
    assert report["parameters"]["trainable"] == (words + items) * width
    steps = {step["name"]: step for step in report["steps"]}
    # Forward, the gradient of the kernel and that of the mean.
    assert steps["train/next_item"]["model"]["matmul_flops"] == 3 * 2 * batch * width * items
    answers = [step for step in report["steps"] if step["phase"] == "infer"]
    assert len(answers) > 1 and {step["model"]["matmul_flops"] for step in answers} == {2 * width * items}
    assert all(step["jaxpr"]["agrees"] and step["compiled"]["bound"] == "exact" for step in report["steps"])


@pytest.mark.slow
def test_the_new_model_is_trained_on_the_sample_and_recommends(crjax, folder):
    pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
    pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
    assert crjax("new-model", "my_model")[0] == 0
    code, _, err = crjax("train", "--model", "my_model:SPEC", "--epochs", "30", "--set", "learning_rate=0.01", "--out", "run")
    assert code == 0, err
    losses = [json.loads(line)["loss"]["next_item"] for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
    talk = folder / "talk.txt"
    talk.write_text("user01@item03,bado|bafedo|1\n")
    code, out, err = crjax("recommend", "run", "--model", "my_model:SPEC", "--conversations", str(talk))
    assert code == 0 and "item" in out, err


def test_a_file_of_another_name_or_folder(crjax, folder):
    (folder / "shelf").mkdir()
    code, _, err = crjax("new-model", "my_model", "--out", "shelf/other.py")
    assert code == 0 and "--model shelf.other:SPEC " in err
    code, out, _ = crjax("new-model", "my_model", "--out", "-")
    assert code == 0 and out == (folder / "shelf" / "other.py").read_text()
    (folder / "my-models").mkdir()
    code, _, err = crjax("new-model", "my_model", "--out", "my-models/other.py")
    assert code == 0 and "; in my-models: crjax profile --model other:SPEC " in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["class"], "name 'class': not a Python identifier"),
        (["my-model"], "name 'my-model': not a Python identifier; legal: letters, digits and _, such as my_model"),
        (["my.model"], "not a Python identifier"),
        (["dmn"], "name 'dmn': a model of this package"),
        (["json"], "json.py: the installed module 'json' would be imported instead; legal: another name"),
        (["my_model", "--out", "optax.py"], "the installed module 'optax'"),
        (["my_model", "--out", "there.py"], "there.py: exists already and was left as it is"),
        (["my_model", "--out", "link.py"], "link.py: exists already"),
        (["my_model", "--out", "."], "it is a folder; legal: a file"),
        (["my_model", "--out", "absent/my_model.py"], "no folder"),
        (["my_model", "--out", "my_model"], "no module has this name; legal: a Python identifier and .py, such as my_model.py"),
        (["my_model", "--out", "my-model.py"], "no module has this name"),
    ],
)
def test_what_cannot_be_a_model_is_refused(crjax, folder, arguments, words):
    (folder / "there.py").write_text("mine\n")
    (folder / "link.py").symlink_to("nowhere.py")
    code, out, err = crjax("new-model", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and words in err
    assert sorted(one.name for one in folder.iterdir()) == ["link.py", "there.py"]
    assert (folder / "there.py").read_text() == "mine\n"


def test_every_field_of_a_spec_is_in_the_file(crjax, folder):
    """A field that is added to ``Spec`` has to be shown to whoever writes a model."""
    _, out, _ = crjax("new-model", "my_model", "--out", "-")
    shown = (specs.Spec, specs.ConversationalModel)
    assert [f"{name}=" for one in shown for name in one.__dataclass_fields__ if f"{name}=" not in out] == []
