"""
Lets networks have their work done by turns, so that none keeps the others waiting.  Pure but for
the clock.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

SLICE: Final = 0.005
"""Seconds of work in one turn of the reactor: datagrams and timers wait no longer for it."""
PACE: Final = 0.2
"""Seconds from one work of a network to its next at which it never stands behind itself."""
MAX_NETWORKS: Final = 4096
"""Whose pace is remembered at least."""


class Turns:
    """
    A queue by virtual clocks (Zhang, 1990): each work moves its network's clock on by `PACE`, and
    whose clock says the least goes first.  So a network that asks five times a second or less does
    not wait for those that ask all the time, however many they are and however many connections
    they have.

    :param clock: whatever it counts from.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._order: list[tuple[float, int, str]] = []
        """A heap of the networks that wait, by their clocks, then by arrival."""
        self._arrivals = 0
        self._clocks: dict[str, float] = {}
        """One that is behind ours says what ours says."""
        self._left = SLICE
        self._is_due = False
        self._is_at_work = False

    def take(self, network: str, work: Callable[[], None]) -> None:
        """
        Do ``work`` for a network: now, or when it is its turn.  Its works are done in their order.
        """
        waiting = self._waiting.get(network)
        if waiting is not None:
            waiting.append(work)
        else:
            self._waiting[network] = deque((work,))
            self._stand_in_line(network)
        if not self._is_at_work:
            self._work()

    def _stand_in_line(self, network: str) -> None:
        self._arrivals += 1
        says = max(self._clock.seconds(), self._clocks.get(network, 0.0))
        heappush(self._order, (says, self._arrivals, network))

    def _work(self) -> None:
        """
        Do what waits, as long as there is something left of the slice.
        """
        self._is_at_work = True
        try:
            while self._order and self._left > 0:
                _, _, network = heappop(self._order)
                self._do(network, self._waiting[network].popleft())
        finally:
            self._is_at_work = False

    def _do(self, network: str, work: Callable[[], None]) -> None:
        if not self._is_due:
            self._is_due = True
            self._clock.callLater(0, self._go_on)
        before = self._clock.seconds()
        self._clocks[network] = max(before, self._clocks.get(network, 0.0)) + PACE
        try:
            work()
        finally:
            self._left -= self._clock.seconds() - before
            if self._waiting[network]:
                self._stand_in_line(network)
            else:
                del self._waiting[network]

    def _go_on(self) -> None:
        """
        The reactor has looked at everything else.
        """
        self._is_due = False
        self._left = SLICE
        self._work()
        if len(self._clocks) > MAX_NETWORKS:
            now = self._clock.seconds()
            self._clocks = {each: says for each, says in self._clocks.items() if says > now}
