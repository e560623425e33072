#!/usr/bin/env bash
# The sweep and the grid of five models on a machine with an accelerator, predicted against measured, in under eight
# minutes and without a network; run again, it goes on where it stopped:
#
#   bench/gpu.sh [FOLDER OF WHEELS] [options of bench/gpu.py]
#
# With a folder, its wheels (jax, its CUDA plugin, flax, optax, typer, rich, jsonschema, jaxtyping and
# what they need, for Python 3.12) are installed into .gpu-venv; without one, this Python is used.
# Fetch the wheels where there is a network:
#   python3.12 -m pip download -d wheels "jax[cuda12]" flax optax typer rich jsonschema jaxtyping nvidia-ml-py
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if [ $# -gt 0 ] && [ -d "$1" ]; then
  wheels=$1
  shift
  "$python" -m venv .gpu-venv
  python=.gpu-venv/bin/python
  "$python" -m pip install --quiet --no-index --find-links "$wheels" \
    "jax[cuda12]" flax optax typer rich jsonschema jaxtyping
  "$python" -m pip install --quiet --no-index --find-links "$wheels" nvidia-ml-py || echo "no nvidia-ml-py: no energy" >&2
fi
exec "$python" bench/gpu.py "$@"
