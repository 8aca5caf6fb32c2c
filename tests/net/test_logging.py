"""
What an operator finds in the log, and what not.
"""

from __future__ import annotations

from contextlib import ExitStack
from errno import EHOSTUNREACH, ENETUNREACH, EPERM
from os import strerror
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.driver import SocketWarnings
from p2pnet.net.manager import NetManager
from p2pnet.net.manual import ManualNetManager
from p2pnet.rudp.transmit import Transmit
from tests.net.world import ALICE, BOB, CAROL, Node, Notebook, World

SEED = 7


class LogTestCase(SynchronousTestCase):
    """
    Managers on an internet in memory, and all that they log.
    """

    def setUp(self) -> None:
        print(f"seed {SEED}")
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.logged = stack.enter_context(capturedLogs())
        self.world = World(SEED)

    def told(self, level: LogLevel) -> list[str]:
        """
        What was logged in our namespace at that level.
        """
        return [formatEvent(event) for event in self.events(level)]

    def events(self, level: LogLevel) -> list[LogEvent]:
        return [
            event
            for event in self.logged
            if event["log_level"] is level and event["log_namespace"].startswith("p2pnet.net.")
        ]


class LifeTests(LogTestCase):
    def test_ports_are_told_when_they_open_and_close(self) -> None:
        node = self.world.node(ALICE)
        absent, opened = self.told(LogLevel.info)
        self.assertRegex(absent, "without one IP version: .*assign requested address")
        self.assertEqual(opened, "UDP port 9050 is open for IPv4")
        node.manager.stopService()
        self.world.run(1.0)
        self.assertEqual(self.told(LogLevel.info)[2:], ["UDP port 9050 is closed"])
        self.assertEqual([event["port"] for event in self.events(LogLevel.info)[1:]], [9050] * 2)

    def test_what_cannot_be_opened_is_not_said_to_be_closed(self) -> None:
        manager = ManualNetManager(Notebook(), interface="127.0.0.1", ipv6=Ipv6Mode.DISABLED)
        manager.stop()
        self.assertEqual(self.told(LogLevel.info), [])
        manager.start()
        port = manager.local_port
        manager.stop()
        manager.stop()
        self.assertEqual(
            self.told(LogLevel.info),
            [f"UDP port {port} is open for IPv4", f"UDP port {port} is closed"],
        )

    def test_a_connection_is_told_to_who_wants_to_know_more(self) -> None:
        alice, bob = self.world.pair()
        self.assertEqual(
            self.told(LogLevel.debug),
            ["peer 0 at 10.0.0.1:9050 is connected", "peer 0 at 10.0.0.2:9050 is connected"],
        )
        self.assertEqual(
            [event["address"] for event in self.events(LogLevel.debug)], [ALICE, BOB]
        )
        alice.manager.disconnect_all()
        self.world.run(1.0)
        self.assertCountEqual(
            self.told(LogLevel.debug)[2:],
            [
                "peer 0 at 10.0.0.2:9050 is disconnected: DISCONNECT_PEER_CALLED",
                "peer 0 at 10.0.0.1:9050 is disconnected: REMOTE_CONNECTION_CLOSE",
            ],
        )
        self.assertEqual(
            {event["reason"] for event in self.events(LogLevel.debug)[2:]},
            {"DISCONNECT_PEER_CALLED", "REMOTE_CONNECTION_CLOSE"},
        )
        self.assertEqual(bob.heard.reasons, bob.heard.reasons[:1])

    def test_an_attempt_that_fails_is_told_with_the_reason(self) -> None:
        alice = self.world.node(ALICE)
        alice.connect(CAROL).addErrback(lambda _: None)
        self.world.run(20.0)
        self.assertEqual(
            self.told(LogLevel.debug),
            ["peer 0 at 10.0.0.3:9050 is disconnected: CONNECTION_FAILED"],
        )

    def test_what_a_listener_raises_is_told_with_the_traceback(self) -> None:
        alice, bob = self.world.pair()

        def fail(*args: Any) -> None:
            raise ZeroDivisionError("in the application")

        bob.heard.also["network_receive"] = fail
        alice.manager.send_to_all(b"hello")
        self.world.run(1.0)
        (event,) = self.events(LogLevel.critical)
        self.assertIn("network_receive", formatEvent(event))
        self.assertIn("in the application", event["log_failure"].getTraceback())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class QuietTests(LogTestCase):
    def test_datagrams_are_not_logged_good_or_bad(self) -> None:
        """
        A stranger must not fill a log (PITFALLS B6), and a call for each would cost.
        """
        alice, bob = self.world.pair()
        stranger = self.world.network.host("10.0.0.66")
        port = stranger.listenUDP(9, DatagramProtocol())
        before = len(self.logged)
        for i in range(200):
            port.write(bytes([i]) * 40, BOB)
            alice.manager.send_to_all(b"hello")
        self.world.run(0.9)
        self.assertEqual(len(bob.heard.messages), 200)
        self.assertGreater(sum(bob.manager.statistics.dropped.values()), 100)
        self.assertEqual(self.logged[before:], [])


