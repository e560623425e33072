"""A variant with its cells of every seed; of several options, those of the best."""

from collections.abc import Mapping
from dataclasses import dataclass

from cr_jax.errors import BadConfig
from cr_jax.remedy.cells import Cell, Cells
from cr_jax.remedy.making import Made
from cr_jax.remedy.quality import Ranks
from cr_jax.remedy.variants import TRAINED, Variant, recipes


@dataclass(frozen=True)
class Answered:
    """cells, ranks: by seed; no ranks: nothing is ranked. made: ``None`` where nothing was trained for it."""

    variant: Variant
    recipe: Mapping[str, str]
    cells: tuple[Cell, ...]
    ranks: tuple[Ranks, ...]
    made: Made | None


def answered_by(cells: Cells, variant: Variant) -> Answered:
    """The cells of ``variant``, made where they are missing. Raises ``CrJaxError``."""
    seeds = cells.request.seeds
    if variant.kind in ("early", "replayed"):  # the teacher's own answers
        found = answered_by(cells, Variant("teacher"))
        ranks = found.ranks if variant.stop is None else tuple(one.stopped(variant.stop) for one in found.ranks)
        return Answered(variant, {}, found.cells, ranks, None)
    recipe, tried = _tuned(cells, variant)
    chosen = tuple(cells.cell(variant, recipe, seed) for seed in seeds)
    made = None
    if variant.kind in TRAINED and variant.kind != "teacher":
        teachers = [cells.teacher_cells(seed) for seed in seeds] if variant.kind == "distilled" else []
        made = Made(chosen, tried, teachers)
    ranks = [one.by_turn for one in chosen]
    return Answered(variant, recipe, chosen, tuple(one for one in ranks if one is not None), made)


def _tuned(cells: Cells, variant: Variant) -> tuple[Mapping[str, str], tuple[Cell, ...]]:
    """The recipe that is best on the validation part of the first seed, and the cells of the others."""
    choices = recipes(cells.request, variant)
    if len(choices) == 1:
        return choices[0], ()
    tried = [cells.cell(variant, recipe, cells.request.seeds[0]) for recipe in choices]
    figures = [one.validation for one in tried if one.validation is not None]
    if len(figures) < len(tried):
        raise BadConfig(f"{variant.name}: several options and no MRR of the validation part to choose by; legal: one of each")
    best = figures.index(max(figures))
    return choices[best], tuple(one for number, one in enumerate(tried) if number != best)
