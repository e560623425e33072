"""Predicted seconds of modules, worked out by hand from round tables; with what belongs to none they add up to the step's."""

import dataclasses
from pathlib import Path

import pytest
from round_tables import BANDWIDTH, RATE, calibration, typed

from cr_jax.catalog.load import accelerator
from cr_jax.cost.booking import Booking
from cr_jax.cost.counting.count import count_walk
from cr_jax.cost.operations.operation_list import list_operations
from cr_jax.cost.operations.owners import OwnerTable
from cr_jax.cost.walk import Walk
from cr_jax.hlo.parse import parse
from cr_jax.predict.module_time import module_times
from cr_jax.predict.program_time import predict

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*/*.txt"))
MICRO = 1e-6
#: (m, n, k) of the products of two modules, and a copy of the third's.
FIRST, SECOND = (64, 64, 256), (64, 64, 512)
STEP = """HloModule m

f {
  p = f32[64,64]{1,0} parameter(0)
  q = f32[64,64]{1,0} parameter(1)
  ROOT s = f32[64,64]{1,0} add(p, q), metadata={op_name="jit(step)/norm/add"}
}

ENTRY e {
  a = f32[64,256]{1,0} parameter(0)
  b = f32[256,64]{1,0} parameter(1)
  c = f32[64,512]{1,0} parameter(2)
  d = f32[512,64]{1,0} parameter(3)
  x = f32[64,64]{1,0} dot(a, b), DIMS, metadata={op_name="jit(step)/first/dot_general"}
  y = f32[64,64]{1,0} dot(c, d), DIMS, metadata={op_name="jit(step)/transpose(jvp(second))/dot_general"}
  ROOT r = f32[64,64]{1,0} fusion(x, y), kind=kLoop, calls=f, metadata={op_name="jit(step)/joined/add"}
}
""".replace("DIMS", "lhs_contracting_dims={1}, rhs_contracting_dims={0}")


def host(**changes):
    return dataclasses.replace(accelerator("cpu"), calibration=typed(calibration(**changes)))


def predicted(text, device, owners=True):
    walk = Walk(parse(text))
    table = OwnerTable(Booking(walk), count_walk(walk)) if owners else None
    return predict(list_operations(walk, table), device, "default", "float32")


def flops(size):
    m, n, k = size
    return 2 * m * n * k


def test_a_module_takes_the_time_of_its_products_and_the_call_belongs_to_none():
    found = module_times(predicted(STEP, host()))
    assert found.modules["first", "forward"] == pytest.approx(flops(FIRST) / RATE)
    assert found.modules["second", "backward"] == pytest.approx(flops(SECOND) / RATE)
    assert found.outside["call"] == pytest.approx((1 + 4) * MICRO)


@pytest.mark.parametrize(("element", "owner"), [(1e-3, "norm"), (1e-15, "joined")])
def test_a_fusion_goes_with_its_arithmetic_where_that_bounds_it_else_with_its_bytes(element, owner):
    block = calibration()
    block["elements_s"]["arithmetic"] = element
    found = module_times(predicted(STEP, dataclasses.replace(accelerator("cpu"), calibration=typed(block))))
    assert {module for module, _ in found.modules} == {"first", "second", owner}
    busy = max(64 * 64 * element, 3 * 4 * 64 * 64 / BANDWIDTH)
    assert found.modules[owner, "forward"] == pytest.approx(busy + MICRO)


def test_the_arithmetic_of_a_fusion_is_shared_by_its_operations():
    both = STEP.replace(
        "  ROOT s = f32[64,64]{1,0} add(p, q)",
        '  t = f32[64,64]{1,0} add(p, q), metadata={op_name="jit(step)/scale/add"}\n'
        '  u = f32[64,64]{1,0} add(t, q), metadata={op_name="jit(step)/scale/add"}\n'
        "  ROOT s = f32[64,64]{1,0} add(u, q)",
    )
    block = calibration()
    block["elements_s"]["arithmetic"] = 1e-3
    found = module_times(predicted(both, dataclasses.replace(accelerator("cpu"), calibration=typed(block))))
    assert found.modules["scale", "forward"] == pytest.approx(2 * found.modules["norm", "forward"])
    assert found.modules["norm", "forward"] == pytest.approx(64 * 64 * 1e-3, rel=1e-3)


def test_exposed_collectives_and_launches_belong_to_no_module():
    text = next(file for file in GOLDEN if file.name == "data_parallel.h100.txt").read_text()
    prediction = predicted(text, accelerator("h100"))
    found = module_times(prediction)
    assert prediction.collectives.exposed_s > 0
    assert found.outside["collectives"] == pytest.approx(prediction.collectives.exposed_s)
    assert set(found.outside) == {"starting kernels", "collectives"}


def _device(file):
    backend = file.name.split(".")[1]
    named = {"cuda_h100": "h100", "tpu_v5e": "tpu-v5e", "tpu_v6e": "tpu-v6e", "h100-jax-0": "h100"}
    return host() if backend == "cpu" else accelerator(named.get(backend, backend))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda f: f.name.removesuffix(".txt"))
def test_everything_adds_up_to_the_step(file):
    prediction = predicted(file.read_text(), _device(file))
    found = module_times(prediction)
    if prediction.seconds is None:
        assert found is None
        return
    assert sum(found.modules.values()) + sum(found.outside.values()) == pytest.approx(prediction.seconds, rel=1e-12)
    assert all(seconds >= 0 for seconds in (*found.modules.values(), *found.outside.values()))


def test_without_a_time_or_known_modules_there_are_none():
    assert module_times(predicted(STEP, accelerator("cpu"))) is None
    assert module_times(predicted(STEP, host(), owners=False)) is None
