"""Compiled programs kept between runs, under a key of everything that affects them.

One gzipped JSON file per program, written as a whole; two processes may write the same one. A file that cannot be read, or has
another content than was written, is a miss and is replaced.
"""

import contextlib
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from cr_jax.errors import NotWritten
from cr_jax.hlo.fingerprint import traced_fingerprint
from cr_jax.json_text import parse_json
from cr_jax.records import CompiledStep, Target, plain
from cr_jax.resources import cache_root, write_atomically
from cr_jax.targets.compilation import Compilation, completed, from_json, to_json
from cr_jax.targets.resolve import description

#: Part of every key; raised when the stored format changes.
FORMAT = 2


def step_key(step: CompiledStep, target: Target, program: str | None = None) -> str:
    """The key of a traced step on a target. program: what decides it beyond the traced text."""
    return key(
        {
            **({} if program is None else {"exported": program}),
            "program": traced_fingerprint(step.model_hlo),
            "arguments": plain(step.arguments),
            "precision": step.precision,
            "target": description(target),
            **({"splits": step.splits} if step.splits else {}),
            "versions": {n: step.versions.get(n) for n in ("jax", "jaxlib")},
            "flags": {n: os.environ.get(n) for n in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")},
        }
    )


def key(decides: Mapping[str, object]) -> str:
    """The key of a program from everything that affects the compiler's result."""
    text = json.dumps({"format": FORMAT, **decides}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """``root``: the folder, by default ``compiled`` in :func:`cache_root`."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = cache_root() / "compiled" if root is None else root

    def path(self, key: str) -> Path:
        """The file of a key, whether it exists or not."""
        return self.root / key[:2] / f"{key}.json.gz"

    def get(self, key: str) -> Compilation | None:
        """The compilation stored under ``key``; ``None`` without a whole one."""
        try:
            document = parse_json(gzip.decompress(self.path(key).read_bytes()).decode("utf-8"), key)
            if not isinstance(document, dict) or document.get("key") != key:
                return None
            if _digest(document["compilation"]) != document["sha256"]:
                return None
            return from_json(document["compilation"])
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError):
            return None

    def put(self, key: str, compilation: Compilation) -> None:
        """Store a compilation. Raises ``NotWritten`` (a full disk); an earlier entry is then intact."""
        stored = to_json(compilation)
        document = {"key": key, "sha256": _digest(stored), "compilation": stored}
        path = self.path(key)
        with contextlib.suppress(OSError):  # the write below fails with the reason
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, gzip.compress(json.dumps(document).encode(), compresslevel=3, mtime=0))


def kept_or_made(
    step: CompiledStep, target: Target, cache: Cache, make: Callable[[], Compilation], warn: Callable[[str], None] | None = None
) -> CompiledStep:
    """``step``, traced, with its compilation from the cache, or else from ``make``, whose result is kept."""
    name = step_key(step, target)
    compilation = cache.get(name)
    if compilation is None:
        compilation = make()
        keep(cache, name, compilation, warn)
    return completed(step, compilation, compilation.durations_s)


def keep(cache: Cache, key: str, compilation: Compilation, warn: Callable[[str], None] | None) -> None:
    """Store a compilation; a failure of the disk costs one warning, not the result."""
    try:
        cache.put(key, compilation)
    except NotWritten as error:
        if warn:
            warn(f"a compiled program is not kept: {error}")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
