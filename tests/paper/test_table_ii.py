"""The paper's tables: the unknowns solved for, and what is said of each cell."""

import dataclasses
import json

import pytest

from cr_jax.catalog import load
from cr_jax.documents.base import plain
from cr_jax.documents.check import check
from cr_jax.documents.cost_report import PaperParameters
from cr_jax.errors import BadInput
from cr_jax.models.aim.paper_count import generator
from cr_jax.models.dmn.paper_count import trainable, with_optimizer
from cr_jax.models.mmn import paper_count as mmn
from cr_jax.paper import table_ii
from cr_jax.paper.accounts import Solution, solve
from cr_jax.paper.table_ii import paper_document
from cr_jax.profiling.pipeline import configure
from cr_jax.profiling.request import Request
from cr_jax.report.document import to_json
from cr_jax.resources import profile_files


@pytest.fixture(scope="module")
def document():
    return paper_document()


def cells(document, model):
    return [cell for cell in document.cells if cell.model == model]


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (1003, Solution(10, 100, 0)),
        (1052, Solution(10, 100, -49)),
        (1054, Solution(11, 100, 49)),
        (0, Solution(0, 100, 3)),
        (-700, Solution(0, 100, 703)),
    ],
)
def test_solving_takes_the_nearest_integer_not_below_zero(printed, expected):
    assert solve(printed, lambda x: 100 * x + 3) == expected


@pytest.mark.parametrize(("remainder", "hits"), [(0, 1), (-1, 3), (49, 99), (50, 100), (703, 100)])
def test_hits_count_the_figures_met_as_closely(remainder, hits):
    solution = Solution(5, 100, remainder)
    assert solution.hits == hits
    met = sum(abs(solve(1000 + n, lambda x: 100 * x).remainder) <= abs(remainder) for n in range(100))
    assert met == hits


@pytest.mark.parametrize(
    ("model", "solved"),
    [("dmn", [84_313, 60_555, 53_949, 9_340]), ("mmn", [309_421, 263_873, 122_972, 51_272]), ("pmmn", [132, 115, 76, 161])],
)
def test_twelve_cells_fit_to_the_digit(document, model, solved):
    row = cells(document, model)
    assert [cell.solved.value for cell in row] == solved
    assert {cell.status for cell in row} == {"fits"}
    assert all(cell.difference == 0 and cell.accounted == cell.printed for cell in row)
    assert all((cell.accidental_fit.hits, cell.accidental_fit.of) == (1, 96 if model == "dmn" else 100) for cell in row)


@pytest.mark.parametrize(
    ("model", "solved", "remainders"),
    [
        ("aim", [109_907, 85_667, 42_935, 16_468], [66, 24, 88, -67]),
        ("srnn_ae", [114_307, 88_272, 45_630, 19_885], [-137, -109, -103, 97]),
    ],
)
def test_eight_cells_are_calibrated_and_say_how_little_that_means(document, model, solved, remainders):
    row = cells(document, model)
    assert [cell.solved.value for cell in row] == solved
    assert [cell.difference for cell in row] == remainders
    assert {cell.status for cell in row} == {"calibrated"}
    assert all(cell.trainable_at_solved is None for cell in row)
    assert all(cell.accidental_fit.hits == 2 * abs(cell.difference) + 1 for cell in row)


def test_a_calibrated_reading_stays_calibrated_even_without_remainder():
    data = load.dataset("electronics")
    lucky = dataclasses.replace(data, paper_printed=data.paper_printed | {"aim": generator(1000)})
    assert table_ii.cell("aim", lucky).status == "calibrated"


def test_a_changed_figure_no_longer_fits():
    data = load.dataset("electronics")
    off = dataclasses.replace(data, paper_printed=data.paper_printed | {"dmn": 8_177_096})
    cell = table_ii.cell("dmn", off)
    assert (cell.status, cell.difference, cell.accidental_fit.hits) == ("calibrated", -1, 3)


