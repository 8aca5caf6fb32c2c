"""
Tells systemd how the daemon is: sd_notify(3), over the socket that ``Type=notify`` names.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MICROSECONDS: Final = 1_000_000


class Systemd(Service):
    """
    Says when we are ready, that the reactor still turns, and when we go; says nothing if nobody
    listens.  To be started last, and so stopped first.

    :param reactor: runs when we are ready.
    :param clock: for the watchdog.
    :param environment: of the process, which tells where to speak, and how often.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        clock: Any,
        environment: Mapping[str, str] = os.environ,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._monotonic = monotonic
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog = LoopingCall(self.say, "WATCHDOG=1")
        self._watchdog.clock = clock
        self._period = _watchdog_period(environment)

    @property
    def listens(self) -> bool:
        """
        Whether it is there, and wants to hear.
        """
        return bool(self._address)

    def startService(self) -> None:
        """
        Say that we are ready, once the reactor runs.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._reactor.callWhenRunning(self._ready)

    def stopService(self) -> None:
        """
        Say that we go.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        if self._watchdog.running:
            self._watchdog.stop()
        self.say("STOPPING=1")

    def reloading(self) -> None:
        """
        Say that settings are read again; `reloaded` must follow.
        """
        self.say("RELOADING=1", f"MONOTONIC_USEC={int(self._monotonic() * MICROSECONDS)}")

    def reloaded(self) -> None:
        """
        Say that this is done.
        """
        self.say("READY=1")

    def say(self, *assignments: str) -> None:
        """
        Tell systemd something, such as ``STATUS=for a person``.
        """
        if not self._address:
            return
        # One that begins with @ is in no directory.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way:
                # The reactor does not wait for systemd.
                way.setblocking(False)
                way.sendto("\n".join(assignments).encode(), address)
        except OSError as error:
            self._log.warn("systemd ($NOTIFY_SOCKET) does not listen: {error}", error=error)

    def _ready(self) -> None:
        if not self.running:
            return
        self.say("READY=1")
        if self._period:
            self._watchdog.start(self._period, now=False)


def _watchdog_period(environment: Mapping[str, str]) -> float:
    """
    Seconds between two signs of life, half of what systemd waits for one; 0 if it wants none.
    """
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return max(0, int(environment.get("WATCHDOG_USEC", "0"))) / MICROSECONDS / 2
    except ValueError:
        return 0.0
