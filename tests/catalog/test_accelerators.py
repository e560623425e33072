"""Accelerator profiles: sourced, unknown stays unknown, and no figure contradicts another."""

import dataclasses
import io
import json
import re
from math import prod

import pytest
from rich.console import Console
from round_tables import calibration

from cr_jax.catalog import load
from cr_jax.catalog.accelerator import MATMUL_TYPES, VECTOR_TYPES, target_config_text
from cr_jax.catalog.precision import matmul_precision, on_tensor_cores
from cr_jax.errors import BadInput
from cr_jax.render.catalog import accelerators
from cr_jax.resources import profile_files

SHIPPED = load.accelerator_names()
GPUS = [name for name in SHIPPED if load.accelerator(name).platform == "cuda"]
TPUS = [name for name in SHIPPED if load.accelerator(name).platform == "tpu"]
#: Rates on tensor cores over that of float16: the least and the most that architectures have.
NARROW = {"float8": (1, 2), "int8": (2, 4)}
SIGNED = {"value": -1, "kind": "printed", "source": "s"}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_known_number_has_its_source_and_unknown_ones_are_null(name):
    device = load.accelerator(name)
    assert set(device.matmul_flops_per_s) == set(MATMUL_TYPES)
    assert set(device.vector_flops_per_s) == set(VECTOR_TYPES)
    known = {f"matmul_flops_per_s.{k}" for k, v in device.matmul_flops_per_s.items() if v is not None}
    known |= {f"vector_flops_per_s.{k}" for k, v in device.vector_flops_per_s.items() if v is not None}
    known |= {f"measured.{k}" for k in device.measured}
    known |= {f"links.{k}" for k, v in device.links.items() if v is not None}
    for key in (
        "memory_bytes",
        "memory_bandwidth_bytes_per_s",
        "cache_bytes",
        "clock_hz",
        "cores",
        "lanes_per_core",
        "power_w",
        "idle_power_w",
        "price_usd_per_hour",
        "sustained_clock_hz",
        "link_bytes_per_s",
    ):
        known |= {key} if getattr(device, key) is not None else set()
    assert set(device.origins) == known
    assert device.memory_bytes is not None or name == "cpu"


@pytest.mark.parametrize("name", TPUS)
def test_the_links_of_a_chip_add_up_to_its_rate(name):
    """Two neighbours along each axis of the torus, both directions."""
    device = load.accelerator(name)
    if device.links and device.link_bytes_per_s is not None:
        ends = 2 * device.links["torus_axes"]
        assert 2 * ends * device.links["neighbour_bytes_per_s"] == device.link_bytes_per_s


@pytest.mark.parametrize("name", GPUS)
def test_a_network_is_slower_than_the_links_of_a_host(name):
    device = load.accelerator(name)
    if device.links.get("network_bytes_per_s") is not None:
        assert device.links["network_bytes_per_s"] < device.link_bytes_per_s / 2
        assert device.links["devices_per_host"] > 1


def test_links_are_those_of_the_platform(tmp_path):
    tpu, gpu = (json.loads(profile_files("accelerators")[name].read_text()) for name in ("tpu-v5e", "h100"))
    document = tpu | {"name": "x", "links": gpu["links"]}
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"links\.platform: 'cuda' is not the profile's platform 'tpu'"):
        load.load_accelerator(tmp_path / "x.json")


def number(name, key):
    """The number that the profile gives for a dotted key of its origins."""
    field, _, part = key.partition(".")
    value = getattr(load.accelerator(name), field)
    return value[part] if part else value


@pytest.mark.parametrize("name", SHIPPED)
def test_a_product_in_a_source_is_the_number(name):
    """Such as "152 SMs x 128 FP32 units x 2 FLOP x 2.07 GHz; the file that prints them"."""
    for key, origin in load.accelerator(name).origins.items():
        factors = re.split(r" x ", origin.source.split(";")[0])
        if origin.kind == "derived" and factors[0].endswith("SMs"):
            assert len(factors) > 2 and " GHz" in factors[-1]
            assert number(name, key) == pytest.approx(prod(float(f.split()[0]) for f in factors) * 1e9, rel=1e-12), key


@pytest.mark.parametrize("name", SHIPPED)
def test_a_price_says_whose_where_and_when(name):
    device = load.accelerator(name)
    assert (device.price is None) == (device.price_usd_per_hour is None)
    if device.price is None:
        return
    origin = device.origins["price_usd_per_hour"]
    assert re.search(r"\d{4}-\d{2}-\d{2}$", device.price.date) and origin.date
    assert 0.1 < device.price_usd_per_hour < 20
    shared = re.match(r"([\d.]+) USD per hour / (\d+) (GPUs|chips)", origin.source)
    assert (origin.kind == "derived") == (shared is not None)
    if shared:
        assert device.price_usd_per_hour == pytest.approx(float(shared[1]) / int(shared[2]), abs=1e-9)
        assert (shared[3] == "chips") == (device.platform == "tpu")


