"""Grids in shards: four processes give the document of one run, and files that do not belong together are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import dataset_file

from cr_jax.report.document import validate
from cr_jax.report.grid_shards import digest

ROOT = Path(__file__).resolve().parents[2]
GRID = ("--model", "dmn,cr_jax.model_template:SPEC", "--dataset", "tiny", "--device", "cpu,h100", "--phase", "train")
PRICED = (*GRID, "--price-per-hour", "h100=2.5", "--baseline", "dmn@h100")


def environment(folder):
    return os.environ | {"PYTHONPATH": str(ROOT), "CRJAX_PROFILES": str(folder), "CRJAX_CACHE": str(folder / "cache")}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four shards by four processes: their folder."""
    folder = tmp_path_factory.mktemp("shards")
    dataset_file(folder)
    running = []
    for number in range(1, 5):
        arguments = ("compare", *PRICED, "--shard", f"{number}/4", "--out", f"{number}.json")
        command = [sys.executable, "-P", "-m", "cr_jax.cli.main", *arguments]
        running.append(subprocess.Popen(command, cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    return folder


@pytest.fixture
def here(shards, monkeypatch):
    monkeypatch.chdir(shards)
    monkeypatch.setenv("CRJAX_PROFILES", str(shards))
    monkeypatch.setenv("CRJAX_CACHE", str(shards / "cache"))
    return shards


def files(*numbers):
    return [f"{number}.json" for number in numbers]


def test_four_processes_give_the_document_of_one(crjax, here):
    code, out, err = crjax("compare", *PRICED, "--json")
    assert code == 0, err
    one = json.loads(out)
    code, out, err = crjax("merge", *files(3, 1, 4, 2))
    assert code == 0, err
    merged = json.loads(out)
    assert validate(merged, "merged") == "comparison" and len(merged["rows"]) == 4 and merged["baseline"] == "dmn@h100"
    for document in (one, merged):
        del document["created"], document["command"]
    assert json.dumps(merged) == json.dumps(one)


def test_the_files_of_a_grid_have_one_fingerprint_and_every_cell_once(here):
    documents = [json.loads(Path(file).read_text()) for file in files(1, 2, 3, 4)]
    assert {validate(document, "shard") for document in documents} == {"grid-shard"}
    assert len({document["fingerprint"] for document in documents}) == 1
    assert [cell["cell"] for document in documents for cell in document["cells"]] == [0, 1, 2, 3]


def edited(file, **changes):
    """``edited.json``: a shard with other fields and the fingerprint of these."""
    document = json.loads(Path(file).read_text())
    for key, value in changes.items():
        where, *path = [document, *key.split("__")]
        for part in path[:-1]:
            where = where[part]
        where[path[-1]] = value
    whole = {"tool": document["tool"]["version"], "versions": document["versions"], "grid": document["grid"]}
    Path("edited.json").write_text(json.dumps(document | {"fingerprint": digest(whole)}))
    return "edited.json"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: files(1, 2, 4), "1 of 4 cells in no file: cr_jax.model_template:SPEC@cpu; legal: also the file of --shard 3/4"),
        (lambda: [*files(1, 2, 3), edited("3.json", shard__of=3)], "cell cr_jax.model_template:SPEC@cpu is in 3.json too"),
        (lambda: files(1, 1), "a file is given twice"),
        (
            lambda: [*files(1, 2, 3), edited("4.json", grid__settings__baseline="dmn@cpu")],
            "edited.json: grid.settings.baseline is 'dmn@cpu', in 1.json 'dmn@h100'; legal: shards of one grid",
        ),
        (lambda: [*files(1, 2, 3), edited("4.json", versions__jax="0.1")], "edited.json: versions.jax is '0.1', in 1.json '"),
        (lambda: [edited("4.json", tool__version="0.0.9")], "tool.version is '0.0.9', and this is crjax "),
        (lambda: ["../cpu.json"], "No such file"),
    ],
)
def test_shards_that_do_not_belong_together_are_refused(crjax, here, given, words):
    code, out, err = crjax("merge", *given())
    assert (code, out, err.count("\n")) == (2, "", 1) and words in err


def test_an_edited_grid_is_refused(crjax, here):
    document = json.loads(Path("1.json").read_text())
    document["grid"]["settings"]["baseline"] = None
    Path("edited.json").write_text(json.dumps(document))
    code, _, err = crjax("merge", "edited.json")
    assert code == 2 and "edited.json: fingerprint: not that of its grid" in err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--shard", "0/4"), "--shard '0/4': legal: I/N with I from 1 to N"),
        (("--shard", "5/4"), "legal: I/N"),
        (("--shard", "x"), "legal: I/N"),
        (("--shard", "5/5"), "--shard 5/5: the grid has 4 cells; legal: a shard of 1/4 to 4/4"),
        (("--shard", "1/4", "--format", "csv"), "legal: with --model or --function, without --format"),
    ],
)
def test_a_shard_that_cannot_be_is_refused(crjax, here, more, words):
    code, out, err = crjax("compare", *GRID, *more)
    assert (code, out, err.count("\n")) == (2, "", 1) and words in err


def test_shards_on_a_mesh_merge_into_the_document_of_one_run(crjax, here, tmp_path):
    grid = ("--model", "dmn,cr_jax.model_template:SPEC", "--dataset", "tiny", "--phase", "train", "--mesh", "data=4")
    for number in (1, 2):
        assert crjax("compare", *grid, "--shard", f"{number}/2", "--out", tmp_path / f"{number}.json")[0] == 0
    code, out, err = crjax("merge", tmp_path / "1.json", tmp_path / "2.json")
    assert code == 0, err
    merged, one = json.loads(out), json.loads(crjax("compare", *grid, "--json")[1])
    assert [row["devices"] for row in merged["rows"]] == [4, 4]
    for document in (one, merged):
        del document["created"], document["command"]
    assert merged == one


@pytest.mark.slow
def test_a_sweep_in_two_shards_leaves_the_files_of_one(crjax, here, tmp_path):
    options = ("--models", "dmn", "--datasets", "tiny", "--phases", "infer", "--users", "1,2", "--mode", "replay", "--turns", "1")
    few = ("--runs", "2", "--seconds", "0", "--warmup", "1", "--no-memory", "--no-energy")
    for number in (1, 2):
        code, _, err = crjax("bench", "sweep", *options, *few, "--shard", f"{number}/2", "--out", tmp_path / "parts")
        assert code == 0, err
    parts = [tmp_path / "parts" / f"shard-{number}-of-2.json" for number in (1, 2)]
    code, _, err = crjax("merge", *parts, "--out", tmp_path / "whole")
    assert code == 0, err
    whole = {file.name: file.read_text() for file in (tmp_path / "whole").iterdir()}
    assert len(whole) == 2 and whole == {name: (tmp_path / "parts" / name).read_text() for name in whole}
