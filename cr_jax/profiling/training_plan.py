"""The batches with which a model trains on a file of conversations, counted and padded as by ``crjax train``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cr_jax.data.corpus import Corpus
from cr_jax.data.examples.batch_shapes import ends, taken
from cr_jax.data.examples.batches import Batches
from cr_jax.data.examples.distilled import with_readings
from cr_jax.data.examples.pool import Pool
from cr_jax.data.split import PARTS
from cr_jax.distillation import Distillation
from cr_jax.errors import BadConfig
from cr_jax.models.spec import Spec
from cr_jax.profiling.pipeline import configure
from cr_jax.profiling.request import Request
from cr_jax.records import ArrayShape, Configuration
from cr_jax.report.run_estimate import EVALUATED
from cr_jax.steps.distil import distillables, distinct


@dataclass(frozen=True)
class BatchPlan:
    """The batches of one part of a file, by objective; both are empty where only a profile of the data is known."""

    number: Mapping[str, int] = field(default_factory=dict)
    """Batches of an epoch, or of a part that is tested."""
    shapes: Mapping[str, tuple[tuple[tuple[ArrayShape, ...], float], ...]] = field(default_factory=dict)
    """The smallest and the largest padded batch, each with its share of the batches."""

    def part(self, place: int) -> dict[str, tuple[ArrayShape, ...]]:
        """The smallest (0) or the largest (−1) batch of each objective."""
        return {name: shapes[place][0] for name, shapes in self.shapes.items()}

    def share(self, name: str) -> float:
        """The share of the largest batch."""
        return self.shapes[name][-1][1] if name in self.shapes else 1.0


@dataclass(frozen=True)
class TrainingPlan:
    """The batches of a whole run; none are known where only a profile of the data is."""

    train: BatchPlan = BatchPlan()
    checks: BatchPlan = BatchPlan()
    """Of the validation part, for the objectives that are validated by their own forward."""
    tests: Mapping[str, int] = field(default_factory=dict)
    """Batches of the test part for the same objectives."""
    ranked: bool = True
    """Whether the test part holds conversations to rank after."""


def training_plan(request: Request, corpus: Corpus | None) -> TrainingPlan:
    """The plan of ``request`` on ``corpus``; ``None``: only a profile of the data is known."""
    if corpus is None:
        return TrainingPlan()
    configured = configure(request, corpus.dataset)
    spec, config = configured.spec, configured.config
    assert spec.training is not None
    published = {o.name: o.batch for o in spec.objectives(config)}
    examples = spec.training.examples(corpus, config, 0)
    pools_of = dict(examples.pools) | _distilled(spec, config, corpus, configured.work.distillation)
    # The objectives of a stage run in turn on the same batch.
    firsts = {name: stage.objectives[0] for stage in spec.training.stages for name in stage.objectives}
    pools = {name: (pools_of[first], request.batch or published[first]) for name, first in firsts.items()}
    checks, tests = (
        _batched({check.objective: (check.pool, EVALUATED) for check in examples.checks.get(part, ())}) for part in PARTS[1:]
    )
    return TrainingPlan(_batched(pools), checks, tests.number, "test" in examples.rankings)


def _distilled(spec: Spec, config: Configuration, corpus: Corpus, how: Distillation | None) -> dict[str, Pool]:
    """The examples of the objectives that learn from teachers, with what these read within the step."""
    if how is None:
        return {}
    if how.augment:
        raise BadConfig(f"augment={how.augment}: recombined conversations are not estimated; legal: a run without")
    talks, pools = corpus.conversations["train"], dict[str, Pool]()
    for name, hook in distillables(spec).items():
        pools[name] = hook.examples(corpus, config, talks)
        if how.on_the_fly:
            readers = [spec.config(**teacher) for teacher in distinct(how.teachers)]
            pools[name] = with_readings(pools[name], [hook.histories(corpus, reader, talks) for reader in readers])
    return pools


def _batched(pools: Mapping[str, tuple[Pool, int]]) -> BatchPlan:
    batches = {name: Batches(pool, batch, 0) for name, (pool, batch) in pools.items()}
    return BatchPlan(
        {name: one.per_epoch for name, one in batches.items()},
        {name: ends(taken(one, one.per_epoch)) for name, one in batches.items()},
    )
