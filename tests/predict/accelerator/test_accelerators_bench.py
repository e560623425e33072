"""``bench/accelerators.py`` on measurements made from the model itself, so that every error is known."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cr_jax.catalog.load import accelerator
from cr_jax.predict.accelerator.card import card
from cr_jax.predict.accelerator.measured_rows import read_rows
from cr_jax.resources import profile_files

ROOT = Path(__file__).resolve().parents[3]
MEASURED = ROOT.parent / "shared" / "measured"
HEADS = {
    "products": "card,op,batch,m,n,k,seconds",
    "deepbench": "card,computed_in,m,n,k,ta,tb,seconds",
    "streams": "card,op,rows,columns,seconds",
    "collectives": "target,opcode,type,elements,devices,network_bytes_per_s",
    "convolutions": "card,batch,channels_in,channels_out,side,size,stride,padding,seconds",
}
ROWS = {
    "products": ["t4,bmm,8,512,512,512", "t4,bmm,16,1024,1024,256", "v100,linear,1,4096,4096,1024", "l4,bmm,4,2048,2048,2048"],
    "deepbench": ["v100,float16,2048,64,2048,N,N", "v100,float32,2048,64,2048,T,N", "p100,float16,2048,256,2048,N,N"],
    "streams": ["v100,add,32768,4096", "t4,softmax,32768,1024", "h100,ln,65536,2048"],
    "convolutions": ["v100,32,128,128,3,56,1,1", "a100-80gb,16,64,64,7,224,2,3"],
    "collectives": ["h100,all-reduce,F32,16777216,8", "h100,reduce-scatter,F32,16777216,4"],
}


@pytest.fixture
def bench(monkeypatch, capsys, tmp_path):
    """Runs the script in this process: (exit status, standard output, standard error, what it wrote)."""
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import accelerators, machine

    monkeypatch.setattr(machine, "RESULTS", tmp_path / "results")

    def run(*options):
        monkeypatch.setattr(sys, "argv", ["accelerators.py", *map(str, options)])
        status = accelerators.main()
        out, err = capsys.readouterr()
        written = tmp_path / "results" / "accelerators.json"
        return status, out, err, json.loads(written.read_text())["figures"] if written.exists() else None

    return run


def made(folder: Path, kind: str, factor: float, rows: list[str] | None = None, given: str | None = None) -> Path:
    """Measurements that took ``factor`` times what is predicted, the clock's part included."""
    path, bare = folder / f"{kind}{factor}.csv", ROWS[kind] if rows is None else rows
    path.write_text("\n".join([HEADS[kind], *(f"{row},1" for row in bare)]) + "\n")
    cells: dict[int, float] = {}
    for part in read_rows(path, given=[given] if given else ()):
        seconds = factor * (part.predicted(card(accelerator("t4" if part.card == given else part.card))) + part.offset)
        cells |= dict(zip(part.lines.tolist(), part.size / seconds if kind == "collectives" else seconds, strict=True))
    path.write_text("\n".join([HEADS[kind], *(f"{row},{float(cells[n])!r}" for n, row in enumerate(bare, 2))]) + "\n")
    return path


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25])
def test_known_factors_are_the_errors(bench, tmp_path, factor):
    files = {kind: made(tmp_path, kind, factor) for kind in HEADS}
    rest = [part for kind in ("streams", "convolutions", "collectives") for part in (f"--{kind}", files[kind])]
    status, out, err, found = bench("--products", files["products"], files["deepbench"], *rest, "--out")
    assert (status, err) == (0, "") and found["not_predicted"] == []
    assert sum(line["n"] for line in found["classes"]) == sum(map(len, ROWS.values())) and found["left_out_by_the_clock"] == 0
    for line in found["classes"]:
        off = 100 * abs(1 / factor - 1)
        assert [line[key] for key in ("median", "p90", "worst")] == pytest.approx([off] * 3, abs=0.05), line
        assert line["bias"] == pytest.approx(100 * (1 / factor - 1), abs=0.05)
        assert line["inside"] == 100 or factor != 1
        assert line["width"] > 1 and line["by"] == "file" and line["class"] in out
    assert {line["card"] for line in found["classes"]} >= {"v100-pcie-32gb", "v100", "t4", "l4", "p100-pcie", "a100-80gb-pcie"}


