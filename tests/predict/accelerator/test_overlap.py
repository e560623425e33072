"""What other operations hide of asynchronous collectives, and steps on several devices."""

import re
from pathlib import Path

import pytest

from cr_jax.catalog.load import accelerator
from cr_jax.cost.operations.dependencies import Node
from cr_jax.cost.operations.operation_list import operations
from cr_jax.predict.accelerator import step
from cr_jax.predict.accelerator.overlap import Overlap
from cr_jax.predict.program_time import predict

SHARDED = Path(__file__).parents[2] / "golden" / "sharded"


def hidden(nodes, busy, exchanging):
    overlap = Overlap(lambda place: busy.get(place, 0.0), exchanging)
    overlap.add(nodes)
    return overlap.hidden


def test_what_stands_between_hides_and_no_more():
    nodes = (Node((), operation=0, beside=2), Node((), operation=1), Node((), operation=2), Node((), operation=3))
    busy = {1: 2.0, 2: 3.0, 3: 100.0}
    assert hidden(nodes, busy, {0: 4.0}) == {0: 4.0}
    assert hidden(nodes, busy, {0: 9.0}) == {0: 5.0}


def test_an_operation_hides_one_collective_at_a_time():
    nodes = (Node((), operation=0, beside=2), Node((), operation=1, beside=1), Node((), operation=2))
    assert hidden(nodes, {2: 5.0}, {0: 3.0, 1: 4.0}) == {0: 3.0, 1: 2.0}


def test_loops_and_wrapped_starts():
    body = (Node((), operation=1),)
    loop = Node((), loop=0, inner=((10, body), (11, ())))
    start = Node((), inner=((1, (Node((), operation=0),)),), beside=1)
    assert hidden((start, loop), {1: 0.5}, {0: 7.0}) == {0: 5.0}
    assert hidden((Node((), operation=0), loop), {1: 0.5}, {0: 7.0}) == {}


def sharded(name):
    return operations((SHARDED / f"{name}.h100.txt").read_text())


@pytest.mark.parametrize("name", ["data_parallel", "sharded_table", "two_axes", "sharded_weights", "every_kind"])
def test_steps_on_eight_cards(name):
    found = predict(sharded(name), accelerator("h100"), "default", "float32")
    told = found.collectives
    assert found.reason is None and told is not None
    assert told.seconds == pytest.approx(told.overlapped_s + told.exposed_s)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["collectives"] * found.seconds == pytest.approx(told.exposed_s)
    assert sum(row.seconds for row in told.rows) == pytest.approx(told.seconds)
    classes = {one.class_: one.seconds for one in found.validated_on.classes}
    assert classes["collectives"] == pytest.approx(told.exposed_s)
    assert sum(classes.values()) == pytest.approx(found.seconds)
    # Synchronous collectives hide nothing; of the others something is hidden.
    assert (told.overlapped_s > 0) == (name in ("two_axes", "sharded_weights", "every_kind"))


@pytest.mark.parametrize("name", ["data_parallel", "sharded_table", "two_axes", "sharded_weights", "every_kind"])
def test_steps_on_eight_chips(name):
    text = (SHARDED / f"{name}.tpu-v5e.txt").read_text()
    found = predict(operations(text), accelerator("tpu-v5e"), "default", "float32")
    told = found.collectives
    assert found.reason is None and {row.reach for row in told.rows} == {"torus"} and found.coverage is None
    assert found.shares["collectives"] * found.seconds == pytest.approx(told.exposed_s)
    assert (told.overlapped_s > 0) == (name == "sharded_weights")


def test_the_counts_of_the_prediction_are_the_programs():
    text = (SHARDED / "sharded_weights.h100.txt").read_text()
    rows = predict(operations(text), accelerator("h100"), "default", "float32").collectives.rows
    assert {(row.kind, row.devices, row.reach, row.times, row.payload_bytes) for row in rows} == {
        ("all-gather", 8, "host", 10, 10 * 4 * 512 * 512),
        ("reduce-scatter", 8, "host", 5, 5 * 4 * 512 * 512),
        ("all-reduce", 8, "host", 1, 4),
    }


def test_without_overlap_the_step_is_longer_by_what_was_hidden():
    text = (SHARDED / "sharded_weights.h100.txt").read_text()
    alone = re.sub(r"((?:all-gather|reduce-scatter)-start\(.*)", r'\1, backend_config={"is_sync":true}', text)
    assert alone != text
    both = [predict(operations(one), accelerator("h100"), "default", "float32") for one in (text, alone)]
    asynchronous, synchronous = (one.collectives for one in both)
    assert synchronous.seconds == pytest.approx(asynchronous.seconds)
    assert synchronous.overlapped_s < asynchronous.overlapped_s


def test_programs_of_one_device_have_no_collectives():
    text = operations((SHARDED.parent / "hlo" / "gru.cuda_h100.txt").read_text())
    found = predict(text, accelerator("h100"), "default", "float32")
    assert found.collectives is None and "collectives" not in found.shares and text.devices == 1
    assert step.timed(text, accelerator("h100"), "default").collectives is None


def test_collectives_of_cpu_devices_have_no_time():
    program = operations((SHARDED / "data_parallel.cpu.txt").read_text())
    found = predict(program, accelerator("cpu"), "default", "float32")
    assert found.seconds is None and "collectives between CPU devices" in found.reason


def test_a_card_without_links_says_what_is_missing():
    found = predict(sharded("data_parallel"), accelerator("l4"), "default", "float32")
    assert found.seconds is None and "l4: the number of devices that NVLink joins is not known" in found.reason