def test_the_list_tells_prices_with_kind_and_date_in_100_columns():
    out = io.StringIO()
    Console(file=out, width=100).print(accelerators([load.accelerator(name) for name in ("cpu", "h100", "t4", "gb200")]))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "h100      4.29  Lambda        all regions  on-demand             read 2026-11-24" in lines
    assert "t4        0.35  Google Cloud  us-central1  on-demand, GPU alone  read 2026-11-24" in lines
    assert lines[-1] == "no price known: cpu, gb200" and max(map(len, lines)) <= 100


def test_lists_of_devices_without_a_price_or_without_whose_it_is():
    out = io.StringIO()
    Console(file=out, width=100).print(accelerators([load.accelerator("cpu")]))
    assert out.getvalue().rstrip().endswith("no price known: cpu") and "USD" not in out.getvalue()
    Console(file=out, width=100).print(accelerators([dataclasses.replace(load.accelerator("h100"), price=None)]))
    last = out.getvalue().splitlines()[-1]
    assert last.rstrip() == "h100      4.29  not said  not said  not said  2026-11-24"


@pytest.mark.parametrize("name", GPUS)
def test_peaks_of_a_gpu_agree_with_its_units_and_clock(name):
    device = load.accelerator(name)
    assert device.compiler_target is not None
    info = device.compiler_target.config.gpu_device_info
    from_units = info["core_count"] * info["fpus_per_core"] * 2 * info["clock_rate_ghz"] * 1e9
    assert device.vector_flops_per_s["float32"] == pytest.approx(from_units, rel=0.02)
    assert info["memory_bandwidth"] == device.memory_bandwidth_bytes_per_s
    assert info["device_memory_size"] == device.memory_bytes
    assert (info["core_count"], info["fpus_per_core"]) == (device.cores, device.lanes_per_core)
    assert info["clock_rate_ghz"] * 1e9 == pytest.approx(device.clock_hz)
    assert device.cache_bytes in (None, info["l2_cache_size"])


@pytest.mark.parametrize("name", GPUS)
def test_a_gpu_has_what_a_predicted_time_needs(name):
    device = load.accelerator(name)
    for key in ("generation", "lanes_per_core", "memory_kind", "cores", "clock_hz", "power_w", "memory_bandwidth_bytes_per_s"):
        assert getattr(device, key) is not None, key
    from_lanes = 2 * device.cores * device.lanes_per_core * device.clock_hz
    for rates in (device.matmul_flops_per_s, device.vector_flops_per_s):
        assert rates["float32"] == pytest.approx(from_lanes, rel=0.05)
        assert rates["float64"] is None or rates["float64"] <= 1.01 * rates["float32"]
    slowest, fastest = {"hbm": (0.5e12, 9e12), "gddr": (0.2e12, 2e12)}[device.memory_kind]
    assert slowest < device.memory_bandwidth_bytes_per_s < fastest
    assert device.sustained_clock_hz is None or device.sustained_clock_hz <= device.clock_hz


@pytest.mark.parametrize("name", GPUS)
def test_rates_of_tensor_cores_fit_each_other(name):
    device = load.accelerator(name)
    rates = device.matmul_flops_per_s
    for kind in ("tf32", "bfloat16", "float8"):  # before tensor cores had a type nothing has a rate for it
        assert rates[kind] is None or on_tensor_cores(device, kind), kind
    if rates["tf32"]:
        assert 1.9 <= rates["bfloat16"] / rates["tf32"] <= 2.1
        assert rates["bfloat16"] == pytest.approx(rates["float16"])
    if on_tensor_cores(device, "float16"):
        assert 1.99 <= rates["float16"] / rates["float32"] <= 32
        for kind, (least, most) in NARROW.items():
            assert rates[kind] is None or 0.99 * least <= rates[kind] / rates["float16"] <= 1.01 * most, kind


@pytest.mark.parametrize("name", TPUS)
def test_a_tpu_has_what_a_predicted_time_needs(name):
    device = load.accelerator(name)
    assert device.generation == name and device.memory_kind == "hbm"
    assert device.cores and device.memory_bandwidth_bytes_per_s and device.matmul_flops_per_s["bfloat16"]


