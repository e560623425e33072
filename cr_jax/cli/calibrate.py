"""``crjax calibrate``."""

import json
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    out: Annotated[str, typer.Option(help="Name of the profile; `cpu` is what --device cpu then uses.")] = "cpu",
    limit: Annotated[float, typer.Option(help="Seconds it may take.")] = 90.0,
    statistic: Annotated[str, typer.Option(help="median, or fastest on a machine that is busy.")] = "median",
) -> None:
    """Measure this machine for time predictions; writes a user accelerator profile.

    Products by shape, bandwidth by footprint, calls, operations, page faults, what does not vectorise:
    fifteen passes, the median of each point. Predictions for the profile's name use it from then on.
    """
    from cr_jax.catalog.check import check
    from cr_jax.errors import BadConfig, UnknownName
    from cr_jax.json_text import read_json
    from cr_jax.measure import calibrate as measure
    from cr_jax.resources import shipped_profile, user_folder, write_atomically

    if statistic not in measure.STATISTICS:
        raise UnknownName("statistic", statistic, measure.STATISTICS)
    if limit <= 0:
        raise BadConfig(f"--limit {limit:g}: must be above 0")
    base = read_json(shipped_profile("accelerators", "cpu"))
    place = user_folder() / "accelerators" / f"{out}.json"
    check(base | {"name": out}, "accelerator-profile", f"--out {out}")  # before a minute is spent
    block = measure.calibrate(limit, _say, statistic)
    document = measure.profile(block, out, base)
    check(document, "accelerator-profile", str(place))
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, json.dumps(document, indent=2) + "\n")
    fit, canary = block["fit"], block["canary"]
    apart = "how far passes lie apart is not known"
    if block["passes"] > 1:
        apart = (f"the middle half of a point's passes {fit['median_spread']:.0%} apart (median), "
                 f"{fit['p90_spread']:.0%} (90%); of the canary's {canary['spread']:.0%}")  # fmt: skip
    passes = "1 pass" if block["passes"] == 1 else f"{block['passes']} passes"
    sys.stdout.write(
        f"{fit['points']} points, {passes}, {block['took_s']:.0f} s; {apart}\nprofile {out} written to {place}\n"
    )
    if canary["spread"] > 0.15:
        print("the canary's times lie more than 15% apart: other work runs on this machine; calibrate again", file=sys.stderr)


def _say(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
