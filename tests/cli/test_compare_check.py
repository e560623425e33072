"""compare, diff and check through the real command line: exit codes, one-line errors, files."""

import json
import subprocess
import sys

import pytest
from reports import changed, sample, traced

from cr_jax.errors import BadConfig
from cr_jax.profiling import pipeline
from cr_jax.profiling.stages import Failed
from cr_jax.render import png
from cr_jax.render.charts import CHARTS
from cr_jax.report.document import read_report, to_json, validate


@pytest.fixture
def file(tmp_path):
    def write(report, name="report.json"):
        (tmp_path / name).write_text(to_json(report))
        return tmp_path / name

    return write


@pytest.fixture
def again(monkeypatch):
    """What ``pipeline.profile`` is asked and gives from now on."""
    asked = []

    def become(report):
        monkeypatch.setattr(pipeline, "profile", lambda request, *_, **__: asked.append(request) or report)
        return asked

    return become


def test_saved_reports_side_by_side(crjax, file, tmp_path):
    files = (file(sample(), "a.json"), file(traced(sample("other", "h100")), "b.json"))
    code, out, _ = crjax("compare", *files)
    assert code == 0 and "dmn@cpu" in out and "other@h100" in out and "mixed effective precision" in out
    code, out, _ = crjax("compare", *files, "--json", "--baseline", "other")
    document = json.loads(out)
    assert code == 0 and validate(document, "x") == "comparison" and document["baseline"] == "other@h100"
    for form, start in (("md", "- mixed"), ("latex", "\\begin{itemize}"), ("csv", "name,source,")):
        code, out, _ = crjax("compare", *files, "--format", form)
        assert code == 0 and out.startswith(start)
    code, out, _ = crjax("compare", *files, "--plot", tmp_path / "plots", "--out", tmp_path / "table.txt")
    assert code == 0 and not out and "dmn@cpu" in (tmp_path / "table.txt").read_text()
    assert (tmp_path / "plots" / "roofline.svg").exists() and (tmp_path / "plots" / "bars.svg").exists()


PLOTS = {f"{name}.svg" for name in CHARTS}


def test_plots_as_png_too(crjax, file, tmp_path):
    pytest.importorskip("resvg_py", reason="needs the extra cr-jax[plot]")
    if png.font() is None:
        pytest.skip("no sans-serif font is installed")
    code, _, err = crjax("compare", file(sample(), "a.json"), "--plot", tmp_path / "plots")
    assert code == 0 and err.endswith("as .svg and .png\n")
    assert {path.name for path in (tmp_path / "plots").iterdir()} == PLOTS | {f"{name}.png" for name in CHARTS}
    assert (tmp_path / "plots" / "bars.png").read_bytes() == png.to_png((tmp_path / "plots" / "bars.svg").read_text())


