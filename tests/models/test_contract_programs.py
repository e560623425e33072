"""What the programs of every registered architecture promise: matmuls counted, attributed and kept."""

import dataclasses
from functools import cache

import pytest
from round_tables import calibration, typed
from tiny import TEMPLATE, WORK, case, cases

from cr_jax.catalog.load import accelerator
from cr_jax.models import spec as specs
from cr_jax.predict.module_time import module_times
from cr_jax.predict.program_time import predict
from cr_jax.profiling.pipeline import count_step
from cr_jax.steps.step import abstract_model
from cr_jax.steps.train import training_steps
from cr_jax.steps.turn import precompute_step, turn_steps
from cr_jax.targets.compile import compile_step
from cr_jax.targets.resolve import resolve

CASES = {str(c): c for c in [*cases(variants=False), case(TEMPLATE)]}
#: Several programs are traced, compiled and counted per model: one model by default, all of them in the slow set.
QUICK = "dmn"
each_case = pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == QUICK else [pytest.mark.slow]) for n in CASES])

#: Steps whose compiled program has other matmul FLOPs than the traced one, and why.
_ASKED = "what the query adds to gate, memory and heads is the same for items, common items and every chunk: once"
_COLUMN = "a product over one column (the gradient of a vector's product) is a multiplication"
DIFFERENT: dict[tuple[str, str], str] = {
    ("aim", "train/generator"): "the GO word's product is the same in the free and the teacher-forced pass: once",
    ("dmn", "train/answer"): _COLUMN,
    ("srnn-ae", "train/sentiment"): _COLUMN,
    **{(name, "train/joint"): f"{_COLUMN}; {_ASKED}" for name in ("mmn", "pmmn")},
    **{(name, f"infer/{mode}/t0-1"): _ASKED for name in ("mmn", "pmmn") for mode in ("replay", "incremental")},
}


@cache
def counted(name):
    case = CASES[name]
    work = dataclasses.replace(WORK, turns=1, batch=2)
    model = abstract_model(case.spec, case.config)
    steps = [*training_steps(model, work), precompute_step(model, work), *turn_steps(model, work)]
    return model, [count_step(compile_step(step, resolve("cpu"), "default")) for step in steps if step is not None]


@pytest.mark.slow
@each_case
def test_every_matmul_has_an_owner_and_little_else_has_none(name):
    _, steps = counted(name)
    assert {s.step.phase for s in steps} >= {"train", "infer"}
    for s in steps:
        for program in (s.model, s.compiled):
            nobody = [cost for (module, *_), cost in program.rows.items() if module == "(none)"]
            assert sum(cost.matmul_flops for cost in nobody) == 0, s.step.name
            assert sum(cost.flops for cost in nobody) < 0.01 * program.total.flops, s.step.name


@each_case
def test_two_counters_agree_and_know_every_loop(name):
    for s in counted(name)[1]:
        assert s.step.jaxpr.unknown_loops == 0 and s.model.complete and s.compiled.complete, s.step.name
        assert s.step.jaxpr.matmul_flops == s.model.matmul_flops > 0, s.step.name


@each_case
def test_predicted_seconds_belong_to_modules_or_to_what_is_named(name):
    host = dataclasses.replace(accelerator("cpu"), calibration=typed(calibration()))
    for device in (host, accelerator("h100"), accelerator("tpu-v5e")):  # the formulas of each, on the CPU's programs
        for s in counted(name)[1]:
            prediction = predict(s.program, device, "default", "float32")
            found = module_times(prediction)
            whole = sum(found.modules.values()) + sum(found.outside.values())
            assert whole == pytest.approx(prediction.seconds, rel=1e-12), s.step.name
            assert set(found.modules) <= {(module, which) for module, which, _ in s.compiled.rows}, s.step.name
            nobody = sum(seconds for (module, _), seconds in found.modules.items() if module == "(none)")
            assert nobody < 0.5 * sum(found.modules.values()), s.step.name


@each_case
def test_the_compiler_keeps_every_matmul(name):
    found = {s.step.name: s.compiled.matmul_flops / s.model.matmul_flops for s in counted(name)[1]}
    different = {step: ratio for step, ratio in found.items() if ratio != 1}
    assert set(different) == {step for model, step in DIFFERENT if model == name}
    assert all(0.75 < ratio < 1 for ratio in different.values()), different


@each_case
def test_every_module_with_weights_appears(name):
    """A module that holds a matrix has a row with matmuls or bytes in some program."""
    model, steps = counted(name)
    owners = {p.module for p in model.parameters()}
    seen = {module for s in steps for (module, *_), cost in s.model.rows.items() if cost.flops or cost.hbm_bytes}
    assert owners <= seen, owners - seen
    trained = {p.module for p in model.parameters() if p.trainable}
    backward = {
        module
        for s in steps
        if s.step.phase == "train"
        for (module, which, _), cost in s.model.rows.items()
        if which == "backward" and (cost.flops or cost.hbm_bytes)
    }
    assert trained <= backward, trained - backward


def test_exceptions_are_of_this_day():
    assert {model for model, _ in DIFFERENT} <= {*specs.names(), TEMPLATE}
