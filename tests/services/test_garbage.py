"""
A daemon looks for garbage once a minute, and at what is new in between.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.services.garbage import Garbage


class Cycle:
    """
    Garbage as soon as nobody else holds it.
    """

    def __init__(self) -> None:
        self.myself = self


class GarbageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.usual = gc.get_threshold()
        self.garbage = Garbage(self.reactor)
        self.garbage.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.garbage.running:
            self.garbage.stopService()

    def test_what_is_there_at_the_start_is_looked_at_no_more(self) -> None:
        self.assertEqual(gc.get_threshold(), self.usual)
        self.reactor.run()
        self.assertGreater(gc.get_freeze_count(), 0)
        self.assertGreater(gc.get_threshold()[0], self.usual[0])

    def test_old_garbage_is_found_within_a_minute(self) -> None:
        self.reactor.run()
        old = Cycle()
        # It is old now.
        gc.collect()
        gone = weakref.ref(old)
        del old
        gc.collect(1)
        self.assertIsNotNone(gone())
        self.reactor.advance(60)
        self.assertIsNone(gone())

    def test_who_stops_leaves_all_as_it_was(self) -> None:
        self.reactor.run()
        self.garbage.stopService()
        self.assertEqual(gc.get_threshold(), self.usual)
        self.assertEqual(gc.get_freeze_count(), 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_who_stops_before_it_runs_changes_nothing(self) -> None:
        self.garbage.stopService()
        self.reactor.run()
        self.assertEqual(gc.get_threshold(), self.usual)
