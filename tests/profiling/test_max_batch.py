"""The search for the largest batch, on peaks that are known."""

import jax
import jax.numpy as jnp
import pytest

from cr_jax.errors import BadConfig
from cr_jax.profiling.function_request import FunctionRequest
from cr_jax.profiling.max_batch import CLOSE, COMPILES, LARGEST, largest_batches, search
from cr_jax.profiling.request import Listener, Request
from cr_jax.steps.function import UserFunction


def _search(peak, limit, start):
    tried = []

    def counted(batch):
        tried.append(batch)
        return peak(batch)

    found = search(counted, limit, start)
    assert len(tried) == found.programs_compiled <= COMPILES
    assert found.batch is None or found.batch in tried
    return found


@pytest.mark.parametrize("limit", [10**6, 10**9, 80 * 10**9])
@pytest.mark.parametrize("start", [1, 16, 4096])
@pytest.mark.parametrize(
    "peak",
    [lambda b: 900_000 + 1000 * b, lambda b: 5000 + 512 * -(-b // 128) * 128, lambda b: 3000 * b + (b * b) // 100],
    ids=["linear", "padded to 128", "quadratic"],
)
def test_what_is_found_fits_and_the_next_does_not(peak, limit, start):
    found = _search(peak, limit, start)
    batch, following = found.batch, found.next_batch
    if batch is None:
        assert peak(1) > limit
        return
    if following is None:
        assert batch == LARGEST
        return
    assert peak(batch) == found.peak_bytes <= limit < peak(following) == found.next_peak_bytes
    assert following - batch <= max(1, CLOSE * batch)


def test_not_even_one_fits():
    assert _search(lambda b: 10 * b + 100, 50, 8).batch is None


def test_a_compiler_that_finds_no_room_is_an_upper_bound():
    found = _search(lambda b: 1000 * b if b <= 700 else None, 10**9, 16)
    assert found.batch <= 700 < found.next_batch
    assert found.next_peak_bytes is None


def test_unknown_memory_is_refused():
    with pytest.raises(BadConfig, match="memory of cpu"):
        largest_batches(Request("dmn"))


SHAPE = jax.ShapeDtypeStruct


def test_every_batch_that_is_compiled_is_told():
    told = []
    user = UserFunction(lambda x: x @ x.T, (SHAPE((4, 8), jnp.float32),), batch=0, name="gram")
    (row,) = largest_batches(FunctionRequest(user), 4096, Listener(progress=told.append))
    assert told[0] == "gram at a batch of 4" and f"gram at a batch of {row.batch}" in told
    assert len(told) == row.programs_compiled


def test_a_function_with_a_size_of_its_own_is_not_said_to_lack_an_argument():
    user = UserFunction(lambda x: x.reshape(4, 2, 4), (SHAPE((4, 8), jnp.float32),), batch=0)
    with pytest.raises(BadConfig, match="a batch of 8: no other argument has its 4 rows; legal: a function without sizes"):
        largest_batches(FunctionRequest(user), 10**6)


def test_a_keyword_has_to_be_passed_by_position_to_be_scaled():
    user = UserFunction(lambda x, *, y: x + y, (SHAPE((4,), jnp.float32),), {"y": SHAPE((4,), jnp.float32)}, batch=0)
    with pytest.raises(BadConfig, match=r"y kept 4 rows, .* batch=\('x', 'y'\) among its options, and y passed by position"):
        largest_batches(FunctionRequest(user), 10**6)
