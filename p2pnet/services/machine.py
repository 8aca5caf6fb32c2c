"""
What the rooms are handed of the machine they run on: time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall


@implementer(IReactorTime)
class MonotonicClock:
    """
    The timers of a reactor, and seconds that never go back; a reactor's own are the wall clock's.
    """

    def __init__(
        self, reactor: IReactorTime, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds

    def seconds(self) -> float:
        return self._seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return self._reactor.getDelayedCalls()
