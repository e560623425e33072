"""Profiles by name or from a file: read, checked against their schema, made into frozen values."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from msgspec import UNSET, UnsetType, structs

from cr_jax.catalog.accelerator import MATMUL_TYPES, VECTOR_TYPES, Accelerator, unreliable
from cr_jax.catalog.anchors import check_anchors
from cr_jax.catalog.dataset import Dataset, Origin
from cr_jax.catalog.times import shipped
from cr_jax.documents.accelerator_profile import AcceleratorProfile, TpuTarget
from cr_jax.documents.base import decode
from cr_jax.documents.dataset_profile import DatasetProfile
from cr_jax.documents.figure import Figure
from cr_jax.documents.links import TorusLinks
from cr_jax.errors import BadInput, UnknownName
from cr_jax.json_text import read_json
from cr_jax.records import Lengths, TextLengths
from cr_jax.resources import profile_files

_T = TypeVar("_T")
_COUNTS = ("users", "items", "aspects", "values", "turns", "conversations", "words")
_TEXTS = {
    "request": "request_words",
    "question": "question_words",
    "answer": "answer_words",
    "item": "item_words",
    "item_sentences": "item_sentences",
}


#: Bounds of every number of a profile but 0: no rate, size or time is outside of them, and sums and
#: quotients of such numbers stay finite.
_LEAST, _MOST = 1e-30, 1e30


def dataset_names() -> tuple[str, ...]:
    """Names of the data set profiles, the user's own included."""
    return tuple(profile_files("datasets"))


def accelerator_names() -> tuple[str, ...]:
    """Names of the accelerator profiles, the user's own included."""
    return tuple(profile_files("accelerators"))


def dataset(name: str) -> Dataset:
    """The data set profile ``name``. Raises ``UnknownName`` and ``BadInput``."""
    return _named("datasets", "data set", name, load_dataset)


def accelerator_or_none(name: str) -> Accelerator | None:
    """The accelerator of a profile's name; ``None`` for a device without a profile."""
    return accelerator(name) if name in accelerator_names() else None


def accelerator(name: str) -> Accelerator:
    """The accelerator profile ``name``. Raises ``UnknownName`` and ``BadInput``."""
    return _named("accelerators", "device", name, load_accelerator)


def _named(kind: str, what: str, name: str, load: Callable[[Path], _T]) -> _T:
    files = profile_files(kind)
    if name not in files:
        raise UnknownName(what, name, files)
    return load(files[name])


def load_dataset(path: str | Path) -> Dataset:
    """The data set profile in a JSON file.

    Raises ``BadInput`` naming the file, the key and the reason: malformed JSON, a key missing,
    unknown, negative or of the wrong type, or figures that contradict each other.
    """
    document = read_json(path)
    return dataset_from(document, str(path), Path(path).stem)


def dataset_from(document: object, where: str, stem: str | None = None) -> Dataset:
    """The data set profile ``document``; ``stem``, when given, is the name it must carry."""
    profile = decode(document, DatasetProfile, where)
    _within_bounds(document, where)
    _same_name(profile.name, where, stem)
    lengths: dict[str, Lengths] = {}
    for field, key in _TEXTS.items():
        value = getattr(profile.lengths, key).value
        if not value.p50 <= value.p95 <= value.max or value.mean > value.max:
            raise BadInput(where, f"lengths.{key}.value: needs p50 <= p95 <= max and mean <= max")
        lengths[field] = Lengths(value.mean, value.p50, value.p95, value.max)
    counts: dict[str, Figure[int]] = {key: getattr(profile, key) for key in _COUNTS}
    paper, printed = (structs.asdict(block) if block else {} for block in (profile.paper, profile.paper_printed))
    figures: dict[str, Figure[Any]] = {f"lengths.{field}": getattr(profile.lengths, key) for field, key in _TEXTS.items()}
    figures |= counts | {"turn_histogram": profile.turn_histogram}
    figures |= {f"paper.{key}": figure for key, figure in paper.items()}
    figures |= {f"paper_printed.{key}": figure for key, figure in printed.items()}
    result = Dataset(
        name=profile.name,
        title=profile.title,
        **{key: figure.value for key, figure in counts.items()},
        lengths=TextLengths(**lengths),
        turn_histogram=profile.turn_histogram.value,
        paper={key: figure.value for key, figure in paper.items()},
        paper_printed={key: figure.value for key, figure in printed.items()},
        origins={name: _origin(figure) for name, figure in figures.items()},
    )
    _consistent(result, where)
    return result


