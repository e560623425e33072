"""Programs that several tests compile are compiled once."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="session")
def compiled_once(tmp_path_factory):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("programs")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    yield
    jax.config.update("jax_compilation_cache_dir", None)
