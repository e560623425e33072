"""The three parts of a data set, and its fingerprint."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from cr_jax.errors import BadInput
from cr_jax.files import open_file, why

PARTS = ("train", "validation", "test")
#: Shares of validation and test where the file states no split.
VALIDATION, TEST = 0.1, 0.1


def part_of(seed: int, key: str) -> str:
    """The part of a user and item, or of a user; the same in any order of the file."""
    digest = hashlib.sha256(f"{seed}|{key}".encode()).digest()
    where = int.from_bytes(digest[:8], "big") / 2**64
    return "validation" if where < VALIDATION else "test" if where < VALIDATION + TEST else "train"


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 of the bytes of ``files``, in order. Raises ``BadInput``."""
    digest = hashlib.sha256()
    for file in files:
        try:
            with open_file(file) as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise BadInput(str(file), why(error)) from None
    return digest.hexdigest()
