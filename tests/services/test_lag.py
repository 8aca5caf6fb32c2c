"""
How late the reactor is.
"""

from __future__ import annotations

from twisted.internet.task import Clock

from p2pnet.services.lag import PERIOD, Lag


def test_a_reactor_that_is_busy_is_late_by_as_much() -> None:
    clock = Clock()
    measured: list[float] = []
    lag = Lag(clock, measured.append)
    lag.startService()
    clock.advance(PERIOD)
    clock.advance(PERIOD + 0.25)
    clock.advance(PERIOD)
    assert measured == [0.0, 0.25, 0.0]


def test_who_has_stopped_measures_no_more() -> None:
    clock = Clock()
    measured: list[float] = []
    lag = Lag(clock, measured.append)
    lag.startService()
    lag.stopService()
    clock.advance(10 * PERIOD)
    assert measured == []
    assert clock.getDelayedCalls() == []
