"""Cards of the measured rows whose profiles the catalogue lacks, made of those of the same chip."""

from dataclasses import replace

from cr_jax.catalog.load import accelerator, accelerator_names
from cr_jax.predict.accelerator.card import Card, card

#: What the PCIe models differ by from the profile of the same chip, and fields that profiles lacked so far.
_STAND_INS: dict[str, tuple[str, dict]] = {
    "p100-pcie": ("p100", {"generation": "pascal", "memory_kind": "hbm", "lanes_per_core": 64, "clock_hz": 1.329e9,
                           "power_w": 250}),
    "v100-pcie-32gb": ("v100", {"generation": "volta", "memory_kind": "hbm", "lanes_per_core": 64, "clock_hz": 1.38e9,
                                "power_w": 250, "memory_bandwidth_bytes_per_s": 900e9}),
    "a100-40gb-pcie": ("a100-40gb", {"generation": "ampere-datacenter", "memory_kind": "hbm", "lanes_per_core": 64,
                                     "clock_hz": 1.41e9, "power_w": 250, "memory_bandwidth_bytes_per_s": 1555e9}),
    "v100": ("v100", {"generation": "volta", "memory_kind": "hbm", "lanes_per_core": 64}),
    "t4": ("t4", {"generation": "turing", "memory_kind": "gddr", "lanes_per_core": 64}),
    "h100": ("h100", {"generation": "hopper", "memory_kind": "hbm", "lanes_per_core": 128}),
}  # fmt: skip


def card_of(name: str) -> Card:
    """The card of a profile; of a stand-in where there is none, or one without the fields that times need."""
    if name in accelerator_names():
        found = accelerator(name)
        if found.generation and found.lanes_per_core:
            return card(found)
    base, fields = _STAND_INS[name]
    return card(replace(accelerator(base), name=name, **fields))
