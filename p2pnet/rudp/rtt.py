"""
How long an answer takes, and how long to wait for one.
"""

from __future__ import annotations

from typing import Final

NEVER: Final = float("inf")
"""A deadline that does not come."""
_INITIAL_DELAY: Final = 0.15
_ACK_TICK: Final = 0.025
"""A reference peer acknowledges on a 15 ms tick, the next one after reception (BEHAVIOUR §6.4)."""
_MIN_VARIATION: Final = 0.018
"""
At least one tick of a reference peer, 15 ms and what its timer is late by: an ack may be that much
later than all before it, if these happened to come right before a tick.
"""
_MIN_VARIATION_AT_ONCE: Final = 0.004
"""Of a peer without a tick; what its and our timers and schedulers may be late by."""
_TRUSTED_ACKS: Final = 8
BACK_OFF: Final = 1.5
"""By how much longer to wait after each transmission."""
MAX_RESEND_DELAY: Final = 1.0
"""Seconds; backing off goes no further."""


class _Smoothed:
    """
    A mean and its variation (RFC 6298 §2).
    """

    def __init__(self) -> None:
        self.mean = 0.0
        self.variation = 0.0
        self.samples = 0

    def add(self, seconds: float) -> None:
        self.samples += 1
        if self.samples == 1:
            self.mean = seconds
            self.variation = seconds / 2
        else:
            self.variation += (abs(self.mean - seconds) - self.variation) / 4
            self.mean += (seconds - self.mean) / 8


class RttEstimator:
    """
    Round trip times of pings, which are answered at once, and of acks, which may wait for a tick.
    """

    def __init__(self) -> None:
        self._pings = _Smoothed()
        self._acks = _Smoothed()
        self.resend_delay = _INITIAL_DELAY
        """How long to wait for the ack of a first transmission, in seconds."""
        self._min_variation = _MIN_VARIATION
        self._ack_tick = _ACK_TICK

    @property
    def smoothed(self) -> float:
        """
        Round trip time of pings in seconds; 0.0 before the first.
        """
        return self._pings.mean

    def sample(self, seconds: float) -> None:
        """
        Take the round trip of a ping, or of the handshake, into account.
        """
        self._pings.add(seconds)
        if not self._acks.samples:
            self._set_delay(self._pings, self._ack_tick)
        elif seconds > self.resend_delay:
            # The path has become so slow that each packet is repeated before its ack comes, and
            # then measures nothing.  No ack takes less than a ping.
            self.ack_sample(seconds)

    def ack_sample(self, seconds: float) -> None:
        """
        Take into account how long the ack of a packet took that was sent once (Karn).
        """
        self._acks.add(seconds)
        # The first few say little about how late the peer's tick can be.
        self._set_delay(self._acks, 0.0 if self._acks.samples > _TRUSTED_ACKS else self._ack_tick)

    def expect_acks_at_once(self) -> None:
        """
        The peer acknowledges without waiting for a tick.
        """
        self._min_variation = _MIN_VARIATION_AT_ONCE
        self._ack_tick = 0.0

    def _set_delay(self, of: _Smoothed, tick: float) -> None:
        self.resend_delay = of.mean + max(4 * of.variation, self._min_variation) + tick


def backed_off(delay: float, sends: int) -> float:
    """
    How long to wait after the ``sends``-th transmission of the same thing.

    Grows by half each time up to a second, or stays at ``delay`` if that is more already.
    """
    if delay >= MAX_RESEND_DELAY:
        return delay
    # 1.5 ** 20 is past every cap; the bound keeps the power small.
    return min(delay * BACK_OFF ** min(sends - 1, 20), MAX_RESEND_DELAY)
