"""
A peer driven by lines on stdin, which tells everything on stdout as JSON: ``p2pnet-peer``.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer

from p2pnet.peer.events import Journal
from p2pnet.peer.forms import FORMS
from p2pnet.peer.language import choice
from p2pnet.peer.options import NO_MEANING, SETTINGS, Options
from p2pnet.peer.script import Script
from p2pnet.peer.stage import Stage

ROLES: Final = ("server", "client", "facilitator", "idle")

_USAGE: Final = """\
usage: p2pnet-peer ROLE [name=value ...]

A LiteNetLib 0.9.5.2 peer for scripts in any language: one command per line on stdin, one JSON
object per line on stdout for everything that happens. The end of stdin ends it.

ROLE: server and client start at once (any peer can accept and connect), facilitator also
introduces peers behind NATs to each other, idle waits for the command start.

    p2pnet-peer server port=9000 key=secret channels=4
    p2pnet-peer client connect=127.0.0.1:9000 key=secret
"""
_NOTES: Final = """\
Several commands stand in one line with " ; " between. "#ID command" puts "id":"ID" into the answer,
{"ev":"ok","cmd":...} or {"ev":"cmderror","cmd":...,"type":...,"error":...}.

PEER     the id that the events tell, or first: the newest connected one
METHOD   U RU S RO RS, or Unreliable, ReliableUnordered, ...
PAYLOAD  x0a0b, hex:0a0b, text:abc (%20 is a blank), size:N[:SEED] or N (pseudorandom bytes),
         burst:INDEX:SIZE[:SALT], - (empty)
"""


def help_text() -> str:
    """
    What ``--help`` prints.
    """
    lines = [_USAGE, "Options, for the command line, start and set (* not while it runs):", ""]
    lines += _table(
        [
            (f"{name}={each.values}", each.meaning + (" *" if each.at_start else ""))
            for name, each in SETTINGS.items()
        ]
    )
    lines += ["", "Without a meaning here: " + ", ".join(f"{name}=" for name in NO_MEANING) + "."]
    lines += ["", "Commands:", ""]
    for name, form in FORMS.items():
        lines += [f"  {name} {form.usage}".rstrip(), f"      {form.meaning}"]
    return "\n".join([*lines, "", _NOTES])


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run until ``quit``, the end of stdin, or a signal.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return
    from twisted.internet import reactor

    journal = Journal(sys.stdout, time.monotonic, time.time)
    role, *settings = arguments
    try:
        choice(*ROLES)(role)
        Options().read(settings)
    except Exception as error:
        journal.write("fatal", {"error": str(error)})
        sys.exit(2)
    globalLogBeginner.beginLoggingTo([_LogTeller(journal)], redirectStandardIO=False)
    _run(journal, reactor, role, settings)


def _run(journal: Journal, reactor: Any, role: str, settings: list[str]) -> None:
    stage = Stage(journal, reactor)

    def leave(hard: bool) -> None:
        if hard:
            # No shutdown code may say goodbye for us.
            os._exit(0)
        reactor.stop()

    async def say_bye() -> None:
        # A signal comes here without the command.
        if stage.running:
            await stage.stop()
        journal.write("bye")

    script = Script(stage, journal, reactor, time.time, leave)
    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(say_bye()))
    journal.write(
        "hello",
        {
            "lib": "p2pnet",
            "version": _version(),
            "build": "release",
            "clr": f"{platform.python_implementation()} {platform.python_version()}",
            "pid": os.getpid(),
        },
    )
    for line in _opening(role, settings):
        reactor.callWhenRunning(script.line, line)
    hear = partial(reactor.callFromThread, script.line)
    threading.Thread(target=_read_lines, args=(hear,), daemon=True).start()
    reactor.run()


def _opening(role: str, settings: list[str]) -> list[str]:
    """
    The commands that a role stands for.
    """
    given = " ".join(settings)
    match role:
        case "idle":
            return [f"set {given}"] if given else []
        case "facilitator":
            return [f"start {given}", "nat facilitator on"]
    return [f"start {given}"]


def _read_lines(hear: Callable[[str], None]) -> None:
    """
    Hand on every line of stdin, then ``quit``.

    A thread: a reactor cannot wait for a file, and making stdin non-blocking would do the same to
    a stdout that is the same terminal.
    """
    rest = b""
    # Not sys.stdin: its lock, held by a read that never returns, would not let Python end.
    while data := os.read(0, 65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            hear(line.decode(errors="replace"))
    hear(rest.decode(errors="replace"))
    hear("quit")


@implementer(ILogObserver)
class _LogTeller:
    """
    Tells what the engine and Twisted log, from warnings upwards.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __call__(self, event: LogEvent) -> None:
        level: LogLevel = event["log_level"]
        if level < LogLevel.warn:
            return
        message = formatEvent(event)
        if "log_failure" in event:
            message += f": {event['log_failure'].getErrorMessage()}"
        self._journal.write("log", {"level": level.name, "msg": message})


def _version() -> str:
    try:
        return version("p2pnet")
    except PackageNotFoundError:
        return "unknown"


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows)
    return [f"  {left:<{width}}  {right}" for left, right in rows]


if __name__ == "__main__":
    main()
