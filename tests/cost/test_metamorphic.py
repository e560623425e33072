"""Changes of a program whose effect on its cost is known without counting it."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from cr_jax import count_hlo

GOLDEN = Path(__file__).parent.parent / "golden" / "hlo"
LOOPS = ("gru.cpu", "gru_nested.cpu", "gru.cuda_h100", "gru_nested.cuda_h100", "gru.tpu_v5e")


def text_of(name):
    return (GOLDEN / f"{name}.txt").read_text()


def figures(text):
    found = count_hlo(text)
    return found.total, found.by("family"), found.bound


@pytest.mark.parametrize("name", LOOPS)
def test_new_names_change_nothing(name):
    text = text_of(name)
    renamed = re.sub(r"%([\w.\-]+)", r"%new_\1", text)
    renamed = re.sub(r"(?<=[( ])([\w.\-]+): (?=[a-z(])", r"new_\1: ", renamed)
    assert renamed != text
    assert figures(renamed) == figures(text)


@pytest.mark.parametrize("name", ["gru.cpu", "gru_nested.cpu"])
def test_printed_by_xla_and_read_again_it_is_the_same(name):
    from jaxlib import _hlo  # pyright: ignore[reportMissingImports]

    text = text_of(name)
    again = _hlo.hlo_module_from_text(text).to_string()
    assert figures(again) == figures(text)


@pytest.mark.parametrize("name", LOOPS)
def test_twice_the_body_in_half_the_iterations_is_the_same_work(name):
    """The counter steps by two then; its trip count has to be inferred."""
    text = re.sub(r'"known_trip_count":\{"n":"\d+"\},?', "", text_of(name))
    loop = re.search(r"^  %\S+ = (\(.*\)) while\(%\S+\), condition=%\S+, body=%([\w.\-]+)", text, re.M)
    assert loop is not None
    shape, body = loop.groups()
    plain = re.sub(r"\{[\d,]*(?::[^{}]*)?\}", "", shape)
    twice = (
        f"%twice (s: {plain}) -> {plain} {{\n  %s = {shape} parameter(0)\n  %a = {shape} call(%s), to_apply=%{body}\n"
        f"  ROOT %b = {shape} call(%a), to_apply=%{body}\n}}\n\n"
    )
    end = text.index("\n}\n", text.index(f"\n%{body} (")) + 3
    changed = text[:end] + "\n" + twice + text[end:].replace(f"body=%{body},", "body=%twice,")
    assert changed.count("%twice") > 1
    before, after = count_hlo(text), count_hlo(changed)
    assert (after.matmul_flops, after.transcendentals) == (before.matmul_flops, before.transcendentals)
    assert min(one.trip_count for one in after.loops) == min(one.trip_count for one in before.loops) // 2


@pytest.mark.parametrize("parts", [(3, 5), (1, 7), (4, 4)])
def test_a_batch_in_parts_costs_the_sum(parts):
    def net(x, w, u):
        return jnp.tanh(x @ w) @ u

    def count(rows):
        shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((rows, 16), (16, 32), (32, 8))]
        return count_hlo(jax.jit(net).lower(*shapes).as_text("hlo"))

    whole, one, other = count(sum(parts)), *map(count, parts)
    for field in ("matmul_flops", "other_flops", "transcendentals", "integer_ops"):
        assert getattr(whole, field) == getattr(one, field) + getattr(other, field)
