"""Seconds of asynchronous collectives that other operations hide: those between the start and the end of each.

An operation hides one collective at a time. That a collective slows what runs beside it (it takes cores and memory) is left out.
"""

from collections.abc import Callable, Mapping, Sequence

from cr_jax.cost.operations.dependencies import Node


class Overlap:
    """busy: seconds of one execution of an operation without its collectives, by its place. exchanging: of its collectives, for
    operations that have some. hidden: what other operations hide of these.
    """

    def __init__(self, busy: Callable[[int], float], exchanging: Mapping[int, float]) -> None:
        self._busy, self._exchanging = busy, exchanging
        self._whole: dict[int, float] = {}
        self.hidden: dict[int, float] = {}

    def add(self, nodes: Sequence[Node]) -> None:
        """Work out the collectives of one computation, and of those that it runs."""
        left: dict[int, float] = {}
        for place, node in enumerate(nodes):
            for _, inner in node.inner:
                self.add(inner)
            for begun in self._begun(node) if node.beside else ():
                wanted = self._exchanging[begun]
                for other in range(place + 1, min(len(nodes), place + 1 + node.beside)):
                    free = left.setdefault(other, self._seconds(nodes[other]))
                    used = min(free, wanted)
                    left[other], wanted = free - used, wanted - used
                self.hidden[begun] = self._exchanging[begun] - wanted

    def _begun(self, node: Node) -> list[int]:
        """The operations of a start that have collectives."""
        if node.operation is not None:
            return [node.operation] if node.operation in self._exchanging else []
        return [begun for _, inner in node.inner for one in inner for begun in self._begun(one)]

    def _seconds(self, node: Node) -> float:
        """One execution of a node."""
        known = self._whole.get(id(node))
        if known is None:
            if node.operation is not None:
                known = self._busy(node.operation)
            else:
                known = sum(times * sum(self._seconds(one) for one in inner) for times, inner in node.inner)
            self._whole[id(node)] = known
        return known
