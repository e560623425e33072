"""Plots as PNG: our SVG text drawn by resvg, which is an optional extra."""

from functools import cache

from cr_jax.errors import MissingExtra

#: Pixels of a PNG per unit of the SVG.
ZOOM = 2
#: Font families with letters as wide as the plots allow for, best first; the renderer takes the first that it finds.
FONTS = (
    "Helvetica",
    "Arial",
    "Liberation Sans",
    "Nimbus Sans",
    "Arimo",
    "Helvetica Neue",
    "Noto Sans",
    "Open Sans",
    "Roboto",
    "FreeSans",
    "Segoe UI",
    "Ubuntu",
    "Cantarell",
    "Verdana",
    "DejaVu Sans",
)
_PROBE = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><text y='15' font-family='{}'>Mg</text></svg>"


def to_png(svg: str) -> bytes:
    """A plot as PNG, ``ZOOM`` pixels per unit. Raises ``MissingExtra`` without the renderer, or without a font for the labels."""
    try:
        from resvg_py import svg_to_bytes  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra("PNG plots need resvg, which is not installed; pip install 'cr-jax[plot]'") from None
    family = font()
    if family is None:
        raise MissingExtra(
            "PNG plots need a font for their labels, and no sans-serif font is installed; "
            "install one, such as DejaVu Sans (Debian, Ubuntu: apt-get install fonts-dejavu-core)"
        )
    return svg_to_bytes(svg_string=svg, zoom=ZOOM, sans_serif_family=family)


@cache
def font() -> str | None:
    """The first of ``FONTS`` that the renderer can draw: it silently leaves out letters without a font."""
    from resvg_py import svg_to_bytes  # pyright: ignore[reportMissingImports]

    blank = svg_to_bytes(svg_string=_PROBE.format("sans-serif").replace("Mg", ""))
    drawn = (f for f in FONTS if svg_to_bytes(svg_string=_PROBE.format(f"&quot;{f}&quot;")) != blank)
    return next(drawn, None)
