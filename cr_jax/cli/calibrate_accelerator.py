"""``crjax calibrate --device gpu|tpu``: anchors of an accelerator's profile, measured on the attached card or imported."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cr_jax.catalog.accelerator import Accelerator
    from cr_jax.predict.accelerator.anchors import Anchors

PLATFORMS = {"gpu": "cuda", "tpu": "tpu"}


def run(
    device: str,
    profile: str | None,
    out: str | None,
    limit: float,
    files: Sequence[Path],
    place_for: Callable[[str], Path],
    say: Callable[[str], None],
) -> None:
    """Write the profile of the card with its anchors. place_for: the file of a name, checked to be writable."""
    from cr_jax.documents.check import check
    from cr_jax.errors import BadConfig
    from cr_jax.resources import write_atomically

    attached = None
    if files:
        if profile is None:
            raise BadConfig("--from needs --profile: the card that the rows are of; legal: a catalog's name, or a JSON file")
    else:
        attached = _attached(device)
        profile = profile or known(attached)
    base, accelerator = _profile(profile, device)
    name = out or accelerator.name
    document = {key: value for key, value in base.items() if key != "anchors"} | {"name": name}
    check(document, "accelerator-profile", f"--out {name}")  # before a minute is spent
    place = place_for(name)
    anchors, block = _swept(attached, accelerator, limit, say) if attached else _imported(files, accelerator)
    if not anchors.constants and not anchors.errors:
        raise BadConfig(
            f"profile {name} is not written: no measurement decides any of its constants; legal: a larger --limit, or more rows"
        )
    document["anchors"] = block
    check(document, "accelerator-profile", str(place))
    sys.stdout.write(summary(anchors, block))
    write_atomically(place, json.dumps(document, indent=2) + "\n")
    sys.stdout.write(f"profile {name} written to {place}\n")


def summary(anchors: "Anchors", block: dict[str, Any]) -> str:
    """The measurements, a line per class of operations, and the unchanged constants."""
    lines = [f"{len(anchors.rows)} operations, {len(anchors.constants)} constants"]
    if "took_s" in block:
        lines[0] += f", {block['passes']} passes, {block['took_s']:.0f} s"
    lines += [
        f"  {kind}: {one['median']:.1%} median, {one['p90']:.1%} (90%) on {one['rows']} operations that no constant was "
        "taken from"
        for kind, one in anchors.errors.items()
    ]
    if block["skipped"]:
        first = block["skipped"][0]
        lines.append(f"  left out: {len(block['skipped'])}, such as {first['what']}: {first['why']}")
    return "\n".join(lines) + "\n"


def _attached(device: str) -> Any:
    """The attached device of a kind. Raises ``BadConfig``."""
    from cr_jax.errors import BadConfig
    from cr_jax.measure import device as devices

    try:
        return devices.attached(device).device
    except BadConfig:
        raise BadConfig(
            f"device {device!r}: none attached, and a measurement needs one; legal: --profile NAME "
            "--from measured.csv, which imports measurements of a card"
        ) from None


def known(device: Any) -> str:
    """The catalog's name of an attached device. Raises ``BadConfig``."""
    from cr_jax.errors import BadConfig
    from cr_jax.targets.resolve import profile_name

    name = profile_name(device.device_kind, PLATFORMS.get(device.platform, "cuda"))
    if name is None:
        raise BadConfig(
            f"no profile of the catalog is titled {device.device_kind!r}; legal: --profile NAME of the nearest "
            "card (crjax list devices), or --profile FILE.json that describes this one"
        )
    return name


def _profile(name: str, device: str) -> tuple[dict[str, Any], "Accelerator"]:
    """The document and the profile, without anchors. Raises ``UnknownName``, ``BadInput`` and ``BadConfig``."""
    from cr_jax.catalog import load
    from cr_jax.errors import BadConfig, UnknownName
    from cr_jax.json_text import read_json
    from cr_jax.predict.accelerator.card import card
    from cr_jax.resources import profile_files, shipped_profile

    if name.endswith(".json"):
        path = Path(name)
    else:
        files = profile_files("accelerators")
        if name not in files:
            raise UnknownName("profile", name, files)
        try:
            path = shipped_profile("accelerators", name)
        except UnknownName:  # the user's own
            path = files[name]
    accelerator = replace(load.load_accelerator(path), anchors=None)
    if accelerator.platform != PLATFORMS[device]:
        raise BadConfig(
            f"--profile {name}: a device of platform {accelerator.platform}; legal with --device {device}: one of platform "
            f"{PLATFORMS[device]}"
        )
    card(accelerator)  # refuse a profile without the values of the formulas
    return read_json(path), accelerator


def _swept(device: Any, accelerator: "Accelerator", limit: float, say: Callable[[str], None]) -> tuple["Anchors", dict[str, Any]]:
    from cr_jax.measure import accelerator_sweep as sweep
    from cr_jax.measure.accelerator_cases import points
    from cr_jax.predict.accelerator.anchors import block

    swept = sweep.sweep(device, accelerator, points(accelerator), sweep.Tuning(limit_s=limit), say)
    anchors = sweep.anchors(swept, accelerator)
    return anchors, block(anchors, sweep.about(device, swept), swept.skipped)


def _imported(files: Sequence[Path], accelerator: "Accelerator") -> tuple["Anchors", dict[str, Any]]:
    from datetime import UTC, datetime

    from cr_jax.predict.accelerator.anchor_rows import from_files
    from cr_jax.predict.accelerator.anchors import block, derive
    from cr_jax.predict.accelerator.card import card

    at = card(accelerator)
    anchors = derive(at, from_files(files, at, given=(accelerator.name,)), "imported measurements")
    about = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "device": None, "jax": None, "driver": None}
    return anchors, block(anchors, about, rows=False)