def test_without_the_extra_the_svg_plots_and_a_line(crjax, file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    code, out, err = crjax("compare", file(sample(), "a.json"), "--plot", tmp_path / "plots")
    assert code == 0 and "dmn@cpu" in out and err.count("\n") == 1 and "pip install 'cr-jax[plot]'" in err
    assert {path.name for path in (tmp_path / "plots").iterdir()} == PLOTS


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"kind": "dataset-profile"}', '{"kind": "cost-report"}', None])
@pytest.mark.parametrize("command", ["compare", "diff", "check"])
def test_files_that_are_no_reports_are_one_line(crjax, tmp_path, command, content):
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    arguments = {"compare": [bad], "diff": [bad, bad], "check": ["--baseline", bad]}[command]
    code, out, err = crjax(command, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "bad.json" in err


def test_misuse_of_compare(crjax, file, tmp_path):
    one = file(sample())
    (tmp_path / "plain").write_text("")
    for arguments in (
        [],
        [one, "--model", "dmn"],
        [one, "--format", "xml"],
        [one, "--baseline", "nothing"],
        [one, "--plot", tmp_path / "plain"],
        ["--model", "dmm"],
        ["--model", "dmn,"],
        ["--model", "dmn", "--device", "h1000"],
        ["--model", "dmn,mmn", "--set", "hops=1"],
        ["--model", "dmn", "--dataset", "nowhere"],
        [one, "--out", tmp_path / "no" / "x"],
    ):
        code, out, err = crjax("compare", *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), arguments


def test_compare_profiles_and_a_failure_takes_nobody_down(crjax, monkeypatch):
    seen = []

    def devices(request, *_):
        seen.append((request.model, request.dataset, request.devices, request.preset))
        if request.model == "aim":
            raise BadConfig("aim cannot")
        if "l4" in request.devices:
            raise RuntimeError("the compiler aborted\nwith a long story")
        failed = Failed("h100", BadConfig("no h100"))
        return [sample(request.model, device) if device != "h100" else failed for device in request.devices]

    sample()  # counted before profiling is replaced
    monkeypatch.setattr(pipeline, "profile_devices", devices)
    code, out, err = crjax("compare", "--model", "dmn,aim", "--device", "cpu,h100,l4", "--json")
    rows = {row["name"]: row for row in json.loads(out)["rows"]}
    assert code == 0 and len(rows) == 6 and rows["dmn@cpu"]["status"] == "ok"
    assert rows["dmn@h100"]["error"] == "no h100" and rows["aim@cpu"]["error"] == "aim cannot"
    assert rows["dmn@l4"]["error"] == "RuntimeError: the compiler aborted with a long story"
    assert seen[0] == ("dmn", "cell-phones", ("cpu", "h100", "l4"), "matched")
    assert seen[1:4] == [("dmn", "cell-phones", (d,), "matched") for d in ("cpu", "h100", "l4")]
    assert "[1/2] dmn: 1 of 3 devices" in err
    code, out, _ = crjax("compare", "--model", "aim")
    assert code == 1 and "aim cannot" in out
    assert seen[-1][3] == "published"


def test_diff(crjax, file):
    other = changed(sample(), {"steps.train/answer.compiled.flops": lambda n: n + 7})
    files = (file(sample(), "a.json"), file(other, "b.json"))
    code, out, _ = crjax("diff", *files)
    assert code == 0 and "compiled.flops" in out and "+7" in out
    code, out, _ = crjax("diff", *files, "--json")
    assert code == 0 and validate(json.loads(out), "x") == "difference"


def test_check_within_regression_and_update(crjax, file, again):
    baseline = file(sample())
    before = baseline.read_bytes()
    asked = again(sample())
    code, out, _ = crjax("check", "--baseline", baseline)
    assert code == 0 and "within limits" in out
    assert (asked[0].model, asked[0].dataset, asked[0].devices, asked[0].turns) == ("dmn", "cell-phones", ("cpu",), 1)
    assert crjax("check", "--baseline", baseline, "--update")[0] == 0 and baseline.read_bytes() == before
    now = changed(
        sample(), {"steps.train/answer.model.flops": lambda n: n + 1, "steps.train/answer.compiled.hbm_bytes": lambda n: 2 * n}
    )
    again(now)
    code, out, _ = crjax("check", "--baseline", baseline, "--limit", "hbm_bytes=400")
    assert code == 1 and out.count("BREACH") == 1 and "model_flops" in out
    code, out, _ = crjax("check", "--baseline", baseline, "--json")
    result = json.loads(out)
    assert code == 1 and validate(result, "x") == "gate-result" and len(result["breaches"]) == 2
    assert baseline.read_bytes() == before
    code, out, _ = crjax("check", "--baseline", baseline, "--update")
    assert code == 0 and "rewritten" in out and read_report(baseline) == now
    assert crjax("check", "--baseline", baseline)[0] == 0


def test_check_misuse_and_missing(crjax, file, tmp_path, again):
    again(sample())
    missing = tmp_path / "none.json"
    code, _, err = crjax("check", "--baseline", missing)
    assert code == 2 and "no such file" in err
    code, _, err = crjax("check", "--baseline", missing, "--allow-missing")
    assert code == 0 and "nothing checked" in err and not missing.exists()
    baseline = file(sample())
    for extra in (["--limit", "time=3"], ["--limit", "hbm_bytes=-3"], ["--device", "gpu"]):
        code, out, err = crjax("check", "--baseline", baseline, *extra)
        assert (code, out, err.count("\n")) == (2, "", 1), extra
    assert crjax("check", "--baseline", "gpu", "--allow-missing")[0] == 2
    assert crjax("check", "--baseline", baseline, "--device", "h100", "--update")[0] == 2
    again(traced(sample()))
    before = baseline.read_bytes()
    code, _, err = crjax("check", "--baseline", baseline, "--update")
    assert code == 2 and "would lose" in err and baseline.read_bytes() == before
    code, _, err = crjax("check", "--baseline", file(sample(device="tpu")))
    assert code == 2 and "full name" in err


def test_check_imports_nothing_that_the_baseline_names(crjax, file, tmp_path, monkeypatch):
    """The module would write a file; it is not even looked for."""
    (tmp_path / "theirs.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).write_text('')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    report = changed(sample(), {"command": ("crjax", "profile", "--model", "theirs:SPEC")})
    code, out, err = crjax("check", "--baseline", file(report))
    assert (code, out, err.count("\n")) == (2, "", 1) and "--model theirs:SPEC" in err
    assert not (tmp_path / "ran").exists()
    code, _, err = crjax("check", "--baseline", file(report), "--model", "theirs:SPEC")
    assert code == 2 and "module 'theirs' (theirs.py) has no 'SPEC'" in err and (tmp_path / "ran").exists()
    code, out, _ = crjax("profile", "--help")
    assert "imports and runs that module" in " ".join(out.split())


def test_check_not_comparable(crjax, file, again):
    old = changed(sample(), {"schema_version": "0.9"})
    code, out, err = crjax("check", "--baseline", file(old))
    assert (code, out) == (3, "") and "schema version '0.9'" in err
    again(changed(sample(), {"dataset.sha256": "0" * 64}))
    assert crjax("check", "--baseline", file(sample()), "--update")[0] == 3


def test_saved_reports_are_compared_without_jax(file):
    one = file(sample())
    code = (
        "import sys; from cr_jax.cli import main; sys.argv = ['crjax', *sys.argv[1:]]\ntry: main.main()\n"
        "except SystemExit as e: assert not e.code and not {'jax', 'flax', 'optax'} & set(sys.modules), 'JAX'"
    )
    for arguments in (["compare", one, one], ["diff", one, one], ["check", "--baseline", "none", "--allow-missing"]):
        subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True)


@pytest.mark.slow
def test_check_really_runs_the_baselines_workload(crjax, file):
    baseline = file(sample())
    code, out, _ = crjax("check", "--baseline", baseline)
    assert code == 0 and "skipped" not in out
    report = changed(sample(), {"workload.settings": {}})
    code, out, _ = crjax("check", "--baseline", file(report))
    assert code == 1 and "configuration hidden: 4 in the baseline" in out
