"""A sweep over an accelerator, rehearsed on the CPU; anchors from made-up measurements; refusals of one line."""

import dataclasses
import json
import math
from types import SimpleNamespace

import jax
import pytest
from msgspec import UNSET
from typer.testing import CliRunner

from cr_jax.catalog import load
from cr_jax.cli.main import app
from cr_jax.cost.assumptions import Assumptions
from cr_jax.cost.operations.operation_list import operations
from cr_jax.documents.accelerator_profile import AnchorConstant, AnchorsBlock
from cr_jax.documents.check import check
from cr_jax.errors import CrJaxError
from cr_jax.json_text import read_json
from cr_jax.measure import accelerator_cases, accelerator_sweep
from cr_jax.predict.accelerator.anchors import Measured, block, derive, error, judging
from cr_jax.predict.accelerator.card import card
from cr_jax.predict.accelerator.products_plain import parts
from cr_jax.predict.accelerator.tiling import ProductBatch
from cr_jax.predict.program_time import predict
from cr_jax.resources import shipped_profile

H100 = load.load_accelerator(shipped_profile("accelerators", "h100"))
TPU = load.load_accelerator(shipped_profile("accelerators", "tpu-v5e"))
QUICK = accelerator_sweep.Tuning(
    limit_s=30, compiling=1.0, call_s=1e-5, calls=3, most_turns=2, passes=2, workers=1, memory_bytes=2e9
)
#: A loop that counts to 1000 with one kernel, and a product, as compiled for a GPU.
TEXT = """HloModule m

body {
  s = (s32[], f32[256]{0}) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  x = f32[256]{0} get-tuple-element(s), index=1
  one = s32[] constant(1)
  j = s32[] add(i, one)
  y = f32[256]{0} add(x, x)
  ROOT t = (s32[], f32[256]{0}) tuple(j, y)
}

cond {
  s = (s32[], f32[256]{0}) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] constant(1000)
  ROOT c = pred[] compare(i, n), direction=LT
}

ENTRY e {
  a = f32[4096,4096]{1,0} parameter(0)
  b = f32[4096,4096]{1,0} parameter(1)
  s = (s32[], f32[256]{0}) parameter(2)
  w = (s32[], f32[256]{0}) while(s), condition=cond, body=body, backend_config={"known_trip_count":{"n":"1000"}}
  d = f32[4096,4096]{1,0} dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT r = (f32[4096,4096]{1,0}, (s32[], f32[256]{0})) tuple(d, w)
}
"""


@pytest.fixture(scope="module")
def swept():
    points = accelerator_cases.points(H100, accelerator_cases.SMALL)
    return points, accelerator_sweep.sweep(jax.devices("cpu")[0], H100, points, QUICK)


def test_every_point_has_a_time(swept):
    points, found = swept
    # On a busy CPU a longer row of tiny calls may seem to take no longer; nothing else is left out.
    assert {why for _, why in found.skipped} <= {"a longer row of calls took no longer"}
    assert len(found.ready) + len(found.skipped) == len(points) and len(found.ready) > 0.7 * len(points)
    for one in found.ready:
        assert all(0 < t < 1 for t in one.times), one.point.name
        assert one.predicted(card(H100)) > 0


def test_a_sweep_becomes_a_block_that_a_profile_may_have(swept):
    document = read_json(shipped_profile("accelerators", "h100"))
    anchors = accelerator_sweep.anchors(swept[1], H100)
    about = accelerator_sweep.about(jax.devices("cpu")[0], swept[1])
    check(document | {"anchors": block(anchors, about, swept[1].skipped)}, "accelerator-profile", "test")
    assert {one["judged"] for one in block(anchors, about)["rows"]} == {True, False}


def test_points_are_what_a_card_computes_in_its_own_way():
    def types(name):
        every = accelerator_cases.points(load.accelerator(name))
        return {p.name.split(",")[0].removeprefix("product in ") for p in every if p.name.startswith("product")}

    assert types("h100") == {"float32", "tf32", "bfloat16", "float16"}
    assert types("v100") == {"float32", "float16"}
    assert types("p100") == {"float32"}
    assert types("tpu-v5e") == {"bfloat16_6x", "bfloat16"}
    names = [p.name for p in accelerator_cases.points(H100)]
    assert len(names) == len(set(names))


