"""A difference between two reports on the terminal."""

from collections.abc import Sequence

from msgspec import structs
from rich.console import Group, RenderableType
from rich.text import Text

from cr_jax.documents.difference import Change, Difference, StepChange, TurnChange
from cr_jax.documents.fields import JsonValue
from cr_jax.render.escape import shown
from cr_jax.render.phrases import on
from cr_jax.render.text_table import TextTable, terminal
from cr_jax.units import count, scaled

_SHOWN_MODULES = 12


def render_diff(document: Difference) -> RenderableType:
    """The causes of the difference, then the changes: parameters, steps, modules, turns."""
    document = shown(document)
    a, b = document.a, document.b
    head = Text()
    for mark, side in (("A", a), ("B", b)):
        head.append(f"{mark}  {side.model}{on(side.dataset)}, {side.device}", style="bold")
        head.append(f" · {side.file} · {side.created}\n", style="dim")
    if document.identical:
        head.append("\nidentical, time stamp and durations aside", style="green")
        return head
    parts: list[RenderableType] = [head]
    causes = tuple((one.field, _short(one.a), _short(one.b)) for one in document.causes)
    if causes:
        parts.append(terminal(TextTable("What made them different", ("condition", "A", "B"), causes, left=(0, 1, 2))))
    else:
        parts.append(Text("No condition differs: the code that was counted did.\n"))
    parameters = [_line((one.figure,), one) for one in document.parameters if one.a != one.b]
    parameters += [_line((f"  {one.module}",), one) for one in document.parameter_modules]
    parts += _table("Parameters", ("figure",), parameters)
    lines = [line for step in document.steps if step.in_ == "both" for line in _step(step)]
    parts += _table("Steps", ("step", "figure"), lines)
    for step in document.steps:
        parts += _modules(step)
    for where, name in (("a", "A"), ("b", "B")):
        only = [step.name for step in document.steps if step.in_ == where]
        if only:
            parts.append(Text(f"Steps in {name} only: {', '.join(only)}\n", style="yellow"))
    turns = _turns(document.turns)
    parts += _table("Answering a turn, per user", ("turn", "figure"), turns)
    if not (parameters or lines or turns):
        parts.append(Text("No figure changed."))
    return Group(*parts)


def _step(step: StepChange) -> list[tuple[str, ...]]:
    """A line per changed figure; figures compiled on one side only are one line."""
    changed = [one for one in step.figures if one.a != one.b]
    known = [one for one in changed if one.change is not None]
    lines = [_line((step.name, one.figure), one) for one in known]
    if len(known) < len(changed):
        sides = ("compiled", "not compiled") if changed[-1].b is None else ("not compiled", "compiled")
        lines.append((step.name, "compiled figures and memory", *sides, "unknown", "-"))
    return lines


def _turns(rows: Sequence[TurnChange]) -> list[tuple[str, ...]]:
    """Successive turns with the same change share a line."""
    groups: list[tuple[list[int], TurnChange]] = []
    for one in sorted(rows, key=lambda row: (row.mode, row.figure, row.t)):
        same = groups and structs.replace(groups[-1][1], t=one.t) == one and groups[-1][0][-1] + 1 == one.t
        if same:
            groups[-1][0].append(one.t)
        else:
            groups.append(([one.t], one))
    names = [f"turn {ts[0]}" if len(ts) == 1 else f"turns {ts[0]} to {ts[-1]}" for ts, _ in groups]
    return [_line((f"{one.mode} {name}", one.figure), one) for name, (_, one) in zip(names, groups, strict=True)]


def _modules(step: StepChange) -> list[RenderableType]:
    rows = step.modules
    lines = [_line((one.module, one.pass_, one.figure), one) for one in rows[:_SHOWN_MODULES]]
    if len(rows) > _SHOWN_MODULES:
        lines.append((f"{len(rows) - _SHOWN_MODULES} more (see --json)", *[""] * 6))
    return _table(f"Modules of {step.name}, largest change first", ("module", "pass", "figure"), lines)


def _table(title: str, words: tuple[str, ...], lines: list[tuple[str, ...]]) -> list[RenderableType]:
    if not lines:
        return []
    left = tuple(range(len(words)))
    return [terminal(TextTable(title, (*words, "A", "B", "change", "relative"), tuple(lines), left))]


def _line(words: tuple[str, ...], one: Change) -> tuple[str, ...]:
    exact = max(abs(one.a or 0), abs(one.b or 0)) < 1e9
    moved = one.change
    change = "unknown" if moved is None else ("+" if moved > 0 else "") + _number(moved, exact)
    relative = "-" if one.relative is None else f"{one.relative:+.2%}"
    return (*words, _number(one.a, exact), _number(one.b, exact), change, relative)


def _number(value: float | None, exact: bool) -> str:
    if value is None:
        return "unknown"
    return count(int(value)) if exact and float(value).is_integer() else scaled(value)


def _short(value: JsonValue) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)
