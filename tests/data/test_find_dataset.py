"""Data sets from files: what is counted, what is assumed, and that the shipped figures follow."""

import dataclasses
import json

import pytest

from cr_jax.catalog import load
from cr_jax.data import demo
from cr_jax.data.conversation import Problems
from cr_jax.data.find_dataset import find_dataset, read_dataset
from cr_jax.data.formats import aspect_value, hem
from cr_jax.data.profile import assume_from, document_text, lengths_of, scaled_histogram
from cr_jax.errors import BadInput, UnknownName
from cr_jax.records import Lengths

DESCRIBED = (
    "3,018 aspect-value conversations on 326 Amazon cell phone products (layout of Bi et al., CIKM 2019) and their 5-core reviews"
)


def test_a_small_file_counted_by_hand(tmp_path):
    file = tmp_path / "My Talk_1.txt"
    file.write_text("a@x,screen size|good|1:case|big|1\nb@x,case|good|-1\nb@x,case|good|-1\n")
    data, problems = read_dataset(file)
    assert (data.name, data.title) == ("my-talk-1", "My Talk_1")
    assert (data.users, data.items, data.aspects, data.values) == (2, 1, 2, 2)
    assert (data.conversations, data.turns, data.turn_histogram) == (2, 3, (1, 1))
    assert data.words == len({"screen", "size", "case", "good", "big"})
    assert data.lengths.question == Lengths(round(4 / 3, 4), 1, 2, 2)
    assert data.lengths.request == load.dataset("cell-phones").lengths.request
    assert data.origins["lengths.request"].kind == "assumed"
    assert data.origins["users"].kind == data.origins["lengths.question"].kind == "measured"
    assert problems.counts == {"duplicate": 1}
    with pytest.raises(BadInput, match=r"line 3: duplicate"):
        read_dataset(file, strict=True)


def test_quantiles():
    assert lengths_of(range(1, 101)) == Lengths(50.5, 50, 95, 100)
    assert lengths_of([7]) == Lengths(7.0, 7, 7, 7)


@pytest.mark.parametrize("turns", [1, 2, 7, 68_709, 659_737])
def test_a_scaled_histogram_holds_exactly_the_turns(turns):
    scaled = scaled_histogram((1446, 855, 388, 177, 85, 29, 17, 13, 4, 3, 0, 0, 0, 0, 1), turns)
    assert sum(n * c for n, c in enumerate(scaled, 1)) == turns
    assert min(scaled) >= 0 and scaled[-1] > 0


def test_a_measured_profile_survives_its_json_document(tmp_path):
    data, _ = read_dataset(demo.demo_file())
    file = tmp_path / f"{data.name}.json"
    file.write_text(document_text(data))
    assert load.load_dataset(file) == data
    assert find_dataset(str(file))[0] == data


@pytest.mark.parametrize("name", ["electronics", "cds-vinyl", "kindle-store", "cell-phones"])
def test_a_shipped_profile_survives_its_json_document(name):
    data = load.dataset(name)
    assert load.dataset_from(json.loads(document_text(data)), name, name) == data
    assert next(iter(json.loads(document_text(data)))) == "schema"


def test_the_demo_file_is_what_its_generator_makes():
    assert demo.demo_file().read_text() == demo.demo_text()
    data, problems = find_dataset(str(demo.demo_file()))
    assert (data.conversations, problems.total) == (200, 0)
    assert data.users <= 60 and data.items <= 30 and data.aspects <= 24 and data.values <= 16
    assert demo.demo_text(seed=1) != demo.demo_text()


def test_names_files_and_neither(tmp_path):
    assert find_dataset("kindle-store")[0] == load.dataset("kindle-store")
    with pytest.raises(UnknownName, match="unknown data set or file 'kindle': did you mean kindle-store"):
        find_dataset("kindle")
    with pytest.raises(BadInput, match=r"no users\.txt"):
        find_dataset(str(tmp_path))


def test_the_real_text_file(shared):
    data, problems = read_dataset(shared("data/conversations/cell_head_av_min10.txt"), strict=True)
    assert (data.conversations, data.users, data.items) == (3_018, 2_515, 323)
    assert (data.aspects, data.values, data.turns) == (183, 349, 5_931)
    assert problems.total == 0


def test_both_real_layouts_hold_the_same_conversations(shared):
    file = shared("data/conversations/cell_head_av_min10.txt")
    folder = shared("data/conversations/hem_format_cell_head")
    problems = Problems("")
    text = set(aspect_value.conversations(file, problems))
    ids = hem.conversations(hem.open_directory(folder, problems), problems)
    assert {dataclasses.replace(c, request="") for c in ids} == text


@pytest.mark.parametrize("name", ["electronics", "cds-vinyl", "kindle-store", "cell-phones"])
def test_the_assumed_figures_follow_from_the_real_sample(shared, name):
    sample, _ = read_dataset(
        shared("data/conversations/hem_format_cell_head"),
        reviews_file=shared("data/amazon/Cell_Phones_and_Accessories_5.head4776.json.gz"),
    )
    shipped = load.dataset(name)
    assert assume_from(shipped, sample, DESCRIBED) == shipped
