"""How the process that measures is started: its command and its environment."""

import os
import sys

#: How the process is started, less the request.
COMMAND = (sys.executable, "-m", "cr_jax.measure.worker")


def environment() -> dict[str, str]:
    """This process's, with what it can import."""
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
