"""
What a daemon's log looks like, how much stands in it, and where it goes.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEventAsClassicLogText,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

from p2pnet.services.blurring import blurred

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from p2pnet.services.settings import LogSettings

DEFAULT_FILE = "twistd.log"
"""Where a daemon in the background logs to, as twistd has it."""


class Logs:
    """
    The log of a process.

    twistd's own words say where it goes: ``--logfile``, ``--syslog`` and ``--nodaemon``.  The
    settings say the rest.

    :param twistd: twistd's options.
    :param ours: addresses that are not blurred.
    """

    def __init__(
        self, settings: LogSettings, twistd: Mapping[str, Any], ours: Container[str] = ()
    ) -> None:
        self._settings = settings
        self._twistd = twistd
        self._ours = ours
        self._level = LogLevelFilterPredicate()
        self.change(settings)

    @property
    def wanted(self) -> bool:
        """
        Unless twistd was told of another one, by ``--logger``.
        """
        return not self._twistd.get("logger")

    def change(self, settings: LogSettings) -> None:
        """
        Log from now on as much as ``settings`` says.  The rest of it takes a new process.
        """
        level = LogLevel.levelWithName(settings.level)
        self._level.setLogLevelForNamespace("", level)

    def observer(self) -> ILogObserver:
        """
        What writes the log.
        """
        if self._twistd.get("syslog"):
            written = _to_syslog(self._twistd.get("prefix", ""), self._text)
            return FilteringLogObserver(written, [self._level])
        return self.writing(self._file())

    def writing(self, file: IO[str]) -> ILogObserver:
        """
        The same, for a log in ``file``.
        """
        form = _as_json if self._settings.format == "json" else formatEventAsClassicLogText
        return FilteringLogObserver(FileLogObserver(file, self._blur(form)), [self._level])

    def _text(self, event: LogEvent) -> str:
        return self._blur(_as_text)(event) or ""

    def _blur(
        self, form: Callable[[LogEvent], str | None]
    ) -> Callable[[LogEvent], str | None]:
        if self._settings.addresses == "full":
            return form

        def blurry(event: LogEvent) -> str | None:
            line = form(event)
            return None if line is None else blurred(line, self._ours)

        return blurry

    def _file(self) -> IO[str]:
        """
        The file twistd would log to, too.
        """
        path = self._twistd.get("logfile")
        if path == "-" or (not path and self._twistd.get("nodaemon")):
            # As twistd says it; a daemon has no standard output.
            if not self._twistd.get("nodaemon"):
                sys.exit("Daemons cannot log to stdout, exiting!")
            return sys.stdout
        file = LogFile.fromFullPath(path or DEFAULT_FILE)
        _rotate_when_told(file)
        return cast("IO[str]", file)


def _rotate_when_told(file: Any) -> None:
    """
    On SIGUSR1, unless somebody else has a use for it.
    """

    def told(number: int, frame: object) -> None:
        from twisted.internet import reactor

        reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]

    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, told)


def _to_syslog(prefix: str, form: Callable[[LogEvent], str]) -> ILogObserver:
    from twisted.python.syslog import SyslogObserver

    # Twisted takes any function, and asks for more.
    emit: Any = SyslogObserver(prefix).emit
    wrapped = LegacyLogObserverWrapper(emit)

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        # Whatever the event consists of, one text is all that syslog gets of it.
        plain = {name: event[name] for name in event if name.startswith("log_")}
        plain.pop("log_failure", None)
        wrapped({**plain, "log_format": "{text}", "text": form(event)})

    observer: ILogObserver = observe
    return observer


def _as_text(event: LogEvent) -> str:
    return eventAsText(event, includeTimestamp=False, includeSystem=False)


def _as_json(event: LogEvent) -> str | None:
    """
    One line: ``time`` in UTC, ``level``, ``source``, ``text``, and the ``traceback`` of a failure.
    """
    text = eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
    failure = event.get("log_failure")
    if not text and failure is None:
        return None
    moment = datetime.fromtimestamp(event["log_time"], UTC)
    line = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": event["log_level"].name,
        "source": event.get("log_namespace", "-"),
        "text": text,
    }
    if failure is not None:
        line["traceback"] = failure.getTraceback()
    return json.dumps(line) + "\n"
