"""
SIGTERM: nothing new, word to who is here, and time for what is under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.signaling.health import Health

PATIENCE: Final = 2.0
"""Seconds for those who are here: a few round trips, and a lost datagram or two."""
_LOOK: Final = 0.05
"""Seconds between two looks at who is still here."""


class Draining(Service):
    """
    Drains a rendezvous when it is stopped, and then has stopped.  To be started after everything
    that it drains.

    :param health: sends away who comes now.
    :param farewell: tells those who are here to go elsewhere.
    :param left: how many are still here.
    :param busy: how many requests are being answered.
    """

    _log = Logger()

    def __init__(
        self,
        health: Health,
        farewell: Callable[[], None],
        left: Callable[[], int],
        busy: Callable[[], int],
        clock: IReactorTime,
    ) -> None:
        self._health = health
        self._farewell = farewell
        self._left = left
        self._busy = busy
        self._clock = clock

    def startService(self) -> None:
        """
        Whoever comes is welcome.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._health.draining = False

    def stopService(self) -> Deferred[None]:
        """
        Drain, for `PATIENCE` at most.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._health.draining = True
        present = self._left()
        self._farewell()
        done: Deferred[None] = Deferred()
        self._wait(done, present, self._clock.seconds() + PATIENCE)
        return done

    def _wait(self, done: Deferred[None], present: int, deadline: float) -> None:
        left = self._left()
        if (left or self._busy()) and self._clock.seconds() < deadline:
            self._clock.callLater(_LOOK, self._wait, done, present, deadline)
            return
        if present:
            self._log.info("{gone} of {present} have left", gone=present - left, present=present)
        done.callback(None)
