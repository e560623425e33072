"""Where profiles are found, and that a written file is whole or untouched."""

import os
import stat

import pytest

from cr_jax import resources
from cr_jax.errors import BadConfig, NotWritten, UnknownName


def test_shipped_profiles_and_schemas_are_found(monkeypatch, tmp_path):
    monkeypatch.delenv("CRJAX_PROFILES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    shipped = ["cds-vinyl", "cell-phones", "electronics", "kindle-store"]
    assert list(resources.profile_files("datasets")) == shipped
    assert {"dataset-profile", "accelerator-profile"} <= set(resources.schema_names())
    for name in resources.schema_names():
        assert resources.schema(name)["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize(("variable", "below"), [("CRJAX_PROFILES", ""), ("XDG_CONFIG_HOME", "crjax")])
def test_a_users_profile_replaces_a_shipped_one(monkeypatch, tmp_path, variable, below):
    monkeypatch.delenv("CRJAX_PROFILES", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    folder = tmp_path / below / "datasets"
    folder.mkdir(parents=True)
    for name in ("mine", "electronics"):
        (folder / f"{name}.json").write_text("{}")
    files = resources.profile_files("datasets")
    assert files["mine"].parent == files["electronics"].parent == folder
    assert files["cell-phones"].parent != folder


def test_a_folder_that_is_named_but_missing_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path / "nowhere"))
    with pytest.raises(BadConfig, match=r"CRJAX_PROFILES=.*nowhere.*not a folder"):
        resources.profile_files("datasets")


def test_unknown_names_list_the_legal_ones():
    with pytest.raises(UnknownName, match="did you mean datasets"):
        resources.profile_files("dataset")
    with pytest.raises(UnknownName, match="did you mean dataset-profile"):
        resources.schema("dataset-profil")


def test_writing_replaces_the_whole_file_and_keeps_its_mode(tmp_path):
    file = tmp_path / "report.json"
    file.write_text("old and longer")
    file.chmod(0o640)
    resources.write_atomically(file, "new\n")
    assert file.read_text() == "new\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    resources.write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    file = tmp_path / "report.json"
    file.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(resources.os, step, full)
    with pytest.raises(NotWritten, match=r"report\.json: not written: No space left"):
        resources.write_atomically(file, "new")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["report.json"]


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
    file = tmp_path / "report.json"
    file.write_text("old")
    with pytest.raises(NotWritten, match="surrogates not allowed"):
        resources.write_atomically(file, "\ud800")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["report.json"]


def test_places_that_take_no_file_are_refused(tmp_path):
    with pytest.raises(NotWritten, match="folder"):
        resources.write_atomically(tmp_path, "x")
    with pytest.raises(NotWritten, match="No such file"):
        resources.write_atomically(tmp_path / "none" / "x.json", "x")
    assert os.listdir(tmp_path) == []


def test_a_device_is_written_to_and_not_replaced():
    resources.write_atomically("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
