"""The reader of measurement files: what its rows hold, and every refusal with file, line, reason and what is legal."""

from pathlib import Path

import numpy as np
import pytest

from cr_jax.catalog.load import accelerator
from cr_jax.errors import BadInput
from cr_jax.predict.accelerator.card import card
from cr_jax.predict.accelerator.measured.rows import clear, taken
from cr_jax.predict.accelerator.measured_rows import FORMATS, KINDS, predict, read_rows

MEASURED = Path(__file__).parents[4] / "shared" / "measured"
NEUSIGHT = "card,op,batch,m,n,k,seconds"
DEEPBENCH = "card,computed_in,m,n,k,ta,tb,seconds"
XLA = "card,computed_in,batch,m,n,k,seconds"
STREAMS = "card,op,rows,columns,seconds"
CONVOLUTIONS = "card,batch,channels_in,channels_out,side,size,stride,padding,seconds"
COLLECTIVES = "target,opcode,type,elements,network_bytes_per_s"


def file(folder: Path, head: str, *rows: str) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join((head, *rows)) + "\n")
    return path


def refusal(folder: Path, head: str, *rows: str, kind: str | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        read_rows(file(folder, head, *rows), kind)
    found = str(caught.value)
    assert "rows.csv:" in found and "; legal: " in found.replace("? legal", "; legal").replace(": legal", "; legal")
    assert "\n" not in found
    return found


def test_products_by_card_and_call(tmp_path):
    path = file(tmp_path, NEUSIGHT, "v100,bmm,2,64,32,16,0.001", "t4,linear,1,8,9,10,0.002", "v100,bmm,3,1,2,3,1e-4")
    t4, v100 = read_rows(path)
    assert (t4.card, t4.kind, v100.card, v100.kind) == ("t4", "linear", "v100-pcie-32gb", "bmm")
    assert v100.m.tolist() == [64, 1] and v100.batch.tolist() == [2, 3] and v100.lines.tolist() == [2, 4]
    assert v100.seconds.tolist() == [0.001, 1e-4] and set(v100.offset) == {27e-6} and set(t4.offset) == {48e-6}
    assert t4.layout.rhs_along_k.tolist() == [True] and v100.layout.rhs_along_k.tolist() == [False, False]


def test_a_short_name_means_what_its_source_means(tmp_path):
    (deepbench,) = read_rows(file(tmp_path, DEEPBENCH, "v100,float32,64,16,64,T,N,1e-4"))
    assert deepbench.card == "v100" and deepbench.layout.lhs_along_k.tolist() == [True]
    (streams,) = read_rows(file(tmp_path, STREAMS, "a100-80gb,ln,128,1024,1e-3"))
    assert streams.card == "a100-80gb-pcie" and set(streams.offset) == {43e-6}
    (collectives,) = read_rows(file(tmp_path, COLLECTIVES, "sm_90,all-gather,F32,1024,1e9"))
    assert collectives.card == "h100"


def test_a_card_that_the_user_describes_comes_first(tmp_path):
    path = file(tmp_path, STREAMS, "mine,add,128,1024,1e-3", "v100,add,128,1024,1e-3")
    assert [rows.card for rows in read_rows(path, given=("mine", "v100"))] == ["mine", "v100"]


def test_what_is_computed_depends_on_the_card(tmp_path):
    pascal, volta = read_rows(file(tmp_path, DEEPBENCH, "v100,float16,512,512,512,N,N,1e-4", "p100,float16,512,512,512,N,N,1e-4"))
    assert (pascal.card, volta.card) == ("p100-pcie", "v100")
    for rows, units, kind in ((pascal, False, "products_float32"), (volta, True, "products_float16")):
        on = card(accelerator(rows.card))
        assert rows.on_units(on) == units and rows.classes(on).tolist() == [kind]
        assert predict(on, rows) > 0
    (old,) = read_rows(file(tmp_path, XLA, "v100,tf32,1,512,512,512,1e-4"))
    assert old.in_lanes(card(accelerator("v100"))) == "float32"


def test_windows_of_any_side_and_stride(tmp_path):
    path = file(tmp_path, CONVOLUTIONS, "v100,1,64,64,3,56,1,1,1e-3", "v100,1,64,64,7,224,2,3,1e-3", "v100,1,64,64,1,56,1,0,1e-3")
    (rows,) = read_rows(path)
    assert rows.out.tolist() == [56, 112, 56] and rows.winograd.tolist() == [True, False, False]
    alone = [predict(card(accelerator(rows.card)), taken(rows, np.array([n])))[0] for n in range(3)]
    assert predict(card(accelerator(rows.card)), rows).tolist() == pytest.approx(alone)


def test_groups_of_collectives_are_taken_by_rank(tmp_path):
    heads = ["sm_90,all-reduce,F32,1024,1e8", "sm_90,all-reduce,F32,1024,3e8", "sm_90,all-reduce,F32,1024,2e8"]
    (rows,) = read_rows(file(tmp_path, COLLECTIVES, *heads))
    assert rows.devices.tolist() == [8, 2, 4] and rows.size.tolist() == [4096] * 3
    (rows,) = read_rows(file(tmp_path, COLLECTIVES, "sm_90,reduce-scatter,BF16,1024,1e8", "sm_90,reduce-scatter,BF16,1024,2e8"))
    assert rows.devices.tolist() == [2, 4] and rows.size.tolist() == [4096, 8192]
    (rows,) = read_rows(file(tmp_path, f"{COLLECTIVES},devices", "sm_90,reduce-scatter,F32,1024,1e8,4"))
    assert rows.devices.tolist() == [4] and rows.seconds.tolist() == [4 * 4096 / 1e8]


def test_rows_that_the_clock_hides(tmp_path):
    path = file(tmp_path, NEUSIGHT, "t4,bmm,1,8,8,8,8.0e-5", "t4,bmm,1,8,8,8,8.2e-5")
    (rows,) = read_rows(path)
    assert clear(rows).seconds.tolist() == [8.2e-5]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("0", "is zero"),
        ("-1", "is negative"),
        ("nan", "is not a number"),
        ("inf", "is not a number"),
        ("", "is empty"),
        ("1_0", "is not a number"),
        ("0x10", "is not a number"),
        ("2.5", "is not whole"),
        ("1e300", "is out of bounds"),
        ("9" * 400, "is out of bounds"),
        ("-inf", "is not a number"),
        ("eins", "is not a number"),
        ("٣", "is not a number"),
    ],
)
def test_sizes(tmp_path, cell, reason):
    found = refusal(tmp_path, NEUSIGHT, "t4,bmm,1,8,8,8,0.1", f"t4,bmm,1,8,{cell},8,0.1")
    assert "rows.csv:3" in found and reason in found and "whole numbers from 1" in found


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("0", "is zero"),
        ("-1e-5", "is negative"),
        ("nan", "is not a number"),
        ("Infinity", "is not a number"),
        ("1e-300", "out of bounds"),
        ("1e7", "is out of bounds"),
        ("1e999", "is out of bounds"),
        ("1.2 ms", "is not a number"),
    ],
)
def test_times(tmp_path, cell, reason):
    found = refusal(tmp_path, STREAMS, f"t4,add,8,8,{cell}")
    assert "rows.csv:2: seconds" in found and reason in found and "seconds from 1e-09" in found


