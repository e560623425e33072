"""DMN's parameter count against its expanded formula and the public code."""

import json

import pytest

from cr_jax.models.dmn.paper_count import trainable, with_optimizer


@pytest.mark.parametrize(("embedding", "hidden", "classes"), [(50, 32, 100), (7, 6, 5), (1, 2, 0)])
def test_the_expanded_formula(embedding, hidden, classes):
    expanded = 3 * embedding * hidden + 22 * hidden**2 + 11 * hidden + 1 + hidden * classes
    assert trainable(classes, embedding, hidden) == expanded


@pytest.mark.parametrize("classes", [100, 9340])
def test_the_public_code(shared, classes):
    public = json.loads(shared("reference/counts.json").read_text())["DMN"][f"V{classes}"]
    assert trainable(classes) == public["trainable"]
    assert with_optimizer(trainable(classes)) == public["global_"]
