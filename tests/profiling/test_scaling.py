"""Amounts of work on growing numbers of devices, from predicted steps that the test chooses."""

from types import SimpleNamespace

import jax
import pytest
from documents.samples import cost_report
from msgspec import UNSET, convert, structs

from cr_jax.documents.cost_report import CostReport
from cr_jax.errors import BadConfig
from cr_jax.profiling import scaling as scales
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.request import Request
from cr_jax.profiling.scaling import ScalingRequest, scaling
from cr_jax.steps.function import UserFunction

FUNCTION = UserFunction(lambda x: x, (jax.ShapeDtypeStruct((64, 4), "float32"),), batch=0, name="step")


@pytest.fixture
def predicted(monkeypatch):
    """``asked``, a list of the requests; a step takes 8 s over the devices plus 1 s of collectives."""
    asked = []
    report = convert(cost_report(), CostReport)
    step = next(one for one in report.steps if one.compiled)

    def profile_devices(request, *_):
        asked.append(request)
        devices = dict(request.mesh).get("data", 1)
        alone = 1.0 if devices > 1 else 0.0
        seconds = 8 / devices + alone
        prediction = SimpleNamespace(
            seconds=seconds,
            low_s=seconds / 2,
            high_s=seconds * 2,
            reason=None,
            collectives=SimpleNamespace(exposed_s=alone) if alone else UNSET,
            energy=SimpleNamespace(energy_j=10.0),
            price=SimpleNamespace(price_usd=0.5 * devices * seconds),
        )
        made = structs.replace(step, phase="step", prediction=prediction)
        return [structs.replace(report, steps=(made,))]

    monkeypatch.setattr(scales, "profile_devices", profile_devices)
    return asked


def question(**choices):
    return ScalingRequest(FunctionRequest(FUNCTION, ("h100",)), **choices)


def test_strong_scaling_keeps_the_batch(predicted):
    document = scaling(question(counts=(1, 2, 8), amount=10))
    assert [row.step_seconds for row in document.rows] == [8.0, 5.0, 2.0]
    assert [row.efficiency for row in document.rows] == [1.0, 8 / 5 / 2, 8 / 2 / 8]
    assert [row.seconds for row in document.rows] == [80.0, 50.0, 20.0]
    assert [row.alone_share for row in document.rows] == [0.0, 0.2, 0.5]
    assert document.cheapest == 0 and document.communication is None, "half of the step is not more than half"
    assert [dict(request.mesh) for request in predicted] == [{}, {"data": 2}, {"data": 8}]
    assert {request.function.arguments[0].shape for request in predicted} == {(64, 4)}


def test_a_deadline_rules_out_what_is_too_slow(predicted):
    assert scaling(question(counts=(1, 2, 8), amount=10, deadline_s=60)).cheapest == 1
    assert scaling(question(counts=(1, 2, 8), amount=10, deadline_s=1)).cheapest is None


def test_communication_takes_over(predicted):
    assert scaling(question(counts=(1, 2, 16))).communication == 2


def test_weak_scaling_grows_the_batch(predicted):
    document = scaling(question(counts=(2, 4), growth="weak"))
    assert [request.function.arguments[0].shape for request in predicted] == [(64, 4), (128, 4)]
    assert document.rows[1].efficiency == 5.0 / 3.0
    failed = scaling(question(counts=(2, 3), growth="weak")).rows[1]
    assert failed.reason is not None and "3 is no multiple of 2" in failed.reason


def test_a_device_that_cannot_be_had_is_a_row_with_its_reason(monkeypatch):
    def refuse(*_):
        raise BadConfig("the topology has not so many")

    monkeypatch.setattr(scales, "profile_devices", refuse)
    (row,) = scaling(question(counts=(3,))).rows
    assert row.reason == "the topology has not so many" and row.seconds is None


def test_a_batch_that_nobody_named_cannot_be_split(predicted):
    unnamed = UserFunction(FUNCTION.function, FUNCTION.arguments, name="step")
    document = scaling(ScalingRequest(FunctionRequest(unnamed, ("h100",)), (1, 2)))
    assert document.rows[0].seconds == 8.0
    assert "is named as its batch" in document.rows[1].reason


@pytest.mark.parametrize("counts", [(), (0, 1), (2, 1), (1, 1), (1, 5000)])
def test_numbers_that_do_not_grow_are_refused(counts):
    with pytest.raises(BadConfig, match="legal: growing numbers of devices from 1 to 4096"):
        question(counts=counts)


@pytest.mark.slow
def test_a_model_on_cpu_devices():
    request = Request("dmn", devices=("cpu",), batch=16, settings={"hidden": "8", "hops": "1"})
    document = scaling(ScalingRequest(request, (1, 2)))
    assert [row.batch for row in document.rows] == [16, 16]
    one, two = document.rows
    assert one.flops_per_device is not None and two.flops_per_device is not None
    assert two.flops_per_device < one.flops_per_device <= 2 * two.flops_per_device
    assert one.steps == two.steps > 0 and one.seconds is None and "calibrate" in str(one.reason)