@pytest.mark.parametrize(
    ("head", "row", "parts"),
    [
        (NEUSIGHT, "h101,bmm,1,8,8,8,1", ("'h101' is not known", "did you mean h100")),
        (NEUSIGHT, "cpu,bmm,1,8,8,8,1", ("is no GPU",)),
        (NEUSIGHT, "tpu-v4,bmm,1,8,8,8,1", ("is no GPU",)),
        (NEUSIGHT, "t4,bnm,1,8,8,8,1", ("op 'bnm'", "did you mean bmm", "bmm, linear")),
        (XLA, "t4,fp32,1,8,8,8,1", ("computed_in 'fp32'", "float32")),
        (DEEPBENCH, "t4,float32,8,8,8,n,N,1", ("ta 'n'", "N, T")),
        (STREAMS, "t4,sotfmax,8,8,1", ("did you mean softmax",)),
        (COLLECTIVES, "sm_90,allreduce,F32,8,1e9", ("did you mean all-reduce",)),
        (COLLECTIVES, "sm_90,all-reduce,F23,8,1e9", ("did you mean F32",)),
        (COLLECTIVES, "sm_90,all-reduce,F32,8,0", ("is zero",)),
        (CONVOLUTIONS, "t4,1,8,8,3,1,1,0,1", ("a window of 3 over images of 1 padded by 0",)),
        (CONVOLUTIONS, "t4,1,8,8,3,8,1,3,1", ("padding less than the window",)),
        (NEUSIGHT, "t4,bmm,1,8,8,8", ("6 values; legal: 7",)),
        (NEUSIGHT, 't4,"bmm,1,8,8,8,1', ("legal: comma-separated values",)),
    ],
)
def test_a_row_is_refused_on_its_line(tmp_path, head, row, parts):
    found = refusal(tmp_path, head, row)
    assert "rows.csv:2" in found
    for part in parts:
        assert part in found


