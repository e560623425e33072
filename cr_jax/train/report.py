"""The training report: data, configuration, figures per epoch, cost measured, on one page of JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cr_jax import __version__
from cr_jax.data.corpus import PARTS, Corpus
from cr_jax.data.examples.pool import Examples
from cr_jax.models.spec import Spec
from cr_jax.printable import redacted
from cr_jax.records import Workload, plain
from cr_jax.targets.compile import versions
from cr_jax.train.loop import Plan, Position
from cr_jax.train.state import Layout

SCHEMA_ID = "urn:cr-jax:schema:training-report:1.1"
DEFINITIONS = {
    "turn": "one question-answer pair; turns_per_s counts those that the training examples supervise",
    "recall@k, hit@k": "share of conversations with the item sought among the first k, after the last turn; one "
    "item is sought, so the two are equal",
    "mrr": "mean of 1/rank; mrr@k: 0 beyond rank k",
    "ndcg@k": "mean of 1/log2(rank + 1), 0 beyond rank k",
    "success@k_by_turn": "share of conversations with the item among the first k at turn 0, by turn 1, ...",
    "difference": "model less baseline; low and high: 95% interval of a paired bootstrap over users",
    "ties": "broken by one seeded order of the items, for models and baselines alike",
}


@dataclass(frozen=True)
class Run:
    """Everything a report is made of."""

    spec: Spec
    config: Any
    corpus: Corpus
    work: Workload
    plans: Sequence[Plan]
    position: Position
    examples: Examples
    seed: int
    resumed: int | None
    layout: Layout
    test: dict[str, Any]
    baselines: dict[str, Any]
    seconds: float
    command: Sequence[str] | None
    predicted: dict[str, Any]


def document(run: Run) -> dict[str, Any]:
    """The report of a finished run (schema ``training-report``)."""
    data, at = run.corpus.dataset, run.position
    device = run.layout.mesh.devices.flat[0]
    return {
        "schema": SCHEMA_ID,
        "kind": "training-report",
        "schema_version": "1.1",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "cr-jax", "version": __version__},
        "versions": versions(),
        "command": redacted(run.command),
        "model": {
            "name": run.spec.name,
            "title": run.spec.title,
            "paper": run.spec.paper,
            "code": run.spec.code,
            "deviations": list(run.spec.deviations),
            "config": plain(run.config),
            "preset": run.work.preset,
        },
        "dataset": {
            "name": data.name,
            "sha256": run.corpus.fingerprint,
            "split": run.corpus.split,
            "users": data.users,
            "items": data.items,
            "aspects": data.aspects,
            "words": data.words,
            "turns": data.turns,
            "parts": {part: len(run.corpus.conversations[part]) or len(run.corpus.dialogues[part]) for part in PARTS},
            "problems": run.corpus.problems.lines(),
        },
        "seed": run.seed,
        "resumed_at_step": run.resumed,
        "target": {
            "platform": device.platform,
            "kind": device.device_kind,
            "devices": run.layout.devices,
            "hosts": run.layout.hosts,
            "tables_sharded": run.layout.shard_tables,
        },
        "notes": list(run.examples.notes),
        "stages": [_stage(plan, at) for plan in run.plans],
        "epochs": at.epochs,
        "test": run.test,
        "baselines": run.baselines,
        "cost": {
            "measured": {
                "time_s": run.seconds,
                "training_s": at.seconds,
                "validation_s": sum(row["validation_s"] for row in at.epochs),
                "steps": at.total,
                "examples": at.examples,
                "supervised_turns": at.turns,
                "examples_per_s": at.examples / at.seconds if at.seconds else None,
                "turns_per_s": at.turns / at.seconds if at.seconds else None,
                "compiling_s": at.compiling,
                "first_steps_s": at.first_seconds,
                "input_wait_share": at.waited / at.seconds if at.seconds else None,
                "later_input_wait_share": _share(at.waited - at.first_waited, at.seconds - at.first_seconds),
            },
            "predicted": _foretold(run.predicted, at),
        },
        "definitions": DEFINITIONS,
    }


def _foretold(found: dict[str, Any], at: Position) -> dict[str, Any]:
    """The prediction beside the clock, compilation apart on both sides."""
    measured = at.seconds - at.compiling
    seconds = found["training_s"]
    return found | {"measured_s": measured, "ratio": seconds / measured if seconds is not None and measured > 0 else None}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _stage(plan: Plan, at: Position) -> dict[str, Any]:
    stage = plan.stage
    return {
        "name": plan.name,
        "objectives": list(stage.objectives),
        "batch": plan.batches.batch,
        "examples": len(plan.batches.pool),
        "steps_per_epoch": plan.batches.per_epoch,
        "steps_planned": plan.steps,
        "published": {"epochs": stage.epochs, "steps": stage.steps, "patience": stage.patience},
        "patience": plan.patience,
        "stopped_early": plan.name in at.stopped,
        "best": at.best.get(plan.name),
        "padded_shapes": [list(group.shape) for group in plan.batches.groups],
        "padding_share": plan.batches.padding_share(),
    }
