"""
Who has to be looked at when.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

from p2pnet.rudp.connection import Connection

_SPARE: Final = 64
"""Void entries that are not worth looking for."""


class Deadlines:
    """
    A heap of deadlines: an idle connection costs nothing between two of its own.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Connection]] = []
        self._earliest: dict[Connection, float] = {}
        """The entry of each connection that counts; other entries of it are void."""
        self._counter = 0

    def watch(self, connection: Connection) -> None:
        """
        Take note of the connection's next time-out.

        One that has moved away is left in the heap, comes up early and goes back in: cheaper than
        to move it with every datagram.
        """
        deadline = connection.next_timeout()
        known = self._earliest.get(connection)
        if known is None or deadline < known:
            self._earliest[connection] = deadline
            self._counter += 1
            heappush(self._heap, (deadline, self._counter, connection))
            if len(self._heap) > _SPARE + 2 * len(self._earliest):
                # What is void keeps connections in memory that nobody else remembers.
                self._heap = [e for e in self._heap if self._earliest.get(e[2]) == e[0]]
                heapify(self._heap)

    def forget(self, connection: Connection) -> None:
        """
        Watch it no more.
        """
        self._earliest.pop(connection, None)

    def due(self, now: float) -> list[Connection]:
        """
        Connections to look at now; each must be watched again.
        """
        due: list[Connection] = []
        heap = self._heap
        while heap and heap[0][0] <= now:
            deadline, _, connection = heappop(heap)
            if self._earliest.get(connection) == deadline:
                del self._earliest[connection]
                if connection.next_timeout() <= now:
                    due.append(connection)
                else:
                    self.watch(connection)
        return due

    def next(self) -> float | None:
        """
        When something will be due; None if nothing is watched.
        """
        heap = self._heap
        while heap and self._earliest.get(heap[0][2]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None
