"""PNG plots: the SVG's size doubled, labels drawn, and a line that mends what is missing."""

import struct
import sys
import zlib

import pytest

from cr_jax.errors import MissingExtra
from cr_jax.render import png

SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='120' height='40'><rect width='120' height='40' fill='#FFFFFF'/>{}</svg>"
LABEL = "<text x='10' y='30' font-size='24' font-family='{}' fill='#000000'>dmn</text>"


@pytest.fixture
def resvg():
    return pytest.importorskip("resvg_py", reason="needs the extra cr-jax[plot]")


@pytest.fixture(autouse=True)
def fonts_anew():
    png.font.cache_clear()
    yield
    png.font.cache_clear()


def ink(data):
    """Width, height, and how many bytes of a PNG's pixel lines are neither 0 nor 255: edges of letters and little else."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    at, packed = 8, b""
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += 12 + size
    return width, height, sum(byte not in (0, 255) for byte in zlib.decompress(packed))


@pytest.mark.parametrize("family", ["Helvetica, Arial, sans-serif", "sans-serif"])
def test_labels_are_drawn_in_double_size(resvg, family):
    if png.font() is None:
        pytest.skip("no sans-serif font is installed")
    width, height, drawn = ink(png.to_png(SVG.format(LABEL.format(family))))
    assert (width, height) == (2 * 120, 2 * 40)
    assert drawn > ink(png.to_png(SVG.format("")))[2] + 200


def test_a_machine_without_fonts_is_told_what_to_install(resvg, monkeypatch):
    monkeypatch.setattr(png, "FONTS", ("no such font",))
    with pytest.raises(MissingExtra, match="no sans-serif font is installed; install one, such as DejaVu Sans"):
        png.to_png(SVG.format(""))


def test_without_the_extra_its_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtra, match=r"pip install 'cr-jax\[plot\]'$"):
        png.to_png(SVG.format(""))
