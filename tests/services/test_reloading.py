"""
Settings that are read again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.services.limits import LimitSettings
from p2pnet.services.reloading import Reloading
from p2pnet.services.settings import ChatSettings, LogSettings, RendezvousSettings, Settings
from p2pnet.services.systemd import Systemd

STARTED = Settings(RendezvousSettings(), LimitSettings(), ChatSettings(), LogSettings())


class Reactor(MemoryReactorClock):
    """
    Does what other threads want when it is told to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[Callable[[], Any]] = []

    def callFromThread(self, call: Callable[[], Any], *args: Any, **kwargs: Any) -> None:
        self.wanted.append(call)


class Notes(Systemd):
    """
    Writes down what systemd would be told.
    """

    def __init__(self) -> None:
        super().__init__(Reactor(), Clock(), {})
        self.said: list[str] = []

    def say(self, *assignments: str) -> None:
        self.said.append(assignments[0])


class ReloadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.systemd = Notes()
        self.written: Settings | UsageError = STARTED
        self.taken: list[tuple[str, object]] = []

    def read(self) -> Settings:
        if isinstance(self.written, UsageError):
            raise self.written
        return self.written

    def level(self, new: Settings) -> Callable[[], None]:
        return lambda: self.taken.append(("level", new.log.level))

    def changes(self, new: Settings) -> Callable[[], None]:
        if new.limits.changes == "9/9":
            raise ValueError("9/9 is out of the question")
        return lambda: self.taken.append(("changes", new.limits.changes))

    def reload(self) -> list[str]:
        """
        :return: warnings and errors.
        """
        sections = ["rendezvous", "limits", "log"]
        reloading = Reloading(self.reactor, STARTED, self.read, sections, self.systemd)
        reloading.takers += [self.level, self.changes]
        with capturedLogs() as logged:
            reloading.reload()
        return [
            str(formatEvent(event)) for event in logged if event["log_level"] > LogLevel.info
        ]

    def test_what_can_change_does(self) -> None:
        self.written = replace(
            STARTED, log=LogSettings(level="debug"), limits=LimitSettings(changes="3/4")
        )
        self.assertEqual(self.reload(), [])
        self.assertEqual(self.taken, [("level", "debug"), ("changes", "3/4")])
        self.assertEqual(self.systemd.said, ["RELOADING=1", "READY=1"])

    def test_what_takes_a_restart_is_named(self) -> None:
        self.written = replace(
            STARTED,
            rendezvous=RendezvousSettings(udp_port=1, http="tcp:1"),
            log=LogSettings(format="json"),
            chat=ChatSettings(username="of no meaning here"),
        )
        self.assertEqual(
            self.reload(),
            [
                f"[{key} has changed, which takes a restart"
                for key in ("rendezvous] http", "rendezvous] udp-port", "log] format")
            ],
        )
        self.assertEqual(len(self.taken), 2)

    def test_a_bad_file_changes_nothing_and_each_fault_is_logged(self) -> None:
        self.written = UsageError("node.toml:1: this\nnode.toml:2: that")
        self.assertEqual(
            self.reload(),
            [
                "settings not read again: node.toml:1: this",
                "settings not read again: node.toml:2: that",
            ],
        )
        self.assertEqual(self.taken, [])
        self.assertEqual(self.systemd.said, ["RELOADING=1", "READY=1"])

    def test_what_one_cannot_take_nobody_takes(self) -> None:
        self.written = replace(
            STARTED, log=LogSettings(level="debug"), limits=LimitSettings(changes="9/9")
        )
        self.assertEqual(
            self.reload(), ["settings not read again: 9/9 is out of the question"]
        )
        self.assertEqual(self.taken, [])

    def test_the_signal_has_the_reactor_do_it(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        reloading = Reloading(self.reactor, STARTED, self.read, [], self.systemd)
        reloading.takers.append(self.level)
        reloading.startService()
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            self.assertEqual(self.taken, [], "nothing is done within a signal handler")
            for call in self.reactor.wanted:
                call()
        finally:
            reloading.stopService()
        self.assertEqual(self.taken, [("level", "info")])
        self.assertEqual(signal.getsignal(signal.SIGHUP), before)
