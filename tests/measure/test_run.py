"""Steps that are really run: legal inputs, arguments fed back, memory of a process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from cr_jax.measure import inputs, memory, run
from cr_jax.models import spec as specs
from cr_jax.records import ItemLabels
from cr_jax.steps import train, turn
from cr_jax.steps.step import Step, abstract_model


def steps(case):
    model = abstract_model(case.spec, case.config)
    items = turn.precompute_step(model, tiny.WORK)
    return model, [*train.training_steps(model, tiny.WORK), *([items] if items else []), *turn.turn_steps(model, tiny.WORK)]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=str(case), marks=[pytest.mark.slow] if str(case) != "dmn" else [])
        for case in tiny.cases(variants=False)
    ],
)
def test_arrays_have_the_shapes_asked_for_and_are_legal(case):
    model, found = steps(case)
    values = inputs.weights(model)
    for step in found:
        given = inputs.arguments(step, model, values)
        assert jax.tree.structure(given) == jax.tree.structure(step.arguments)
        for array, asked in zip(jax.tree.leaves(given), jax.tree.leaves(step.arguments), strict=True):
            assert (array.shape, array.dtype) == (asked.shape, asked.dtype)
        batch = given[step.names.index("batch")] if "batch" in step.names else {}
        for name, array in batch.items():
            if name.endswith("words") and array.dtype == jnp.int32:
                limit = getattr(case.config, "words", None)
                assert limit is None or 0 <= int(array.min()) <= int(array.max()) < limit
            if name.endswith("ends"):
                assert np.all(np.diff(np.asarray(array), axis=-1) >= 0)
    again = inputs.arguments(found[0], model, inputs.weights(model))
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(inputs.arguments(found[0], model, values)), strict=True):
        same = a if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else jax.random.key_data(a)
        assert np.array_equal(same, b if same is a else jax.random.key_data(b))


def test_lengths_fill_the_padding():
    model, found = steps(tiny.case("dmn"))
    step = next(s for s in found if s.name.startswith("infer/incremental/t1"))
    given = dict(zip(step.names, inputs.arguments(step, model, inputs.weights(model)), strict=True))["utterance"]
    assert set(np.asarray(given["lengths"]).tolist()) == {given["words"].shape[1]}


def test_a_training_step_goes_on_training():
    dmn = tiny.case("dmn")
    model = abstract_model(dmn.spec, specs.override(dmn.spec, dmn.config, {"hops": "1"}))
    found = train.training_steps(model, tiny.WORK)
    values = inputs.weights(model)
    compiled = run.compile_step(found[0], jax.devices()[0], "default")
    program = run.start(compiled, model, values)
    for _ in range(3):
        program()
    assert program.is_number()
    # By hand: four steps of the same function from the same arrays.
    arguments, step = list(inputs.arguments(found[0], model, values)), jax.jit(found[0].function)
    for _ in range(4):
        arguments[0], arguments[1], _metrics = step(*arguments)
    trained = jax.tree.leaves(arguments[0])
    for ours, theirs in zip(program.leaves, trained, strict=False):
        assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert set(compiled.stages_s) == {"trace_s", "lower_s", "compile_s"}


def small_step():
    def function(w, x, unused):
        return w + x.sum(), x * 2

    wide = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
    return Step("s", ItemLabels(None), function, (wide, wide, wide), ("w", "x", "u"), ("weights", "batch", "batch"), (0,), ())


def test_the_first_result_takes_the_donated_argument_and_unread_arguments_are_known():
    compiled = run.compile_step(small_step(), jax.devices()[0], "default")
    assert compiled.fed_back == (0,) and compiled.read == (True, True, False)
    assert compiled.predicted_peak_bytes() >= 3 * 4 * 2**20
    ones = [jnp.ones((1024, 1024)) for _ in range(3)]
    program = run.Program(compiled, tuple(ones))
    program()
    program()
    assert float(program.leaves[0][0, 0]) == 1 + 2 * 2.0**20


def test_the_growth_of_a_process_is_read_from_its_status(tmp_path):
    compiled = run.compile_step(small_step(), jax.devices()[0], "default")
    (tmp_path / "status").write_text("VmHWM:\t   900 kB\nVmRSS:\t   400 kB\n")
    (tmp_path / "clear_refs").write_text("")
    assert memory.resident_growth(compiled, tmp_path) == 500 * 1024
    assert (tmp_path / "clear_refs").read_text() == "5"
    assert memory.resident_growth(compiled, tmp_path / "none") is None


def test_a_device_peak_that_an_earlier_step_hides_is_null():
    assert memory.device_peak((10, 50), (30, 90)) == (80, [])
    for before, after in (((10, 90), (30, 90)), (None, None)):
        peak, warnings = memory.device_peak(before, after)
        assert peak is None and "null" in warnings[0]
