"""Every golden case of ../shared/reference, through the command's own function."""

from pathlib import Path

import pytest
from check_reference import adapters, check, main, table

FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "reference"
CASES = sorted(FOLDER.glob("*.npz"))


#: Cases that compile for more than ten seconds; every model has a quicker one.
SLOW = {
    "srnn_recommend_tiny",
    "srnn_sentiment_tiny",
    "aim_tiny_oneside",
    "aim_tiny_twoside",
    "srnn_autorec_tiny_two_layers",
    "dmn_default_v100",
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.stem, marks=[pytest.mark.slow] if case.stem in SLOW else []) for case in CASES]
    or [pytest.param(None, id="missing")],
)
def test_golden_case(case):
    if case is None:
        pytest.skip("needs ../shared/reference, which is not here")
    rows = check(case)
    assert any(row.error is not None for row in rows)
    assert not [row for row in rows if not row.ok], "\n" + table([row for row in rows if not row.ok])


def test_adapters_are_found_by_listing_the_folder():
    assert {"reference_dmn", "reference_mmn"} <= {module.__name__ for module in adapters()}


def test_misuse_exits_with_2(tmp_path, capsys):
    (tmp_path / "case.json").write_text('{"config": {}}')
    assert main([]) == main([str(tmp_path / "absent.npz")]) == main([str(tmp_path / "case.npz")]) == 2
    assert "case.npz" in capsys.readouterr().err
