"""
Services that depend on one another: started in order, stopped one after another from the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

CHILD_PATIENCE: Final = 2.25
"""Seconds one service may take to stop."""
TOTAL_PATIENCE: Final = 4.5
"""Seconds all of them may take: a daemon is gone within 5 s of being told to go."""


class CannotStart(SystemExit, Exception):
    """
    The daemon must end, with exit status 1.

    Raised while twistd starts services.  As an ``Exception`` it makes twistd remove its pid file
    and tell whoever waits for the daemon; as a ``SystemExit`` it ends the process without a
    traceback, which would bury the one line that matters.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = 1


class OrderedServices(MultiService):
    """
    Like ``MultiService``, but a child stops only when those added after it have stopped.

    A child that fails to stop, or does not stop in time, is logged and the next one's turn comes.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's, without annotations
        self._clock = clock

    def add(self, name: str, child: IService) -> None:
        """
        Start ``child`` after, and stop it before, those that are here.

        :param name: what it is and, if it listens, where, and which option said so.
        """
        child.setName(name)
        child.setServiceParent(self)

    def privilegedStartService(self) -> None:
        Service.privilegedStartService(self)
        for child in self.services:
            self._start(child, child.privilegedStartService)

    def startService(self) -> None:
        Service.startService(self)
        for child in self.services:
            self._start(child, child.startService)
            self._log.info("started: {name}", name=child.name)

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop_children())

    def _start(self, child: IService, start: Callable[[], None]) -> None:
        try:
            start()
        except (CannotListenError, OSError) as error:
            # An OSError of its own comes from the lock beside a UNIX socket, or a file.
            if isinstance(error, CannotListenError):
                text = f"{child.name}: cannot listen: {error.socketError}"
            else:
                text = f"{child.name}: cannot start: {error}"
            self._log.critical("{text}", text=text)
            raise CannotStart(text) from error

    async def _stop_children(self) -> None:
        deadline = self._clock.seconds() + TOTAL_PATIENCE
        for child in reversed(self.services):
            left = max(0.0, deadline - self._clock.seconds())
            stopped = maybeDeferred(child.stopService)
            try:
                await stopped.addTimeout(min(left, CHILD_PATIENCE), self._clock)
            except Exception:
                self._log.failure("{name} did not stop cleanly", name=child.name or child)
