"""The variants of a request, and what tuning chooses from."""

import pytest

from cr_jax.errors import BadConfig, UnknownName
from cr_jax.models import spec as specs
from cr_jax.models.dmn.config import Config
from cr_jax.remedy.request import RemedyRequest
from cr_jax.remedy.variants import Variant, recipes, slug, variants

SPEC = specs.find("dmn")
CONFIG = Config(classes=40, items=40, facts=6, hidden=16, hops=3)
STUDENT = {"hidden": "8", "hops": "1"}


def _request(**changes):
    return RemedyRequest("dmn", "talks", **{"students": (STUDENT,), **changes})


def test_dmn_has_every_rival():
    found = [one.name for one in variants(_request(), SPEC, CONFIG, 5)]
    assert found == [
        "teacher",
        "distilled hidden=8 hops=1",
        "scratch hidden=8 hops=1",
        "smoothed hidden=8 hops=1",
        "compressed item_rank=4",
        *[f"compressed weights={kind}" for kind in ("bfloat16", "int8") if hasattr(CONFIG, "weights")],
        "fewer hops=1",
        "fewer hops=2",
        "early after turn 2",
        "replayed",
        "popularity",
    ]


def test_of_single_stages_only_what_is_trained_is_left():
    found = variants(_request(stages=("answer",)), SPEC, CONFIG, 5)
    assert [one.kind for one in found] == ["teacher", "distilled", "scratch", "smoothed"]


def test_only_the_rivals_asked_for():
    found = variants(_request(rivals=("scratch",)), SPEC, CONFIG, 5)
    assert [one.kind for one in found] == ["teacher", "distilled", "scratch"]


def test_a_students_setting_that_the_model_lacks_is_refused():
    with pytest.raises(BadConfig, match="layers"):
        variants(_request(students=({"layers": "2"},)), SPEC, CONFIG, 5)


def test_tuning_chooses_from_every_pair():
    asked = _request(temperatures=(1.0, 4.0), weights=(0.5,), learning_rates=("0.01", "0.1"), smoothings=(0.2,))
    assert recipes(asked, Variant("distilled")) == ({"temperature": "1", "weight": "0.5"}, {"temperature": "4", "weight": "0.5"})
    assert recipes(asked, Variant("scratch")) == ({"learning_rate": "0.01"}, {"learning_rate": "0.1"})
    assert recipes(asked, Variant("smoothed")) == ({"weight": "0.2"},)
    assert recipes(asked, Variant("teacher")) == ({},)


def test_a_cells_name_says_what_it_is():
    assert slug(Variant("distilled", STUDENT), {"temperature": "2"}, 3) == "distilled_hidden-8_hops-1_temperature-2_seed-3"
    assert slug(Variant("scratch", {"layers": "10,20"}), {}, 0) == "scratch_layers-10-20_seed-0"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"students": (), "rivals": ()}, "no student"),
        ({"seeds": ()}, "seeds none"),
        ({"seeds": (1, 1)}, "seeds 1, 1"),
        ({"ensemble": 0}, "ensemble=0"),
        ({"margin": 1.0}, "margin=1.0"),
        ({"margin": float("nan")}, "margin=nan"),
        ({"epochs": 1, "steps": 1}, "one of the two"),
        ({"smoothings": (0.0,)}, "smoothing=0.0"),
        ({"temperatures": ()}, "temperatures: none"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, said):
    with pytest.raises(BadConfig, match=said):
        _request(**changes)


def test_an_unknown_rival_is_refused():
    with pytest.raises(UnknownName, match="pruned"):
        _request(rivals=("pruned",))
