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
_MIN_VARIATION: Final = 0.005
BACK_OFF: Final = 1.5
MAX_RESEND_DELAY: Final = 1.0


class RttEstimator:
    """
    Smoothed round trip time and its variation (RFC 6298 §2), in seconds.
    """

    def __init__(self) -> None:
        self.smoothed = 0.0
        self._variation = 0.0
        self.resend_delay = _INITIAL_DELAY
        """How long to wait for the ack of a first transmission."""

    def sample(self, seconds: float) -> None:
        """
        Take one measured round trip into account.
        """
        if self.smoothed == 0.0:
            self.smoothed = seconds
            self._variation = seconds / 2
        else:
            self._variation += (abs(self.smoothed - seconds) - self._variation) / 4
            self.smoothed += (seconds - self.smoothed) / 8
        variation = max(4 * self._variation, _MIN_VARIATION)
        self.resend_delay = self.smoothed + variation + _ACK_TICK


def backed_off(delay: float, sends: int) -> float:
    """
    How long to wait after the `sends`-th transmission of the same thing.

    Grows by half each time up to a second, or stays at `delay` if that is more already.
    """
    if delay >= MAX_RESEND_DELAY:
        return delay
    # 1.5 ** 20 is past every cap; the bound keeps the power small.
    return min(delay * BACK_OFF ** min(sends - 1, 20), MAX_RESEND_DELAY)
