"""
A bad network, simulated: what arrives is lost or late.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from heapq import heappop, heappush
from typing import Final

from p2pnet.net.conditions import Conditions
from p2pnet.wire.constants import Address

_RANDOM_BITS: Final = 32
_MAX_LATE: Final = 16384
"""Datagrams held back at once: who floods us must not fill the memory."""


class Fate(Enum):
    """
    What becomes of a datagram that arrives.
    """

    ARRIVED = 0
    """It is for the engine now."""
    LATE = 1
    """It comes out of `Conditioner.due` some time."""
    LOST = 2


class Conditioner:
    """
    Decides over datagrams, and holds those that are late.  Performs no I/O and reads no clock.

    :param random: ``random(k)`` gives k random bits as an int.
    :ivar is_active: something happens to datagrams at present.
    """

    def __init__(self, conditions: Conditions, random: Callable[[int], int]) -> None:
        self._conditions = conditions
        self.is_active = conditions.packet_loss or conditions.latency
        self._random = random
        self._late: list[tuple[float, int, bytes, Address]] = []
        self._order = 0

    @property
    def conditions(self) -> Conditions:
        """
        May be replaced at any time; who is late stays so.
        """
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self.is_active = conditions.packet_loss or conditions.latency

    def receive(self, data: bytes, address: Address, now: float) -> Fate:
        """
        Take one datagram from the socket.
        """
        conditions = self._conditions
        if conditions.packet_loss and self._chance() * 100 < conditions.packet_loss_chance:
            return Fate.LOST
        if not conditions.latency:
            return Fate.ARRIVED
        if len(self._late) >= _MAX_LATE:
            return Fate.LOST
        spread = conditions.max_latency - conditions.min_latency
        delay = conditions.min_latency + spread * self._chance()
        self._order += 1
        heappush(self._late, (now + delay, self._order, data, address))
        return Fate.LATE

    def due(self, now: float) -> list[tuple[bytes, Address]]:
        """
        Datagrams that were late, and arrive.
        """
        arrived = []
        while self._late and self._late[0][0] <= now:
            _, _, data, address = heappop(self._late)
            arrived.append((data, address))
        return arrived

    def next_timeout(self) -> float | None:
        """
        When `due` has something; None if nothing is late.
        """
        return self._late[0][0] if self._late else None

    def clear(self) -> None:
        """
        Forget what is late.
        """
        self._late.clear()

    def _chance(self) -> float:
        return self._random(_RANDOM_BITS) / (1 << _RANDOM_BITS)
