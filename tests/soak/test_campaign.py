"""The campaign, a thousandth of it in the default suite and all of it with ``-m soak``."""

import pytest
from soak import campaign, data_campaign, document_campaign, hlo_campaign, hlo_texts, kill_campaign, store_campaign

SMALL, SEED = 12, 7


def clean(tally):
    assert not tally.failures, tally.line() + "\n" + "\n".join(f"{kind}: {cause}" for kind, cause in tally.failures)


def test_the_same_seed_makes_the_same_texts():
    texts = hlo_texts.whole_texts()
    assert len(texts) > 40
    assert [hlo_texts.mutated(n, 3, texts) for n in range(20)] == [hlo_texts.mutated(n, 3, texts) for n in range(20)]


def test_a_few_data_files():
    clean(data_campaign.run(SMALL, SEED, 1))


def test_one_summary_line(capsys):
    assert campaign.main(["--data", "3", "--seed", "1", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 inputs, seed 1: ") and "0 traceback" in out and out.count("\n") == 1


@pytest.mark.soak
def test_hlo():
    clean(hlo_campaign.run(10_000, 1, 2)[0])


@pytest.mark.soak
def test_documents():
    clean(document_campaign.run(10_000, 1, 2))


@pytest.mark.soak
def test_data():
    clean(data_campaign.run(5000, 1, 2))


@pytest.mark.soak
def test_kills():
    pytest.importorskip("grain", reason="needs the extra cr-jax[train]")
    pytest.importorskip("orbax.checkpoint", reason="needs the extra cr-jax[train]")
    clean(kill_campaign.run(200, 1))


@pytest.mark.soak
def test_stores():
    clean(store_campaign.run(200, 1))
