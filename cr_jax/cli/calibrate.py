"""``crjax calibrate``."""

import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    out: Annotated[str, typer.Option(help="Name of the profile; `cpu` is what --device cpu then uses.")] = "cpu",
    limit: Annotated[float, typer.Option(help="Seconds it may take.")] = 90.0,
    statistic: Annotated[str, typer.Option(help="median, or fastest on a machine that is busy.")] = "median",
    keep_unreliable: Annotated[bool, typer.Option(
        "--keep-unreliable", help="Keep one that cannot be relied on; its predictions then say not validated.")] = False,
) -> None:  # fmt: skip
    """Measure this machine for time predictions; writes a user accelerator profile.

    Products by shape, bandwidth by footprint, calls, operations, page faults, what does not vectorise:
    fifteen passes, the median of each point. Predictions for the profile's name use it from then on. A
    calibration that was disturbed, or made of a single pass, is not kept, and the profile before it stays.
    """
    from cr_jax.catalog.accelerator import unreliable
    from cr_jax.catalog.check import check
    from cr_jax.errors import BadConfig, UnknownName
    from cr_jax.json_text import read_json
    from cr_jax.measure import calibrate as measure
    from cr_jax.resources import shipped_profile, write_atomically

    if statistic not in measure.STATISTICS:
        raise UnknownName("statistic", statistic, measure.STATISTICS)
    if not 0 < limit < float("inf"):
        raise BadConfig(f"--limit {limit:g}: must be above 0, in seconds")
    base = read_json(shipped_profile("accelerators", "cpu"))
    check(base | {"name": out}, "accelerator-profile", f"--out {out}")  # before a minute is spent
    place = _place(out)
    block = measure.calibrate(limit, _say, statistic)
    document = measure.profile(block, out, base)
    check(document, "accelerator-profile", str(place))
    sys.stdout.write(_summary(block))
    wrong = unreliable(block)
    if wrong and not keep_unreliable:
        raise BadConfig(f"profile {out} is not written: {wrong}; legal: crjax calibrate again, or --keep-unreliable, whose "
                        "predictions are not validated")  # fmt: skip
    write_atomically(place, json.dumps(document, indent=2) + "\n")
    sys.stdout.write(f"profile {out} written to {place}\n")
    if wrong:
        print(f"crjax: {wrong}: predictions by profile {out} are not validated", file=sys.stderr)


def _place(name: str) -> Path:
    """Where the profile goes. Raises ``BadConfig`` now for a place that could not be written to later."""
    from cr_jax.errors import BadConfig
    from cr_jax.resources import user_folder

    elsewhere = "legal: CRJAX_PROFILES set to a folder that can be written to"
    try:
        place = user_folder() / "accelerators" / f"{name}.json"
    except RuntimeError:
        raise BadConfig(f"the profile has no place: the home folder is not known; {elsewhere}") from None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place.parent):
            pass
        taken = _is_folder(place)
    except OSError as error:
        said = error.strerror or error
        raise BadConfig(f"{place.parent}: the profile could not be written there: {said}; {elsewhere}") from None
    if taken:
        raise BadConfig(f"{place}: it is a folder; legal: another name by --out")
    return place


def _is_folder(place: Path) -> bool:
    """Raises ``OSError`` for a name that the file system does not take."""
    try:
        return stat.S_ISDIR(os.stat(place).st_mode)
    except FileNotFoundError:
        return False


def _summary(block: dict[str, Any]) -> str:
    fit, canary = block["fit"], block["canary"]
    apart = "how far passes lie apart is not known"
    if block["passes"] > 1:
        apart = (f"the middle half of a point's passes {fit['median_spread']:.0%} apart (median), "
                 f"{fit['p90_spread']:.0%} (90%); of the canary's {canary['spread']:.0%}")  # fmt: skip
    passes = "1 pass" if block["passes"] == 1 else f"{block['passes']} passes"
    return f"{fit['points']} points, {passes}, {block['took_s']:.0f} s; {apart}\n"


def _say(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