class WarningTests(LogTestCase):
    def failing(self, code: int) -> Node:
        """
        Alice, whose network is gone.
        """
        alice = self.world.node(ALICE)
        self.world.run(0.1)

        def fail(transmit: Transmit) -> None:
            raise OSError(code, strerror(code))

        self.patch(alice.manager._udp._ipv4, "send", fail)
        return alice

    def test_a_network_that_is_gone_is_told_with_the_address(self) -> None:
        alice = self.failing(EPERM)
        alice.manager.send_unconnected(BOB, b"x")
        self.world.run(0.1)
        (event,) = self.events(LogLevel.warn)
        self.assertEqual(
            formatEvent(event),
            "sending to 10.0.0.2:9050 failed: [Errno 1] Operation not permitted",
        )
        self.assertEqual((event["address"], event["reason"]), (BOB, "EPERM"))
        self.assertEqual(len(alice.heard.errors), 1)

    def test_while_it_is_gone_that_is_told_every_ten_seconds(self) -> None:
        alice = self.failing(ENETUNREACH)
        for _ in range(2100):
            alice.manager.send_unconnected(BOB, b"x")
            self.world.run(0.01)
        self.assertEqual(len(alice.heard.errors), 2100)
        warnings = self.told(LogLevel.warn)
        self.assertEqual(len(warnings), 3)
        self.assertNotIn("more", warnings[0])
        self.assertRegex(warnings[1], r"unreachable \((9\d\d|1000) more since the last warning\)$")

    def test_each_kind_of_error_is_told(self) -> None:
        warnings = SocketWarnings()

        def fail(code: int, now: float) -> None:
            warnings.warn(("2001:db8::1", 9050), OSError(code, strerror(code)), now)

        for now in (0.0, 1.0, 9.9):
            fail(EHOSTUNREACH, now)
            fail(EPERM, now)
        self.assertEqual(
            [event["reason"] for event in self.events(LogLevel.warn)], ["EHOSTUNREACH", "EPERM"]
        )
        fail(EPERM, 10.0)
        last = self.events(LogLevel.warn)[-1]
        self.assertEqual((last["reason"], last["unsaid"]), ("EPERM", 2))
        self.assertIn("sending to [2001:db8::1]:9050 failed", formatEvent(last))
        fail(EPERM, 20.0)
        self.assertEqual(self.events(LogLevel.warn)[-1]["unsaid"], 0)

    def test_a_socket_that_cannot_be_read_has_no_address(self) -> None:
        SocketWarnings().warn(None, OSError("strange"), 0.0)
        (event,) = self.events(LogLevel.warn)
        self.assertEqual(formatEvent(event), "reading failed: strange")
        self.assertIsNone(event["reason"])


class RealTests(TestCase):
    """
    On sockets of this machine.
    """

    async def opened(self, **options: Any) -> list[str]:
        with capturedLogs() as logged:
            manager = NetManager(Notebook(), reactor=reactor, **options)
            manager.startService()
            port = manager.local_port
            await manager.stopService()
        told = [formatEvent(event) for event in logged]
        return [text.replace(str(port), "PORT") for text in told]

    async def test_both_families_are_named(self) -> None:
        told = await self.opened()
        if any("without one IP version" in text for text in told):
            self.skipTest("this machine has one IP version only")
        self.assertEqual(
            told, ["UDP port PORT is open for IPv4 and IPv6", "UDP port PORT is closed"]
        )

    async def test_one_socket_for_both_is_closed_once(self) -> None:
        told = await self.opened(ipv6=Ipv6Mode.DUAL)
        self.assertEqual(
            told, ["UDP port PORT is open for IPv4 and IPv6", "UDP port PORT is closed"]
        )
