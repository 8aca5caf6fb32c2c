"""
A stranger knocks, and tells who is there.
"""

from __future__ import annotations

import socket
from secrets import randbits

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pnet.interfaces import Address
from p2pnet.net.manager import NetManager
from p2pnet.reach.knock import ANOTHER_PROTOCOL, PROTOCOL_11, UNKNOWN_SERVICE
from p2pnet.services.machine import MonotonicClock
from p2pnet.services.udp import udp_opener
from p2pnet.signaling.allowance import TooOften
from p2pnet.signaling.prober import MAX_PROBES, PATIENCE, Finding, Prober
from tests.net.world import Notebook
from tests.signaling.core import ALICE, BOB, NONCE
from tests.signaling.fake_ports import FakePorts

TARGET: Address = ("192.0.2.1", 61001)
DELAY = 1 / 32
"""Seconds, which add up without rounding."""
OURS = b"\x0e\x01" + NONCE.to_bytes(8, "little")


class ProberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.ports = FakePorts()
        self.prober = Prober(self.ports.open, self.clock, random=lambda bits: NONCE)

    def probe(self, caller: str = ALICE, target: Address = TARGET) -> Deferred[Finding]:
        return Deferred.fromCoroutine(self.prober.probe(caller, target))

    def finding(self, answer: bytes, address: Address = TARGET) -> Finding:
        probing = self.probe()
        self.clock.advance(0)
        self.clock.advance(DELAY)
        self.ports.opened[-1].hear(answer, address)
        self.clock.advance(PATIENCE)
        return self.successResultOf(probing)

    def test_who_answers_is_told_by_the_form_of_the_answer(self) -> None:
        for answer, service in (
            (OURS, PROTOCOL_11),
            (b"\x0e\x01", ANOTHER_PROTOCOL),
            (b"\x0f", ANOTHER_PROTOCOL),
            (b"hello", UNKNOWN_SERVICE),
            (b"", UNKNOWN_SERVICE),
        ):
            assert self.finding(answer) == Finding(service, DELAY)

    def test_whoever_else_answers_is_not_heard(self) -> None:
        for address in ((TARGET[0], 61002), ("192.0.2.2", TARGET[1])):
            assert self.finding(OURS, address) == Finding()

    def test_silence_is_three_knocks_of_few_bytes_and_two_seconds(self) -> None:
        probing = self.probe()
        for _ in range(19):
            self.clock.advance(0.1)
        self.assertNoResult(probing)
        self.clock.advance(0.11)
        assert self.successResultOf(probing) == Finding()
        (port,) = self.ports.opened
        assert len(port.sent) == 3
        assert sum(len(data) for data, _ in port.sent) <= 100

    def test_one_knock_that_arrives_is_enough(self) -> None:
        probing = self.probe()
        self.clock.pump([0, 0.4, 0.6])
        self.ports.opened[0].hear(OURS, TARGET)
        # A second answer comes too late to matter.
        self.ports.opened[0].hear(b"x", TARGET)
        assert self.successResultOf(probing).service == PROTOCOL_11

    def test_each_probe_has_a_port_of_its_own_and_leaves_nothing_behind(self) -> None:
        self.finding(OURS)
        self.finding(b"\x0f")
        assert len(self.ports.opened) == 2
        assert self.ports.still_open == []
        assert self.clock.getDelayedCalls() == []

    def test_a_probe_that_is_given_up_leaves_nothing_behind(self) -> None:
        probing = self.probe()
        self.clock.advance(0.1)
        probing.cancel()
        self.failureResultOf(probing, CancelledError)
        assert self.ports.still_open == []
        assert self.clock.getDelayedCalls() == []
        self.ports.opened[0].hear(OURS, TARGET)

    def test_a_caller_waits_two_seconds_for_its_next(self) -> None:
        self.probe()
        error = self.failureResultOf(self.probe(), TooOften).value
        assert error.retry_after == 2.0
        self.probe(BOB)
        self.clock.advance(2)
        self.probe()
        assert len(self.ports.opened) == 3

    def test_a_limited_number_goes_on_at_a_time(self) -> None:
        for number in range(MAX_PROBES):
            self.probe(str(number))
        self.failureResultOf(self.probe("one more"), TooOften)
        assert len(self.ports.still_open) == MAX_PROBES
        self.clock.advance(PATIENCE)
        # It was not counted, for it did not happen.
        self.probe("one more")
        assert len(self.ports.still_open) == 1

    def test_without_a_socket_nothing_is_under_way(self) -> None:
        self.ports.taken.add(40_000)
        self.failureResultOf(self.probe(), CannotListenError)
        assert self.clock.getDelayedCalls() == []
        assert self.prober._under_way == 0

    def test_it_knocks_from_the_address_it_is_given_if_that_can_be(self) -> None:
        prober = Prober(
            self.ports.open, self.clock, random=lambda bits: NONCE, interface="203.0.113.1"
        )
        for caller, target in ((ALICE, TARGET), (BOB, ("2001:db8::1", 4000))):
            Deferred.fromCoroutine(prober.probe(caller, target))
        assert [port.interface for port in self.ports.opened] == ["203.0.113.1", "::"]


class LoopbackTests(TestCase):
    """
    Over real sockets.
    """

    timeout = 10

    def setUp(self) -> None:
        self.prober = Prober(
            udp_opener(reactor), MonotonicClock(reactor), random=randbits, interface="127.0.0.1"
        )

    def test_our_engine_is_recognised_and_its_application_hears_nothing(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.engine())

    async def engine(self) -> None:
        heard = Notebook()
        manager = NetManager(heard, reactor=reactor, interface="127.0.0.1")
        manager.startService()
        try:
            found = await self.prober.probe(ALICE, ("127.0.0.1", manager.local_port))
        finally:
            await manager.stopService()
        self.assertEqual(found.service, PROTOCOL_11)
        assert found.round_trip is not None
        self.assertLess(found.round_trip, 1)
        self.assertEqual(heard.calls, [])

    def test_nobody_at_the_other_end_is_silence(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.nobody())

    async def nobody(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            address = closed.getsockname()
        self.assertEqual(await self.prober.probe(ALICE, address), Finding())
