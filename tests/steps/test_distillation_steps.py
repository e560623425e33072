"""A distillation step costs the published step, the comparison with the teachers and, on the fly, their passes: nothing else."""

import dataclasses

import jax
import pytest

from cr_jax.catalog import load
from cr_jax.data.examples.distilled import READS
from cr_jax.distillation import Distillation
from cr_jax.errors import BadConfig
from cr_jax.models import spec as specs
from cr_jax.profiling.pipeline import configure, count_step
from cr_jax.profiling.request import Request
from cr_jax.records import plain
from cr_jax.steps.distil import distillables, teacher_model, teacher_step
from cr_jax.steps.step import Step, abstract_model
from cr_jax.steps.train import training_steps
from cr_jax.targets.compile import lower_step
from cr_jax.targets.resolve import resolve
from cr_jax.targets.worker import workload

BATCH, ITEMS = 3, 11
SMALL = {
    "dmn": {"items": "11", "classes": "14", "embedding": "5", "hidden": "4", "hops": "2"},
    "mmn": {
        "items": "11",
        "words": "20",
        "aspects": "6",
        "item_words": "8",
        "facts": "3",
        "embedding": "5",
        "question_items": "2",
    },
}
SMALL["pmmn"] = SMALL["mmn"] | {"users": "9"}


def counted(step: Step):
    found = count_step(lower_step(step, resolve("cpu"), "default").step).model
    assert found.bound == "exact"
    return found


def steps(name: str, teachers: int, on_the_fly: bool) -> tuple[Step, Step, Step]:
    """The published step, the distillation step, and a teacher's."""
    configured = configure(Request(name, "cell-phones", batch=BATCH, turns=2, settings=SMALL[name]), load.dataset("cell-phones"))
    spec, teacher = configured.spec, configured.config
    student = dataclasses.replace(teacher, hidden=2)
    how = Distillation(2.0, 0.25, (plain(teacher),) * teachers, on_the_fly)
    model, work = abstract_model(spec, student), configured.work
    (published,) = training_steps(model, work)
    (distilled,) = training_steps(model, dataclasses.replace(work, distillation=how))
    (objective,) = distillables(spec)
    read = distillables(spec)[objective].read(teacher, work, BATCH)
    return published, distilled, teacher_step(teacher_model(spec, teacher), objective, work, read)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("teachers", [1, 2])
def test_teachers_within_the_step_add_their_passes(name, teachers):
    _, kept, teacher = steps(name, teachers, False)
    _, within, _ = steps(name, teachers, True)
    assert counted(within).matmul_flops == counted(kept).matmul_flops + teachers * counted(teacher).matmul_flops
    assert "teachers" in within.names and "teachers" not in kept.names
    assert [one for one in kept.arguments[4] if one.startswith("scores.")] and not any(
        one.startswith("scores.") for one in within.arguments[4]
    )
    read = {one for one in within.arguments[4] if one.startswith(READS.format(0))}
    assert read and not any(one.startswith(READS.format(1)) for one in within.arguments[4])  # equal teachers read once


def test_dmn_shares_its_forward_pass():
    """The same products as the published step: the comparison is element by element, over the catalogue alone."""
    published, distilled, _ = steps("dmn", 1, False)
    plain_step, taught = counted(published), counted(distilled)
    assert taught.matmul_flops == plain_step.matmul_flops
    # Two softmaxes, their difference and its gradient take a few operations per row and item.
    more = taught.other_flops - plain_step.other_flops
    assert 5 * BATCH * ITEMS < more < 40 * BATCH * ITEMS
    assert taught.transcendentals - plain_step.transcendentals >= 3 * BATCH * ITEMS


def test_teachers_are_modules_of_their_own():
    _, within, _ = steps("dmn", 1, True)
    modules = counted(within).by("module")
    for name in ("answer", "input_module.encoder"):
        own, theirs = modules[name]["matmul_flops"], modules[f"teacher.{name}"]["matmul_flops"]
        assert theirs > 0 and own > 0


def test_a_worker_reads_the_same_workload():
    configured = configure(Request("dmn", "cell-phones", settings=SMALL["dmn"]), load.dataset("cell-phones"))
    how = Distillation(2.0, 0.25, (plain(configured.config),), True)
    for work in (configured.work, dataclasses.replace(configured.work, distillation=how)):
        assert workload(plain(work)) == work


def test_aim_and_models_without_a_hook_say_why():
    with pytest.raises(BadConfig, match=r"aim has no distillation: .+"):
        distillables(specs.find("aim"))


def test_the_published_step_is_as_before():
    configured = configure(Request("dmn", "cell-phones", settings=SMALL["dmn"]), load.dataset("cell-phones"))
    (step,) = training_steps(abstract_model(configured.spec, configured.config), configured.work)
    assert step.names == ("weights", "optimizer", "other_weights", "frozen", "batch", "key")
    assert {name: one.shape for name, one in step.arguments[4].items()}.keys() == {"text", "ends", "question", "target"}
    assert jax.tree.leaves(step.arguments)
