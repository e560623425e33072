"""``crjax calibrate``."""

import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cr_jax.cli.progress import StatusLine

if TYPE_CHECKING:
    from cr_jax.documents.calibration import Calibration


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    device: Annotated[str, typer.Option(help="cpu, gpu or tpu; it has to be attached.")] = "cpu",
    profile: Annotated[
        str | None,
        typer.Option(
            help="gpu, tpu: the card's profile, a name or a JSON file; by default the one titled as the attached device."
        ),
    ] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", help="gpu, tpu: a CSV file of measurements of --profile to import instead of measuring; repeatable."
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Name of the profile written; by default `cpu`, or the card's, which predictions then use.")
    ] = None,
    limit: Annotated[float, typer.Option(help="Seconds at most.")] = 90.0,
    statistic: Annotated[str, typer.Option(help="cpu: median, or fastest on a busy machine.")] = "median",
    keep_unreliable: Annotated[
        bool,
        typer.Option(
            "--keep-unreliable", help="cpu: keep an unreliable calibration; its predictions are then marked not validated."
        ),
    ] = False,
) -> None:
    """Measure this machine for time predictions; writes a user accelerator profile.

    cpu: products by shape, bandwidth by footprint, calls, operations, page faults and scalar code, as the median of
    fifteen passes. A calibration that was disturbed, or has a single pass, is not kept, and the previous profile stays.

    gpu, tpu: products of every type, streams, reductions, gathers, scatters, sorts, kernels, CUDA graphs, loops and calls
    on the attached card. The constants of the predictor are scaled to this card (anchors); every other size tests them,
    and its errors are the intervals of predictions for this card. Without a card, --profile and --from import
    measurements. Later predictions for the profile's name use it. An interrupted run writes nothing.
    """
    from cr_jax.cli import calibrate_accelerator as accelerator
    from cr_jax.errors import BadConfig, UnknownName

    if device not in ("cpu", *accelerator.PLATFORMS):
        raise UnknownName("device", device, ("cpu", *accelerator.PLATFORMS))
    if not 0 < limit < float("inf"):
        raise BadConfig(f"--limit {limit:g}: must be above 0, in seconds")
    if device != "cpu":
        accelerator.run(device, profile, out, limit, from_ or (), _place, StatusLine().show)
    elif profile is not None or from_:
        raise BadConfig(f"--{'profile' if profile else 'from'}: not with --device cpu; legal: --device gpu, or tpu")
    else:
        _cpu(out or "cpu", limit, statistic, keep_unreliable)


def _cpu(out: str, limit: float, statistic: str, keep_unreliable: bool) -> None:
    from cr_jax.catalog.accelerator import unreliable
    from cr_jax.documents.check import check
    from cr_jax.errors import BadConfig, UnknownName
    from cr_jax.json_text import read_json
    from cr_jax.measure import calibrate as measure
    from cr_jax.resources import shipped_profile, write_atomically

    if statistic not in measure.STATISTICS:
        raise UnknownName("statistic", statistic, measure.STATISTICS)
    base = read_json(shipped_profile("accelerators", "cpu"))
    check(base | {"name": out}, "accelerator-profile", f"--out {out}")  # before a minute is spent
    place = _place(out)
    block = measure.calibrate(limit, StatusLine().show, statistic)
    document = measure.profile(block, out, base)
    check(document, "accelerator-profile", str(place))
    sys.stdout.write(_summary(block))
    wrong = unreliable(block)
    if wrong and not keep_unreliable:
        raise BadConfig(
            f"profile {out} is not written: {wrong}; legal: crjax calibrate again, or --keep-unreliable, whose "
            "predictions are not validated"
        )
    write_atomically(place, json.dumps(document, indent=2) + "\n")
    sys.stdout.write(f"profile {out} written to {place}\n")
    if wrong:
        print(f"crjax: {wrong}: predictions by profile {out} are not validated", file=sys.stderr)


def _place(name: str) -> Path:
    """The file of the profile. Raises ``BadConfig`` now for a file that could not be written later."""
    from cr_jax.errors import BadConfig
    from cr_jax.resources import user_folder

    elsewhere = "legal: CRJAX_PROFILES set to a folder that can be written to"
    try:
        place = user_folder() / "accelerators" / f"{name}.json"
    except RuntimeError:
        raise BadConfig(f"no folder for the profile: the home folder is not known; {elsewhere}") from None
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


def _summary(block: "Calibration") -> str:
    fit, canary = block.fit, block.canary
    spread = "the spread of passes is not known"
    if block.passes > 1:
        spread = (
            f"interquartile range of a point's passes {fit.median_spread:.0%} (median), "
            f"{fit.p90_spread:.0%} (90%); of the canary's {canary.spread:.0%}"
        )
    passes = "1 pass" if block.passes == 1 else f"{block.passes} passes"
    return f"{fit.points} points, {passes}, {block.took_s:.0f} s; {spread}\n"
