"""
How often somebody may do something: a token bucket for each.
"""

from __future__ import annotations

from collections import OrderedDict


class Allowance:
    """
    Lets each caller act `burst` times at once, and `rate` times a second in the long run.

    :param limit: callers remembered; past it the one who acted longest ago is forgotten, which is
        to say forgiven.
    """

    def __init__(self, *, rate: float, burst: int, limit: int) -> None:
        self._rate = rate
        self._burst = burst
        self._limit = limit
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """What of its burst a caller has used up, and when that was so."""

    def wait(self, caller: str, now: float) -> float:
        """
        Count one act of `caller`, unless it comes too early.

        :return: seconds until it may act; 0.0 if it just did.
        """
        spent, then = self._spent.get(caller, (0.0, now))
        # The clock may be the wall's, which can step back.
        spent = max(0.0, spent - max(0.0, now - then) * self._rate)
        if spent > self._burst - 1:
            return (spent - (self._burst - 1)) / self._rate
        self._spent[caller] = (spent + 1, now)
        self._spent.move_to_end(caller)
        if len(self._spent) > self._limit:
            self._spent.popitem(last=False)
        return 0.0
