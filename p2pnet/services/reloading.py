"""
SIGHUP: read the settings again, and take over what can change while the daemon runs.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.python.usage import UsageError

from p2pnet.services.settings import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from p2pnet.services.settings import Settings
    from p2pnet.services.systemd import Systemd

    Taker = Callable[[Settings], Callable[[], None]]


class Reloading(Service):
    """
    Does it whenever the process gets SIGHUP, while this service runs.

    A fault is logged, and then all stays as it is.  To be started first: until it has stopped, the
    signal ends nothing.

    :param started: the settings the daemon was started with.
    :param read: the settings as they are written now; raises ``UsageError``.
    :param sections: which of them mean something to this daemon.
    :param systemd: is told.
    :ivar takers: each looks at new settings, and returns what makes those hold that concern it;
        raises ``ValueError`` with a text if they cannot.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        started: Settings,
        read: Callable[[], Settings],
        sections: Iterable[str],
        systemd: Systemd,
    ) -> None:
        self.takers: list[Taker] = []
        self._reactor = reactor
        self._started = started
        self._read = read
        self._sections = list(sections)
        self._systemd = systemd
        self._before: Any = None

    def startService(self) -> None:
        """
        Listen to the signal.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._before = signal.signal(signal.SIGHUP, self._told)

    def stopService(self) -> None:
        """
        Leave the signal to whoever had it.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        signal.signal(signal.SIGHUP, self._before)

    def reload(self) -> None:
        """
        Do it now.
        """
        self._systemd.reloading()
        try:
            new = self._read()
        except UsageError as error:
            for fault in str(error).splitlines():
                self._log.error("settings not read again: {fault}", fault=fault)
        else:
            self._take(new)
        self._systemd.reloaded()

    def _told(self, number: int, frame: object) -> None:
        # Between two bytecodes, who knows of what; the reactor's turn will come.
        self._reactor.callFromThread(self.reload)

    def _take(self, new: Settings) -> None:
        try:
            steps = [taker(new) for taker in self.takers]
        except ValueError as error:
            self._log.error("settings not read again: {error}", error=error)
            return
        for step in steps:
            step()
        for name in self._late(new):
            self._log.warn("{name} has changed, which takes a restart", name=name)
        self._log.info("settings read again")

    def _late(self, new: Settings) -> list[str]:
        """
        What has changed and cannot, until the next start.
        """
        return [
            f"[{section}] {key}"
            for section in self._sections
            for key, setting in keys(section).items()
            if not setting.metadata["reload"]
            and getattr(getattr(new, section), setting.name)
            != getattr(getattr(self._started, section), setting.name)
        ]
