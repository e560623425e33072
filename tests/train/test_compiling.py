"""Time spent compiling, and a run's estimate beside its reality."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
from round_tables import calibration, typed

from cr_jax.catalog import load
from cr_jax.data.examples.batch_shapes import Taken
from cr_jax.models import spec as specs
from cr_jax.profiling.pipeline import read_dataset
from cr_jax.records import ArrayShape, Workload
from cr_jax.steps.step import abstract_model
from cr_jax.train import compiling
from cr_jax.train.loop import Position
from cr_jax.train.predicted import predicted
from cr_jax.train.report import _beside_the_clock


def test_a_span_within_another_counts_once():
    spans = compiling.Spans()
    spans.add(2.0, 1.0)  # 1 to 2
    spans.add(4.0, 0.5)  # 3.5 to 4
    spans.add(5.0, 2.0)  # 3 to 5, around the one before
    assert spans.total() == pytest.approx(1.0 + 2.0)
    spans.add(6.0, 1.5)  # 4.5 to 6: half a second is known already
    assert spans.total() == pytest.approx(4.0)


def test_a_new_program_is_heard_and_a_known_one_is_not():
    clock = compiling.clock()
    function = jax.jit(lambda x: jnp.tanh(x @ x.T) + 1.25)
    before = clock()
    function(jnp.ones((8, 8))).block_until_ready()
    first = clock()
    function(jnp.ones((8, 8))).block_until_ready()
    assert first > before
    assert clock() == first


@pytest.fixture
def dmn():
    spec = specs.find("dmn")
    data, _ = read_dataset("cell-phones")
    work = Workload(turns=1, lengths=data.lengths, turn_histogram=data.turn_histogram, batch=4)
    config = specs.override(spec, spec.configure(data, work), {"hidden": "8", "hops": "1"})
    return abstract_model(spec, config), work, data


def shape(dmn, steps, words=None):
    """``steps`` steps with texts as the workload pads them, or of so many ``words``."""
    model, work, _ = dmn
    (objective,) = model.spec.objectives(model.config)
    batch = dict(objective.inputs(model.config, work, 4))
    if words is not None:
        batch["text"] = jax.ShapeDtypeStruct((4, words, *batch["text"].shape[2:]), batch["text"].dtype)
    arrays = tuple(ArrayShape(name, a.shape, str(a.dtype)) for name, a in batch.items())
    return Taken(steps, arrays, batch["text"].shape[1])


def test_shapes_between_two_lie_on_the_line_between_them(dmn, monkeypatch):
    device = dataclasses.replace(load.accelerator("cpu"), calibration=typed(calibration()))
    monkeypatch.setattr(load, "accelerator", lambda name: device)

    def seconds(*shapes):
        return predicted(*dmn[:2], {"answer": list(shapes)}, jax.devices()[0], 1).training_s

    short, long = seconds(shape(dmn, 1, 4)), seconds(shape(dmn, 1, 64))
    assert long > 1.2 * short  # a step of the recurrence a word
    assert seconds(shape(dmn, 1, 64), shape(dmn, 3, 4)) == pytest.approx(3 * short + long)
    between = seconds(shape(dmn, 1, 64), shape(dmn, 1, 4), shape(dmn, 2, 24))
    assert between == pytest.approx(short + long + 2 * (short + (long - short) * 20 / 60))
    assert seconds(shape(dmn, 1, 24)) == pytest.approx(short + (long - short) * 20 / 60, rel=0.05)  # compiled itself


def test_the_estimate_is_the_steps_taken_times_the_predicted_step(dmn, monkeypatch):
    device = dataclasses.replace(load.accelerator("cpu"), calibration=typed(calibration()))
    monkeypatch.setattr(load, "accelerator", lambda name: device)
    one, ten = (predicted(*dmn[:2], {"answer": [shape(dmn, n)]}, jax.devices()[0], 1) for n in (1, 10))
    assert one.reason is None and one.method == "calibrated"
    assert ten.training_s == pytest.approx(10 * one.training_s)
    assert ten.objectives[0].seconds_per_step == pytest.approx(one.training_s)
    beside = _beside_the_clock(ten, Position(seconds=5.0, compiling=3.0))
    assert beside.measured_s == 2.0 and beside.ratio == pytest.approx(ten.training_s / 2)


@pytest.mark.parametrize(("devices", "said"), [(1, "crjax calibrate"), (2, "split over 2 devices")])
def test_without_a_prediction_there_is_a_reason(dmn, devices, said, monkeypatch):
    bare = dataclasses.replace(load.accelerator("cpu"), calibration=None)
    monkeypatch.setattr(load, "accelerator", lambda name: bare)
    found = predicted(*dmn[:2], {"answer": [shape(dmn, 3)]}, jax.devices()[0], devices)
    assert found.training_s is None and said in found.reason
    assert _beside_the_clock(found, Position(seconds=1.0)).ratio is None
