"""Cards with every field that predicted times need, whatever their profiles have."""

from dataclasses import replace

from cr_jax.catalog.load import accelerator
from cr_jax.catalog.times import shipped
from cr_jax.predict.accelerator.card import Card, card

H100 = {"generation": "hopper", "memory_kind": "hbm", "lanes_per_core": 128}
T4 = {"generation": "turing", "memory_kind": "gddr", "lanes_per_core": 64}


def h100() -> Card:
    """Without its measured copy, so that the constants decide."""
    return card(replace(accelerator("h100"), measured={}, **H100), shipped())


def t4() -> Card:
    return card(replace(accelerator("t4"), measured={}, **T4), shipped())
