"""
What may be used once: tickets and challenges.  Pure.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Nonces:
    """
    Remembers nonces for as long as what bears them would be good.

    :param clock: monotonic seconds.
    :param limit: how many; past it none can be used until an old one has ended, for to forget one
        early would be to let it be used twice.
    """

    def __init__(self, clock: Callable[[], float], limit: int = 65_536) -> None:
        self._clock = clock
        self._limit = limit
        self._used: set[str] = set()
        self._forgettable: deque[tuple[float, str]] = deque()

    def spend(self, nonce: str, seconds: float) -> bool:
        """
        Use one up; false if that was done before.

        :param seconds: for how long to remember it; the same each time.
        """
        now = self._clock()
        while self._forgettable and self._forgettable[0][0] <= now:
            self._used.discard(self._forgettable.popleft()[1])
        if nonce in self._used or len(self._used) >= self._limit:
            return False
        self._used.add(nonce)
        self._forgettable.append((now + seconds, nonce))
        return True
