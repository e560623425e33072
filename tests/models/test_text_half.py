"""What the text half reads of a model runs without JAX."""

import subprocess
import sys
from pathlib import Path

import cr_jax.models

FOLDER = Path(cr_jax.models.__file__).parent


def test_examples_configurations_and_paper_counts_import_no_jax():
    files = [path for name in ("config", "examples", "paper_count") for path in FOLDER.glob(f"*/{name}.py")]
    assert {path.parent.name for path in files} >= {"dmn", "mmn", "aim", "srnn_ae"}
    modules = ["cr_jax.paper.table_ii", *(f"cr_jax.models.{path.parent.name}.{path.stem}" for path in files)]
    code = f"import sys, {', '.join(modules)}; print(sorted({{'jax', 'jaxlib', 'flax', 'optax'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")
