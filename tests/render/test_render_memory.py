"""Memory tables in the terminal."""

import io

from reports import sample, traced

from cr_jax.render.cost import render_cost, show
from cr_jax.render.memory import bar


def shown(report, memory):
    out = io.StringIO()
    show(render_cost(report, memory), out)
    return out.getvalue()


def test_a_bar_is_as_high_as_the_share_of_the_largest():
    assert bar([0, 50, 100, 99]) == "▁▅██"
    assert bar([]) == ""


def test_the_memory_of_each_detailed_step_is_shown_when_asked_for():
    report = sample()
    text = shown(report, True)
    timeline = report.steps[0].memory.timeline
    assert "Memory of train/answer" in text and timeline.peak_instruction in text
    assert all(row.name in text for row in timeline.alive)
    assert "Memory of" not in shown(report, False)


def test_an_unknown_timeline_is_said_to_be_unknown():
    assert "Memory of train/answer: unknown, not compiled" in shown(traced(sample()), True)