def test_what_does_not_fit_or_has_no_time_is_said():
    points = accelerator_cases.points(H100)
    fits, left = accelerator_cases.that_fit(points, 1 << 30)
    assert len(fits) + len(left) == len(points) and all("GiB" in why for _, why in left)
    with pytest.raises(CrJaxError, match=r"nothing was measured in 0\.001 s.*no time left") as refused:
        accelerator_sweep.sweep(jax.devices("cpu")[0], H100, points[:2], dataclasses.replace(QUICK, limit_s=1e-3))
    assert "\n" not in str(refused.value)


def test_an_interruption_passes_through():
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        accelerator_sweep.sweep(
            jax.devices("cpu")[0], H100, accelerator_cases.points(H100, accelerator_cases.SMALL)[:3], QUICK, interrupt
        )


def product(size, judged=False, factor=1.0, group="plain"):
    """A product whose measured time is the model's own at ``factor`` times the usual share of the lanes' rate."""
    shipped = card(H100)
    usual = shipped.constants("products_plain")["utilisation_128"]
    real = shipped.with_anchors({"products_plain.utilisation_128": usual * factor})

    def seconds(at):
        found = parts(at, ProductBatch(1, size, size, size))
        return (float(found.seconds) + found.start,)

    return Measured(group, (f"{size}",), ("products_float32",), seconds(real), seconds, judged)


@pytest.mark.parametrize("factor", [0.7, 0.9, 1.15])
def test_a_known_factor_is_found_again(factor):
    sizes = [512, 1024, 1536, 2048, 3072, 4096, 6144, 8192]
    found = derive(card(H100), [product(n, judged, factor) for n, judged in zip(sizes, judging(8), strict=True)])
    usual = card(H100).constants("products_plain")["utilisation_128"]
    assert found.constants["products_plain.utilisation_128"][0] == pytest.approx(factor * usual, rel=1e-4)
    assert found.errors["products_float32"]["rows"] == 4 and found.errors["products_float32"]["worst"] < 1e-3
    assert not found.left_out


REAL = {
    "launches.enqueue_s": 2.1e-6,
    "launches.call_s": 3.5e-5,
    "launches.gap_s": 1.4e-6,
    "launches.graph_s": 8e-6,
    "launches.graph_kernel_s": 1.3e-6,
    "launches.wait_s": 1.7e-5,
}


KNOWN = ', backend_config={"known_trip_count":{"n":"1000"}}'
HEAD = TEXT[: TEXT.index("body {")]


def loop(kernels, known=True):
    """A loop of so many tiny kernels, as a GPU has it."""
    body = "\n".join(f"  x{n + 1} = f32[256]{{0}} add({f'x{n}' if n else 'x'}, x)" for n in range(kernels))
    text = TEXT.replace("  y = f32[256]{0} add(x, x)", body).replace("tuple(j, y)", f"tuple(j, x{kernels})")
    return text if known else text.replace(KNOWN, "")


def straight(*sizes):
    """Additions of arrays one after the other."""
    types = [f"f32[{size}]{{0}}" for size in sizes]
    lines = [f"  a{n} = {one} parameter({n})\n  b{n} = {one} add(a{n}, a{n})\n" for n, one in enumerate(types)]
    results = ", ".join(f"b{n}" for n in range(len(sizes)))
    return f"{HEAD}ENTRY e {{\n{''.join(lines)}  ROOT r = ({', '.join(types)}) tuple({results})\n}}\n"


def test_launches_are_found_again_from_the_programs_that_a_card_would_run():
    """Programs timed by the model itself with other constants."""

    def measured(group, text, called=False):
        point = SimpleNamespace(called=called, precision="default")
        ready = accelerator_sweep.Ready(point, 1000, None, operations(text, Assumptions({"w": 1000})), "launches")  # type: ignore[arg-type]
        return Measured(
            group,
            (group,),
            ("launches",),
            (ready.predicted(card(H100).with_anchors(REAL)),),
            lambda at: (ready.predicted(at),),
            False,
        )

    found = derive(
        card(H100),
        [
            measured("enqueue", loop(1)),
            measured("graph_kernel", loop(32)),
            measured("graph", loop(4)),
            measured("wait", loop(1, known=False)),
            measured("call", straight(256), called=True),
            measured("gap", straight(1 << 21, 1 << 21, 1 << 21)),
        ],
    )
    for name, value in REAL.items():
        assert found.constants[name][0] == pytest.approx(value, rel=0.02), name


