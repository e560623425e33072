"""Label smoothing as the rival of distillation: the same loss over the same rows, against a teacher that knows nothing.

Loss: (1 - w) x published + w x KL(uniform || student), over the whole catalogue at every turn. Its gradient is that of smoothed
labels with w of the mass spread evenly (Szegedy et al., arXiv 1512.00567).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cr_jax.data.examples.batches import Batches
from cr_jax.data.examples.distilled import SCORES, with_rows
from cr_jax.data.examples.pool import Pool
from cr_jax.distillation import Distillation
from cr_jax.errors import BadConfig
from cr_jax.steps.distil import distillables, score_inputs, training_objectives
from cr_jax.train.loop import Position
from cr_jax.train.request import TrainingRequest
from cr_jax.train.run import Ready, ready
from cr_jax.train.state import TrainState


@dataclass(frozen=True)
class Smoothed:
    """What the run's identity has beyond another's."""

    weight: float

    @property
    def identity(self) -> Mapping[str, object]:
        """The weight of the even part."""
        return {"smoothing": self.weight}

    def reported(self, made: Ready, position: Position) -> dict[str, Any]:
        """Nothing: the report is that of a run of its own."""
        del made, position
        return {}


def smoothed(request: TrainingRequest, weight: float) -> Ready:
    """Everything that the run needs before its first step. Raises ``BadConfig`` for objectives whose outputs are no classes."""
    made = ready(request)
    hooks = distillables(made.spec)
    work = dataclasses.replace(made.work, distillation=Distillation(1.0, weight, ()))
    pools, plans = dict(made.examples.pools), []
    for plan in made.plans:
        name = plan.stage.objectives[0]
        hook = hooks.get(name)
        if hook is None or hook.values:
            raise BadConfig(f"{name}: has no labels to smooth; legal: without the rival smoothed")
        pool = hook.examples(made.corpus, made.config, made.corpus.conversations["train"])
        inputs = hook.inputs(made.config, work, plan.batches.batch)
        widths = {key: one.shape[1:] for key, one in score_inputs(made.state.model, hook, inputs).items()}
        pools[name] = _even(pool, widths)
        plans.append(dataclasses.replace(plan, batches=Batches(pools[name], plan.batches.batch, request.seed)))
    objectives = {o.name: o for o in training_objectives(made.state.model, work)}
    used = tuple(objectives[name] for plan in plans for name in plan.stage.objectives)
    state = TrainState(made.state.model, used, work, request.seed, made.layout)
    examples = dataclasses.replace(made.examples, pools=pools)
    return dataclasses.replace(made, work=work, examples=examples, plans=tuple(plans), state=state, distilled=Smoothed(weight))


def _even(pool: Pool, widths: Mapping[str, tuple[int, ...]]) -> Pool:
    """The pool with scores of a teacher to which all classes are alike."""
    assert all(key.startswith(SCORES) for key in widths)
    return with_rows(pool, lambda rows: {key: np.zeros((len(rows), *width), np.float32) for key, width in widths.items()})
