"""Command and environment of the measuring process."""

import os
import sys

#: The command of the process, without the request.
COMMAND = (sys.executable, "-P", "-m", "cr_jax.measure.worker")


def environment() -> dict[str, str]:
    """The environment of this process, with its import path."""
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
