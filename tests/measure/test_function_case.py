"""Functions of the user's, really run: made arrays, steps that go on, errors that are theirs."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cr_jax.errors import BadConfig
from cr_jax.measure import memory, run
from cr_jax.measure.bench import Options, bench
from cr_jax.measure.cases import prepare_case, read_case
from cr_jax.measure.clock import Plan
from cr_jax.measure.function_case import FunctionCase
from cr_jax.measure.function_inputs import made
from cr_jax.records import plain
from cr_jax.report.document import validate

MODULE = """
import jax
import jax.numpy as jnp
import numpy as np

SHAPE = jax.ShapeDtypeStruct


def train_step(params, moment, batch):
    gradient = jax.grad(lambda w: jnp.square(batch @ w).sum())(params["w"])
    moment = {"w": 0.5 * moment["w"] + gradient}
    return {"loss": gradient.sum()}, moment, {"w": params["w"] - 0.01 * moment["w"]}


def training():
    params, moment = {"w": jnp.ones((4, 4))}, {"w": SHAPE((4, 4), jnp.float32)}
    arguments = params, moment, np.eye(4, dtype=np.float32)
    return train_step, arguments, {"donate": ("params", "moment"), "batch": "batch", "name": "training"}


def wide():
    shapes = SHAPE((1024, 4096), jnp.float32), SHAPE((1024, 4096), jnp.float32)
    return (lambda kept, taken: (kept.sum(), taken * 2)), shapes, {"donate": 1}


def mixed():
    return (lambda x, y: (x @ x, y @ y)), (SHAPE((4, 4), jnp.float32), SHAPE((4, 4), jnp.bfloat16))


def divided():
    def call(x):
        return jax.pure_callback(lambda v: np.float32(1 / int(v)), SHAPE((), jnp.float32), 0 * x.sum())

    return call, (SHAPE((4,), jnp.float32),)


