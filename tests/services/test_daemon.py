"""
What twistd is handed.
"""

from __future__ import annotations

from io import StringIO
from typing import Any

from twisted.application.service import Application
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.services.daemon import Process, daemon
from p2pnet.services.logs import Logs
from p2pnet.services.reloading import Reloading
from p2pnet.services.settings import LogSettings
from p2pnet.services.signaling import Options


class ProcessTests(SynchronousTestCase):
    def observer(self, twistd: dict[str, Any]) -> object:
        application: Any = Application("p2pnet")
        process = Process(MemoryReactorClock(), Logs(LogSettings(), twistd))
        process.setServiceParent(application)
        return application.getComponent(ILogObserver)

    def test_the_log_is_written_as_the_settings_say(self) -> None:
        self.assertTrue(ILogObserver.providedBy(self.observer({"nodaemon": True})))

    def test_unless_twistd_was_told_of_another_one(self) -> None:
        twistd = {"nodaemon": True, "logger": "some.other.observer"}
        self.assertIsNone(self.observer(twistd))


class DaemonTests(SynchronousTestCase):
    def test_its_level_of_logging_can_be_changed(self) -> None:
        options = Options()
        options.parseOptions(["--log-level=error"])
        services = daemon(MemoryReactorClock(), options, lambda *_: [], ("log",))
        reloading = services.services[0]
        assert isinstance(reloading, Reloading)
        file = StringIO()
        log = Logger("p2pnet", observer=LogPublisher(options.logs.writing(file)))
        log.info("before")
        (taker,) = reloading.takers
        other = Options()
        other.parseOptions(["--log-level=info"])
        taker(other.effective)()
        log.info("after")
        self.assertIn("after", file.getvalue())
        self.assertNotIn("before", file.getvalue())
