"""A data set and configurations so small that every model traces, compiles and runs in a moment."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cr_jax.catalog.dataset import Dataset
from cr_jax.models import spec as specs
from cr_jax.models.spec import Spec
from cr_jax.records import Lengths, TextLengths, Workload

REQUEST, TURN, SENTENCES = Lengths(3.5, 3, 5, 9), Lengths(1.5, 1, 2, 3), Lengths(2.5, 2, 4, 6)
LENGTHS = TextLengths(request=REQUEST, question=TURN, answer=TURN, item=REQUEST, item_sentences=SENTENCES)
DATA = Dataset(
    "tiny",
    "Tiny",
    users=6,
    items=12,
    aspects=5,
    values=6,
    turns=25,
    conversations=10,
    words=40,
    lengths=LENGTHS,
    turn_histogram=(2, 4, 1, 3),
    paper={"dmn_classes": 20, "mmn_words": 30, "pmmn_users": 4},
    origins={},
)
WORK = Workload(
    turns=3, lengths=LENGTHS, turn_histogram=DATA.turn_histogram, users=3, question_items=3, top_k=4, preset="matched"
)

#: ``--set`` by model where its published sizes are large; a model that is not here keeps them.
SMALL: dict[str, dict[str, str]] = {
    "dmn": {"embedding": "6", "hidden": "4", "hops": "2"},
    "mmn": {"embedding": "6", "hidden": "6", "encode_chunk": "5", "score_chunk": "15", "query_words": "16"},
    "aim": {
        "embedding": "6",
        "features": "5",
        "filter": "3",
        "hidden": "4",
        "score_features": "8",
        "noise": "2",
        "max_words": "9",
    },
    "srnn-ae": {
        "gensen_embedding": "3",
        "gensen_hidden": "2",
        "embedding": "3",
        "sentence_hidden": "3",
        "sentence_layers": "1",
        "conversation_hidden": "4",
        "autorec_layers": "5",
        "mentions": "3",
        "decoder_hidden": "4",
        "response_words": "3",
    },
}
SMALL["pmmn"] = SMALL["mmn"]

#: Other architectures behind one name: what is set beside ``SMALL``.
VARIANTS: dict[str, dict[str, dict[str, str]]] = {
    "aim": {"two-sided": {"sides": "2"}, "without information": {"mi_weight": "0"}},
    "dmn": {"low rank": {"item_rank": "2"}, "product quantised": {"item_codes": "2", "item_centroids": "3"}},
    "srnn-ae": {"with decoder": {"decoder": "true"}, "word table": {"encoder": "table"}, "low rank": {"item_rank": "2"}},
}


#: The model that ``crjax new-model`` copies: none of the registered ones, and tested like them.
TEMPLATE = "cr_jax.model_template:SPEC"
SMALL[TEMPLATE] = {"width": "6"}


@dataclasses.dataclass(frozen=True)
class Case:
    """An architecture at a tiny configuration."""

    name: str
    variant: str
    spec: Spec
    config: Any

    def __str__(self) -> str:
        return f"{self.name} {self.variant}".strip()


def case(name: str, variant: str = "", work: Workload = WORK) -> Case:
    """The model ``name`` for ``DATA``."""
    spec = specs.find(name)
    settings = SMALL.get(name, {}) | (VARIANTS[name][variant] if variant else {})
    return Case(name, variant, spec, specs.override(spec, spec.configure(DATA, work), settings))


def cases(variants: bool = True) -> list[Case]:
    """Every registered architecture, with ``variants`` the other ones behind its name too."""
    return [case(name, v) for name in specs.names() for v in ["", *(VARIANTS.get(name, {}) if variants else ())]]


def weights(tree: Any, seed: int, scale: float = 0.8) -> Any:
    """Normal numbers for abstract weights, large enough that words and scores differ; GRUs remember."""
    rng = np.random.default_rng(seed)

    def one(path: Any, w: Any) -> Any:
        if jnp.issubdtype(w.dtype, jnp.integer):  # codes
            return jnp.asarray(rng.integers(2, size=w.shape), w.dtype)
        kept = 2.0 if "gates_bias" in jax.tree_util.keystr(path) else 0.0
        return jnp.asarray(kept + rng.normal(size=w.shape) * scale, w.dtype)

    return jax.tree_util.tree_map_with_path(one, tree)


def dataset_file(folder: Path, name: str = "tiny") -> Path:
    """``DATA`` as the profile ``name`` in ``folder/datasets``."""

    def entry(value: Any) -> dict[str, Any]:
        return {"value": value, "kind": "assumed", "source": "a test"}

    counts = ("users", "items", "aspects", "values", "turns", "conversations", "words")
    texts = {
        field.name + ("" if field.name == "item_sentences" else "_words"): entry(dataclasses.asdict(getattr(LENGTHS, field.name)))
        for field in dataclasses.fields(TextLengths)
    }
    document: Mapping[str, Any] = {
        "schema": "urn:cr-jax:schema:dataset-profile:1.0",
        "kind": "dataset-profile",
        "name": name,
        "title": "Tiny",
        **{key: entry(getattr(DATA, key)) for key in counts},
        "lengths": texts,
        "turn_histogram": entry(list(DATA.turn_histogram)),
    }
    path = folder / "datasets" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path