def load_accelerator(path: str | Path) -> Accelerator:
    """The accelerator profile in a JSON file. Raises ``BadInput`` as ``load_dataset`` does."""
    document = read_json(path)
    where = str(path)
    try:
        profile = decode(document, AcceleratorProfile, where)
    except BadInput as error:
        if not error.reason.startswith("calibration."):
            raise
        raise BadInput(where, f"{error.reason} (measured by another version? crjax calibrate makes it anew)") from None
    _within_bounds(document, where)
    _same_name(profile.name, where, Path(path).stem)
    target = profile.compiler_target
    links = profile.links or None
    blocks = {
        "compiler_target": None if target is None else "tpu" if isinstance(target, TpuTarget) else "cuda",
        "links": None if links is None else "tpu" if isinstance(links, TorusLinks) else "cuda",
    }
    for name, of in blocks.items():
        if of is not None and of != profile.platform:
            raise BadInput(where, f"{name}.platform: {of!r} is not the profile's platform {profile.platform!r}")
    accelerator_profile = _accelerator(profile)
    if accelerator_profile.anchors is not None:
        check_anchors(accelerator_profile, shipped(), where)
    return accelerator_profile


def _accelerator(profile: AcceleratorProfile) -> Accelerator:
    calibration = profile.calibration or None
    doubtful = calibration is not None and unreliable(calibration) is not None
    origins: dict[str, Origin] = {}

    def number(key: str) -> Any:
        figure: Figure[float] | None = getattr(profile, key) or None
        if figure is None:
            return None
        origins[key] = _origin(figure)
        return figure.value

    def table(key: str, types: tuple[str, ...] = ()) -> dict[str, float | None]:
        block = getattr(profile, key)
        figures: dict[str, Figure[float] | UnsetType | None] = structs.asdict(block) if block else {}
        entries = dict.fromkeys(types) | {k: v for k, v in figures.items() if v is not UNSET}
        origins.update({f"{key}.{k}": _origin(v) for k, v in entries.items() if v is not None})
        return {k: None if v is None else float(v.value) for k, v in entries.items()}

    return Accelerator(
        name=profile.name,
        title=profile.title,
        platform=profile.platform,
        memory_bytes=_whole(number("memory_bytes")),
        memory_bandwidth_bytes_per_s=number("memory_bandwidth_bytes_per_s"),
        cache_bytes=_whole(number("cache_bytes")),
        clock_hz=number("clock_hz"),
        cores=_whole(number("cores")),
        power_w=number("power_w"),
        price_usd_per_hour=number("price_usd_per_hour"),
        matmul_flops_per_s=table("matmul_flops_per_s", MATMUL_TYPES),
        vector_flops_per_s=table("vector_flops_per_s", VECTOR_TYPES),
        measured=table("measured"),
        compiler_target=profile.compiler_target,
        origins=origins,
        calibration=calibration,
        validated_on=() if doubtful else profile.validated_on or (),
        price=profile.price or None,
        idle_power_w=number("idle_power_w"),
        generation=profile.generation or None,
        lanes_per_core=_whole(number("lanes_per_core")),
        memory_kind=profile.memory_kind or None,
        sustained_clock_hz=number("sustained_clock_hz"),
        link_bytes_per_s=number("link_bytes_per_s"),
        anchors=profile.anchors or None,
        links=table("links"),
    )


def _within_bounds(value: Any, where: str, path: str = "") -> None:
    """Refuse a number that arithmetic would turn into 0 or infinity (``BadInput`` with its place)."""
    if isinstance(value, Mapping):
        for key, one in cast(Mapping[str, Any], value).items():
            _within_bounds(one, where, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for place, one in enumerate(cast(list[Any], value)):
            _within_bounds(one, where, f"{path}.{place}")
    elif isinstance(value, int | float) and value != 0 and not _LEAST <= abs(value) <= _MOST:
        shown = f"{value:.3g}" if isinstance(value, float) else "a whole number of more than 30 digits"
        raise BadInput(where, f"{path}: {shown}: legal: 0, or a size from {_LEAST:g} to {_MOST:g}")


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _origin(figure: Figure[Any]) -> Origin:
    return Origin(figure.kind, figure.source, figure.date or None)


def _same_name(name: str, where: str, stem: str | None) -> None:
    if stem is not None and name != stem:
        raise BadInput(where, f"name: {name!r} is not the file's name; legal: {stem!r}")


def _consistent(data: Dataset, where: str) -> None:
    histogram = data.turn_histogram
    conversations, turns = sum(histogram), sum(n * c for n, c in enumerate(histogram, 1))
    if conversations != data.conversations:
        raise BadInput(
            where,
            f"turn_histogram.value: adds up to {conversations:,} conversations; "
            f"legal: conversations.value, {data.conversations:,}",
        )
    if turns != data.turns:
        raise BadInput(where, f"turn_histogram.value: holds {turns:,} turns; legal: turns.value, {data.turns:,}")
