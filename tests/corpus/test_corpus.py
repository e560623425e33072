"""Every input that ever failed, as small as it could be made and named by what was wrong.

``hlo/whole``: valid texts, which the mutations of the soak campaign begin with. ``hlo/refused_by_xla``: XLA's parser
or StableHLO's verifier refuses them, with the reason in ``reasons.tsv``. ``hlo/broken``: they ended the counter with
an exception of Python, a negative count or not at all. ``documents``: JSON that is no document of ours.
"""

import signal
from pathlib import Path

import pytest

from cr_jax import count_hlo
from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.errors import BadHlo, BadInput
from cr_jax.render.cost import show
from cr_jax.render.hlo import render_hlo
from cr_jax.report.document import to_json, validate_file
from cr_jax.report.hlo_count import hlo_count_document

HLO = Path(__file__).parent / "hlo"
SECONDS = 5


def files(kind: str) -> list[Path]:
    return sorted((HLO / kind).glob("*.txt"))


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def counted(text: str) -> HloCount:
    """The count, within ``SECONDS``."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        return count_hlo(text)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("path", files("whole"), ids=lambda path: path.stem)
def test_whole_texts_are_counted(path):
    found = counted(read(path))
    assert found.instructions > 0 and found.hbm_bytes > 0


@pytest.mark.parametrize("path", files("refused_by_xla"), ids=lambda path: path.stem)
def test_what_xla_refuses_is_not_counted_as_exact(path):
    try:
        found = counted(read(path))
    except BadHlo:
        return
    assert not found.complete


@pytest.mark.parametrize("path", files("broken"), ids=lambda path: path.stem)
def test_what_failed_once_is_refused_in_words_or_counted(path, capsys):
    try:
        found = counted(read(path))
    except BadHlo as error:
        assert "\n" not in str(error)
        return
    document = hlo_count_document(found)
    assert min(getattr(document, key) for key in ("matmul_flops", "other_flops", "hbm_bytes")) >= 0
    to_json(document)
    show(render_hlo(document))


@pytest.mark.parametrize("path", sorted((HLO.parent / "documents").glob("*.json")), ids=lambda path: path.stem)
def test_documents_that_are_none_are_refused_in_a_line(path):
    with pytest.raises(BadInput) as caught:
        validate_file(path)
    text = str(caught.value)
    assert path.name in text and "\n" not in text and "\x1b" not in text
