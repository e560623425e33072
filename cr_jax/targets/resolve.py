"""What ``--device`` means: the attached device of a kind, or a named accelerator's compiler."""

from typing import Any

import jax

from cr_jax.catalog import load
from cr_jax.errors import UnknownName

#: A bare kind stands for its attached device, else for the kind's default accelerator.
DEFAULTS = {"cpu": "cpu", "gpu": "h100", "tpu": "tpu-v5e"}
_PLATFORM = {"cpu": "cpu", "gpu": "gpu", "tpu": "tpu"}


def resolve(device: str) -> dict[str, Any]:
    """The target of a device name. Raises ``UnknownName`` with the nearest legal names."""
    if device in DEFAULTS:
        attached = _attached(_PLATFORM[device])
        if attached is not None:
            return {"name": DEFAULTS[device] if device == "cpu" else device, "platform": attached.platform,
                    "attached": True, "kind": attached.device_kind, "autotuned": None}  # fmt: skip
        device = DEFAULTS[device]
    if device not in load.accelerator_names():
        raise UnknownName("device", device, [*DEFAULTS, *load.accelerator_names()])
    accelerator = load.accelerator(device)
    attached = _attached("cpu") if accelerator.platform == "cpu" else None
    return {"name": device, "platform": accelerator.platform, "attached": attached is not None,
            "kind": accelerator.title, "autotuned": None}  # fmt: skip


def _attached(platform: str) -> Any:
    try:
        return jax.devices(platform)[0]
    except RuntimeError:
        return None