def test_the_interval_holds_what_it_says(bench, tmp_path):
    _, _, _, found = bench("--streams", made(tmp_path, "streams", 4.0), "--out")
    assert [line["inside"] for line in found["classes"]] == [0] * 3


def test_rows_below_three_times_what_the_clock_adds_are_left_out(bench, tmp_path):
    path = made(tmp_path, "streams", 1.0)
    with path.open("a") as file:
        file.write("v100,add,8,8,6.8e-5\nv100,add,8,8,2e-5\n")
    status, out, _, found = bench("--streams", path, "--out")
    assert status == 0 and found["left_out_by_the_clock"] == 2 and "3 rows; 2 left out" in out


def test_a_card_of_ones_own(bench, tmp_path):
    profile = json.loads(profile_files("accelerators")["t4"].read_text()) | {"name": "mine"}
    (tmp_path / "mine.json").write_text(json.dumps(profile))
    path = made(tmp_path, "products", 1.0, ["mine,bmm,8,512,512,512"], given="mine")
    status, out, _, _ = bench("--products", path, "--card", tmp_path / "mine.json")
    assert status == 0 and "mine" in out
    status, _, err, _ = bench("--products", path)
    assert status == 2 and err.startswith("accelerators.py: ") and f"{path}:2: card 'mine' is not known" in err
    profile["cores"] = None
    (tmp_path / "mine.json").write_text(json.dumps(profile))
    status, out, _, _ = bench("--products", path, "--card", tmp_path / "mine.json")
    assert status == 2 and "not predicted: mine bmm float32, 1 rows: mine: cores not known" in out


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("products", "card,op\n", "column names and no row"),
        ("streams", "", "the file is empty"),
        ("products", "card,op,batch,m,n,k,seconds\nt4,bmm,1,1,1,1,-1\n", ":2: seconds '-1' is negative; legal: seconds"),
        ("collectives", "card,op,rows,columns,seconds\nt4,add,1,1,1\n", "the columns of streams; legal: a file of collectives"),
    ],
)
def test_bad_files_end_with_one_line(bench, tmp_path, kind, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    status, out, err, _ = bench(f"--{kind}", path)
    assert (status, out) == (2, "") and err.count("\n") == 1 and words in err


def test_bad_options_end_with_one_line(bench, tmp_path):
    for options in (
        ["--products", tmp_path],
        ["--streams", tmp_path / "none.csv"],
        ["--measured", tmp_path / "none"],
        ["--card", tmp_path / "none.json"],
        ["--card", profile_files("accelerators")["tpu-v4"]],
        ["--plot", tmp_path / "x.jpg"],
        ["--measured", tmp_path],
    ):
        status, _, err, _ = bench(*options)
        assert status == 2 and err.count("\n") == 1, options


def test_plot_and_rows(bench, tmp_path):
    plot, rows = tmp_path / "plot.svg", tmp_path / "rows.out"
    status, _, _, _ = bench("--streams", made(tmp_path, "streams", 1.0), "--plot", plot, "--csv", rows)
    assert status == 0
    texts = [one.text for one in ElementTree.parse(plot).iter("{http://www.w3.org/2000/svg}text")]
    assert {"v100-pcie-32gb", "streams_hbm (1 rows)", "measured", "predicted"} <= set(texts)
    lines = [line.split(",") for line in rows.read_text().splitlines()]
    assert len(lines) == 4 and lines[0][:5] == ["class", "card", "rows", "by", "line"]
    for cells in lines[1:]:
        measured, offset, predicted = map(float, cells[5:8])
        assert measured == pytest.approx(offset + predicted, rel=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not MEASURED.is_dir(), reason="../shared/measured is not here")
def test_cards_left_out_of_the_fit(bench):
    status, _, _, found = bench("--out")
    assert status == 0
    lines = {(line["class"], line["card"]): line for line in found["classes"]}
    for card_ in ("a100-40gb-pcie", "v100-pcie-32gb"):
        assert lines["products_float32", card_]["by"] == "left out" and lines["products_float32", card_]["median"] < 8
        assert lines["streams_hbm", card_]["median"] < 5
    assert all(line["median"] < line["previous"] for line in found["classes"] if line["class"] == "convolutions")
