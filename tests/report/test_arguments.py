"""A step's arguments against the parameters of its compiled program: one program, or no report."""

import dataclasses

import pytest

from cr_jax.cost.memory.memory_account import memory_account
from cr_jax.errors import CrJaxError
from cr_jax.hlo.parse import parse
from cr_jax.records import Argument, CompiledStep, ItemLabels, MemoryFigures, Target
from cr_jax.report.arguments import Contradiction, kept_bytes
from cr_jax.traced_program import JaxprCount

ARGUMENTS = (
    Argument("weights.w", "weights", (8, 4), "bfloat16", 64, True),
    Argument("weights.v", "weights", (4,), "float32", 16, True),
    Argument("batch.words", "batch", (2, 3), "int32", 24, False),
    Argument("batch.mask", "batch", (2,), "bool", 2, False),
    Argument("key", "key", (), "key<fry>", 8, False),
)

TARGET = Target("cpu", "cpu", True, kind="cpu", autotuned=None, compiler={}, problem=None)


def text(*shapes):
    """A program of these parameters, whose result is the first."""
    lines = [f"  {'ROOT ' if not n else ''}p{n} = {shape} parameter({n})" for n, shape in enumerate(shapes)]
    return "HloModule m\n\nENTRY e {\n" + "\n".join(lines) + "\n}\n"


def step(argument_bytes):
    memory = MemoryFigures(argument_bytes, 0, 0, 0, None, None)
    return CompiledStep(
        "train/x", ItemLabels(None), "", "", TARGET, (), ARGUMENTS, memory, JaxprCount(0, 0), None, None, None, "default", {}
    )


WHOLE = ("bf16[8,4]{1,0}", "f32[4]{0}", "s32[2,3]{1,0}", "pred[2]{0}", "u32[2]{0}")


@pytest.mark.parametrize(("kept", "size"), [(range(5), 114), ((0, 1, 2), 104), ((1, 4), 24), ((), 0)])
def test_the_compiler_may_leave_arguments_out(kept, size):
    program = parse(text(*[WHOLE[n] for n in kept], *(["s32[2,3]{1,0}"] if not kept else [])))
    size += 0 if kept else 24
    assert kept_bytes(step(size), program) == size
    account = memory_account(step(size), None, size)
    assert account.dropped_bytes == 114 - size and account.padding_bytes == 0
    assert sum(account.roles_bytes.values()) == account.argument_bytes + account.dropped_bytes


def test_tiles_pad_what_is_kept():
    shapes = ("bf16[8,4]{1,0:T(8,128)(2,1)}", "f32[4]{0:T(128)}", "u32[2]{0:T(128)}")
    program, told = parse(text(*shapes)), 2048 + 512 + 512
    kept = kept_bytes(step(told), program)
    assert kept == 64 + 16 + 8
    account = memory_account(step(told), None, kept)
    roles = sum(account.roles_bytes.values())
    assert roles == account.argument_bytes + account.dropped_bytes - account.padding_bytes


@pytest.mark.parametrize(
    ("shapes", "told", "reason"),
    [
        (("f32[8,4]{1,0}",), 128, r"parameter 0, f32\[8,4\], is no argument"),  # bfloat16 was asked for
        (("f16[8,4]{1,0}",), 64, r"f16\[8,4\]"),  # the same bytes of another type
        (("bf16[4,8]{1,0}",), 64, r"bf16\[4,8\]"),
        (("f32[4]{0}", "bf16[8,4]{1,0}"), 80, "parameter 1"),  # not in their order
        (("bf16[8,4]{1,0}", "bf16[8,4]{1,0}"), 128, "parameter 1"),  # once too often
        (("s32[2]{0}",), 8, r"s32\[2\]"),
        (("bf16[8,4]{1,0}",), 63, "63 bytes of arguments, its parameters hold 64"),
        (("bf16[8,4]{1,0}",), 6400, "6,400 bytes"),
    ],
)
def test_another_program_is_refused(shapes, told, reason):
    with pytest.raises(Contradiction, match=reason) as caught:
        kept_bytes(step(told), parse(text(*shapes)))
    assert isinstance(caught.value, CrJaxError) and str(caught.value).startswith("train/x: ")


def test_a_compiler_that_gives_no_bytes_is_held_to_its_parameters_alone():
    silent = dataclasses.replace(step(0), memory=MemoryFigures(None, None, None, None, None, None))
    assert kept_bytes(silent, parse(text("bf16[8,4]{1,0}"))) == 64
    account = memory_account(silent, None, 64)
    assert account.padding_bytes is None and account.dropped_bytes == 50
