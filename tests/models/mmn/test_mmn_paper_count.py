"""MMN's and PMMN's parameter counts against their expanded formulas."""

import pytest

from cr_jax.models.mmn.paper_count import mmn, pmmn


@pytest.mark.parametrize(("embedding", "hidden", "words", "users"), [(100, 32, 10, 3), (6, 4, 9, 5)])
def test_the_expanded_formulas(embedding, hidden, words, users):
    rest = 20.5 * hidden**2 + 14 * hidden + 3
    assert mmn(words, embedding, hidden) == embedding * words + 5 * embedding * hidden + rest
    both = embedding * (words + users) + 8 * embedding * hidden + rest
    assert pmmn(words, users, embedding, hidden) == both