def split():
    mesh = jax.sharding.AbstractMesh((4,), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    return (lambda x: x.sum()), (SHAPE((8,), jnp.float32, sharding=sharding),)
"""
SHAPE = jax.ShapeDtypeStruct
QUICK = Plan(warmup=1, runs=3, seconds=0.0)


@pytest.fixture(autouse=True)
def mine(monkeypatch, tmp_path):
    (tmp_path / "measured.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "measured", raising=False)
    yield
    sys.modules.pop("measured", None)


def prepared(name, **options):
    found = prepare_case(FunctionCase((f"measured:{name}",), **options))
    return found, found.steps[0]


def test_a_donated_state_goes_on_and_given_arrays_are_used_and_kept():
    found, step = prepared("training")
    compiled = found.compile(step, jax.devices()[0], lambda: 0.0)
    program = found.starter()(compiled)
    moment = np.array(program.leaves[1])  # a copy: the program takes the array
    for _ in range(3):
        program()
    # By hand, from the values that were given and made: three steps of the same function.
    weights = np.ones((4, 4), np.float32)
    for _ in range(3):
        moment = 0.5 * moment + 2 * weights
        weights = weights - 0.01 * moment
    assert compiled.fed_back == (None, 1, 0)
    assert np.allclose(program.leaves[0], weights, rtol=1e-5) and np.allclose(program.leaves[1], moment, rtol=1e-5)
    assert found.traced[0].given[1] is None
    assert not found.traced[0].given[0].is_deleted()


def test_a_report_of_functions():
    document = bench(FunctionCase(("measured:training", "measured:mixed")), QUICK, Options(memory=False, energy=False))
    validate(document, "bench")
    training, mixed = document.steps
    assert (training.name, training.phase, training.labels.batch) == ("measured:training", "step", 4)
    assert training.rates.examples_per_s == pytest.approx(4 / training.time.median_s) and training.rates.turns_per_s is None
    # The forward product and the gradient by the weights; a product of each type.
    assert training.counted.matmul_flops == 2 * 2 * 4**3 and mixed.counted.matmul_flops == 2 * 2 * 4**3
    assert all(getattr(training.stages_s, f"{stage}_s") > 0 for stage in ("trace", "lower", "compile", "first_call"))
    assert document.dataset is None and document.model.name == "measured:training, measured:mixed"
    assert "turn" not in document.definitions and "one call of the function" in document.definitions["step"]
    first = document.functions[0]
    assert (first.call, first.title, first.batch) == ("measured:training", "training", 4)
    assert [row.donated for row in first.arguments] == [True, True, False]
    assert first.made == (first.arguments[1].name,)


def test_two_functions_in_turn():
    case = FunctionCase(("measured:training",))
    document = bench(case, QUICK, Options(memory=False, energy=False), case.changed({"function": "measured:mixed"}))
    (entry,) = document.comparisons
    assert entry.interleaved and entry.against == "function=measured:mixed" and entry.against_step == "measured:mixed"


def test_memory_of_a_function_beside_the_compilers():
    found, step = prepared("wide")
    compiled = found.compile(step, jax.devices()[0], lambda: 0.0)
    assert compiled.predicted_peak_bytes() == pytest.approx(2 * 2**24, rel=0.01)  # the donated array is doubled in its place
    case = FunctionCase(("measured:wide",))
    document = bench(case, QUICK, Options(energy=False)).steps[0].memory
    assert document.method == memory.RESIDENT
    if document.peak_bytes is not None:  # a system that tells
        assert document.peak_bytes == pytest.approx(2 * 2**24, rel=0.2)


def test_the_type_of_products_is_that_of_all_or_unknown():
    for precision in ("default", "highest"):
        found, step = prepared("training", precision=precision)
        assert found.dtype(step) == "float32"
    found, step = prepared("mixed")
    assert found.dtype(step) is None


def test_an_exception_while_it_is_run_is_refused():
    with pytest.raises(BadConfig, match="function 'measured:divided' raised while it was run: ZeroDivisionError") as error:
        bench(FunctionCase(("measured:divided",)), QUICK, Options(memory=False))
    assert error.value.__cause__ is not None


def test_running_out_of_memory_is_a_result(monkeypatch):
    def full(self):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    monkeypatch.setattr(run.Program, "_run", full)
    document = bench(FunctionCase(("measured:training",)), QUICK, Options(memory=False))
    validate(document, "failed")
    assert document.status == "failed" and document.error.kind == "out of memory"


def test_several_devices_are_refused():
    with pytest.raises(BadConfig, match="split over data=4, and bench measures one device"):
        prepared("split")


@pytest.mark.parametrize(
    ("name", "role", "dtype", "expected"),
    [
        ("opt.mu.w", "optimizer", jnp.float32, 0.0),
        ("stats.var", "state", jnp.float32, 1.0),
        ("tokens", "batch", jnp.int32, 0),
        ("mask", "batch", jnp.bool_, True),
    ],
)
def test_made_values_without_chance(name, role, dtype, expected):
    value = made(name, role, SHAPE((3, 2), dtype), 0)
    assert value.dtype == dtype and np.all(np.asarray(value) == expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float8_e4m3fn, jnp.complex64])
def test_made_floats_are_normal_and_weights_keep_the_scale(dtype):
    x = np.asarray(made("x", "batch", SHAPE((64, 100), dtype), 0)).astype(np.complex64)
    w = np.asarray(made("w", "weights", SHAPE((100, 64), dtype), 1)).astype(np.complex64)
    unit = np.sqrt(2) if dtype == jnp.complex64 else 1.0
    assert np.std(x) == pytest.approx(unit, rel=0.1) and np.std(w) == pytest.approx(unit / 10, rel=0.1)
    assert np.array_equal(x, np.asarray(made("x", "batch", SHAPE((64, 100), dtype), 0)).astype(np.complex64))


def test_made_keys_are_of_their_kind_and_differ():
    for kind in ("threefry2x32", "rbg"):
        shape = jax.eval_shape(lambda kind=kind: jax.random.split(jax.random.key(0, impl=kind), 2))
        keys = [made("key", "key", shape, number) for number in (0, 1)]
        assert keys[0].dtype == shape.dtype and keys[0].shape == (2,)
        assert not np.array_equal(*(jax.random.key_data(one) for one in keys))


def test_a_case_and_its_file_name():
    case = FunctionCase(("mine:a_b",), precision="high")
    assert case.slug() == "mine-a_b_step_high_cpu" != FunctionCase(("mine_a:b",), precision="high").slug()
    assert read_case(plain(case)) == case
    assert len(FunctionCase(tuple(f"mine:{'n' * 50}{n}" for n in range(9))).slug()) < 200
    with pytest.raises(BadConfig, match=r"legal: package\.module:NAME"):
        FunctionCase(("mine",))
    with pytest.raises(BadConfig, match=r"--against users=.*legal for a function"):
        case.changed({"users": "3"})
