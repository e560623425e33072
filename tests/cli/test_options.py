"""Options with values that no one means: one line and exit code 2, before any work is done."""

import json
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import dataset_file

from cr_jax.cli.options import settings as read_settings
from cr_jax.cost.assumptions import parse_trips
from cr_jax.errors import BadConfig, CrJaxError, NotWritten
from cr_jax.models import spec as specs
from cr_jax.models.config_checks import LARGEST
from cr_jax.models.dmn.config import Config

LONG, NINES = "a" * 5000, "9" * 5000
quick = settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: Names and values as a shell could pass them, with a taste for what has hurt.
words = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["", " ", "=", "nan", "inf", "1e400", "-1", "²", "٣", "1_000", "9" * 400, NINES, LONG, "\x1b[31m", "[/b]", "true"]
)


def _id(value):
    return value[:20]


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch):
    dataset_file(tmp_path / "profiles")
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path / "profiles"))


def refused(answer, *said):
    code, out, err = answer
    assert code == 2 and not out and err.startswith("crjax: ") and err.count("\n") == 1 and len(err) < 420
    assert err.rstrip("\n").isprintable() and all(word in err for word in said), err


@pytest.mark.parametrize("value", ["9" * 400, NINES, "1e400", "nan", "-1", "0", "²", "1.5", LONG, "2147483648"], ids=_id)
@pytest.mark.parametrize("option", ["--batch", "--turns", "--users", "--top-k", "--question-items"])
def test_whole_numbers(crjax, option, value):
    refused(crjax("profile", "--model", "dmn", "--dataset", "tiny", f"{option}={value}"))


@pytest.mark.parametrize("value", ["9" * 400, NINES, "1e400", "nan", "inf", "-1", "0", "²", "1_000", "1.5", LONG, ""], ids=_id)
def test_configuration(crjax, value):
    refused(crjax("profile", "--model", "dmn", "--dataset", "tiny", "--set", f"hidden={value}"), "hidden")
    refused(crjax("estimate", "--model", "dmn", "--dataset", "tiny", "--set", f"hops={value}"), "hops")


def test_a_configuration_that_would_be_unrolled_for_hours(crjax):
    refused(crjax("profile", "--model", "dmn", "--dataset", "tiny", "--set", "hops=101"), "100 or less")
    refused(crjax("profile", "--model", "dmn", "--dataset", "tiny", "--turns", "1001"), "1,000 or less")


@pytest.mark.parametrize("option", ["--price-per-hour", "--pue", "--host-w", "--grid-g-per-kwh"])
@pytest.mark.parametrize("value", ["1e400", "nan", "-1", LONG, ""], ids=_id)
def test_prices(crjax, option, value):
    refused(crjax("profile", "--model", "dmn", "--dataset", "tiny", f"{option}={value}"))


@pytest.mark.parametrize(
    "value", ["while.1=" + "9" * 400, "while.1=" + NINES, "while.1=²", "while.1=-1", "=3", "while.1=", LONG], ids=_id
)
def test_trip_counts(crjax, tmp_path, value):
    (tmp_path / "text").write_text("HloModule m\n\nENTRY e {\n  ROOT a = f32[] parameter(0)\n}\n")
    refused(crjax("hlo", tmp_path / "text", f"--trips={value}"))


