"""
STUN on the port of a manager, beside the engine (TRAPS T19, T20).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EHOSTUNREACH
from random import Random
from unittest import skipIf

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.build import is_compiled
from p2pnet.interfaces import Address, RudpError
from p2pnet.net.conditions import Conditions
from p2pnet.net.manager import NetManager
from p2pnet.net.manual import ManualNetManager
from p2pnet.net.sharing import SharedPort
from p2pnet.net.udp import UdpPort
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.transmit import Transmit
from p2pnet.stun.codec import Class, Message, Method, mark
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.layers import XorEncryptLayer
from p2pnet.wire.packets import UnconnectedMessage
from tests.net.turn_host import Stranger
from tests.net.world import ALICE, BOB, CAROL, Node, Notebook, World, make_manager

MARKED = mark(Message(Method.BINDING, Class.REQUEST, bytes(range(12))))
BARE = bytes(Message(Method.BINDING, Class.REQUEST, bytes(12)))
"""STUN that does not say so twice: LiteNetLib's UNRELIABLE, by its first byte."""


class Guest:
    """
    What a STUN agent is to the port.
    """

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.seen: list[tuple[bytes, Address]] = []
        self.then: Callable[[], object] = lambda: None

    def __call__(self, data: bytes, address: Address) -> bool:
        self.seen.append((data, address))
        self.then()
        return self.takes


class SharingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.alice = self.world.node(ALICE)
        self.stranger = Stranger()
        self.world.network.host(BOB[0]).listenUDP(BOB[1], self.stranger)

    def send(self, data: bytes) -> None:
        self.stranger.send(data, ALICE)
        self.world.run(0.1)

    @property
    def dropped(self) -> dict[str, int]:
        return self.alice.manager.statistics.dropped

    def test_a_stun_message_goes_to_who_shares_the_port_and_is_no_other_ones_trouble(self) -> None:
        guest = Guest()
        self.alice.manager.share_port(guest)
        self.send(MARKED)
        self.assertEqual(guest.seen, [(MARKED, BOB)])
        self.assertEqual(self.dropped, {})
        self.assertEqual(self.alice.manager.statistics.packets_received, 0)
        self.assertEqual(self.stranger.received, [])

    def test_what_it_does_not_take_is_the_engines(self) -> None:
        guest = Guest(takes=False)
        self.alice.manager.share_port(guest)
        self.send(MARKED)
        self.assertEqual(len(guest.seen), 1)
        self.assertEqual(self.dropped, {"no connection": 1})

    def test_it_sees_nothing_but_stun_that_says_so_twice(self) -> None:
        """
        A message of a game may have any bytes but these.
        """
        guest = Guest()
        self.alice.manager.share_port(guest)
        for data in (
            BARE,
            MARKED[:-1],
            MARKED + b"\x00",
            b"\x00" + MARKED,
            b"",
            b"\x40\x00\x00\x00",
            UnconnectedMessage(MARKED).encode(),
        ):
            self.send(data)
        self.assertEqual(guest.seen, [])

    def test_without_anybody_the_engine_sees_all(self) -> None:
        self.send(MARKED)
        self.alice.manager.share_port(Guest())
        self.alice.manager.share_port(None)
        self.send(MARKED)
        self.assertEqual(self.dropped, {"no connection": 2})

    def test_only_the_latest_shares_the_port(self) -> None:
        first, second = Guest(takes=False), Guest()
        self.alice.manager.share_port(first)
        self.alice.manager.share_port(second)
        self.send(MARKED)
        self.assertEqual((len(first.seen), len(second.seen)), (0, 1))

    def test_one_that_raises_is_logged_and_has_not_taken_it(self) -> None:
        guest = Guest()

        def stumble() -> None:
            raise ZeroDivisionError("an agent's bug")

        guest.then = stumble
        self.alice.manager.share_port(guest)
        self.send(MARKED)
        self.send(MARKED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(self.dropped, {"no connection": 2})
        guest.then = lambda: None
        self.send(MARKED)
        self.assertEqual(self.dropped, {"no connection": 2})

    def test_it_is_kept_when_the_manager_is_started_again(self) -> None:
        guest = Guest()
        self.alice.manager.share_port(guest)
        stopped = self.alice.manager.stopService()
        self.world.run(1.0)
        self.successResultOf(stopped)
        self.alice.manager.startService()
        self.send(MARKED)
        self.assertEqual(len(guest.seen), 1)

    def test_it_may_answer_move_and_leave_while_it_is_asked(self) -> None:
        guest = Guest()
        self.world.node(CAROL)
        self.alice.connect(CAROL)
        self.world.run(0.5)
        (peer,) = self.alice.heard.connected

        def act() -> None:
            self.alice.manager.send_datagram(BOB, MARKED)
            peer.move(BOB)
            self.alice.manager.share_port(None)

        guest.then = act
        self.alice.manager.share_port(guest)
        self.send(MARKED)
        self.assertEqual(peer.address, BOB)
        self.assertEqual(self.stranger.received[0], (MARKED, ALICE))
        self.send(MARKED)
        self.assertEqual(len(guest.seen), 1)


class ConnectedTests(SynchronousTestCase):
    """
    With a peer at the same address.
    """

    def test_stun_and_messages_come_from_one_peer_side_by_side(self) -> None:
        world = World(loss=0.1)
        alice, bob = world.pair()
        guests = Guest(), Guest()
        for node, guest in zip((alice, bob), guests, strict=True):
            node.manager.share_port(guest)
        for i in range(200):
            for node, other in ((alice, bob), (bob, alice)):
                node.heard.connected[0].send(b"%d" % i)
                node.manager.send_datagram(other.address, MARKED)
            world.run(0.01)
        world.run(2.0)
        for node, guest in zip((alice, bob), guests, strict=True):
            self.assertEqual(node.heard.messages, [b"%d" % i for i in range(200)])
            self.assertEqual(node.manager.statistics.dropped, {})
            self.assertGreater(len(guest.seen), 150)
            self.assertEqual({data for data, _ in guest.seen}, {MARKED})

    def test_a_message_that_looks_like_stun_is_a_message(self) -> None:
        world = World()
        alice, bob = world.pair()
        guest = Guest()
        bob.manager.share_port(guest)
        for method in DeliveryMethod:
            alice.heard.connected[0].send(MARKED, method)
        world.run(0.5)
        self.assertEqual(bob.heard.messages, [MARKED] * len(DeliveryMethod))
        self.assertEqual(guest.seen, [])


class SendingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.stranger = Stranger()
        self.world.network.host(BOB[0]).listenUDP(BOB[1], self.stranger)

    def test_a_datagram_leaves_at_once_as_it_is(self) -> None:
        alice = self.world.node(ALICE)
        alice.manager.send_datagram(BOB, b"at once")
        self.world.run(0.02)
        self.assertEqual(self.stranger.received, [(b"at once", ALICE)])
        self.assertEqual(alice.manager.statistics.packets_sent, 0)

    def test_it_passes_beside_the_packet_layer_both_ways(self) -> None:
        """
        Who observes us, and who probes, knows nothing of our layer.
        """
        host = self.world.network.host(ALICE[0])
        manager = NetManager(
            Notebook(),
            reactor=host,
            port=ALICE[1],
            clock=host.seconds,
            layer=XorEncryptLayer(b"secret"),
        )
        manager.startService()
        guest = Guest()
        manager.share_port(guest)
        manager.send_datagram(BOB, MARKED)
        self.stranger.send(MARKED, ALICE)
        self.world.run(0.1)
        self.assertEqual(self.stranger.received, [(MARKED, ALICE)])
        self.assertEqual(guest.seen, [(MARKED, BOB)])
        self.assertEqual(manager.statistics.dropped, {})

    def test_a_manager_that_does_not_run_sends_nothing(self) -> None:
        manager = make_manager(self.world.network, Notebook(), ALICE)
        with pytest.raises(RudpError, match="not running"):
            manager.send_datagram(BOB, MARKED)

    def test_an_address_must_be_one(self) -> None:
        alice = self.world.node(ALICE)
        for address in (("bob.example", 1), ("10.0.0.2", 0), ("10.0.0.2", 65_536)):
            with self.assertRaises(ValueError):
                alice.manager.send_datagram(address, MARKED)

    def test_what_the_socket_does_not_take_is_counted_and_told_to_nobody(self) -> None:
        """
        Most candidates of a peer cannot be reached; that is what they are tried for.
        """
        alice = self.world.node(ALICE)
        alice.manager.send_datagram(("2001:db8::1", 9050), MARKED)
        alice.manager.send_datagram(BOB, bytes(70_000))
        self.world.run(0.1)
        self.assertEqual(alice.heard.errors, [])
        self.assertEqual(
            alice.manager.statistics.dropped, {"not sent beside the engine": 2}
        )

    def test_an_unreachable_candidate_ends_no_connection(self) -> None:
        failed: list[object] = []
        dropped: list[str] = []
        port = UdpPort(lambda address, error: failed.append(error), dropped.append)

        class Broken:
            version = 4
            local_port = 9
            takes_runs = False

            def send(self, transmit: Transmit) -> None:
                raise OSError(EHOSTUNREACH, "no route")

            def close(self) -> None:
                pass

        port._ipv4 = Broken()
        port.send_beside(Transmit(BOB, MARKED))
        self.assertEqual((failed, dropped), ([], ["not sent beside the engine"]))
        port.send(Transmit(BOB, MARKED))
        self.assertEqual(len(failed), 1)


class BadNetworkTests(SynchronousTestCase):
    """
    Simulated conditions are those of the port, STUN included.
    """

    def shared(self, conditions: Conditions) -> tuple[World, Node, Stranger, Guest]:
        world = World()
        alice = world.node(ALICE)
        alice.manager.conditions = conditions
        guest = Guest()
        alice.manager.share_port(guest)
        stranger = Stranger()
        world.network.host(BOB[0]).listenUDP(BOB[1], stranger)
        return world, alice, stranger, guest

    def test_it_is_late(self) -> None:
        late = Conditions(latency=True, min_latency=0.5, max_latency=0.5)
        world, alice, stranger, guest = self.shared(late)
        stranger.send(MARKED, ALICE)
        world.run(0.4)
        self.assertEqual(guest.seen, [])
        world.run(0.2)
        self.assertEqual(guest.seen, [(MARKED, BOB)])
        self.assertEqual(alice.manager.statistics.dropped, {})

    def test_it_is_lost(self) -> None:
        world, alice, stranger, guest = self.shared(
            Conditions(packet_loss=True, packet_loss_chance=100)
        )
        stranger.send(MARKED, ALICE)
        world.run(0.4)
        self.assertEqual(guest.seen, [])
        self.assertEqual(alice.manager.statistics.dropped, {"simulated loss": 1})


class ManualTests(SynchronousTestCase):
    """
    Without a reactor, on a real socket.
    """

    def test_it_is_seen_while_the_manager_receives(self) -> None:
        manager = ManualNetManager(
            Notebook(),
            interface="127.0.0.1",
            random=Random(1).getrandbits,
            config=EndpointConfig(),
        )
        manager.start()
        self.addCleanup(manager.stop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.settimeout(10)
            us = "127.0.0.1", manager.local_port
            guest = Guest()
            manager.share_port(guest)
            other.sendto(MARKED, us)
            manager.receive()
            self.assertEqual(guest.seen, [(MARKED, other.getsockname())])
            self.assertEqual(manager.statistics.dropped, {})
            manager.send_datagram(other.getsockname(), MARKED)
            self.assertEqual(other.recvfrom(2048), (MARKED, us))
        manager.stop()
        with self.assertRaises(RudpError):
            manager.send_datagram(("127.0.0.1", 9), MARKED)


class CostTests(SynchronousTestCase):
    """
    Nobody pays for what is not used.
    """

    @skipIf(is_compiled(), "no method of a compiled class can be replaced")
    def test_a_port_that_nobody_shares_asks_nobody(self) -> None:
        world = World()
        alice, bob = world.pair()
        for node in (alice, bob):
            shared = node.manager._driver.shared
            self.assertFalse(shared.is_shared)
            shared.takes = None  # type: ignore[assignment,method-assign]  # not to be called
        alice.heard.connected[0].send(b"x")
        world.run(0.5)
        self.assertEqual(bob.heard.messages, [b"x"])


def test_a_claimed_address_is_one_owners_alone() -> None:
    shared = SharedPort()
    guest, claimed = Guest(), list[bytes]()
    shared.share(guest)
    shared.claim(BOB, claimed.append)
    answer = b"\x40\x00\x00\x01x"
    for data in (MARKED, BARE, answer, b""):
        assert shared.takes(data, BOB)
    assert claimed == [MARKED, BARE, answer, b""]
    assert guest.seen == []
    assert shared.takes(MARKED, CAROL)
    assert shared.is_claimed(BOB)
    shared.release(BOB)
    assert not shared.is_claimed(BOB)
    assert shared.takes(MARKED, BOB)
    assert len(guest.seen) == 2
    shared.share(None)
    assert not shared.is_shared
