"""
A rendezvous that is told to go.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.services.draining import PATIENCE, Draining
from p2pnet.services.ordered import CHILD_PATIENCE
from p2pnet.signaling.health import DRAINING, Health


class DrainingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.health = Health({}, self.clock)
        self.here = 2
        self.busy = 0
        self.told = 0
        self.draining = Draining(
            self.health, self.farewell, lambda: self.here, lambda: self.busy, self.clock
        )
        self.draining.startService()

    def farewell(self) -> None:
        self.told += 1
        self.assertTrue(self.health.draining, "who comes back at once must find the door shut")

    def stop(self) -> Deferred[None]:
        return self.draining.stopService()

    def test_who_is_here_is_told_and_waited_for(self) -> None:
        self.assertEqual(self.successResultOf(self.health.faults()), [])
        stopped = self.stop()
        self.assertEqual(self.told, 1)
        self.assertEqual(self.successResultOf(self.health.faults()), [DRAINING])
        self.clock.advance(0.1)
        self.here = 1
        self.clock.advance(0.1)
        self.assertNoResult(stopped)
        self.here = 0
        self.clock.advance(0.1)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_request_that_is_being_answered_is_not_cut_off(self) -> None:
        self.here, self.busy = 0, 1
        stopped = self.stop()
        self.clock.advance(0.1)
        self.assertNoResult(stopped)
        self.busy = 0
        self.clock.advance(0.1)
        self.successResultOf(stopped)

    def test_nobody_is_waited_for_longer_than_there_is_time(self) -> None:
        stopped = self.stop()
        self.clock.pump([0.1] * round(PATIENCE / 0.1 - 1))
        self.assertNoResult(stopped)
        self.clock.pump([0.1] * 3)
        self.successResultOf(stopped)
        self.assertLess(PATIENCE, CHILD_PATIENCE)

    def test_an_empty_house_is_left_at_once(self) -> None:
        self.here = 0
        self.successResultOf(self.stop())
