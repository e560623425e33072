"""What a worker builds from a request: of every field of the workload, the program that the caller meant."""

import dataclasses
import json

import jax
import pytest
import tiny

from cr_jax.distillation import Distillation
from cr_jax.models import spec as specs
from cr_jax.profiling.pipeline import configure
from cr_jax.profiling.request import Request
from cr_jax.records import ArrayShape, Lengths, Target, Workload, plain
from cr_jax.steps.check import check_steps
from cr_jax.steps.step import abstract_model
from cr_jax.steps.train import training_steps
from cr_jax.steps.turn import precompute_step, turn_steps
from cr_jax.targets.ahead import Job, _request
from cr_jax.targets.compilation import another, traced_as
from cr_jax.targets.compile import Place, compile_for, lower_step
from cr_jax.targets.sources import ModelSource
from cr_jax.targets.worker import traced_steps

TARGET = Target("h100", "cuda", False, kind="", autotuned=None, compiler={}, problem=None)
LONGER = dataclasses.replace(tiny.LENGTHS, request=Lengths(9.0, 9, 14, 20))
BATCH = (ArrayShape("request_words", (4, 6), "int32"),)

#: Each field with another value.
CHANGES = {
    "turns": 2,
    "lengths": LONGER,
    "users": 5,
    "batch": 7,
    "items_scored": 9,
    "top_k": 2,
    "precision": "highest",
    "dtype": "bfloat16",
    "batches": {"joint": BATCH},
    "distillation": Distillation(2.0, 0.5, (plain(tiny.case("mmn").config),), on_the_fly=True),
}
#: Fields that another program does not follow from, and why.
NO_PROGRAM = {
    "turn_histogram": "weighs turns in the report, and no array is shaped by it",
    "question_items": "is in the configuration, which the request holds",
    "preset": "decides the configuration, which the request holds",
}


@pytest.fixture(autouse=True)
def any_target(monkeypatch):
    """The request describes its target, which needs no compiler here."""
    from cr_jax.targets import ahead

    monkeypatch.setattr(ahead, "description", plain)


def rebuilt(work, model="mmn", config=None):
    """The steps that a worker builds for ``work``, by name."""
    config = tiny.case(model).config if config is None else config
    job = Job(ModelSource(model, config, work), TARGET, work.precision, (), frozenset())
    return traced_steps(json.loads(json.dumps(_request(job, [], "")))["source"])


def identity(work, model="mmn"):
    """What a worker would trace for ``work``: programs and arguments of the first step of each phase."""
    steps = rebuilt(work, model)
    phases = {step.phase: step for step in reversed(list(steps.values()))}
    lowered = {phase: lower_step(step, TARGET, work.precision).step for phase, step in phases.items()}
    return list(steps), {phase: traced_as(s.model_hlo, s.arguments) for phase, s in lowered.items()}


@pytest.fixture(scope="module")
def unchanged():
    patch = pytest.MonkeyPatch()
    from cr_jax.targets import ahead

    patch.setattr(ahead, "description", plain)
    found = identity(tiny.WORK)
    patch.undo()
    return found


def test_every_field_of_the_workload_is_known_here():
    assert set(CHANGES) | set(NO_PROGRAM) == {field.name for field in dataclasses.fields(Workload)}
    assert not set(CHANGES) & set(NO_PROGRAM)


#: Every program is traced anew for each: a few are quick enough.
QUICK = {"turns", "dtype", "precision"}


@pytest.mark.parametrize(
    "field", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CHANGES if name != "batches"]
)
def test_another_value_is_another_program(unchanged, field):
    work = dataclasses.replace(tiny.WORK, **{field: CHANGES[field]})
    assert work != tiny.WORK
    assert identity(work) != unchanged


def test_batches_shape_the_training_step():
    given = rebuilt(dataclasses.replace(tiny.WORK, batches=CHANGES["batches"]))["train/joint"]
    (batch,) = (a for a, name in zip(given.arguments, given.names, strict=True) if name == "batch")
    assert {name: (x.shape, str(x.dtype)) for name, x in batch.items()} == {"request_words": ((4, 6), "int32")}


@pytest.mark.parametrize(("field", "value"), [("turn_histogram", (9, 1)), ("preset", "published"), ("question_items", 2)])
def test_what_changes_no_program(unchanged, field, value):
    assert identity(dataclasses.replace(tiny.WORK, **{field: value})) == unchanged
    if field == "question_items":  # reaches the program by the configuration
        work, settings = dataclasses.replace(tiny.WORK, question_items=2), tiny.SMALL["mmn"]
        asked = Request("mmn", settings=settings, question_items=2, top_k=4, preset="matched")
        config = configure(asked, tiny.DATA).config
        assert config.question_items == 2 and rebuilt(work, config=config).keys() == rebuilt(tiny.WORK).keys()


@pytest.mark.parametrize("model", ["dmn", "mmn", "pmmn", "aim", "srnn-ae"])
def test_bfloat16_reaches_every_weight(model):
    work = dataclasses.replace(tiny.WORK, dtype="bfloat16")
    for step in rebuilt(work, model).values():
        for argument, role in zip(step.arguments, step.roles, strict=True):
            if role in ("weights", "frozen", "optimizer", "items", "state"):
                assert {str(x.dtype) for x in jax.tree.leaves(argument)} <= {"bfloat16", "int32", "bool"}, (step.name, role)


def test_data_in_float32_is_trained_on_in_the_dtype_asked_for():
    arrays = (ArrayShape("text", (4, 6, 6), "float32"), ArrayShape("target", (4,), "int32"))
    work = dataclasses.replace(tiny.WORK, dtype="bfloat16", batches={"answer": arrays})
    step = rebuilt(work, "dmn")["train/answer"]
    (batch,) = (a for a, name in zip(step.arguments, step.names, strict=True) if name == "batch")
    assert {name: str(x.dtype) for name, x in batch.items()} == {"text": "bfloat16", "target": "int32"}


@pytest.mark.slow
def test_the_compiling_process_is_held_to_the_callers_program():
    """Found by the program itself: equal matmul FLOPs do not hide another dtype."""
    case = tiny.case("mmn")
    half = dataclasses.replace(tiny.WORK, dtype="bfloat16")
    asked = lower_step(training_steps(abstract_model(case.spec, case.config, "bfloat16"), half)[0], TARGET, "default").step
    steps = {
        dtype: training_steps(abstract_model(case.spec, case.config, dtype), tiny.WORK)[0] for dtype in ("float32", "bfloat16")
    }
    cpu = Place("cpu", None, {"xla_backend_optimization_level": 0})
    assert another(asked, compile_for(steps["bfloat16"], cpu, "default")) is None
    assert another(asked, compile_for(steps["float32"], cpu, "default")) == "arguments of other shapes or types"
    assert another(asked, compile_for(steps["bfloat16"], cpu, "highest")) == "another program"


def test_all_steps_of_every_model_are_built_as_the_caller_builds_them():
    for name in specs.names():
        case = tiny.case(name)
        model = abstract_model(case.spec, case.config)
        items = precompute_step(model, tiny.WORK)
        wanted = [
            *training_steps(model, tiny.WORK),
            *check_steps(model, tiny.WORK),
            *([items] if items else []),
            *turn_steps(model, tiny.WORK),
        ]
        assert list(rebuilt(tiny.WORK, name)) == [step.name for step in wanted]
