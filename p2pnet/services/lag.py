"""
How late the reactor is (TRAPS T21).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.application.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

PERIOD: Final = 0.5
"""Seconds between two measurements."""


class Lag(Service):
    """
    Measures how much later than wanted a timer is served: what everybody waits who has sent us
    something.

    :param measured: takes the seconds, each time.
    """

    def __init__(self, clock: IReactorTime, measured: Callable[[float], object]) -> None:
        self._clock = clock
        self._measured = measured
        self._due = 0.0
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """
        Begin to measure.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._wait()

    def stopService(self) -> None:
        """
        Measure no more.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _wait(self) -> None:
        self._due = self._clock.seconds() + PERIOD
        self._timer = self._clock.callLater(PERIOD, self._measure)

    def _measure(self) -> None:
        self._measured(max(0.0, self._clock.seconds() - self._due))
        self._wait()
