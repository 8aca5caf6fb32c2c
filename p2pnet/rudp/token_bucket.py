"""
So many per second, and so many at once.
"""

from __future__ import annotations


class TokenBucket:
    """
    Allows `rate` per second in the long run and `rate`, or one, at once.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._filled_at = 0.0

    def take(self, now: float) -> bool:
        """
        Whether one more is allowed now.
        """
        self._tokens = min(self._most, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
