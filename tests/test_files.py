"""Odd places for a file: each is refused in one line, and none is waited for."""

import os
import threading
from pathlib import Path

import pytest

from cr_jax import files, resources
from cr_jax.errors import BadConfig, BadInput, NotWritten
from cr_jax.json_text import read_json

LONG = "n" * 5000


@pytest.fixture
def places(tmp_path):
    """Things that are no file to read, by name."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("1")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    found = {name: tmp_path / name for name in ("folder", "broken", "loop", "pipe", "nowhere")}
    return found | {"long": tmp_path / LONG, "below a file": tmp_path / "file" / "x", "device": Path("/dev/zero")}


@pytest.mark.parametrize("name", ["folder", "broken", "loop", "pipe", "nowhere", "long", "below a file", "device"])
def test_no_file_to_read(places, name):
    for read in (files.read_bytes, files.read_text, read_json):
        with pytest.raises(BadInput) as caught:
            read(places[name])
        assert len(str(caught.value)) <= 320 and "\n" not in str(caught.value)


def test_what_is_there(places):
    assert files.is_folder(places["folder"]) and not files.is_file(places["folder"]) and files.exists(places["pipe"])
    assert not any(map(files.exists, (places["broken"], places["nowhere"], places["below a file"])))
    for name in ("long", "loop"):
        with pytest.raises(BadInput):
            files.exists(places[name])
    with pytest.raises(BadInput):
        files.names_in(places["nowhere"])


def test_a_pipe_that_the_shell_opened_is_read():
    reader, writer = os.pipe()
    threading.Thread(target=lambda: (os.write(writer, b'{"a": 1}'), os.close(writer))).start()
    assert read_json(f"/dev/fd/{reader}") == {"a": 1}
    os.close(reader)


@pytest.fixture
def homeless(monkeypatch):
    """A user whom neither the environment nor the system knows a home folder of."""
    for name in ("HOME", "CRJAX_CACHE", "CRJAX_PROFILES", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(Path, "expanduser", unknown)


def test_without_a_home_the_shipped_profiles_are_there(homeless):
    assert "cell-phones" in resources.profile_files("datasets")
    with pytest.raises(BadConfig, match="home folder is not known; legal: HOME, or CRJAX_CACHE"):
        resources.cache_root()
    with pytest.raises(BadConfig, match="CRJAX_PROFILES"):
        resources.user_folder()
    with pytest.raises(BadInput, match="legal: a path without ~"):
        files.expanded("~/x")


def test_folders_of_names_too_long(monkeypatch, tmp_path):
    for variable, ask in (("CRJAX_CACHE", resources.cache_root), ("CRJAX_PROFILES", resources.user_folder)):
        monkeypatch.setenv(variable, str(tmp_path / LONG))
        with pytest.raises(BadInput, match="too long"):
            ask()
    with pytest.raises(NotWritten, match="too long"):
        resources.write_atomically(tmp_path / LONG / "x", "text")
