"""Checksums of all files of a folder, by which damage is found before anything is read.

They are CRC-32: one flipped, missing or added byte always changes them; other damage goes unnoticed once in four
billion times. They guard against faulty disks and crashes, not against forgery.
"""

import os
import zlib
from pathlib import Path
from typing import BinaryIO

from cr_jax import temporaries

#: The file that lists the others; the last one written.
SUMS = "sums.txt"
_PIECE = 1 << 20


def seal(folder: Path) -> None:
    """Write the sums of all files of ``folder``; they and it are flushed to the disk. Raises ``OSError``."""
    lines: list[str] = []
    for name in sorted(os.listdir(folder)):
        with open(folder / name, "rb+") as file:
            lines.append(f"{_sum(file):08x} {os.fstat(file.fileno()).st_size} {name}\n")
            os.fsync(file.fileno())
    text = "".join(lines).encode()
    with open(folder / SUMS, "xb") as file:
        file.write(text + f"{zlib.crc32(text):08x}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    temporaries.sync(folder)


def fault(folder: Path) -> str | None:
    """What is wrong with a sealed folder, ``None`` where it is as :func:`seal` left it."""
    try:
        data = (folder / SUMS).read_bytes()
        text, last = data[:-9], data[-9:]
        if f"{zlib.crc32(text):08x}\n".encode() != last:
            return f"{SUMS} is damaged"
        listed = [line.split(" ", 2) for line in text.decode().splitlines()]
        if sorted([SUMS, *(name for _, _, name in listed)]) != sorted(os.listdir(folder)):
            return "other files than were kept"
        for code, size, name in listed:
            with open(folder / name, "rb") as file:
                if os.fstat(file.fileno()).st_size != int(size) or f"{_sum(file):08x}" != code:
                    return f"{name} is damaged"
    except (OSError, ValueError) as error:
        return f"unreadable: {getattr(error, 'strerror', None) or error}"
    return None


def _sum(file: BinaryIO) -> int:
    checksum = 0
    while piece := file.read(_PIECE):
        checksum = zlib.crc32(piece, checksum)
    return checksum