@pytest.mark.parametrize("value", ["k", "k=1", "k=1,-2", "k=1," + NINES, "=1,2", "k=1,2", LONG], ids=_id)
def test_kernel_costs(crjax, tmp_path, value):
    (tmp_path / "text").write_text("HloModule m\n\nENTRY e {\n  ROOT a = f32[] parameter(0)\n}\n")
    refused(crjax("hlo", tmp_path / "text", f"--kernel={value}"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("profile", "--model", "dmn", "--out"),
        ("compare", "--model", "dmn", "--out"),
        ("estimate", "--model", "dmn", "--out"),
        ("data", "stats", "--dataset", "cell-phones", "--out"),
        ("data", "derive", "a", "b", "--out"),
        ("recommend", "nowhere", "--conversations", "x", "--out"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_an_output_is_looked_at_before_the_work(crjax, tmp_path, monkeypatch, arguments):
    """The work would fail in another way, or take seconds."""
    (tmp_path / "file").touch()
    monkeypatch.setattr("cr_jax.profiling.pipeline.profile", lambda *_, **__: pytest.fail("work was begun"))
    monkeypatch.setattr("cr_jax.profiling.run_estimate.estimate", lambda *_, **__: pytest.fail("work was begun"))
    for place, reason in (
        (tmp_path, "folder"),
        (tmp_path / "file" / "x", "is a file"),
        (tmp_path / "none" / "x", "no folder"),
        (LONG, "too long"),
    ):
        refused(crjax(*arguments, place), reason, "--out")


@pytest.mark.parametrize("arguments", [("train", "--model", "dmn", "--out"), ("compare", "--model", "dmn", "--plot")])
def test_a_folder_to_write_to_is_looked_at_before_the_work(crjax, tmp_path, arguments):
    (tmp_path / "file").touch()
    for place, reason in ((tmp_path / "file", "is a file"), (tmp_path / "file" / "x", "is a file"), (LONG, "too long")):
        refused(crjax(*arguments, place), reason)


def test_names_of_5000_letters(crjax):
    for arguments in (
        ("list", LONG),
        ("profile", "--model", LONG),
        ("profile", "--model", "dmn", "--device", LONG),
        (LONG,),
        ("profile", "--model", f"{LONG}:SPEC"),
        ("profile", f"--{LONG}"),
        ("diff", LONG, LONG),
        ("compare", "--model", "dmn", "--format", LONG),
        ("profile", "--model", "dmn", "--phase", LONG),
    ):
        refused(crjax(*arguments))


@quick
@given(words, words)
def test_any_setting_is_read_or_refused(key, value):
    try:
        given_ = read_settings([f"{key}={value}"])
        config = specs.override(specs.find("dmn"), Config(20, 10, 3), given_)
    except CrJaxError:
        return
    assert 1 <= config.hidden <= LARGEST and 0 < config.learning_rate < float("inf")


@quick
@given(st.integers(1, 10**8))
def test_a_size_is_what_was_said(number):
    assert specs.override(specs.find("dmn"), Config(20, 10, 3), {"hidden": str(number)}).hidden == number


@quick
@given(st.text(string.ascii_letters + "._-0123456789", min_size=1, max_size=20), st.integers(0, 10**18 - 1))
def test_a_trip_count_is_what_was_said(name, number):
    assert parse_trips([f"%{name}={number}"]) == {name: number}


@quick
@given(words, words)
def test_any_trip_count_is_read_or_refused(name, value):
    try:
        found = parse_trips([f"{name}={value}"])
    except BadConfig:
        return
    assert all(0 <= number < 10**18 for number in found.values())


@quick
@given(words)
def test_any_name_of_a_file_is_looked_at(tmp_path, name):
    from cr_jax.cli.paths import check_file, check_folder

    for check in (check_file, check_folder):
        try:
            check("--out", f"{tmp_path}/{name}")
        except NotWritten as error:
            assert "--out" in str(error)


def test_hlo_names_the_axes_of_a_mesh(crjax):
    text = str(Path(__file__).parents[1] / "golden" / "sharded" / "sharded_table.cpu.txt")
    code, out, _ = crjax("hlo", text, "--mesh", "data=4,model=2", "--json")
    assert code == 0 and [one["axes"] for one in json.loads(out)["collectives"]] == [["model"], ["data"]]
    refused(crjax("hlo", text, "--mesh", "data=4"), "the mesh data=4 has 4 devices", "legal: one of 8")
    refused(crjax("hlo", text, "--mesh", "data"), "--mesh 'data'", "such as data=4,model=2")
