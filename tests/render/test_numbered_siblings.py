"""Names that differ only by a number."""

import pytest

from cr_jax.render.numbered_siblings import numbered


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([f"layers.{n}" for n in range(32)], ["layers.0-31"]),
        (["block_0", "block_1", "block_2", "block_5", "head"], ["block_0-2,5"]),
        (["linear", "linear_1", "linear_2", "embed"], ["linear_0-2"]),  # Haiku's first has no number
        (["linear_1", "linear_2"], ["linear_1,2"]),
        (["h0.mlp1", "h1.mlp1", "h2.mlp1", "h0.mlp2"], ["h0-2.mlp1"]),  # a name is in the largest group alone
        (["embed", "head", "layers.0"], []),
    ],
)
def test_a_group_is_named_by_its_numbers(names, labels):
    groups = numbered(names)
    assert [label([number for number, _ in own]) for label, own in groups] == labels
    grouped = [name for _, own in groups for _, name in own]
    assert len(grouped) == len(set(grouped)) and set(grouped) <= set(names)
