"""How a student learns from its teachers, as plain data that every stage carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The highest temperature: beyond it softened scores are all alike in float32.
HOTTEST = 100.0


@dataclass(frozen=True)
class Distillation:
    """Loss: (1 − weight) · published + weight · temperature² · KL(teachers ‖ student) between softened scores.

    teachers: the configuration of each teacher as plain values. on_the_fly: whether they score within the step; otherwise the
    batch holds their scores. augment: recombined conversations per training conversation.
    """

    temperature: float
    weight: float
    teachers: tuple[Mapping[str, Any], ...]
    on_the_fly: bool = False
    augment: int = 0
