"""The memory timeline in a report, against the compiler's figures in the same report."""

from reports import profiled, sample, step, traced

from cr_jax.report.document import validate, without_times


def test_every_compiled_step_has_a_timeline_that_agrees_with_the_compiler():
    for one in sample().steps:
        memory = one.memory
        found = memory.timeline
        assert found.tag == "counted" and memory.tag == "compiler"
        if one.phase != "train":  # nothing large is donated
            assert found.peak_role_bytes.argument >= 0.99 * memory.argument_bytes, one.name
        assert 0.8 <= found.share_of_peak <= 1, one.name
        assert memory.peak_bytes <= 1.05 * (found.peak_bytes + found.peak_idle_bytes), one.name
        assert found.share_of_peak == found.peak_bytes / memory.peak_bytes
        assert sum(row.bytes for row in found.alive) + found.other_bytes == found.peak_bytes
        assert found.peak_bytes == max(point.live_bytes for point in found.points)


def test_the_largest_buffers_have_owners_and_roles():
    alive = step(sample(), "infer/replay/t0").memory.timeline.alive
    weight = next(row for row in alive if row.name == "weights.answer.kernel")
    assert weight.role == "argument" and weight.module == "answer"


def test_without_a_compiled_program_there_is_none():
    report = traced(sample())
    validate(report, "a report")
    assert all(one.memory.timeline is None for one in report.steps)


def test_equal_runs_give_equal_timelines():
    assert without_times(profiled()).steps == without_times(sample()).steps
