"""AIM's and DAIM's parameter counts against their expanded formulas and the public code."""

import json

import pytest

from cr_jax.models.aim.paper_count import aim, daim, discriminator, encoder, generator


@pytest.mark.parametrize(("longest", "length"), [(49, 12), (53, 13), (17, 4)])
def test_the_encoders_expanded_formula(longest, length):
    assert encoder(longest=longest) == 1_351_000 + 60_000 * length


def test_the_expanded_formulas():
    assert generator(7) == 301 * 7 + 1_592_500 + 60_000 * 12
    assert discriminator(7) == 300 * 7 + 2_702_000 + 120_000 * 12
    assert aim(7) == 902 * 7 + 5_887_000 + 240_000 * 12
    assert daim(7) == 1202 * 7 + 8_589_000 + 360_000 * 12


def test_the_public_code(shared):
    public = json.loads(shared("reference/counts.json").read_text())["AIM"]["cases"]
    assert aim(500) == public["oneside_mi0.1_sup0.001"]["trainable_total"]
    assert daim(500) == public["twoside_mi0.1_sup0.001"]["trainable_total"]
    assert generator(500) == public["oneside_nomi_sup0.001"]["g_vars_total"]
    assert discriminator(500) == public["oneside_nomi_sup0.001"]["d_vars_total"]
