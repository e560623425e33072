"""A finished run with a compressed item table: its folder, its ranking, its refusals."""

import json

import numpy as np
import pytest
from train.corpora import SMALL, conversations, train_on

from cr_jax.cli.main import app
from cr_jax.data.corpus import read_corpus
from cr_jax.errors import BadConfig, BadInput
from cr_jax.serving.recommender import Recommender
from cr_jax.train.compress import compressed, ranked
from cr_jax.train.finished import read_run

pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of DMN, its data, and what training said of it."""
    folder = tmp_path_factory.mktemp("compress")
    path, settings = conversations(folder), SMALL["dmn"] | {"learning_rate": "0.02"}
    return folder / "dmn", path, train_on("dmn", path, folder / "dmn", settings=settings, steps=60, batch=16)


def invoke(*arguments):
    from typer.testing import CliRunner

    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_run_ranks_as_its_report_says(trained):
    folder, path, found = trained
    again = ranked(read_run(folder), path)
    assert again is not None and again.figures()["mrr"] == pytest.approx(found.report.test["ranking"]["mrr"])
    assert np.array_equal(again.ranks, found.ranked.ranks)


def test_the_command_writes_a_run_that_recommends_and_ranks(trained, tmp_path):
    folder, path, _ = trained
    run = read_run(folder)
    shape = run.weights["answer.kernel.value"].shape
    result = invoke("compress", folder, "--item-rank", 2, "--out", tmp_path / "low", "--dataset", path)
    assert result.exit_code == 0, result.output
    low = read_run(tmp_path / "low")
    assert low.config.item_rank == 2 and low.steps == run.steps and "answer.kernel.value" not in low.weights
    saved = 4 * (shape[0] * shape[1] - 2 * sum(shape))
    assert sum(a.nbytes for a in run.weights.values()) - sum(a.nbytes for a in low.weights.values()) == saved
    product = low.weights["answer.a.value"] @ low.weights["answer.b.value"]
    left, values, right = np.linalg.svd(run.weights["answer.kernel.value"], full_matrices=False)
    np.testing.assert_allclose(product, (left[:, :2] * values[:2]) @ right[:2], atol=1e-4)
    error = np.sqrt(np.sum(values[2:] ** 2) / np.sum(values**2))
    assert f"answer: relative error {error:.3f}" in result.output

    after = ranked(low, path)
    assert f"after: mrr {after.figures()['mrr']:.4f}" in result.output
    mine = Recommender(tmp_path / "low", 5)
    talks = list(read_corpus(path).conversations["test"])[:2]
    mine.prepare(talks)
    _, answer = mine.turn(mine.start(), talks[0], 0)
    assert len(answer.items) == 5 and all(np.isfinite(score) for _, score in answer.items)


def test_other_weights_are_as_they_were(trained):
    run = read_run(trained[0])
    made = compressed(run, {"item_codes": "2", "item_centroids": "4"}).run
    assert set(made.weights) - set(run.weights) == {"answer.centroids.value", "answer.codes.value"}
    for name in set(made.weights) & set(run.weights):
        np.testing.assert_array_equal(made.weights[name], run.weights[name])


@pytest.mark.parametrize(("weights", "share"), [("bfloat16", 0.5), ("int8", 0.5)])
def test_quantised_weights_rank_and_recommend(trained, tmp_path, weights, share):
    folder, path, found = trained
    run = read_run(folder)
    result = invoke("compress", folder, "--weights", weights, "--out", tmp_path / "q", "--dataset", path)
    assert result.exit_code == 0, result.output
    small = read_run(tmp_path / "q")
    before, after = (sum(a.nbytes for a in one.weights.values()) for one in (run, small))
    assert after <= share * before and {a.dtype.name for a in small.weights.values()} <= {weights, "float32"}
    mrr = ranked(small, path).figures()["mrr"]
    assert f"after: mrr {mrr:.4f}" in result.output
    assert mrr == pytest.approx(found.report.test["ranking"]["mrr"], abs=0.05)
    mine, talks = Recommender(tmp_path / "q", 5), list(read_corpus(path).conversations["test"])[:2]
    mine.prepare(talks)
    _, answer = mine.turn(mine.start(), talks[0], 0)
    assert len(answer.items) == 5 and all(np.isfinite(score) for _, score in answer.items)
    with pytest.raises(BadConfig, match=r"compressed already"):
        compressed(small, {"item_rank": "2"})


def test_what_cannot_be_is_refused(trained, tmp_path):
    folder, path, _ = trained
    run = read_run(folder)
    with pytest.raises(BadConfig, match=r"item_rank=99: is not below both sides"):
        compressed(run, {"item_rank": "99"})
    with pytest.raises(BadConfig, match=r"nothing to compress"):
        compressed(run, {})
    other = tmp_path / "other.txt"
    other.write_text(path.read_text() * 2)
    with pytest.raises(BadInput, match=r"not the data of"):
        ranked(run, other)
    with pytest.raises(BadConfig, match=r"nothing to compress; legal: --item-rank"):
        app(["compress", str(folder), "--out", str(tmp_path / "x")], standalone_mode=False)
    with pytest.raises(BadInput, match=r"holds an earlier run"):
        app(["compress", str(folder), "--item-rank", "2", "--out", str(folder)], standalone_mode=False)
    with pytest.raises(BadInput, match=r"no checkpoint here"):
        app(["compress", str(tmp_path / "none"), "--item-rank", "2", "--out", str(tmp_path / "x")], standalone_mode=False)


def test_a_compressed_run_is_not_continued_as_the_first(trained, tmp_path):
    folder, path, _ = trained
    assert invoke("compress", folder, "--item-rank", 2, "--out", tmp_path / "low").exit_code == 0
    settings = SMALL["dmn"] | {"learning_rate": "0.02", "item_rank": "2"}
    with pytest.raises(BadInput, match=r"another run: .*compressed"):
        train_on("dmn", path, tmp_path / "low", settings=settings, steps=60, batch=16, resume=True)
    assert json.loads((tmp_path / "low" / "recommender.json").read_text())["model"] == "dmn"
