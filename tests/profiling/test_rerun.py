"""A saved report run again: what it may choose itself, and what the user has to name."""

import pytest
from msgspec import UNSET
from reports import SETTINGS, changed, sample

from cr_jax.errors import BadConfig
from cr_jax.profiling.rerun import rerun


def test_the_baselines_own_workload_is_run_again():
    found = rerun(sample(), "b.json", ["cell-phones"])
    assert (found.model, found.dataset, found.devices) == ("dmn", "cell-phones", ("cpu",))
    assert (found.turns, found.preset, found.settings) == (1, "matched", SETTINGS)
    assert found.phases == ("train", "precompute", "infer") and found.batch is None
    assert found.turns_compiled == "all"
    ends = changed(sample(), {"steps.train/answer.outcome": "left out"})
    assert rerun(ends, "b.json", ["cell-phones"]).turns_compiled == "ends"


def test_an_older_reports_settings_and_model_come_from_its_command():
    command = ("crjax", "profile", "--model", "my.models:SPEC", "--set", "hops=2", "--set=hidden=8")
    report = changed(sample(), {"workload.settings": UNSET, "command": command})
    found = rerun(report, "b.json", ["cell-phones"], model="my.models:SPEC")
    assert found.settings == {"hops": "2", "hidden": "8"} and found.model == "my.models:SPEC"


@pytest.mark.parametrize("place", ["command", "equals", "name"])
def test_a_baseline_does_not_choose_what_is_imported(place):
    if place == "name":
        report = sample("antigravity:SPEC")
    else:
        asked = ("--model", "antigravity:SPEC") if place == "command" else ("--model=antigravity:SPEC",)
        report = changed(sample(), {"command": ("crjax", "profile", *asked)})
    with pytest.raises(BadConfig, match="whose code would be run; legal: --model antigravity:SPEC"):
        rerun(report, "b.json", ["cell-phones"])
    for other in ("my.models:SPEC", "dmn"):
        with pytest.raises(BadConfig, match="is of 'antigravity:SPEC'"):
            rerun(report, "b.json", ["cell-phones"], model=other)
    assert rerun(report, "b.json", ["cell-phones"], model="antigravity:SPEC").model == "antigravity:SPEC"


def test_the_user_may_say_where_a_model_is_but_not_take_another():
    assert rerun(sample("mine"), "b.json", ["cell-phones"], model="my.models:SPEC").model == "my.models:SPEC"
    assert rerun(sample(), "b.json", ["cell-phones"], model="dmn").model == "dmn"
    with pytest.raises(BadConfig, match="is of 'dmn'"):
        rerun(sample(), "b.json", ["cell-phones"], model="mmn")


def test_a_data_set_from_a_file_needs_the_file(tmp_path):
    file = tmp_path / "talks.txt"
    report = changed(sample(), {"dataset.name": "talks", "command": ("crjax", "profile", "--dataset", str(file))})
    with pytest.raises(BadConfig, match="legal: --dataset FILE"):
        rerun(report, "b.json", ["cell-phones"])
    assert rerun(report, "b.json", ["cell-phones"], dataset="moved.txt").dataset == "moved.txt"
    file.write_text("")  # there, and read all the same only as the user names it
    for name in ("talks", "cell-phones"):
        report = changed(report, {"dataset.name": name})
        with pytest.raises(BadConfig, match="legal: --dataset FILE"):
            rerun(report, "b.json", ["cell-phones"])
    report = changed(report, {"command": ("crjax", "profile", "--dataset", "cell-phones")})
    assert rerun(report, "b.json", ["cell-phones"]).dataset == "cell-phones"


def test_a_bare_kind_of_device_is_refused():
    for report, device in ((sample(device="gpu"), None), (sample(device="tpu"), None), (sample(), "gpu")):
        with pytest.raises(BadConfig, match="another device on another machine; legal: a full name"):
            rerun(report, "b.json", ["cell-phones"], device=device)
    asked = changed(sample(device="h100"), {"command": ("crjax", "profile", "--device", "gpu")})
    with pytest.raises(BadConfig, match="full name, such as h100"):
        rerun(asked, "b.json", ["cell-phones"])
