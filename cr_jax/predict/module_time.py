"""Predicted seconds of each module, and of what belongs to none."""

from collections.abc import Mapping
from dataclasses import dataclass

from cr_jax.cost.cost import Owner
from cr_jax.predict.program_time import Prediction


@dataclass(frozen=True)
class ModuleTimes:
    """modules: seconds by module and pass. outside: by cause, such as ``starting kernels``. All of them add up to the step's."""

    modules: Mapping[Owner, float]
    outside: Mapping[str, float]


def module_times(prediction: Prediction) -> ModuleTimes | None:
    """The modules' seconds; ``None`` without a predicted time, and for a program whose operations have no known modules.

    An operation that arithmetic bounds belongs to the modules that its arithmetic is counted for, any other to those of its
    bytes. Exposed collectives are outside. What operations and loops save by running at the same time shortens all of them alike.
    """
    if prediction.seconds is None or any(not one.operation.owners.moved for one in prediction.operations):
        return None
    outside = {name: seconds for name, seconds in prediction.extras.items() if name != "at once"}
    together = sum(one.seconds for one in prediction.operations) + outside.get("loops", 0.0)
    share = 1 + prediction.extras.get("at once", 0.0) / together if together else 1.0
    if "loops" in outside:
        outside["loops"] *= share
    modules: dict[Owner, float] = {}
    exchanging = 0.0
    for one in prediction.operations:
        parts, owners, times = one.parts, one.operation.owners, one.operation.times * share
        exchanging += parts.collective_s * times
        seconds = (parts.seconds - parts.collective_s) * times
        for owner, part in owners.computed if parts.compute_s >= parts.memory_s else owners.moved:
            modules[owner] = modules.get(owner, 0.0) + seconds * part
    if exchanging:
        outside["collectives"] = exchanging
    return ModuleTimes(modules, outside)