def test_a_constant_that_decides_nothing_stays():
    one = Measured("plain", ("a",), ("products_float32",), (1.0,), lambda at: (1.1,), False)
    found = derive(card(H100), [one])
    assert not found.constants and found.left_out[0][1].startswith("it does not decide")
    far = product(4096, factor=1.0)
    found = derive(card(H100), [dataclasses.replace(far, seconds=(far.seconds[0] * 100,))])
    assert not found.constants and "no value within reach" in found.left_out[0][1]


def test_errors_of_few_operations_are_wide():
    few = error([0.95, 1.0, 1.1])
    assert few["ratio_low"] < 0.95 and few["ratio_high"] > 1.1 and few["rows"] == 3
    many = error([math.exp(n / 100) for n in range(-50, 51)])
    assert many["ratio_low"] == pytest.approx(math.exp(-0.45), rel=0.02) and many["ratio_high"] < math.exp(0.5)
    assert not judging(1)[0] and judging(4) == [True, False, True, False]


def anchored(tmp_path, change):
    """The profile of an H100 with anchors, written and read again."""
    document = read_json(shipped_profile("accelerators", "h100"))
    sizes = (1024, 2048, 3072, 4096, 6144, 8192)
    found = derive(card(H100), [product(n, judged, 0.8) for n, judged in zip(sizes, judging(6), strict=True)])
    about = {"created": "2026-12-01", "device": "NVIDIA H100 80GB HBM3", "jax": "0.11.0", "driver": "570.1"}
    document["anchors"] = block(found, about)
    change(document["anchors"])
    path = tmp_path / "h100.json"
    path.write_text(json.dumps(document))
    return path


def test_anchors_change_predictions_and_intervals(tmp_path):
    mine = load.load_accelerator(anchored(tmp_path, lambda _: None))
    text = operations(TEXT)
    before, after = (predict(text, one, "highest", "float32") for one in (H100, mine))
    products = [next(t.seconds for t in found.operations if t.operation.products) for found in (before, after)]
    assert 1.15 < products[1] / products[0] < 1.3
    (known,) = [one for one in after.validated_on.classes if one.class_ == "products_float32"]
    assert known.kinship == "same_card" and known.cards == ("h100",) and known.n == 3
    assert known.ratio_high - known.ratio_low < 0.01
    assert after.high_s / after.seconds < before.high_s / before.seconds


def test_a_measured_stream_is_newer_than_the_copy_in_the_profile(tmp_path):
    from cr_jax.predict.accelerator.streams import cold_rate

    entry = {"value": 0.5, "kind": "measured", "source": "test"}
    mine = load.load_accelerator(anchored(tmp_path, lambda a: a["constants"].update({"streams.bandwidth_share": entry})))
    assert cold_rate(card(mine)) == 0.5 * mine.memory_bandwidth_bytes_per_s < cold_rate(card(H100))


@pytest.mark.parametrize(
    ("name", "entry", "said"),
    [
        ("launches.enqeue_s", {"value": 1e-6}, "did you mean launches.enqueue_s"),
        ("launches.enqueue_s", {"value": 2.7}, "in seconds, where 2.7e-06 comes"),
        ("launches.enqueue_s", {"value": 2.7e-6, "unit": "us"}, "in us; legal: seconds"),
        ("launches.enqueue_s", {"value": -1e-6}, "must be more than 0"),
        ("products_plain.utilisation_128", {"value": 79}, "a share"),
        ("tpu.floor_s", {"value": 1e-6}, "not read for a device of platform cuda"),
    ],
)
def test_a_bad_anchor_is_refused_in_one_line(tmp_path, name, entry, said):
    path = anchored(tmp_path, lambda a: a["constants"].update({name: {"kind": "measured", "source": "test"} | entry}))
    with pytest.raises(CrJaxError) as refused:
        load.load_accelerator(path)
    assert said in str(refused.value) and name in str(refused.value) and "\n" not in str(refused.value)


