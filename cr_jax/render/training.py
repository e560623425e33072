"""The training report as terminal tables."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cr_jax.documents.base import known
from cr_jax.documents.training_report import (
    EpochRow,
    Figures,
    FiguresByTest,
    PredictedTraining,
    StageRow,
    TeacherInference,
    TrainingCost,
    TrainingReport,
)
from cr_jax.render.cost import grid
from cr_jax.render.escape import shown
from cr_jax.units import count, scaled

_FIGURES = ("recall@1", "recall@10", "recall@50", "mrr", "ndcg@10")
_SHOWN_EPOCHS = 12


def render_training(report: TrainingReport) -> RenderableType:
    """Header, stages, epochs, tests against baselines, the model's own checks, cost."""
    report = shown(report)
    parts: list[RenderableType] = [_header(report), _stages(report.stages), _epochs(report.epochs)]
    if "ranking" in report.test:
        parts += [_ranking(report), _by_turn(report.test["ranking"])]
    parts += [_check(name, figures) for name, figures in report.test.items() if name != "ranking"]
    parts.append(_cost(report.cost))
    return Group(*parts)


def _header(report: TrainingReport) -> Text:
    model, data, target = report.model, report.dataset, report.target
    text = Text()
    text.append(f"{model.title} trained on {data.name}", style="bold")
    text.append(f" · {target.devices} x {target.kind} · seed {report.seed}\n")
    parts = ", ".join(f"{count(number)} {part}" for part, number in data.parts.items())
    text.append(f"{count(data.users)} users, {count(data.items)} items · {parts} ({data.split})\n", style="dim")
    text.append("configuration " + ", ".join(f"{k}={v}" for k, v in model.config.items()) + "\n", style="dim")
    for note in report.notes:
        text.append(f"{note}\n", style="dim")
    return text


def _stages(stages: tuple[StageRow, ...]) -> Table:
    table = grid("Stages", "stage", "batch", "examples", "steps/epoch", "steps", "padding", "best epoch", "ended early")
    for stage in stages:
        best = stage.best
        table.add_row(
            stage.name,
            str(stage.batch),
            count(stage.examples),
            count(stage.steps_per_epoch),
            count(stage.steps_planned),
            f"{stage.padding_share:.0%}",
            "-" if best is None else f"{best.epoch} ({best.criterion} {best.value:.4g})",
            "yes" if stage.stopped_early else "no",
        )
    return table


def _epochs(epochs: tuple[EpochRow, ...]) -> Table:
    shown = epochs if len(epochs) <= _SHOWN_EPOCHS else [*epochs[: _SHOWN_EPOCHS // 2], *epochs[-_SHOWN_EPOCHS // 2 :]]
    left = f"{len(epochs) - len(shown)} epochs in between are in the report" if len(shown) < len(epochs) else ""
    table = grid("Epochs (validation)", "stage", "epoch", "step", "loss", "figures", note=left)
    for row in shown:
        losses = ", ".join(f"{value:.4f}" for value in row.loss.values())
        table.add_row(row.stage, str(row.epoch), count(row.step), losses, _brief(row.validation))
    return table


def _brief(figures: FiguresByTest) -> str:
    if "ranking" in figures:
        return f"mrr {figures['ranking']['mrr']:.4f}, recall@10 {figures['ranking']['recall@10']:.4f}"
    entries = [(name, key, value) for name, table in figures.items() for key, value in table.items() if key in ("loss", "rmse")]
    return ", ".join(f"{name} {key} {value:.4f}" for name, key, value in entries)


def _ranking(report: TrainingReport) -> Table:
    table = grid(
        "Test, after the last turn (difference: 95% interval of a paired bootstrap over users)",
        "",
        *_FIGURES,
        "mrr difference",
        "",
    )
    mine = report.test["ranking"]
    table.add_row(report.model.name, *(f"{mine[name]:.4f}" for name in _FIGURES), "", "")
    for name, baseline in report.baselines.items():
        d = baseline.difference["mrr"]
        table.add_row(
            name,
            *(f"{baseline.figures[key]:.4f}" for key in _FIGURES),
            f"{d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}]",
            "model is above" if d.above else "not shown to be above",
        )
    return table


def _by_turn(figures: Figures) -> Text:
    (name,) = (key for key in figures if key.endswith("_by_turn"))
    values = figures[name]
    assert isinstance(values, list)
    shown = ", ".join(f"t={t} {value:.3f}" for t, value in enumerate(values))
    return Text(f"{name.replace('_', ' ')}: {shown}\n")


def _check(name: str, figures: Figures) -> Table:
    table = grid(f"Test: {name}", "figure", "value")
    for key, value in figures.items():
        table.add_row(key, f"{value:.4f}")
    return table


def _cost(cost: TrainingCost) -> Text:
    measured = cost.measured
    text = Text("Cost measured  ", style="bold")
    rate = f", {measured.examples_per_s:,.0f} examples/s" if measured.examples_per_s else ""
    waited = measured.input_wait_share
    text.append(
        f"{measured.training_s:.1f} s training, {measured.validation_s:.1f} s validation, {measured.time_s:.1f} s in all; "
        f"{count(measured.steps)} steps{rate}; waiting for input {0 if waited is None else waited:.1%}\n",
        style="not bold",
    )
    text.append_text(_prediction(cost.predicted))
    if (teachers := known(cost.teachers)) is not None:
        text.append_text(_teachers(teachers, known(cost.flop)))
    return text


def _teachers(teachers: TeacherInference, flop: int | None) -> Text:
    """What the teachers cost, beside the student's own steps."""
    text = Text("Teachers  ", style="bold")
    when = "within the steps" if teachers.seconds is None else f"{teachers.seconds:.1f} s"
    if teachers.reused:
        when += " in an earlier run, whose scores are reused"
    costs = "not said exactly" if teachers.flop is None else scaled(teachers.flop, "FLOP")
    own = "" if flop is None else f"; the student's optimizer steps without them: {scaled(flop, 'FLOP')}"
    return text.append(f"{count(teachers.turns)} rows scored, {costs}, {when}{own}\n", style="not bold")


def _prediction(predicted: PredictedTraining) -> Text:
    """Estimate and reality of the optimizer steps on one line."""
    text = Text("Estimate and reality  ", style="bold")
    if predicted.training_s is None:
        return text.append(f"no estimate: {predicted.reason}\n", style="not bold")
    said = f"{predicted.training_s:.1f} s predicted ({predicted.method}; {predicted.low_s:.1f} to {predicted.high_s:.1f} s)"
    if predicted.ratio is not None:
        said += f", {predicted.measured_s:.1f} s measured, compilation apart on both sides: {predicted.ratio - 1:+.0%}"
    return text.append(f"{said}\n", style="not bold")
