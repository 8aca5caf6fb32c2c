"""
What is logged while a test runs.
"""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer


def log_events(case: SynchronousTestCase) -> list[LogEvent]:
    """
    What is logged from now on to the end of the test.
    """
    events: list[LogEvent] = []

    @implementer(ILogObserver)
    def note(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(note)
    case.addCleanup(globalLogPublisher.removeObserver, note)
    return events
