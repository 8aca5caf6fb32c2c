"""
The receiving half of a 0.9.5 reliable channel, with its defect (BEHAVIOUR §6.3, §6.4).
"""

from __future__ import annotations

from p2pnet.wire.packets import Ack
from p2pnet.wire.sequence import distance

TICK = 0.015


class ReferenceReceiver:
    """
    Acknowledges on its tick, and never for a pure duplicate.

    `receive` and `tick` are transcribed from the page; `delivered` is what the application got.
    """

    def __init__(self, channel_id: int, ordered: bool = True) -> None:
        self.delivered: list[bytes] = []
        self._channel_id = channel_id
        self._ordered = ordered
        self._start = 0
        self._expected = 0
        self._bits = [False] * 64
        self._held: dict[int, bytes] = {}
        self._early: set[int] = set()
        self._ack_owed = False
        self._scheduled = False

    def receive(self, sequence: int, body: bytes) -> None:
        if sequence >= 32768 or distance(sequence, self._expected) > 64:
            return
        ahead = distance(sequence, self._start)
        if ahead < 0 or ahead >= 128:
            return
        if ahead >= 64:
            start = (self._start + ahead - 63) % 32768
            while self._start != start:
                self._bits[self._start % 64] = False
                self._start = (self._start + 1) % 32768
        self._ack_owed = True
        if self._bits[sequence % 64]:
            return
        self._bits[sequence % 64] = True
        self._scheduled = True
        if sequence == self._expected:
            self.delivered.append(body)
            self._advance()
        elif self._ordered:
            self._held[sequence] = body
        else:
            self._early.add(sequence)
            self.delivered.append(body)

    def tick(self) -> bytes | None:
        """
        The ack that leaves now, if any.
        """
        if not (self._scheduled and self._ack_owed):
            return None
        self._scheduled = self._ack_owed = False
        bitmap = sum(1 << i for i in range(64) if self._bits[i])
        return Ack(0, self._start, self._channel_id, bitmap).encode()

    def _advance(self) -> None:
        self._expected = (self._expected + 1) % 32768
        while self._expected in self._held or self._expected in self._early:
            if self._expected in self._held:
                self.delivered.append(self._held.pop(self._expected))
            self._early.discard(self._expected)
            self._expected = (self._expected + 1) % 32768