def test_columns(tmp_path):
    row = "t4,bmm,1,8,8,8,1"
    assert "unknown column 'watts'" in refusal(tmp_path, f"{NEUSIGHT},watts", f"{row},3")
    assert "missing column k" in refusal(tmp_path, "card,op,batch,m,n,seconds", "t4,bmm,1,8,8,1")
    assert "unknown column 'ms'; missing column seconds" in refusal(tmp_path, "card,op,batch,m,n,k,ms", row)
    assert "occurs twice" in refusal(tmp_path, "card,op,batch,m,m,k,seconds", row)
    assert "the columns of streams; legal: a file of products" in refusal(tmp_path, STREAMS, "t4,add,8,8,1", kind="products")
    assert "no row" in refusal(tmp_path, NEUSIGHT)


def test_files(tmp_path):
    (tmp_path / "empty.csv").write_text("\n")
    with pytest.raises(BadInput, match=r"empty\.csv:1: the file is empty; legal"):
        read_rows(tmp_path / "empty.csv")
    with pytest.raises(BadInput, match="Is a directory; legal"):
        read_rows(tmp_path)
    with pytest.raises(BadInput, match="No such file"):
        read_rows(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"card,op\n\xff\xfe,\x00\n")
    with pytest.raises(BadInput, match="not UTF-8"):
        read_rows(tmp_path / "bytes.csv")
    (tmp_path / "nul.csv").write_bytes(b"card,op,rows,columns,seconds\nt4,\x00,8,8,1\n")
    with pytest.raises(BadInput):
        read_rows(tmp_path / "nul.csv")


def test_every_format_is_known_by_its_columns_alone():
    assert {one.kind for one in FORMATS} == set(KINDS)
    for one in FORMATS:
        for other in FORMATS:
            assert one is other or not set(one.needed) <= {*other.needed, *other.allowed}


@pytest.mark.skipif(not MEASURED.is_dir(), reason="../shared/measured is not here")
@pytest.mark.parametrize(
    "name",
    [
        "products_f32.fit.csv",
        "products_tensor.fit.csv",
        "deepbench_products.fit.csv",
        "streams_f32.fit.csv",
        "convolutions_f32.fit.csv",
        "collectives.csv",
    ],
)
def test_every_shared_file_is_read_whole_and_predicted(name):
    every = read_rows(MEASURED / name)
    assert sum(map(len, every)) == len((MEASURED / name).read_text().splitlines()) - 1
    for rows in every:
        found = predict(card(accelerator(rows.card)), rows)
        assert found.shape == rows.seconds.shape and np.isfinite(found).all() and (found > rows.offset).all()