def test_a_bad_anchor_of_a_profile_made_in_memory_is_refused_where_it_is_used():
    constants = {"tpu.flor_s": AnchorConstant(value=1e-6, kind="measured", source="a test")}
    anchors = AnchorsBlock(constants=constants, errors={}, created="2026", device=None, jax=None, driver=None)
    wrong = dataclasses.replace(TPU, anchors=anchors)
    with pytest.raises(CrJaxError, match=r"did you mean tpu\.floor_s"):
        card(wrong)


ROWS = "card,computed_in,batch,m,n,k,seconds\n" + "".join(
    f"h100,bfloat16,1,{n},{n},{n},{2 * n**3 / 5e14 + 6e-6}\n" for n in range(1024, 8192, 512)
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "gp"], "did you mean gpu?"),
        (["--device", "gpu"], "none attached"),
        (["--device", "gpu", "--from", "FILE"], "--from needs --profile"),
        (["--device", "gpu", "--profile", "t4", "--from", "FILE"], "there are rows of h100"),
        (["--device", "tpu", "--profile", "h100", "--from", "FILE"], "platform cuda"),
        (["--device", "gpu", "--profile", "h10", "--from", "FILE"], "unknown profile"),
        (["--device", "gpu", "--profile", "h100", "--from", "FILE", "--out", "No Name"], "No Name"),
        (["--device", "gpu", "--profile", "h100", "--from", "FILE", "--limit", "0"], "above 0"),
        (["--profile", "h100"], "not with --device cpu"),
        (["--from", "FILE"], "not with --device cpu"),
    ],
)
def test_misuse_is_refused_in_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    (tmp_path / "rows.csv").write_text(ROWS)
    result = CliRunner().invoke(app, ["calibrate", *(a.replace("FILE", str(tmp_path / "rows.csv")) for a in arguments)])
    assert isinstance(result.exception, CrJaxError), result.exception
    assert said in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "accelerators").exists() or not list((tmp_path / "accelerators").iterdir())


def test_an_unknown_device_kind_asks_for_a_profile(tmp_path, monkeypatch):
    from cr_jax.measure import device

    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    card_ = SimpleNamespace(device_kind="NVIDIA Z9000", platform="gpu")
    monkeypatch.setattr(device, "attached", lambda _: SimpleNamespace(device=card_))
    result = CliRunner().invoke(app, ["calibrate", "--device", "gpu"])
    assert "--profile NAME of the nearest card" in str(result.exception)


def test_imported_measurements_become_the_users_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    (tmp_path / "rows.csv").write_text(ROWS)
    result = CliRunner().invoke(app, ["calibrate", "--device", "gpu", "--profile", "h100", "--from", str(tmp_path / "rows.csv")])
    assert result.exit_code == 0, result.exception
    mine = load.accelerator("h100")
    assert "products_tensor.utilisation" in mine.anchors.constants and mine.anchors.device is None
    assert mine.anchors.errors["products_bfloat16"].rows == 7 and mine.anchors.rows is UNSET
    assert "products_bfloat16" in result.output


def test_a_sweep_on_an_attached_card_is_written_under_the_catalogs_name(swept, tmp_path, monkeypatch):
    from cr_jax.measure import device

    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    cpu = jax.devices("cpu")[0]
    titled = SimpleNamespace(device_kind="NVIDIA H100 80GB HBM3", platform="gpu", client=cpu.client)
    monkeypatch.setattr(device, "attached", lambda _: SimpleNamespace(device=titled))
    monkeypatch.setattr(accelerator_sweep, "sweep", lambda *a, **k: swept[1])
    derived = accelerator_sweep.derive
    some = [product(n, n == 1024, 0.9) for n in (1024, 4096)]
    monkeypatch.setattr(accelerator_sweep, "derive", lambda at, _: derived(at, some))
    result = CliRunner().invoke(app, ["calibrate", "--device", "gpu"])
    assert result.exit_code == 0, result.exception
    assert load.accelerator("h100").anchors.device == "NVIDIA H100 80GB HBM3"
    monkeypatch.setattr(accelerator_sweep, "sweep", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    before = (tmp_path / "accelerators" / "h100.json").read_bytes()
    assert CliRunner().invoke(app, ["calibrate", "--device", "gpu"]).exit_code != 0
    assert (tmp_path / "accelerators" / "h100.json").read_bytes() == before
