"""A random generator for each of many steps, made in a fraction of the time that seeding one takes."""

import threading

import numpy as np

#: What ``PCG64DXSM.jumped`` advances by: the golden section of the period.
JUMP = 210306068529402873165736369884012333109


class Streams(threading.local):
    """Streams of one seed that do not overlap; each thread has its own generator."""

    def __init__(self, *seed: int):
        self._bits = np.random.PCG64DXSM(np.random.SeedSequence(seed))
        self._first = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def at(self, step: int) -> np.random.Generator:
        """At the begin of the stream ``jumped(step)``, until this thread asks for another."""
        self._bits.state = self._first
        self._bits.advance(step * JUMP)
        return self._generator
