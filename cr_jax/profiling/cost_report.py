"""The cost report of predicted steps."""

import os
from datetime import UTC, datetime
from typing import Any

from cr_jax.catalog import load
from cr_jax.catalog.precision import matmul_precision
from cr_jax.paper.table_ii import beside_table_ii
from cr_jax.printable import redact, redacted
from cr_jax.profiling.stages import Compiled, Predicted
from cr_jax.records import MODES, plain
from cr_jax.report import build
from cr_jax.targets.compile import versions
from cr_jax.version import __version__

#: Of the workload, what a report says elsewhere or not at all.
_APART = ("lengths", "turn_histogram", "batches")


def cost_report(predicted: Predicted) -> dict[str, Any]:
    """The document, as ``schemas/cost-report.schema.json`` describes it; it is not validated here."""
    counted = predicted.counted.steps
    compiled = predicted.counted.compiled
    configured = compiled.traced.configured
    request, spec, config, data = configured.request, configured.spec, configured.config, configured.data
    parameters = compiled.traced.model.parameters()
    epochs = {o.name: o.examples_per_epoch(config, data) for o in spec.objectives(config)}
    trainable = sum(p.size for p in parameters if p.trainable)
    paper = beside_table_ii(spec.name, data, config, spec.paper_count(config, trainable))
    account = build.parameter_entry(parameters, paper, counted)
    turns = build.turn_rows(counted)
    return {
        "schema": build.SCHEMA_ID,
        "kind": "cost-report",
        "schema_version": build.SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": {"name": "cr-jax", "version": __version__},
        "versions": versions(),
        "command": redacted(request.command),
        "model": build.model_entry(spec, plain(config)),
        "dataset": build.dataset_entry(data) | {"problems": list(configured.problems)},
        "target": _target_entry(compiled),
        "workload": {key: value for key, value in plain(configured.work).items() if key not in _APART}
        | {
            "phases": list(request.phases),
            "padding": "95% quantile of each text length, rounded up to a bucket",
            "settings": dict(request.settings),
        },
        "definitions": build.DEFINITIONS,
        "parameters": account,
        "summary": build.summary(counted, turns, account),
        "steps": [
            build.step_entry(step, epochs.get(step.step.objective)) | {"prediction": prediction}
            for step, prediction in zip(counted, predicted.predictions, strict=True)
        ],
        "turns": turns,
        "conversation": build.conversation_rows(turns, data.turn_histogram)
        if {row["mode"] for row in turns} == set(MODES)
        else None,
    }


def _target_entry(compiled: Compiled) -> dict[str, Any]:
    target, work = compiled.target, compiled.traced.configured.work
    accelerator = load.accelerator_or_none(target.name)
    return plain(target) | {
        "compiled_for": target.name if build.all_compiled({step.outcome for step in compiled.steps}) else None,
        "precision": work.precision,
        "effective_precision": matmul_precision(accelerator, work.precision, work.dtype) if accelerator else None,
        "flags": {n: redact(os.environ[n]) for n in ("XLA_FLAGS", "LIBTPU_INIT_ARGS") if os.environ.get(n)},
    }
