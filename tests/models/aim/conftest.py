"""The tiny AIM as a fixture."""

import pytest
from aim_tiny import TINY, filled


@pytest.fixture(scope="module")
def model():
    return filled(TINY)
