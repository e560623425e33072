"""From compiled steps and their counts to the cost report."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.cost.memory.memory_account import memory_account
from cr_jax.cost.memory.timeline import Timeline
from cr_jax.cost.operations.program import Program
from cr_jax.hlo.fingerprint import fingerprint
from cr_jax.hlo.module import HloModule
from cr_jax.records import MODES, CompiledStep, Parameter, TrainingLabels, TurnLabels, labels_document, plain

SCHEMA_VERSION = "1.1"
SCHEMA_ID = f"urn:cr-jax:schema:cost-report:{SCHEMA_VERSION}"

DEFINITIONS = {
    "turn": "one question-answer pair; turn 0 is the user's request q0",
    "flop": "one floating-point operation; a multiply-add is 2; transcendentals and integer operations stand apart",
    "byte": "one byte moved between main memory and the chip at a fusion boundary",
    "model": "the program as traced, before the compiler; loops multiplied by their trip counts",
    "compiled": "the program the compiler made for the target; loops multiplied by their trip counts",
    "step": "train: one optimizer step of one objective; infer: one answered turn for every user of the batch",
    "replay": "the conversation so far is computed again at every turn",
    "incremental": "the state is carried from turn to turn and only what is new is computed",
}


@dataclass(frozen=True)
class CountedStep:
    """A compiled step with its counts: of the traced program, and of the compiled one if there is one.

    timeline: of the memory in use; ``None`` where there is no compiled program, or no order in its text.
    kept_bytes: of the arguments that the compiled program takes (``cr_jax.report.arguments``).
    program: the operations that the compiled program executes. module: the parsed compiled program; ``None`` unless it
    will be replayed, for it is many times as large as its operations.
    """

    step: CompiledStep
    model: HloCount
    compiled: HloCount | None
    timeline: Timeline | None = None
    kept_bytes: int | None = None
    program: Program | None = None
    module: HloModule | None = None

    @property
    def best(self) -> HloCount:
        """The compiled count, else the traced program's."""
        return self.compiled or self.model


