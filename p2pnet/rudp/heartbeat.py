"""
Pings and pongs of one connection (WIRE §5).
"""

from __future__ import annotations

from typing import Final

from p2pnet.rudp.rtt import NEVER, backed_off
from p2pnet.wire.constants import MAX_SEQUENCE

FIRST_PING: Final = 2
"""The sequence LiteNetLib begins with (WIRE §5)."""
_LATELY: Final = 8
"""Hurried pings that may be on their way at once; each more is one more that can be guessed."""
_MAX_UNANSWERED: Final = 8
"""Pings on their way at once: a path may be slower than they follow one another."""


class Heartbeat:
    """
    When to ping, which pong counts, which ping to answer.

    :param interval: seconds.
    :param first: the sequence of the first ping.
    :ivar next_at: when the next ping is due.
    """

    def __init__(self, interval: float, first: int) -> None:
        self.next_at = NEVER
        self._interval = interval
        self._sequence = first - 1
        self._sent_at: dict[int, float] = {}
        """When each ping left that has not been answered, oldest first."""
        self._hurried = 0
        self._answered = -1

    def start(self, now: float) -> None:
        """
        Ping one interval from now, and then regularly.
        """
        self.next_at = now + self._interval

    def ping(self, now: float) -> int:
        """
        The sequence of a ping to send now.
        """
        # Modulo 32768, not 65536: the reference answers no sequence that seems older (PITFALLS D4).
        self._sequence = (self._sequence + 1) % MAX_SEQUENCE
        self._sent_at[self._sequence] = now
        if len(self._sent_at) > _MAX_UNANSWERED:
            del self._sent_at[next(iter(self._sent_at))]
        self.next_at = now + self._interval
        return self._sequence

    def hurried_ping(self, now: float, delay: float) -> int:
        """
        As `ping`, but the next one is due after ``delay``, which grows from one to the next.
        """
        sequence = self.ping(now)
        self._hurried += 1
        self.next_at = now + min(self._interval, backed_off(delay, self._hurried))
        return sequence

    def hurried_lately(self, sequence: int) -> bool:
        """
        Whether this is one of the last hurried pings.

        On a path slower than they follow one another no pong answers the very latest.
        """
        age = (self._sequence - sequence) % MAX_SEQUENCE
        return sequence < MAX_SEQUENCE and age < min(self._hurried, _LATELY)

    def pong(self, sequence: int, now: float) -> float | None:
        """
        The round trip time in seconds, if this answers a ping of ours for the first time; else
        None.
        """
        # An unanswered ping says nothing about the time an answer takes; the reference thinks so,
        # and takes only an answer to its latest, which on a slow path never comes.
        sent_at = self._sent_at.pop(sequence, None)
        return None if sent_at is None else now - sent_at

    def answers(self, sequence: int) -> bool:
        """
        Whether the peer's ping wants a pong: a duplicate does not.
        """
        # The reference compares by distance and falls silent for hours (PITFALLS D4).
        if sequence == self._answered:
            return False
        self._answered = sequence
        return True
