"""Compile the programs for several devices in a process of their own: ``python -m battery.compile_sharded FOLDER``.

Every compiled text is written to ``NAME.txt``. The devices are eight parts of the CPU, asked for before JAX starts.
"""

import os
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Write the compiled text of every program for several devices."""
    import jax

    from battery.registry import makers

    jax.config.update("jax_disable_most_optimizations", True)
    for name, make in makers("sharded").items():
        program = make()
        text = jax.jit(program.function).lower(*program.arguments).compile().as_text() or ""
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    os.environ["JAX_PLATFORMS"] = "cpu"
    main(Path(sys.argv[1]))
