"""Predicted time, energy and price of one step, and past comparisons with measured times."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from cr_jax.documents.base import Block
from cr_jax.documents.fields import AboveZero, Count, NonNegative, Number, Positive, Seconds, Share, Tag, Text
from cr_jax.records import Pass

Bottleneck = Literal["compute", "memory", "overhead", "collectives"]
#: The links of a collective: NVLink of a host, the network between hosts, the torus of a TPU slice.
Reach = Literal["host", "network", "torus"]
Method = Literal["calibrated", "replay", "model", "peaks"]
#: The relation of one card to another, from the closest to the furthest.
Kinship = Literal["same_card", "same_generation", "other_generation", "other_vendor"]
#: A number of 0 or more, written as it was read.
Amount = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]


class ClassErrors(Block):
    """Errors of one class of operations."""

    class_: Annotated[Text, Meta(description="class of operations, such as products_tf32 or launches")] = field(name="class")
    seconds: Annotated[Seconds, Meta(description="of the step in this class")]
    kinship: Annotated[
        Kinship | None,
        Meta(description="how near the compared cards are to this one; null: not validated, the ratios are an assumption"),
    ]
    n: Annotated[Positive | None, Meta(description="measured operations compared")]
    cards: Annotated[tuple[str, ...], Meta(description="the cards compared")]
    median_error: NonNegative | None
    p90_error: NonNegative | None
    worst_error: NonNegative | None
    ratio_low: Annotated[AboveZero, Meta(description="measured / predicted: the lower end of nine of ten comparisons")]
    ratio_high: Annotated[AboveZero, Meta(description="its upper end")]


class Comparisons(Block):
    """Comparisons of predicted and measured times: of whole programs, or by class of operations.

    By class: formulas fitted on other cards; for every class of operations in the step, the errors on cards left out of the fit.
    """

    devices: tuple[str, ...] | UnsetType = UNSET
    method: Method
    n: Positive | UnsetType = UNSET
    median_error: NonNegative | UnsetType = UNSET
    p90_error: NonNegative | UnsetType = UNSET
    worst_error: NonNegative | UnsetType = UNSET
    ratio_low: AboveZero | UnsetType = UNSET
    ratio_high: AboveZero | UnsetType = UNSET
    source: str | UnsetType = UNSET
    date: str | UnsetType = UNSET
    classes: tuple[ClassErrors, ...] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless it is one of the two: classes alone, or all figures of whole programs."""
        given = {name for name in self.__struct_fields__ if getattr(self, name) is not UNSET} - {"method"}
        if given not in ({"classes"}, set(_PROGRAMS)) or (given == {"classes"} and self.method != "model"):
            raise ValueError(
                f"{', '.join(sorted(given)) or 'nothing'}: legal: classes of the method model, or {', '.join(_PROGRAMS)}"
            )


_PROGRAMS = ("devices", "n", "median_error", "p90_error", "worst_error", "ratio_low", "ratio_high", "source", "date")
_EITHER = [
    {
        "required": ["classes"],
        "properties": {"method": {"const": "model"}},
        "not": {"anyOf": [{"required": [key]} for key in _PROGRAMS]},
    },
    {"required": list(_PROGRAMS), "not": {"required": ["classes"]}},
]
NotValidated = Literal["not validated on this device class"]
ValidatedOn = Annotated[
    NotValidated | Comparisons, Meta(extra_json_schema={"if": {"type": "object"}, "then": {"anyOf": _EITHER}})
]


class Utilisation(Block):
    """Shares of the peak rates."""

    matmul: NonNegative | None
    memory: NonNegative | None


class StepCalibration(Block):
    """The tables that were measured on the device."""

    profile: str
    created: str
    device: str
    median_spread: float
    canary_spread: float


class LoopSeconds(Block):
    """A loop of a GPU's step."""

    name: str
    seconds: Annotated[Seconds, Meta(description="all entries, start to end")]
    starting_s: Annotated[Seconds, Meta(description="of them, the device waits for kernels to start")]
    iterations: Annotated[Count, Meta(description="in all")]
    kernels: Annotated[Count, Meta(description="of one iteration")]
    graphs: Annotated[Count, Meta(description="CUDA graphs of one iteration")]
    waits: Annotated[
        bool,
        Meta(
            description="whether the host reads the condition back in every iteration: the compiler does not know the trip count"
        ),
    ]


class CollectiveTime(Block):
    """Collectives of one kind over groups of one size."""

    kind: str
    devices: Annotated[Positive, Meta(description="of one group")]
    reach: Annotated[Reach, Meta(description="links: of a host, of the network between hosts, or of a TPU's torus")]
    times: Count
    payload_bytes: Annotated[Count, Meta(description="of all executions, as nccl-tests count them")]
    seconds: Annotated[Seconds, Meta(description="of all executions")]
    overlapped_s: Annotated[Seconds, Meta(description="of them, other operations run meanwhile")]


