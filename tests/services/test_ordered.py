"""
Services stop one after another, and always.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.services.ordered import CHILD_PATIENCE, TOTAL_PATIENCE, CannotStart, OrderedServices


class Stubborn(Service):
    """
    Writes down what happens to it; stops when `gone` fires.
    """

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary
        self.gone: Deferred[None] = Deferred()

    def privilegedStartService(self) -> None:
        self.diary.append(f"{self.name} binds")

    def startService(self) -> None:
        self.diary.append(f"{self.name} starts")

    def stopService(self) -> Deferred[None]:
        self.diary.append(f"{self.name} stops")
        return self.gone


class Homeless(Service):
    """
    Cannot listen.
    """

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self.error = error

    def startService(self) -> None:
        raise self.error


class OrderedServicesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.diary: list[str] = []
        self.parent = OrderedServices(self.clock)
        self.first, self.second, self.third = (
            Stubborn(name, self.diary) for name in ("first", "second", "third")
        )
        for child in (self.first, self.second, self.third):
            child.setServiceParent(self.parent)

    def stop(self) -> Deferred[None]:
        self.parent.startService()
        self.diary.clear()
        return self.parent.stopService()

    def test_children_start_in_order(self) -> None:
        self.parent.privilegedStartService()
        self.parent.startService()
        self.assertEqual(
            self.diary,
            [
                *("first binds", "second binds", "third binds"),
                *("first starts", "second starts", "third starts"),
            ],
        )

    def test_a_child_stops_when_the_later_ones_have_stopped(self) -> None:
        stopped = self.stop()
        self.assertEqual(self.diary, ["third stops"])
        self.third.gone.callback(None)
        self.assertEqual(self.diary, ["third stops", "second stops"])
        self.second.gone.callback(None)
        self.first.gone.callback(None)
        self.assertEqual(self.diary, ["third stops", "second stops", "first stops"])
        self.successResultOf(stopped)
        self.assertFalse(self.parent.running)

    def test_a_child_that_fails_to_stop_is_logged_and_keeps_nobody(self) -> None:
        stopped = self.stop()
        self.third.gone.errback(ZeroDivisionError())
        self.second.gone.callback(None)
        self.first.gone.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_child_that_does_not_stop_is_left_behind(self) -> None:
        stopped = self.stop()
        self.clock.advance(CHILD_PATIENCE)
        self.assertEqual(self.diary, ["third stops", "second stops"])
        self.second.gone.callback(None)
        self.first.gone.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(len(self.flushLoggedErrors(TimeoutError)), 1)

    def test_however_many_do_not_stop_the_end_comes_in_time_and_all_are_asked(self) -> None:
        crowd = [Stubborn(f"extra {number}", self.diary) for number in range(7)]
        for child in crowd:
            child.setServiceParent(self.parent)
        stopped = self.stop()
        self.clock.pump([0.25] * round(TOTAL_PATIENCE / 0.25))
        self.clock.advance(0)
        self.clock.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(len(self.diary), 10)
        self.assertEqual(len(self.flushLoggedErrors(TimeoutError)), 10)

    def test_a_port_that_is_taken_ends_the_daemon_with_status_1_and_says_which(self) -> None:
        taken = OSError(98, "Address already in use")
        error = CannotListenError("127.0.0.1", 9050, taken)
        Homeless("UDP port 9050 (--udp-port)", error).setServiceParent(self.parent)
        refusal = self.assertRaises(CannotStart, self.parent.startService)
        self.assertEqual(
            str(refusal),
            "UDP port 9050 (--udp-port): cannot listen: [Errno 98] Address already in use",
        )
        self.assertEqual(refusal.code, 1)

    def test_a_socket_or_file_that_cannot_be_made_is_told_like_a_port_that_is_taken(self) -> None:
        error = FileNotFoundError(2, "No such file or directory")
        Homeless("REST API on unix:/x/y (--http)", error).setServiceParent(self.parent)
        refusal = self.assertRaises(CannotStart, self.parent.startService)
        self.assertIn("REST API on unix:/x/y (--http): cannot start: ", str(refusal))

    def test_twistd_can_clean_up_after_a_failed_start(self) -> None:
        """
        It removes its pid file in an `except Exception`.
        """
        self.assertTrue(issubclass(CannotStart, Exception))
