"""Top-k over all items in bounded memory: the compiled programs' temporaries against the stated limits."""

import importlib

import jax
import pytest

from cr_jax.models import spec as specs
from cr_jax.profiling.pipeline import read_dataset
from cr_jax.records import Workload
from cr_jax.steps.step import abstract_model, state_bytes
from cr_jax.steps.turn import precompute_step, turn_steps
from cr_jax.targets.compile import compile_step
from cr_jax.targets.resolve import resolve


def limits(spec):
    """``TEMPORARY_BYTES`` of the model's file, where its memory is per item."""
    return getattr(importlib.import_module(spec.build.__module__), "TEMPORARY_BYTES", None)


def test_a_model_with_an_item_side_states_its_limit():
    data, _ = read_dataset("cell-phones")
    work = Workload(turns=1, lengths=data.lengths, turn_histogram=data.turn_histogram)
    for spec in map(specs.find, specs.names()):
        has_side = spec.conversation.items(spec.configure(data, work), work) is not None
        assert bool(limits(spec)) == has_side, spec.name


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in specs.names() if limits(specs.find(n))])
@pytest.mark.parametrize(("dataset", "users"), [("cell-phones", 1), ("cell-phones", 16), ("electronics", 1), ("electronics", 16)])
def test_temporaries_stay_within_it(name, dataset, users):
    data, _ = read_dataset(dataset)
    spec = specs.find(name)
    work = Workload(turns=1, lengths=data.lengths, turn_histogram=data.turn_histogram, users=users)
    model = abstract_model(spec, spec.configure(data, work))
    for step in (precompute_step(model, work), *turn_steps(model, work)):
        temporary = compile_step(step, resolve("cpu"), "default").memory.temp_bytes
        result = state_bytes(jax.eval_shape(step.function, *step.arguments))[1] if step.phase == "precompute" else 0
        print(name, dataset, users, step.name, f"{temporary - result:,} of {limits(spec)[step.phase]:,}")
        assert 0 < temporary <= limits(spec)[step.phase] + result, step.name
