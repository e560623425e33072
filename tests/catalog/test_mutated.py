"""Accelerator and data set profiles with junk in every place: refused in one line, or taken and of use."""

import copy
import json
import math

import pytest
from msgspec import structs

from cr_jax.catalog.accelerator import unreliable
from cr_jax.catalog.load import load_accelerator, load_dataset
from cr_jax.cost.operations.operation_list import operations
from cr_jax.documents.calibration import CalibrationTables
from cr_jax.errors import CrJaxError
from cr_jax.predict.money.pricing import Rates, costs
from cr_jax.predict.program_time import predict
from cr_jax.resources import shipped_profile

JUNK = [
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    10**99,
    -(10**99),
    1e308,
    5e-324,
    "",
    "x",
    "x" * 5000,
    [],
    {},
    [[[]]],
    {"value": 1},
    {"value": 10**99, "kind": "measured", "source": "s"},
    [None],
    ["a", {}],
    {"a": {"b": {"c": []}}},
]
HLO = """HloModule m

ENTRY e {
  p = f32[64,64]{1,0} parameter(0)
  d = f32[64,64]{1,0} dot(p, p), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT t = f32[64,64]{1,0} tanh(d)
}
"""


def places(value, path=()):
    """Every place in a document, whole branches too; of a long list the first entries."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def mutated(document, every):
    """The document with one place changed; of all such changes every so many."""
    changes = [(path, junk) for path in places(document) for junk in JUNK]
    for number, (path, junk) in enumerate(changes):
        if number % every == 0:
            found = copy.deepcopy(document)
            holder = found
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = junk
            yield path, junk, found


def calibrated():
    """A CPU profile with a calibration, from the shape its schema gives."""
    from measure.test_calibrate import block

    from cr_jax.measure.calibrate import profile

    found = block()
    tables = {name: rows[:60] for name, rows in structs.asdict(found.tables).items()}  # a few points of each are a table too
    found = structs.replace(found, tables=CalibrationTables(**tables))
    return profile(found, "cpu", json.loads(shipped_profile("accelerators", "cpu").read_text()))


@pytest.mark.parametrize("every", [37, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["h100", "tpu-v5e", "cpu", "calibrated"])
def test_an_accelerator_with_junk_is_refused_or_of_use(tmp_path, name, every):
    whole = calibrated() if name == "calibrated" else json.loads(shipped_profile("accelerators", name).read_text())
    file, program, taken = tmp_path / f"{whole['name']}.json", operations(HLO), 0
    for path, junk, document in mutated(whole, every):
        file.write_text(json.dumps(document))
        try:
            accelerator = load_accelerator(file)
        except CrJaxError as error:
            assert "\n" not in str(error)
            continue
        taken += 1
        found = predict(program, accelerator, "default", "float32")
        figures = [found.seconds, found.low_s, found.high_s]
        told = costs(found.seconds, found.shares, accelerator, Rates())
        figures += [v for block in told for v in structs.astuple(block) if isinstance(v, float)]
        assert all(v is None or math.isfinite(v) for v in figures), (path, str(junk)[:40], figures)
        assert accelerator.calibration is None or unreliable(accelerator.calibration) is None or not accelerator.validated_on
    assert taken or every > 1


@pytest.mark.parametrize("every", [37, pytest.param(1, marks=pytest.mark.slow)])
def test_a_data_set_with_junk_is_refused_or_of_use(tmp_path, every):
    whole = json.loads(shipped_profile("datasets", "cell-phones").read_text())
    file = tmp_path / "cell-phones.json"
    for _, _, document in mutated(whole, every):
        file.write_text(json.dumps(document))
        try:
            assert load_dataset(file).last_turn >= 1
        except CrJaxError as error:
            assert "\n" not in str(error)