class CollectiveTimes(Block):
    """What the devices of a mesh take to send each other data; the step is longer by exposed_s."""

    seconds: Seconds
    overlapped_s: Annotated[
        Seconds, Meta(description="operations between the start and the end of asynchronous collectives run meanwhile")
    ]
    exposed_s: Annotated[Seconds, Meta(description="seconds - overlapped_s: nothing else runs")]
    rows: Annotated[tuple[CollectiveTime, ...], Meta(description="the longest first")]


class KernelTime(Block):
    """All executions of one kernel whose cost is stated."""

    name: str
    source: Annotated[
        Literal["declared", "assumed", "formula"],
        Meta(description="declared by the kernel, assumed by the user, or cuDNN's attention, counted from its shapes"),
    ]
    times: Count
    seconds: Seconds
    bound: Bottleneck


class KernelTimes(Block):
    """The part of a step's time that rests on stated costs; it is as right as they are. Launches are not part of it."""

    stated_s: Annotated[Seconds, Meta(description="of kernels whose cost is declared or assumed")]
    attention_s: Annotated[Seconds, Meta(description="of cuDNN's attention, whose FLOPs follow from its shapes")]
    rows: Annotated[tuple[KernelTime, ...], Meta(description="the longest first")]


class OperationSeconds(Block):
    """One of the most expensive operations."""

    name: str
    family: str
    times: Count
    seconds: Seconds
    bound: Bottleneck


class ModuleSeconds(Block):
    """The predicted seconds of one module in one pass.

    An operation's time goes with what bounds it: arithmetic with the module of each operation inside a fusion, traffic with the
    module of the whole fusion, as the counts do.
    """

    module: str
    pass_: Pass = field(name="pass")
    seconds: Seconds


class ReplayedOperation(Block):
    """One distinct operation, timed alone."""

    name: str
    family: str
    times: Count
    analytic_s: Seconds
    replay_s: float | None
    reason: str | None


class EnergyAssumptions(Block):
    """Figures behind the energy."""

    limit_w: Number
    idle_w: Number
    idle_is: str
    active_share: Annotated[float, Meta(description="of the range from idle to limit; absent: of several steps")] | UnsetType = (
        UNSET
    )
    host_w: Number
    pue: Number
    grid_g_per_kwh: Number | None
    grid_source: str | None


class StepEnergy(Block):
    """Energy and carbon of a step; on a mesh, of all its devices."""

    energy_j: Amount | None
    power_w: Amount | None
    reason: str | None
    carbon_g: Amount | None
    assumptions: EnergyAssumptions | None
    tag: Tag


class StepPrice(Block):
    """Rent of the device for a step; on a mesh, of all its devices, each ``per_hour_usd``."""

    price_usd: Amount | None
    per_hour_usd: Amount | None
    source: str | None
    reason: str | None
    tag: Tag


class StepPrediction(Block):
    """Time, energy and price of one step on the target."""

    seconds: Annotated[Seconds | None, Meta(description="one step; null: not known, and reason says why")]
    seconds_per_turn: Annotated[Seconds | None, Meta(description="per turn answered or learnt from")]
    low_s: Seconds | None
    high_s: Seconds | None
    coverage: Annotated[
        Share | None, Meta(description="share of past comparisons inside the interval; null: the interval is an assumption")
    ]
    bound: Bottleneck | None
    shares: Annotated[
        dict[str, NonNegative], Meta(description="of the seconds: compute, memory, overhead, and collectives that nothing hides")
    ]
    method: Annotated[
        Method | None,
        Meta(
            description="calibrated: tables measured on the device; replay: its operations timed there; model: formulas fitted "
            "on other cards; peaks: data sheet rates (reports of earlier versions)"
        ),
    ]
    reason: str | None
    validated_on: ValidatedOn
    utilisation: Annotated[Utilisation, Meta(description="of the peak rates")]
    profile_error: Annotated[str | None, Meta(description="a utilisation over 100%: a rate in the profile is wrong")]
    calibration: StepCalibration | None
    loops: Annotated[
        tuple[LoopSeconds, ...], Meta(description="loops of a GPU's step, those with the longest launches first")
    ] = ()
    operations: Annotated[
        tuple[OperationSeconds, ...],
        Meta(description="the dearest operations, each by itself: on a CPU some run at the same time"),
    ]
    energy: StepEnergy | None
    price: StepPrice | None
    tag: Tag
    collectives: Annotated[CollectiveTimes, Meta(description="absent where the program has no collectives")] | UnsetType = UNSET
    modules: (
        Annotated[tuple[ModuleSeconds, ...], Meta(description="the longest first; with outside_modules they add up to seconds")]
        | UnsetType
    ) = UNSET
    outside_modules: (
        Annotated[
            dict[str, Seconds],
            Meta(description="what belongs to no module: the call, starting kernels, loops, collectives that nothing hides"),
        ]
        | UnsetType
    ) = UNSET
    kernels: Annotated[KernelTimes, Meta(description="absent where the program has no such kernels")] | UnsetType = UNSET
    replayed: (
        Annotated[
            tuple[ReplayedOperation, ...],
            Meta(description="with --replay: distinct operations timed alone; where the analytic model errs most first"),
        ]
        | UnsetType
    ) = UNSET
