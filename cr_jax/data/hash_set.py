"""A set of 64-bit hashes in 12 bytes each: ten million in about 120 MB, where a Python set takes 700 MB."""

from array import array

#: Number of tables; each grows by itself, so that growing needs little additional memory.
TABLES = 256
#: First size of a table, its largest share of used places, and its factor of growth.
FIRST, FULL, GROWTH = 64, 0.75, 1.3
_MASK = (1 << 64) - 1


class HashSet:
    """Numbers of 64 bits, evenly distributed like hashes; 0 is stored as 1."""

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * FIRST)) for _ in range(TABLES)]
        self._held = [0] * TABLES

    def __len__(self) -> int:
        return sum(self._held)

    def add(self, number: int) -> bool:
        """Add a number; whether it is new."""
        number = (number & _MASK) or 1
        which = number & (TABLES - 1)
        table = self._tables[which]
        if not _put(table, number):
            return False
        self._held[which] += 1
        if self._held[which] > FULL * len(table):
            larger = array("Q", bytes(8 * int(len(table) * GROWTH)))
            for one in table:
                if one:
                    _put(larger, one)
            self._tables[which] = larger
        return True


def _put(table: "array[int]", number: int) -> bool:
    # The upper bits choose the place, so that a table may have any size.
    place, size = ((number >> 8) * len(table)) >> 56, len(table)
    while there := table[place]:
        if there == number:
            return False
        place = place + 1 if place + 1 < size else 0
    table[place] = number
    return True