def test_honest_counts(document):
    assert [cell.trainable_at_solved for cell in cells(document, "dmn")] == [2_725_697, 1_965_441, 1_754_049, 326_561]
    assert [cell.honest.parameters for cell in cells(document, "pmmn")] == [45_231_243, 32_919_043, 18_028_943, 7_335_743]
    for name in ("dmn", "mmn", "pmmn", "aim", "srnn_ae"):
        for cell, dataset in zip(cells(document, name), table_ii.DATASETS, strict=True):
            data = load.dataset(dataset)
            by_hand = {
                "dmn": 27_681 + 32 * (data.items + 150),
                "mmn": 100 * data.words + 37_443,
                "pmmn": 100 * (data.words + data.users) + 47_043,
                "aim": 902 * 20_002 + 8_767_000,
                "srnn_ae": 16_538_112 + 7_182 + 2001 * data.items + 1000,
            }[name]
            assert cell.honest.parameters == by_hand
            assert cell.honest.ratio_to_printed == pytest.approx(by_hand / cell.printed, abs=1e-4)


def test_the_profiles_carry_the_solved_sizes(document):
    for dataset in table_ii.DATASETS:
        solved = {c.model: c.solved.value for c in document.cells if c.dataset == dataset}
        expected = {"dmn_classes": solved["dmn"], "mmn_words": solved["mmn"], "pmmn_users": solved["pmmn"]}
        assert load.dataset(dataset).paper == expected


def test_the_public_aim_and_srnn_ae_are_shown_impossible(document):
    for entry in document.inconsistencies:
        assert entry.floor_exceeds_least_printed and not entry.one_constant_possible
        assert entry.least_printed.dataset == "cell-phones"
    by_hand = {name: load.dataset(name).paper_printed["aim"] % 902 for name in table_ii.DATASETS}
    assert document.inconsistencies[0].remainders == by_hand


def test_the_document_passes_its_schema_and_is_stable(document):
    check(plain(document), "paper-table", "paper")
    assert to_json(document) == to_json(paper_document())
    assert [data.name for data in document.datasets] == list(table_ii.DATASETS)
    assert len(document.cells) == 20


def test_a_replaced_profile_without_the_figures_is_refused(tmp_path, monkeypatch):
    profile = json.loads(profile_files("datasets")["electronics"].read_text())
    del profile["paper_printed"]
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "electronics.json").write_text(json.dumps(profile))
    monkeypatch.setenv("CRJAX_PROFILES", str(tmp_path))
    with pytest.raises(BadInput, match=r"profile electronics: paper_printed\.\w+: missing"):
        paper_document()


@pytest.mark.parametrize(
    ("model", "preset", "counted", "solved", "note"),
    [
        ("dmn", "published", 989_479, [], "Table II has 979,687, of other sizes"),
        ("dmn", "paper", 979_687, ["classes"], "Table II's figure, which classes was solved from"),
        ("mmn", "published", 5_164_643, ["words"], "Table II's figure, which words was solved from"),
        ("pmmn", "published", 7_335_743, ["words"], "Table II has 5,190,343, of other sizes"),
        ("pmmn", "paper", 5_190_343, ["words", "users"], "Table II's figure, which words and users were solved from"),
    ],
)
def test_a_reports_count_stands_beside_table_ii(model, preset, counted, solved, note):
    data = load.dataset("cell-phones")
    asked = configure(Request(model, preset=preset), data)
    spec, config = asked.spec, asked.config
    formulas = {
        "dmn": lambda c: with_optimizer(trainable(c.classes)),
        "mmn": lambda c: mmn.mmn(c.words),
        "pmmn": lambda c: mmn.pmmn(c.words, c.users),
    }
    found = table_ii.beside_table_ii(spec.name, data, config, formulas[model](config))
    expected = PaperParameters(counted=counted, printed=data.paper_printed[model], solved=tuple(solved), note=note)
    assert found == expected


def test_no_account_for_data_the_paper_never_saw_nor_without_a_formula():
    data = load.dataset("cell-phones")
    config = configure(Request("dmn"), data).config
    assert table_ii.beside_table_ii("dmn", dataclasses.replace(data, paper_printed={}), config, 989_479) is None
    assert table_ii.beside_table_ii("srnn-ae", data, config, None) is None


def test_a_circular_ratio_says_so(document):
    for cell in document.cells:
        honest = cell.honest
        assert honest.circular == (cell.model == "mmn")
        assert honest.solved == (("W",) if cell.model in ("mmn", "pmmn") else ())
        assert not honest.circular or honest.parameters == cell.printed
