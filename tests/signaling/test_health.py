"""
What load balancers and monitors hear.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.signaling.health import DRAINING, PATIENCE, Health


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def faults(self, **checks: Deferred[bool]) -> Deferred[list[str]]:
        functions = {name: (lambda result=result: result) for name, result in checks.items()}
        self.health = Health(functions, self.clock)
        return self.health.faults()

    def test_who_passes_all_checks_is_ready(self) -> None:
        faults = self.faults(one=succeed(True), two=succeed(True))
        self.assertEqual(self.successResultOf(faults), [])

    def test_each_check_that_fails_is_named(self) -> None:
        faults = self.faults(
            good=succeed(True), no=succeed(False), error=fail(OSError("192.0.2.1"))
        )
        self.assertEqual(self.successResultOf(faults), ["no", "error"])

    def test_a_check_that_raises_is_named(self) -> None:
        def check() -> Deferred[bool]:
            raise OSError("broken")

        faults = Health({"bad": check}, self.clock).faults()
        self.assertEqual(self.successResultOf(faults), ["bad"])

    def test_checks_that_hang_are_waited_for_together_and_not_for_ever(self) -> None:
        faults = self.faults(one=Deferred(), two=Deferred(), three=succeed(True))
        self.clock.advance(PATIENCE - 0.1)
        self.assertNoResult(faults)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(faults), ["one", "two"])

    def test_who_is_about_to_end_is_not_ready_and_says_why(self) -> None:
        self.successResultOf(self.faults(one=succeed(True)))
        self.health.draining = True
        self.assertEqual(self.successResultOf(self.health.faults()), [DRAINING])
