"""
A bad network, simulated: what arrives is lost or late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from typing import Final

from p2pnet.wire.constants import Address

_RANDOM_BITS: Final = 32
_MAX_LATE: Final = 16384
"""Datagrams held back at once: who floods us must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """
    What happens to datagrams that arrive; LiteNetLib's options and defaults (BEHAVIOUR §13).

    :raise ValueError: a value out of range; the text names it.
    """

    packet_loss: bool = False
    """Lose some."""
    packet_loss_chance: float = 10.0
    """Percent of the datagrams that are lost."""
    latency: bool = False
    """Delay all."""
    min_latency: float = 0.03
    """Seconds."""
    max_latency: float = 0.1
    """Seconds; every datagram is late by a time between the two, so some overtake others."""

    def __post_init__(self) -> None:
        if not 0 <= self.packet_loss_chance <= 100:
            raise ValueError(
                f"packet_loss_chance must be in 0..100 percent, not {self.packet_loss_chance}"
            )
        if not 0 <= self.min_latency <= self.max_latency < 60:
            raise ValueError(
                f"min_latency and max_latency must be in 0..60 s and in order, "
                f"not {self.min_latency} and {self.max_latency}"
            )


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
    :ivar conditions: may be replaced at any time; who is late stays so.
    """

    def __init__(self, conditions: Conditions, random: Callable[[int], int]) -> None:
        self.conditions = conditions
        self._random = random
        self._late: list[tuple[float, int, bytes, Address]] = []
        self._order = 0

    @property
    def is_active(self) -> bool:
        """
        Something happens to datagrams at present.
        """
        return self.conditions.packet_loss or self.conditions.latency

    def receive(self, data: bytes, address: Address, now: float) -> Fate:
        """
        Take one datagram from the socket.
        """
        conditions = self.conditions
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
