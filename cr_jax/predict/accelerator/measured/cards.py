"""The cards that measurement files name, as profiles of the catalog.

The sources have short names of their own, and mean different models by them: NeuSight's P100, V100 and A100 are PCIe cards,
DeepBench's V100 is the SXM2 of a DGX-1. A name that is not listed here is that of a profile.
"""

from collections.abc import Collection, Mapping

import numpy as np

from cr_jax.catalog.load import accelerator, accelerator_names
from cr_jax.predict.accelerator.measured.table import Table

#: By source: the short name, and the profile that is meant. DeepBench's P100: its README prints 8.21 TFLOP/s of one product,
#: 0.88 of the PCIe card's peak.
SHORT: Mapping[str, Mapping[str, str]] = {
    "neusight": {
        "p100": "p100-pcie",
        "v100": "v100-pcie-32gb",
        "a100-40gb": "a100-40gb-pcie",
        "a100-80gb": "a100-80gb-pcie",
        "t4": "t4",
        "l4": "l4",
        "h100": "h100",
    },
    "deepbench": {
        "p100": "p100-pcie",
        "v100": "v100",
        "t4": "t4",
        "m40": "m40",
        "gtx1080ti": "gtx1080ti",
        "1080ti": "gtx1080ti",
        "titanx": "titanx-maxwell",
        "titanx-pascal": "titanx-pascal",
        "titanxp": "titanxp",
    },
    "xla": {"h100": "h100", "b200": "b200", "sm_80": "a100-40gb", "sm_90": "h100", "sm_100": "b200", "sm_103": "b300"},
}


def column(table: Table, name: str, source: str, given: Collection[str] = ()) -> np.ndarray:
    """The profiles that a column of cards names. given: cards described by the user, which take precedence.

    Raises ``BadInput`` for a card that is unknown or no GPU.
    """
    words = table.words(name, {*SHORT[source], *accelerator_names(), *given})
    meant = {word: word if word in given else SHORT[source].get(word, word) for word in dict.fromkeys(words)}
    for word, profile in meant.items():
        if word not in given and accelerator(profile).platform != "cuda":
            raise table.fail(list(words).index(word), f"{name} {word!r} is no GPU; legal: a GPU's profile, such as h100")
    return np.array([meant[word] for word in words], dtype=object)