def digest(value: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def step_entry(counted: CountedStep, examples_per_epoch: int | None) -> dict[str, Any]:
    """One step's figures."""
    step, best = counted.step, counted.best
    agrees = counted.step.jaxpr.matmul_flops == counted.model.matmul_flops
    return {
        "name": step.name,
        "phase": step.phase,
        "labels": labels_document(step.labels),
        "model": _totals(counted.model),
        "compiled": _totals(counted.compiled) if counted.compiled else None,
        "matmul_account": _matmul_account(counted),
        "per": _per(step, best, examples_per_epoch),
        "memory": memory_account(step, counted.timeline, counted.kept_bytes),
        "modules": _modules(counted),
        "passes": best.by("pass"),
        "families": best.by("family"),
        "loops": best.as_dict()["loops"],
        "coverage": _coverage(best),
        "jaxpr": {
            "matmul_flops": step.jaxpr.matmul_flops,
            "unknown_loops": step.jaxpr.unknown_loops,
            "agrees": agrees,
            "tag": "counted",
        },
        "hint": {
            "estimated_cycles": counted.compiled.estimated_cycles if counted.compiled else None,
            "note": "the TPU compiler's own estimate: good for large products, far too high for streaming and gathers",
            "tag": "compiler",
        },
        "xla": {
            "flops": step.xla_flops,
            "transcendentals": step.xla_transcendentals,
            "bytes_accessed": step.xla_bytes,
            "note": "XLA's own figures, raw: a loop's body counts once, a custom call as unknown",
            "tag": "compiler",
        },
        "outcome": step.outcome,
        "reason": step.reason,
        "program_sha256": fingerprint(step.compiled_hlo or step.model_hlo),
        "durations_s": step.durations_s | {"tag": "measured"},
    }


def _matmul_account(counted: CountedStep) -> dict[str, Any] | None:
    """How the matrix products of the traced program became those of the compiled one."""
    if counted.compiled is None:
        return None
    traced, compiled = counted.model.matmul_flops, counted.compiled.matmul_flops
    replaced = counted.compiled.total.replaced_matmul_flops
    rest = compiled + replaced - traced
    return {
        "traced_flops": traced,
        "compiled_flops": compiled,
        "as_multiply_and_sum_flops": replaced,
        "padding_and_repeats_flops": max(0, rest),
        "removed_flops": max(0, -rest),
        "note": "traced = compiled + as multiply and sum - padding and repeats + removed; the last two are net",
        "tag": "counted",
    }


def largest(values: Iterable[int | None]) -> int | None:
    """The largest value; ``None`` where one is unknown, and where there is none."""
    found = list(values)
    return None if None in found else max((value for value in found if value is not None), default=None)


def all_compiled(outcomes: Collection[str]) -> bool:
    """Whether a report may say that it was compiled: something was, and nothing failed to be."""
    return "compiled" in outcomes and set(outcomes) <= {"compiled", "left out"}


def _totals(count: HloCount) -> dict[str, Any]:
    total = count.total
    return total.as_dict() | {
        "flops": total.flops,
        "complete": count.complete,
        "bound": count.bound,
        "least": count.least.as_dict(),
        "tag": "counted",
    }


def _coverage(count: HloCount) -> dict[str, Any]:
    nobody = sum(cost.flops for key, cost in count.rows.items() if key[0] == "(none)")
    flops = count.total.flops
    return {
        "complete": count.complete,
        "bound": count.bound,
        "uncounted": [asdict(one) for one in count.uncounted],
        "conditionals": [asdict(one) for one in count.conditionals],
        "declared": [asdict(one) for one in count.declared],
        "unknown_loops": [loop.name for loop in count.loops if loop.trip_count is None],
        "inferred_loops": sum(loop.source == "inferred" for loop in count.loops),
        "unattributed_flops": nobody,
        "unattributed_share": nobody / flops if flops else 0.0,
        "merged_products_flops": count.merged.flops,
        "merged_products_left_flops": count.merged.left_flops,
        "tag": "counted",
    }


def _modules(counted: CountedStep) -> list[dict[str, Any]]:
    best = counted.best
    traced = counted.model.by("module", "pass")
    rows = []
    for key, cost in best.by("module", "pass").items():
        module, which = key.split("|")
        rows.append({"module": module, "pass": which, **cost, "model_matmul_flops": traced.get(key, {}).get("matmul_flops", 0)})
    return sorted(rows, key=lambda r: (-r["matmul_flops"] - r["other_flops"], r["module"], r["pass"]))


def _per(step: CompiledStep, count: HloCount, examples_per_epoch: int | None) -> dict[str, Any]:
    """FLOPs and bytes per unit of work; ``None`` where the unit does not apply."""
    flops, moved = count.total.flops, count.total.hbm_bytes
    units: dict[str, float | None] = {"step": 1.0}
    labels = step.labels
    if isinstance(labels, TrainingLabels):
        turns = labels.conversational_turns
        units["example"] = 1 / labels.batch
        units["supervised_turn"] = 1 / turns if turns else None
        units["epoch"] = float(-(-examples_per_epoch // labels.batch)) if examples_per_epoch else None
    elif isinstance(labels, TurnLabels):
        units["turn"] = 1 / labels.users
    found: dict[str, Any] = {}
    for unit, share in units.items():
        found[f"flops_per_{unit}"] = None if share is None else flops * share
        found[f"hbm_bytes_per_{unit}"] = None if share is None else moved * share
    return found | {"steps_per_epoch": units.get("epoch"), "tag": "counted"}


def turn_rows(steps: Sequence[CountedStep]) -> list[dict[str, Any]]:
    """Per turn t and mode: cost per user, padding, with and without the item side, saving over replay."""
    precompute = next((s for s in steps if s.step.phase == "precompute"), None)
    replay: dict[int, CountedStep] = {}
    rows = []
    for mode in MODES:
        for counted in steps:
            labels = counted.step.labels
            if not isinstance(labels, TurnLabels) or labels.mode != mode:
                continue
            users, count = labels.users, counted.best
            flops = count.total.flops / users
            items = precompute.best.total.flops / users if precompute else 0.0
            for t in labels.turns:
                positions = labels.positions[t]
                if mode == "replay":
                    replay[t] = counted
                rows.append(
                    {
                        "t": t,
                        "mode": mode,
                        "step": counted.step.name,
                        "flops_per_turn": flops,
                        "matmul_flops_per_turn": count.matmul_flops / users,
                        "hbm_bytes_per_turn": count.hbm_bytes / users,
                        "flops_per_turn_with_item_side": flops + items,
                        "useful_positions": positions.useful,
                        "executed_positions": positions.executed,
                        "padding_share": max(0.0, 1 - positions.useful / positions.executed),
                        "saving_over_replay": _saving(replay[t], counted) if t in replay else None,
                        "program": "compiled" if counted.compiled else "traced",
                        "tag": "counted",
                    }
                )
    return rows


def _saving(replay: CountedStep, incremental: CountedStep) -> float | None:
    """FLOPs of replay over those of the incremental turn, of the same kind of program."""
    both = replay.compiled is not None and incremental.compiled is not None
    again, new = (s.best.total.flops if both else s.model.total.flops for s in (replay, incremental))
    return again / new if new else None


def conversation_rows(turns: list[dict[str, Any]], histogram: Sequence[int]) -> dict[str, Any]:
    """Cost of an average conversation: every turn weighted by the share of conversations that reach it."""
    total = sum(histogram)
    reach = [1.0] + [sum(histogram[t - 1 :]) / total for t in range(1, len(histogram) + 1)]
    found: dict[str, Any] = {}
    for mode in MODES:
        rows = [r for r in turns if r["mode"] == mode]
        found[f"{mode}_flops_per_conversation"] = sum(
            r["flops_per_turn"] * (reach[r["t"]] if r["t"] < len(reach) else 0.0) for r in rows
        )
    return found | {"turns_covered": max((r["t"] for r in turns), default=0), "tag": "counted"}


def parameter_entry(
    parameters: Sequence[Parameter], paper: Mapping[str, Any] | None, steps: Sequence[CountedStep]
) -> dict[str, Any]:
    """The parameter account. paper: as ``cr_jax.paper.table_ii.beside_table_ii`` gives it."""
    trained = [p for p in parameters if p.trainable]
    frozen = [p for p in parameters if not p.trainable]
    modules: dict[str, dict[str, int]] = {}
    for p in parameters:
        row = modules.setdefault(p.module, {"trainable": 0, "frozen": 0, "bytes": 0})
        row["trainable" if p.trainable else "frozen"] += p.size
        row["bytes"] += p.bytes
    states = [
        {
            "objective": labels.objective,
            "trained_parameters": labels.trained_parameters,
            "numbers": labels.optimizer_state_numbers,
            "bytes": labels.optimizer_state_bytes,
        }
        for labels in (s.step.labels for s in steps)
        if isinstance(labels, TrainingLabels)
    ]
    return {
        "trainable": sum(p.size for p in trained),
        "frozen": sum(p.size for p in frozen),
        "total": sum(p.size for p in parameters),
        "trainable_bytes": sum(p.bytes for p in trained),
        "frozen_bytes": sum(p.bytes for p in frozen),
        "as_the_paper_counted": paper["counted"] if paper else None,
        "paper": dict(paper) if paper else None,
        "optimizer_state": states,
        "modules": [{"module": name, **modules[name]} for name in sorted(modules)],
        "tensors": [
            {"path": p.path, "shape": list(p.shape), "dtype": p.dtype, "size": p.size, "trainable": p.trainable}
            for p in parameters
        ],
        "tag": "counted",
    }


def summary(steps: Sequence[CountedStep], turns: list[dict[str, Any]], parameters: dict[str, Any]) -> dict[str, Any]:
    """The figures a script asks for; ``None`` where there is no single one."""
    train = [s for s in steps if s.step.phase == "train"]
    peaks = [s.step.memory.peak_bytes for s in steps if s.step.outcome != "left out"]
    last = {r["mode"]: r for r in turns if r["t"] == max(x["t"] for x in turns)} if turns else {}
    paper = parameters["paper"]
    single = step_entry(train[0], None)["per"] if len(train) == 1 else {}
    return {
        "trainable_parameters": parameters["trainable"],
        "frozen_parameters": parameters["frozen"],
        # One number says nothing of sizes: it is given where it is the paper's own figure.
        "paper_parameters": paper["printed"] if paper and paper["counted"] == paper["printed"] else None,
        "train_flops_per_step": single.get("flops_per_step"),
        "train_flops_per_supervised_turn": single.get("flops_per_supervised_turn"),
        "train_hbm_bytes_per_step": single.get("hbm_bytes_per_step"),
        "infer_flops_per_turn": last.get("incremental", {}).get("flops_per_turn"),
        "infer_replay_flops_per_turn": last.get("replay", {}).get("flops_per_turn"),
        "infer_hbm_bytes_per_turn": last.get("incremental", {}).get("hbm_bytes_per_turn"),
        "peak_bytes": largest(peaks),
        "complete": all(s.best.complete for s in steps),
        "jaxpr_agrees": all(s.step.jaxpr.matmul_flops == s.model.matmul_flops for s in steps),
        "tag": "counted",
    }


def dataset_entry(dataset: Any) -> dict[str, Any]:
    """Sizes with where each comes from."""
    origins = {name: plain(origin) for name, origin in sorted(dataset.origins.items())}
    sizes = {k: getattr(dataset, k) for k in ("users", "items", "aspects", "values", "turns", "conversations", "words")}
    content = {"sizes": sizes, "lengths": plain(dataset.lengths), "turn_histogram": list(dataset.turn_histogram)}
    return {"name": dataset.name, "title": dataset.title, **content, "origins": origins, "sha256": digest(content)}


def model_entry(spec: Any, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "paper": spec.paper,
        "code": spec.code,
        "deviations": list(spec.deviations),
        "carried": spec.conversation.carried,
        "limits": spec.conversation.limits,
        "config": config,
        "config_sha256": digest(config),
    }
