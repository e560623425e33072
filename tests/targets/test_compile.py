"""Compiling one step: the text of a program that its executable cannot print."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest
import tiny

from cr_jax.errors import BadConfig
from cr_jax.steps.step import abstract_model
from cr_jax.steps.turn import turn_steps
from cr_jax.targets import compile as compiling
from cr_jax.targets.resolve import resolve


class Mute:
    """An executable whose ``as_text`` fails as XLA's does."""

    def __init__(self, said: str):
        self.said = said

    def as_text(self):
        raise jax.errors.JaxRuntimeError(self.said)


def test_a_program_that_cannot_be_printed_is_read_from_the_compilers_dump():
    lowered = jax.jit(lambda x: jnp.tanh(x @ x)).lower(jnp.ones((8, 8)))
    said = "INTERNAL: RET_CHECK failure: async-update instruction should have 1 operands but sees 3"
    found = compiling._text(Mute(said), lowered, {})
    printed = lowered.compile().as_text()
    assert found.split("\n\n", 1)[0].split(",")[0] == printed.split(",")[0]  # HloModule and its name
    assert found.count(" dot(") + found.count("ynn") == printed.count(" dot(") + printed.count("ynn")
    assert "tanh(" in found


def test_any_other_failure_to_print_is_not_hidden():
    lowered = jax.jit(lambda x: x + 1).lower(jnp.ones(4))
    with pytest.raises(jax.errors.JaxRuntimeError, match="out of words"):
        compiling._text(Mute("out of words"), lowered, {})


def test_an_array_that_xla_cannot_count_is_one_line(monkeypatch):
    monkeypatch.setattr("cr_jax.models.config_checks.LARGEST", 2**31 - 1)  # products of legal sizes can be counted
    work = dataclasses.replace(tiny.WORK, users=2**31 - 1)
    config = dataclasses.replace(tiny.case("dmn").config, hidden=2**31 - 1)
    step = turn_steps(abstract_model(tiny.case("dmn").spec, config), work)[0]
    with pytest.raises(BadConfig, match=r"too large to be counted: .*overflow.*; legal: smaller sizes") as caught:
        compiling.lower_step(step, resolve("cpu"), "default")
    assert "\n" not in str(caught.value)
