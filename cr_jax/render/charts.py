"""The charts of a comparison."""

from collections.abc import Callable

from cr_jax.documents.comparison import Comparison
from cr_jax.render.bars import bars
from cr_jax.render.roofline import roofline

#: By file name, from a comparison with at least one row of figures to SVG; ``None``: nothing to draw.
CHARTS: dict[str, Callable[[Comparison], str | None]] = {"roofline": roofline, "bars": bars}
