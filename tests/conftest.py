"""Strictness shared by all tests, one folder per session, and where the reference folder lies."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def pytest_configure(config):
    """One folder per session, shared by its workers, which inherit the variables.

    The cache lies in it, so that a program is compiled once, and never in the user's own. ``CRJAX_CACHE`` names
    another: one that has the compilers for GPUs and TPUs.
    """
    if "CRJAX_TESTS" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="crjax-tests-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["CRJAX_TESTS"] = folder.name
        os.environ.setdefault("CRJAX_CACHE", f"{folder.name}/cache")


@pytest.fixture(scope="session")
def shared():
    """``shared("reference/dmn_tiny.npz")`` -> its path, or a skip with the reason."""

    def find(path: str) -> Path:
        place = SHARED / path
        if not place.exists():
            pytest.skip(f"needs ../shared/{path}, which is not here")
        return place

    return find