def test_a_profile_copied_under_another_name_works_without_another_edit(tmp_path, monkeypatch):
    shipped = load.accelerator("a100-80gb-pcie")
    document = json.loads(profile_files("accelerators")["a100-80gb-pcie"].read_text()) | {"name": "ours"}
    (tmp_path / "accelerators").mkdir()
    (tmp_path / "accelerators" / "ours.json").write_text(json.dumps(document))
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    ours = load.accelerator("ours")
    assert "ours" in load.accelerator_names() and ours == dataclasses.replace(shipped, name="ours")
    for dtype in ("float32", "bfloat16", "float16", "int8", "float8_e4m3fn"):
        computed_in = matmul_precision(ours, "default", dtype)
        assert computed_in == matmul_precision(shipped, "default", dtype)
        assert on_tensor_cores(ours, computed_in) and ours.matmul_flops_per_s[computed_in]


def test_a_profile_without_the_newer_rates_knows_none(tmp_path):
    document = json.loads(profile_files("accelerators")["h100"].read_text())
    for key in ("generation", "lanes_per_core", "memory_kind", "link_bytes_per_s"):
        del document[key]
    for kind in ("float8", "int8"):
        del document["matmul_flops_per_s"][kind]
    (tmp_path / "h100.json").write_text(json.dumps(document))
    device = load.load_accelerator(tmp_path / "h100.json")
    assert set(device.matmul_flops_per_s) == set(MATMUL_TYPES)
    assert device.matmul_flops_per_s["float8"] is None and device.generation is None and device.memory_kind is None


@pytest.mark.parametrize("name", TPUS)
def test_a_tpu_has_the_vector_memory_that_jax_says(name):
    tpu = pytest.importorskip("jax.experimental.pallas.tpu")
    if not hasattr(tpu, "get_tpu_info_for_chip"):
        pytest.skip("this JAX does not tell the sizes of a chip")
    device = load.accelerator(name)
    version = {"tpu-v7x": "7x"}.get(name, name.removeprefix("tpu-"))
    core = tpu.get_tpu_info_for_chip(tpu.ChipVersion(version), 1)
    assert device.cache_bytes == device.cores * core.vmem_capacity_bytes
    assert device.matmul_flops_per_s["bfloat16"] == pytest.approx(device.cores * core.bf16_ops_per_second, rel=0.01)


@pytest.mark.parametrize("name", ["h100", "h200"])
def test_measured_rates_stay_below_the_peaks(name):
    device = load.accelerator(name)
    assert device.measured["copy_bytes_per_s"] < device.memory_bandwidth_bytes_per_s
    assert device.measured["matmul_bfloat16_flops_per_s"] < device.matmul_flops_per_s["bfloat16"]


def test_the_h100_target_as_text():
    text = target_config_text(load.accelerator("h100").compiler_target.config)
    for line in (
        "  core_count: 132\n",
        "  memory_bandwidth: 3352320000000\n",
        "    major: 9\n",
        "    feature_extension: ACCELERATED_FEATURES\n",
        'platform_name: "CUDA"\n',
        "  clock_rate_ghz: 1.98\n",
    ):
        assert line in text
    assert text.count("{") == text.count("}") == 4


def test_text_proto_strings_are_escaped():
    assert target_config_text({"a": 'say "x" \\'}) == 'a: "say \\"x\\" \\\\"\n'


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("memory_bytes", SIGNED, "memory_bytes.value: -1: must be more"),
        ("memory_bytes", {"value": 1, "kind": "printed"}, "memory_bytes.source: missing"),
        ("memory_byte", None, "memory_byte: unknown key; did you mean memory_bytes"),
        ("platform", "gpu", 'platform: "gpu": legal: "cpu", "cuda", "tpu"'),
        ("compiler_target", {"platform": "tpu", "topology": "v5e"}, "compiler_target.platform: 'tpu' is not"),
        ("compiler_target", {"platform": "cuda", "topology": "1x1x1"}, "compiler_target.source: missing"),
        ("power_w", "700", 'power_w: "700": legal: an object {value, kind, source}'),
    ],
)
def test_faults_name_the_key(tmp_path, key, value, expected):
    document = json.loads(profile_files("accelerators")["h100"].read_text())
    document[key] = value
    file = tmp_path / "h100.json"
    file.write_text(json.dumps(document))
    with pytest.raises(BadInput) as caught:
        load.load_accelerator(file)
    assert str(caught.value).startswith(f"{file}: {expected}"), caught.value


def test_a_calibration_that_lacks_something_names_the_command(tmp_path):
    document = json.loads(profile_files("accelerators")["cpu"].read_text()) | {"name": "mine", "calibration": calibration()}
    (tmp_path / "mine.json").write_text(json.dumps(document))
    assert load.load_accelerator(tmp_path / "mine.json").calibration
    del document["calibration"]["overheads"]["straight_s"]
    (tmp_path / "mine.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=r"overheads.straight_s: missing.*crjax calibrate makes it anew"):
        load.load_accelerator(tmp_path / "mine.json")
