"""Documents of other shapes and figures: each is refused in one line or gives a result, in every use of a report."""

import copy
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reports import sample

from cr_jax.documents.base import plain
from cr_jax.errors import BadInput, CrJaxError
from cr_jax.profiling.rerun import rerun
from cr_jax.render import compare as tables
from cr_jax.render.bars import bars
from cr_jax.render.comparison_csv import as_csv
from cr_jax.render.cost import render_cost
from cr_jax.render.diff import render_diff
from cr_jax.render.escape import terminal
from cr_jax.render.gate import render_gate
from cr_jax.render.roofline import roofline
from cr_jax.report.compare import compare, saved
from cr_jax.report.diff import difference
from cr_jax.report.document import get_field, read_report, to_json, validate, validate_file
from cr_jax.report.gate import LIMITS, gate, read_baseline
from cr_jax.version import __version__

VALUES = (
    None,
    True,
    -1,
    0,
    1,
    2**63,
    10**90,
    -(10**90),
    1e99,
    -1e99,
    1e-300,
    1.5,
    "",
    "x",
    "[/b]",
    "a\nb",
    "9" * 50,
    [],
    {},
    [None],
    {"a": 1},
    [[[]]],
    "cpu",
    "float32",
)


def _places(document):
    """(holder, key) of every value."""
    found, left = [], [document]
    while left:
        holder = left.pop()
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            found.append((holder, key))
            if isinstance(value, dict | list) and value:
                left.append(value)
    return found


@pytest.fixture(scope="module", autouse=True)
def made():
    """The report is profiled before Hypothesis draws: the checker of annotations looks at random items of a list."""
    sample()


@st.composite
def mutated(draw):
    """A report with a few keys gone, values of another kind, huge, doubled, emptied or in each other's place."""
    document = plain(sample())
    for _ in range(draw(st.integers(1, 3))):
        places = _places(document)
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        how, value = draw(st.integers(0, 4)), holder[key]
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(value, int | float):
            holder[key] = draw(st.sampled_from((0, 1, -1, 2**62, 10**90, 1e99, 1e-300))) or value * 10**20
        elif how == 2 and isinstance(value, list):
            holder[key] = value[: draw(st.integers(0, len(value)))] * draw(st.integers(0, 2))
        elif how == 3 and isinstance(holder, dict):
            other = draw(st.sampled_from(sorted(holder)))
            holder[key], holder[other] = holder[other], holder[key]
        else:
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return document


def _shown(renderable):
    """Prints a table: something is printed, and no control letter of the document reaches the terminal."""
    text = io.StringIO()
    terminal(text, 200).print(renderable)
    lines = text.getvalue().split("\n")
    assert any(line.strip() for line in lines)
    assert all(line.isprintable() for line in lines)


def _made(document):
    """A result is valid, and still is once it was written and read."""
    validate(document, "made")
    validate(json.loads(to_json(document)), "made")
    return document


def _uses(place, good):
    """Everything that is done with a saved report."""
    yield lambda: validate_file(place)
    yield lambda: _shown(render_cost(read_report(place), memory=True))
    yield lambda: get_field(read_report(place), "parameters.trainable")

    def differences():
        for a, b in ((read_report(place), good), (good, read_report(place))):
            _shown(render_diff(_made(difference(a, b, "a", "b", __version__))))

    def comparison():
        for first, second in ((read_report(place), good), (good, read_report(place))):
            found = _made(compare([saved(first, "a"), saved(second, "b")], __version__))
            for form in (tables.as_text, tables.as_markdown, tables.as_latex, as_csv, bars, roofline):
                assert form(found)

    def checked():
        baseline = read_baseline(place)
        _shown(render_gate(_made(gate(baseline, good, LIMITS, "a", __version__))))
        rerun(baseline, "a", ("cell-phones",))

    yield from (differences, comparison, checked)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # it would hide the failure
@given(mutated())
@settings(deadline=None, max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_mutated_report_is_refused_or_used(tmp_path_factory, document):
    place = tmp_path_factory.mktemp("mutated") / "report.json"
    place.write_text(json.dumps(document))
    _all_used(place)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(mutated())
@settings(deadline=None, max_examples=3000, suppress_health_check=list(HealthCheck))
def test_very_many_are(tmp_path_factory, document):
    test_a_mutated_report_is_refused_or_used.hypothesis.inner_test(tmp_path_factory, document)


def _all_used(place):
    """Every use gives a result or a refusal that names the file; whether the file is refused by all of them."""
    reasons = []
    for use in _uses(place, sample()):
        try:
            use()
        except CrJaxError as error:
            reasons.append(str(error.args[0]))  # as raised: ``str`` of any error is one visible line
        else:
            reasons.append(None)
    if reasons[0] is not None:  # the document is not valid
        assert all(reason is not None and reason.startswith(f"{place}: ") for reason in reasons), reasons
    else:
        assert all(reason is None or reason.startswith((f"{place}: ", "a: ")) for reason in reasons), reasons
    return reasons[0] is not None


def step(report, name="train/answer"):
    return next(one for one in report["steps"] if one["name"] == name)


def _without_batch(report):
    del step(report)["labels"]["batch"]


def _batch_of_text(report):
    step(report)["labels"]["batch"] = "16"


def _users_of_text(report):
    step(report, "infer/replay/t0")["labels"]["users"] = "1"


def _without_mode(report):
    del step(report, "infer/incremental/t1")["labels"]["mode"]


def _of_one_mode(report):
    report["turns"] = [row for row in report["turns"] if row["mode"] == "replay"]


def _bytes_as_fractions(report):
    for point in report["steps"][0]["memory"]["timeline"]["points"]:
        point["live_bytes"] = float(point["live_bytes"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without_batch, "labels.batch: missing"),
        (_batch_of_text, "must be of type integer"),
        (_users_of_text, "must be of type integer"),
        (_without_mode, "labels.mode: missing"),
        (_of_one_mode, None),
        (_bytes_as_fractions, None),
    ],
)
def test_what_failed_once(tmp_path, change, reason):
    report = plain(sample())
    change(report)
    (tmp_path / "report.json").write_text(json.dumps(report))
    if reason is not None:
        with pytest.raises(BadInput, match=reason):
            validate_file(tmp_path / "report.json")
    assert _all_used(tmp_path / "report.json") == (reason is not None)
