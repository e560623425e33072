"""Strictness shared by all tests, and where the reference folder lies."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared():
    """``shared("reference/dmn_tiny.npz")`` -> its path, or a skip with the reason."""

    def find(path: str) -> Path:
        place = SHARED / path
        if not place.exists():
            pytest.skip(f"needs ../shared/{path}, which is not here")
        return place

    return find
