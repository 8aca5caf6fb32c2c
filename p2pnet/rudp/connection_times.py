"""
The times by which connections are told apart: .NET ticks chosen by who dials (BEHAVIOUR §3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pnet.rudp.connection import Connection
from p2pnet.wire.constants import TICKS_PER_SECOND

_RANDOM_TIME_BITS: Final = 20
"""About 100 ms of a connection time: nobody can tell it from the clock (PITFALLS C6)."""
_FARTHEST_TIME: Final = 86_400 * TICKS_PER_SECOND
"""How far ahead of our clock another one can be (PITFALLS C9)."""


class ConnectionTimes:
    """
    Gives each connection that we dial its time.

    :param epoch: .NET ticks when ``now`` is 0.
    :param random: ``random(k)`` gives k unguessable bits as an int.
    :ivar last: the latest that was given.
    """

    def __init__(self, epoch: int, random: Callable[[int], int], last: int) -> None:
        self.last = last
        self._epoch = epoch
        self._random = random

    def latest(self, now: float) -> int:
        """
        What is after this is no time.
        """
        return self._epoch + int(now * TICKS_PER_SECOND) + _FARTHEST_TIME

    def next(self, now: float, after: Connection | None) -> int:
        """
        A time for a new connection.

        :param after: an earlier one with the same address.
        """
        time = self._epoch + int(now * TICKS_PER_SECOND)
        if after is not None and after.connection_time < self.latest(now):
            # The remote may have made that one, by a clock ahead of ours, and hears of no older one
            # as long as it remembers it (BEHAVIOUR §3.2).
            time = max(time, after.connection_time + (1 << _RANDOM_TIME_BITS))
        guess_proof = time >> _RANDOM_TIME_BITS << _RANDOM_TIME_BITS
        guess_proof |= self._random(_RANDOM_TIME_BITS)
        self.last = max(guess_proof, self.last + 1)
        return self.last
