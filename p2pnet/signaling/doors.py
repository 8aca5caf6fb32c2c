"""
Counts TCP connections, so that no network takes them all.  Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from p2pnet.signaling.limits import Limits


class Visitor(Protocol):
    """
    A connection.
    """

    def show_out(self) -> None:
        """
        Close at once.  `Doors.left` is told later, when it is closed.
        """


class Doors:
    """
    Who is in the house.

    Where a connection comes from is known when it speaks: behind a proxy, not earlier.  Those that
    have not spoken count only in all, and give way when the house is full.

    :ivar turned_away: connections closed for want of room.
    """

    def __init__(self, limits: Limits) -> None:
        self.turned_away = 0
        self._limits = limits
        self._silent: dict[Visitor, None] = {}
        """In order of arrival."""
        self._inside: dict[Visitor, str] = {}
        self._of_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._silent) + len(self._inside)

    def arrived(self, visitor: Visitor) -> None:
        """
        It is connected.  It, or another silent one, is shown out if there is no room.
        """
        self._silent[visitor] = None
        if len(self) > self._limits.connections_in_all:
            # The one silent for longest, which may be the new one itself.
            self._turn_away(next(iter(self._silent)))

    def spoke(self, visitor: Visitor, network: str) -> bool:
        """
        Its first word is in.

        :param network: see `p2pnet.signaling.addresses.network_of`.
        :return: it may stay; else it has been shown out.
        """
        if visitor not in self._silent:
            return False
        if self._of_network[network] >= self._limits.connections:
            self._turn_away(visitor)
            return False
        del self._silent[visitor]
        self._inside[visitor] = network
        self._of_network[network] += 1
        return True

    def left(self, visitor: Visitor) -> None:
        """
        It is closed; whether it was shown out does not matter.
        """
        self._silent.pop(visitor, None)
        network = self._inside.pop(visitor, None)
        if network is not None:
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]

    def _turn_away(self, visitor: Visitor) -> None:
        self.turned_away += 1
        del self._silent[visitor]
        visitor.show_out()
