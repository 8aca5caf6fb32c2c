"""
Time.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from p2pnet.services.machine import MonotonicClock


def test_the_clock_has_the_timers_of_the_reactor_and_seconds_of_its_own() -> None:
    reactor = Clock()
    clock = MonotonicClock(reactor, seconds=lambda: 42.0)
    assert verifyObject(IReactorTime, clock)
    rung: list[str] = []
    call = clock.callLater(3.0, rung.append, "rung")
    assert clock.getDelayedCalls() == [call]
    reactor.advance(3.0)
    assert rung == ["rung"]
    assert clock.seconds() == 42.0
