"""Anchors of an accelerator profile: constants of predicted times that were measured on this very card."""

import difflib

from cr_jax.catalog.accelerator import Accelerator
from cr_jax.catalog.times import MissingConstant, Times
from cr_jax.errors import BadInput

#: An anchor further than this from the shipped value has another unit, or is no such measurement.
FAR = 100.0
#: A share of a peak can be above 1 where a card boosts its clock beyond the one printed.
MOST_SHARE = 1.5
_SHARES = ("share", "utilisation", "utilisation_128", "rate", "tf32_feed")


def check_anchors(accelerator: Accelerator, times: Times, where: str) -> None:
    """Raise ``BadInput`` with the first constant that is unknown, of another platform or of another unit."""
    for name, entry in accelerator.anchors.constants.items() if accelerator.anchors else ():
        reason = refusal(accelerator, times, name, entry.value, entry.unit or None)
        if reason is not None:
            raise BadInput(where, f"anchors.constants.{name}: {reason}")


def refusal(accelerator: Accelerator, times: Times, name: str, value: float, unit: str | None = None) -> str | None:
    """The reason why a constant cannot have this value; ``None``: it can. unit: the constant's own by default."""
    known = times.constants.get(name)
    if known is None:
        near = difflib.get_close_matches(name, list(times.constants), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "legal: those of accelerator_times.json"
        return f"no constant; {hint}"
    if accelerator.platform != ("tpu" if name.startswith("tpu.") else "cuda"):
        return f"not read for a device of platform {accelerator.platform}"
    if unit not in (None, known.unit):
        return f"in {unit}; legal: {known.unit}"
    if name.endswith(_SHARES) and known.unit == "1" and value > MOST_SHARE:
        return f"{value:g}: a share; legal: above 0, up to {MOST_SHARE:g}"
    try:
        usual = known.of(accelerator)
    except MissingConstant:
        return None
    if usual > 0 and not usual / FAR <= value <= usual * FAR:
        return f"{value:g}: in {known.unit}, where {usual:g} comes with cr_jax; legal: within a factor of {FAR:g}"
    return None
