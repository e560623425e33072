"""Strictness shared by all tests, one folder per session, and where the reference folder lies."""

import functools
import os
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import optax
import pytest
from jaxtyping import install_import_hook

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
# LLVM's passes are left out; XLA's own, hence the compiled HLO and its memory, stay the same. In this process alone:
# what a test starts as a command compiles as it does for a user.
jax.config.update("jax_disable_most_optimizations", True)


def promoting(make):
    """``make``'s optimizers, updating under standard promotion: Optax's Adam raises a float to its integer count."""

    @functools.wraps(make)
    def made(*args, **kwargs):
        optimizer = make(*args, **kwargs)

        def update(*args, **kwargs):
            with jax.numpy_dtype_promotion("standard"):
                return optimizer.update(*args, **kwargs)

        return optax.GradientTransformationExtraArgs(optimizer.init, update)

    return made


optax.adam = promoting(optax.adam)

#: Modules with shapes in their signatures: types and shapes are checked at every call. Before any of them is imported.
SHAPED = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "cr_jax").rglob("*.py"))
    if "from jaxtyping import" in path.read_text(encoding="utf-8")
]
install_import_hook(SHAPED, "type_checker.checked")


def pytest_configure(config):
    """One folder per session, shared by its workers, which inherit the variables.

    The cache lies in it, so that a program is compiled once, and never in the user's own. ``CRJAX_CACHE`` names
    another: one that has the compilers for GPUs and TPUs.
    """
    if "CRJAX_TESTS" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="crjax-tests-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["CRJAX_TESTS"] = folder.name
        os.environ.setdefault("CRJAX_CACHE", f"{folder.name}/cache")


@pytest.fixture(scope="session")
def shared():
    """``shared("reference/dmn_tiny.npz")`` -> its path, or a skip with the reason."""

    def find(path: str) -> Path:
        place = SHARED / path
        if not place.exists():
            pytest.skip(f"needs ../shared/{path}, which is not here")
        return place

    return find
