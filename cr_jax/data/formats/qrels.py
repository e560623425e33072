"""Splits of queries and reviews (qrels) of product search: recognised, and refused."""

from cr_jax.data.formats.format import Format, Match, Place


def _recognises(place: Place) -> Match:
    return Match.CERTAIN if any(".qrels" in name for name in place.names) else Match.NO


FORMAT = Format(
    "qrels",
    _recognises,
    refusal="a split of queries and reviews (qrels), no conversations; legal: a file of conversations, a folder in the layout of "
    "Bi et al. or of ReDial",
)
