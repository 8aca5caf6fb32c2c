"""
Relays of a manager, with a TURN server on an internet in memory.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2pnet.interfaces import (
    Address,
    DisconnectReason,
    INetPeer,
    IRelay,
    RelayFailed,
    RudpError,
)
from p2pnet.net.manager import NetManager
from p2pnet.net.relays import MAX_RELAYS
from p2pnet.net.udp import NOWHERE
from p2pnet.reach.candidates import Candidate, CandidateKind, may_dial
from p2pnet.rudp.transmit import Transmit
from p2pnet.stun.codec import Method
from p2pnet.testing.network import Fate
from p2pnet.turn.server import TurnServer
from p2pnet.wire.layers import Crc32cLayer
from tests.net.turn_host import SERVER, TURN, Stranger, TurnHost
from tests.net.world import ALICE, BOB, CAROL, Node, Notebook, World
from tests.turn.server import RELAYED


class Guest:
    """
    Sees what comes over a relay first.
    """

    def __init__(self) -> None:
        self.wants: set[bytes] = set()
        self.seen: list[tuple[bytes, Address]] = []
        self.error: Exception | None = None

    def __call__(self, data: bytes, address: Address) -> bool:
        self.seen.append((data, address))
        if self.error is not None:
            raise self.error
        return data in self.wants


class RelayTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.turn = TurnHost(self.world.network)
        self.alice = self.world.node(ALICE)
        self.guest = Guest()

    def open(self, server: TurnServer = SERVER) -> Deferred[IRelay]:
        return self.alice.manager.open_relay(server, self.guest)

    def relay(self) -> IRelay:
        """
        The one of Alice, which is open.
        """
        opened = self.open()
        self.world.run(0.3)
        relay: IRelay = self.successResultOf(opened)
        return relay

    def pair(self, relay: IRelay) -> tuple[Node, INetPeer, INetPeer]:
        """
        Bob, who has dialled Alice at her relay; Bob as Alice sees him, and Alice as Bob does.
        """
        bob = self.world.node(BOB)
        relay.route(BOB)
        self.world.run(0.1)
        bob.connect(RELAYED)
        self.world.run(1.0)
        return bob, self.alice.heard.connected[0], bob.heard.connected[0]

    def failure(self, opened: Deferred[IRelay]) -> str:
        return str(self.failureResultOf(opened, RelayFailed).value)

    @property
    def dropped(self) -> dict[str, int]:
        return self.alice.manager.statistics.dropped


class OpeningTests(RelayTestCase):
    def test_a_relay_is_what_it_promises(self) -> None:
        relay = self.relay()
        verifyObject(IRelay, relay)
        self.assertEqual(relay.relayed, RELAYED)
        self.assertEqual(relay.server, SERVER)
        self.assertEqual(self.turn.client, ALICE, "from our own port")
        self.assertNoResult(relay.lost)
        self.assertEqual(self.dropped, {})

    def test_a_wrong_password_is_told(self) -> None:
        opened = self.open(replace(SERVER, password="guess"))
        self.world.run(0.5)
        self.assertIn("password", self.failure(opened))

    def test_a_silent_server_is_given_up(self) -> None:
        opened = self.open(replace(SERVER, port=3479))
        self.world.run(7.9)
        self.assertNoResult(opened)
        self.world.run(0.2)
        self.assertIn("not answered", self.failure(opened))
        # And is nothing to us any more.
        self.assertFalse(self.alice.manager._driver.shared.is_shared)

    def test_what_cannot_be_a_server_fails_with_words(self) -> None:
        for server in (
            replace(SERVER, host="turn.example.org"),
            replace(SERVER, port=0),
            replace(SERVER, username="x" * 600),
        ):
            self.assertNotEqual(self.failure(self.open(server)), "")

    def test_a_manager_that_does_not_run_has_none(self) -> None:
        self.alice.manager.stopService()
        self.world.run(1.0)
        self.assertIn("not running", self.failure(self.open()))

    def test_a_server_gives_one_address_to_one_port(self) -> None:
        """
        It knows its clients by theirs.
        """
        relay = self.relay()
        self.assertIn("192.0.2.1:3478", self.failure(self.open()))
        relay.close()
        self.world.run(0.3)
        self.relay()

    def test_a_server_that_still_holds_the_last_one_is_asked_again(self) -> None:
        """
        coturn does so for up to a second.
        """
        self.turn.server.refusing[Method.ALLOCATE] = 437
        opened = self.open()
        self.world.run(1.0)
        self.assertNoResult(opened)
        del self.turn.server.refusing[Method.ALLOCATE]
        self.world.run(0.8)
        relay: IRelay = self.successResultOf(opened)
        relay.permit(BOB[0])
        self.assertEqual(self.alice.manager.statistics.dropped, {})

    def test_one_that_goes_on_to_hold_it_is_given_up(self) -> None:
        self.turn.server.refusing[Method.ALLOCATE] = 437
        opened = self.open()
        self.world.run(2.5)
        self.assertIn("437", self.failure(opened))
        waiting = [call for call in self.alice.host.getDelayedCalls() if call.active()]
        self.assertEqual(waiting, [])

    def test_giving_up_between_two_asks_ends_them(self) -> None:
        self.turn.server.refusing[Method.ALLOCATE] = 437
        opened = self.open()
        self.world.run(0.3)
        opened.cancel()
        self.failureResultOf(opened, CancelledError)
        asked = len(self.turn.server.seen)
        self.world.run(5.0)
        self.assertEqual(len(self.turn.server.seen), asked)

    def test_so_many_and_no_more(self) -> None:
        silent = [self.open(replace(SERVER, port=4000 + i)) for i in range(MAX_RELAYS)]
        self.assertIn(f"{MAX_RELAYS} relays", self.failure(self.open()))
        self.world.run(9.0)
        for opened in silent:
            self.assertIn("not answered", self.failure(opened))
        self.relay()

    def test_giving_up_gives_back_what_may_have_been_given(self) -> None:
        for after in (0.0, 0.03, 0.05, 0.07):
            opened = self.open()
            self.world.run(after)
            opened.cancel()
            self.failureResultOf(opened, CancelledError)
            self.world.run(0.3)
            self.assertIsNone(self.turn.server.allocated)
        self.relay()

    def test_lost_datagrams_only_cost_time(self) -> None:
        print("seed 5")
        random = Random(5)
        hook = self.world.network.drop_if(lambda *_: random.random() < 0.4)
        opened = self.open()
        self.world.run(8.0)
        self.successResultOf(opened)
        hook.remove()

    def test_nobody_loads_a_stun_codec_without_need(self) -> None:
        program = "import p2pnet.net.manager, sys; assert 'aioice' not in sys.modules"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)


class DataTests(RelayTestCase):
    """
    With a peer who knows nothing of relays.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bob = Stranger()
        self.world.network.host(BOB[0]).listenUDP(BOB[1], self.bob)

    def test_a_datagram_comes_from_the_relayed_address(self) -> None:
        relay = self.relay()
        relay.permit(BOB[0])
        relay.send(BOB, b"one")
        self.world.run(0.3)
        relay.send(BOB, b"two")
        self.world.run(0.1)
        self.assertEqual(self.bob.received, [(b"one", RELAYED), (b"two", RELAYED)])

    def test_who_opened_it_sees_what_comes_before_the_engine_does(self) -> None:
        relay = self.relay()
        relay.permit(BOB[0])
        self.guest.wants = {b"\x05 for me"}
        self.world.run(0.1)
        self.bob.send(b"\x05 for me", RELAYED)
        self.world.run(0.1)
        self.assertEqual(self.guest.seen, [(b"\x05 for me", BOB)])
        self.assertEqual(self.dropped, {})
        self.assertEqual(self.alice.manager.statistics.packets_received, 0)

    def test_what_nobody_wants_is_dropped_and_counted(self) -> None:
        relay = self.relay()
        relay.permit(BOB[0])
        self.world.run(0.1)
        self.bob.send(b"\x00 for whom", RELAYED)
        self.world.run(0.1)
        self.assertEqual(self.dropped, {"relayed without a route": 1})
        relay.route(BOB)
        self.bob.send(b"\x00 for the engine", RELAYED)
        self.world.run(0.1)
        self.assertEqual(self.dropped, {"relayed without a route": 1, "no connection": 1})
        relay.route((BOB[0], 9051))
        self.assertEqual(len(self.guest.seen), 2)

    def test_a_receiver_that_raises_is_logged_and_takes_nothing(self) -> None:
        relay = self.relay()
        relay.permit(BOB[0])
        self.world.run(0.1)
        self.guest.error = ZeroDivisionError("an agent's bug")
        self.bob.send(b"x", RELAYED)
        self.world.run(0.1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.dropped, {"relayed without a route": 1})

    def test_a_question_that_is_lost_is_asked_again_at_once(self) -> None:
        """
        What waits for the answer is late, not lost.
        """
        relay = self.relay()
        hook = self.world.network.drop_if(lambda source, target, data: target == TURN)
        relay.send(BOB, b"late")
        self.world.run(0.1)
        hook.remove()
        self.world.run(0.5)
        self.assertEqual(self.bob.received, [(b"late", RELAYED)])

    def test_who_is_not_permitted_is_kept_out_by_the_server(self) -> None:
        self.relay()
        self.bob.send(b"x", RELAYED)
        self.world.run(0.1)
        self.assertEqual(self.guest.seen, [])

    def test_only_what_can_be_reached_is_permitted(self) -> None:
        relay = self.relay()
        for host in ("bob.example", "2001:db8::1", ""):
            with self.assertRaises(ValueError):
                relay.permit(host)
            with self.assertRaises(ValueError):
                relay.route((host, 9050))
            with self.assertRaises(ValueError):
                relay.send((host, 9050), b"x")
        with self.assertRaises(ValueError):
            relay.route((BOB[0], 0))

    def test_there_is_an_end_to_permitting(self) -> None:
        relay = self.relay()
        for i in range(64):
            relay.permit(f"10.1.0.{i}")
        with self.assertRaisesRegex(RudpError, "64 permitted"):
            relay.permit("10.1.1.1")
        with self.assertRaisesRegex(RudpError, "64 permitted"):
            relay.route(("10.1.1.1", 5))
        relay.send(("10.1.1.1", 5), b"lost, as datagrams are")
        self.assertEqual(self.dropped, {"relay refuses": 1})
        self.world.run(0.5)
        # Those who were before are served.
        relay.permit("10.1.0.5")
        relay.route(("10.1.0.5", 5))

    def test_permissions_and_channels_are_renewed_for_hours(self) -> None:
        relay = self.relay()
        relay.send(BOB, b"first")
        self.world.run(3 * 3600.0)
        self.bob.send(b"later", RELAYED)
        relay.send(BOB, b"last")
        self.world.run(0.2)
        self.assertEqual([data for data, _ in self.guest.seen], [b"later"])
        self.assertEqual([data for data, _ in self.bob.received], [b"first", b"last"])
        self.assertEqual(self.turn.server.breaches, [])
        self.assertNoResult(relay.lost)

    def test_all_that_comes_from_the_server_is_the_relays(self) -> None:
        """
        Whatever it looks like, and whoever else shares the port.
        """
        seen: list[Address] = []

        def share(data: bytes, address: Address) -> bool:
            seen.append(address)
            return True

        self.alice.manager.share_port(share)
        relay = self.relay()
        for data in (b"", b"\x05", b"\x40\x00\x00\x09x", bytes(30)):
            self.turn._front.send(data, ALICE)
        self.world.run(0.2)
        self.assertEqual(seen, [])
        self.assertEqual(self.dropped, {})
        self.assertNoResult(relay.lost)


class RouteTests(RelayTestCase):
    def test_a_route_is_nowhere_and_stays_the_same(self) -> None:
        relay = self.relay()
        route = relay.route(BOB)
        self.assertEqual(route, ("100::1", BOB[1]))
        self.assertTrue(route[0].startswith(NOWHERE))
        self.assertEqual(relay.route(("::ffff:" + BOB[0], BOB[1])), route)
        self.assertEqual(relay.route(CAROL), ("100::2", CAROL[1]))
        self.assertEqual(relay.route(BOB), route)
        self.assertFalse(may_dial(Candidate(CandidateKind.HOST, route), together=True))

    def test_a_later_relay_gives_other_routes(self) -> None:
        """
        What is late for the first does not come to the second.
        """
        first = self.relay()
        route = first.route(BOB)
        first.close()
        self.world.run(0.3)
        second = self.relay()
        self.assertNotEqual(second.route(BOB), route)

    def test_who_is_behind_a_relay_is_dialled_at_the_route(self) -> None:
        relay = self.relay()
        bob = self.world.node(BOB)
        connected = self.alice.connect(relay.route(BOB), b"hello")
        self.world.run(1.0)
        peer: INetPeer = self.successResultOf(connected)
        self.assertEqual(peer.address, relay.route(BOB))
        self.assertEqual(bob.heard.connected[0].address, RELAYED)
        self.assertEqual(bob.heard.requests[0].data, b"hello")

    def test_who_dials_us_at_the_relay_appears_at_the_route(self) -> None:
        relay = self.relay()
        bob, to_bob, to_alice = self.pair(relay)
        self.assertEqual(to_bob.address, relay.route(BOB))
        self.assertEqual(to_alice.address, RELAYED)
        to_bob.send(b"to bob")
        to_alice.send(b"to alice")
        self.world.run(0.5)
        self.assertEqual(bob.heard.messages, [b"to bob"])
        self.assertEqual(self.alice.heard.messages, [b"to alice"])

    def test_a_megabyte_goes_both_ways_through_a_bad_network(self) -> None:
        relay = self.relay()
        bob, to_bob, to_alice = self.pair(relay)
        for a, b in ((ALICE[0], TURN[0]), (TURN[0], BOB[0])):
            self.world.network.link(a, b, loss=0.03)
        whole = Random(2).randbytes(1_000_000)
        to_bob.send(whole)
        to_alice.send(whole)
        self.world.network.run_until(
            lambda: bob.heard.messages and self.alice.heard.messages, timeout=120.0
        )
        self.assertEqual(bob.heard.messages, [whole])
        self.assertEqual(self.alice.heard.messages, [whole])
        # Four bytes more than without a relay, not thirty-six.
        self.assertGreater(len(self.turn.carried), 500)
        self.assertEqual(self.turn.server.breaches, [])

    def test_a_layer_is_around_what_is_relayed_and_not_around_the_relaying(self) -> None:
        nodes: list[tuple[NetManager, Notebook, Address]] = []
        for address in (ALICE, BOB):
            place = (f"10.0.1.{len(nodes) + 1}", address[1])
            host = self.world.network.host(place[0])
            heard = Notebook()
            manager = NetManager(
                heard, reactor=host, port=place[1], clock=host.seconds, layer=Crc32cLayer()
            )
            manager.startService()
            nodes.append((manager, heard, place))
        (alice, alice_heard, _), (bob, bob_heard, bob_place) = nodes
        opened = alice.open_relay(SERVER, self.guest)
        self.world.run(0.3)
        relay: IRelay = self.successResultOf(opened)
        relay.route(bob_place)
        bob.connect(RELAYED)
        self.world.run(1.0)
        alice_heard.connected[0].send(b"checked")
        self.world.run(0.5)
        self.assertEqual(bob_heard.messages, [b"checked"])
        self.assertEqual(alice.statistics.dropped, {})

    def test_a_layer_that_raises_is_logged_and_the_relay_goes_on(self) -> None:
        class Faulty(Crc32cLayer):
            def inbound(self, data: bytes) -> bytes | None:
                raise ZeroDivisionError("a bug of its author")

        self.alice.manager._driver.endpoint._layer = Faulty()
        relay = self.relay()
        relay.route(BOB)
        bob = Stranger()
        self.world.network.host(BOB[0]).listenUDP(BOB[1], bob)
        self.world.run(0.1)
        bob.send(b"one", RELAYED)
        bob.send(b"two", RELAYED)
        self.world.run(0.1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual([data for data, _ in self.guest.seen], [b"one", b"two"])

    def test_what_was_made_for_a_wider_path_may_be_taken_apart_on_the_way_to_the_relay(
        self,
    ) -> None:
        relay = self.relay()
        route = relay.route(BOB)
        self.world.run(0.1)
        udp = self.alice.manager._udp
        leg = udp._ipv4
        assert leg is not None
        sent: list[Transmit] = []
        leg.send = sent.append  # type: ignore[method-assign,assignment]  # the socket's
        for may_fragment in (True, False):
            self.assertTrue(udp.send(Transmit(route, b"wide", None, may_fragment)))
        wide = [one for one in sent if b"wide" in one.data]
        self.assertEqual([one.may_fragment for one in wide], [True, False])
        self.assertEqual({one.address for one in sent}, {TURN})

    def test_several_relays_are_apart(self) -> None:
        """
        One goes while the next is in use already.
        """
        first = self.relay()
        second_host = "192.0.2.9"
        second_turn = TurnHost(self.world.network, host=second_host)
        opened = self.open(replace(SERVER, host=second_host))
        self.world.run(0.3)
        second: IRelay = self.successResultOf(opened)
        routes = first.route(BOB), second.route(BOB)
        self.assertEqual(len(set(routes)), 2)
        self.world.run(0.2)
        bob = Stranger()
        self.world.network.host(BOB[0]).listenUDP(BOB[1], bob)
        for route in routes:
            self.alice.manager.send_datagram(route, b"over " + route[0].encode())
        self.world.run(0.2)
        self.assertEqual(
            bob.received,
            [(b"over 100::1", RELAYED), (b"over 100::2", (second_host, RELAYED[1]))],
        )
        first.close()
        self.world.run(0.3)
        self.alice.manager.send_datagram(routes[1], bytes(70_000))
        self.assertEqual(self.dropped, {"not sent beside the engine": 1})
        self.dropped.clear()
        self.alice.manager.send_datagram(routes[0], b"nowhere")
        self.alice.manager.send_datagram(routes[1], b"there")
        self.world.run(0.2)
        self.assertEqual(bob.received[2:], [(b"there", (second_host, RELAYED[1]))])
        self.assertEqual(self.dropped, {"relay gone": 1})
        self.assertIsNotNone(second_turn.server.allocated)

    def test_a_narrow_way_to_the_relay_is_discovered(self) -> None:
        """
        It takes a datagram of 1432 bytes, but not with the four of the relay.
        """
        relay = self.relay()
        for size, found in ((1436, 1432), (1432, 1424)):
            self.world.network.link(ALICE[0], TURN[0], mtu=size)
            address = (f"10.0.3.{size - 1400}", 9050)
            other = self.world.node(address)
            connected = self.alice.connect(relay.route(address))
            self.world.run(12.0)
            peer: INetPeer = self.successResultOf(connected)
            self.assertEqual(peer.mtu, found)
            self.assertEqual(other.heard.connected[0].mtu, found)
            whole = bytes(100_000)
            peer.send(whole)
            self.world.run(5.0)
            self.assertEqual(other.heard.messages, [whole])


class EndTests(RelayTestCase):
    def test_a_lost_relay_is_told_once_and_its_connection_times_out(self) -> None:
        relay = self.relay()
        bob, to_bob, _ = self.pair(relay)
        route = to_bob.address
        self.turn.server.restart()
        relay.permit("10.9.9.9")
        self.world.run(1.0)
        self.assertIn("437", self.successResultOf(relay.lost))
        to_bob.send(b"into the void")
        self.world.run(10.0)
        self.assertEqual(self.alice.heard.reasons, [DisconnectReason.TIMEOUT])
        self.assertEqual(bob.heard.reasons, [DisconnectReason.TIMEOUT])
        self.assertGreater(self.dropped["relay gone"], 5)
        self.assertEqual(self.alice.heard.errors, [])
        relay.send(BOB, b"x")
        for command in (lambda: relay.permit(BOB[0]), lambda: relay.route(BOB)):
            with self.assertRaises(RudpError):
                command()
        self.successResultOf(relay.close())
        # Nobody else is found under its routes.
        failed = self.alice.connect(route)
        self.world.run(10.0)
        self.failureResultOf(failed)
        self.assertEqual(self.alice.heard.errors, [])

    def test_a_silent_server_is_lost_when_its_lifetime_ends(self) -> None:
        relay = self.relay()
        self.turn.is_up = False
        self.world.run(590.0)
        self.assertNoResult(relay.lost)
        self.world.run(20.0)
        self.assertIn("renewed", self.successResultOf(relay.lost))
        self.assertFalse(self.alice.manager._driver.shared.is_shared)

    def test_closing_gives_the_address_back(self) -> None:
        relay = self.relay()
        relay.route(BOB)
        self.assertIsNotNone(self.turn.server.allocated)
        closed, again = relay.close(), relay.close()
        self.world.run(0.1)
        self.assertIsNone(self.turn.server.allocated)
        self.successResultOf(closed)
        self.successResultOf(again)
        self.successResultOf(relay.close())
        self.assertNoResult(relay.lost)
        relay.send(BOB, b"x")
        self.assertEqual(self.dropped, {"relay gone": 1})
        self.assertFalse(self.alice.manager._driver.shared.is_shared)
        waiting = [call for call in self.alice.host.getDelayedCalls() if call.active()]
        self.assertEqual(waiting, [])
        known = self.alice.manager._relays
        assert known is not None
        self.assertEqual((known._routes, known._local, known._receivers), ({}, {}, {}))

    def test_a_silent_server_is_waited_for_half_a_second(self) -> None:
        relay = self.relay()
        self.turn.is_up = False
        closed = relay.close()
        self.world.run(0.49)
        self.assertNoResult(closed)
        self.world.run(0.02)
        self.successResultOf(closed)

    def test_who_opens_may_close_at_once(self) -> None:
        opened = self.open()
        closed = opened.addCallback(lambda relay: relay.close())
        self.world.run(0.5)
        self.successResultOf(closed)
        self.assertIsNone(self.turn.server.allocated)

    def test_a_manager_that_stops_says_goodbye_through_its_relay_and_closes_it(self) -> None:
        relay = self.relay()
        bob, _, _ = self.pair(relay)
        stopped = self.alice.manager.stopService()
        self.world.run(0.5)
        self.successResultOf(stopped)
        self.assertEqual(bob.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])
        self.assertIsNone(self.turn.server.allocated)
        self.assertNoResult(relay.lost)
        self.alice.manager.startService()
        self.relay()

    def test_it_takes_half_a_second_at_most_whoever_is_silent(self) -> None:
        relay = self.relay()
        self.pair(relay)
        opening = self.open(replace(SERVER, port=4000))
        self.turn.is_up = False
        stopped = self.alice.manager.stopService()
        self.world.run(0.52)
        self.successResultOf(stopped)
        self.assertIn("closed", self.failure(opening))

    def test_it_says_so_even_if_only_the_peer_is_silent(self) -> None:
        """
        Of the half second some is kept for the server.
        """
        relay = self.relay()
        self.pair(relay)
        self.world.network.partition(TURN[0], BOB[0])
        stopped = self.alice.manager.stopService()
        self.world.run(0.52)
        self.successResultOf(stopped)
        self.assertIsNone(self.turn.server.allocated)


class MovingTests(RelayTestCase):
    """
    From the relay to the direct path, while messages are under way.
    """

    def setUp(self) -> None:
        super().setUp()
        self.open_relay = self.relay()
        self.bob, self.to_bob, self.to_alice = self.pair(self.open_relay)
        self.said: list[bytes] = []
        self.world.network.link(ALICE[0], TURN[0], latency=0.04, jitter=0.01)
        self.world.network.link(TURN[0], BOB[0], latency=0.04, jitter=0.01)

    def talk(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            self.said.append(b"%d " % len(self.said) + bytes(300))
            self.to_bob.send(self.said[-1])
            self.to_alice.send(self.said[-1])
            self.world.run(0.01)

    def check(self) -> None:
        self.world.run(3.0)
        self.assertEqual(self.bob.heard.messages, self.said)
        self.assertEqual(self.alice.heard.messages, self.said)
        self.assertEqual(self.alice.heard.ended, [])
        self.assertEqual(self.bob.heard.ended, [])

    def test_a_relayed_connection_moves_to_the_direct_path(self) -> None:
        self.talk(1.0)
        self.to_alice.move(ALICE)
        self.talk(0.08)
        self.to_bob.move(BOB)
        self.talk(1.0)
        carried = len(self.turn.carried)
        self.talk(1.0)
        self.check()
        self.assertEqual((self.to_bob.address, self.to_alice.address), (BOB, ALICE))
        self.assertEqual(len(self.turn.carried), carried, "nothing goes through the relay now")
        self.assertLess(self.to_bob.round_trip_time, 0.1)

    def test_it_does_so_where_datagrams_are_lost(self) -> None:
        for a, b in ((ALICE[0], TURN[0]), (TURN[0], BOB[0]), (ALICE[0], BOB[0])):
            self.world.network.link(a, b, loss=0.1, duplicate=0.05)
        self.talk(0.7)
        self.to_bob.move(BOB)
        self.talk(0.3)
        self.to_alice.move(ALICE)
        self.talk(0.7)
        self.check()

    def test_it_goes_back_when_the_direct_path_dies(self) -> None:
        route = self.to_bob.address
        self.to_bob.move(BOB)
        self.to_alice.move(ALICE)
        self.talk(0.5)
        self.world.network.partition(ALICE[0], BOB[0])
        self.talk(0.5)
        self.to_bob.move(route)
        self.to_alice.move(RELAYED)
        self.talk(0.5)
        self.check()
        self.assertEqual(self.to_bob.address, route)

    def test_the_relay_may_be_closed_when_all_have_moved(self) -> None:
        self.talk(0.5)
        self.to_bob.move(BOB)
        self.to_alice.move(ALICE)
        self.talk(0.5)
        closed = self.open_relay.close()
        self.talk(0.5)
        self.successResultOf(closed)
        self.check()

    def test_large_messages_move_along(self) -> None:
        """
        From a path that takes 1432 bytes to one that takes 1300, with everything acknowledged
        before: this internet takes no datagram apart.
        """
        self.world.run(3.0)
        self.assertEqual(self.to_bob.mtu, 1432)
        lost: list[int] = []

        def note(time: float, source: Address, target: Address, data: bytes, fate: Fate) -> None:
            if fate is Fate.TOO_BIG:
                lost.append(len(data))

        self.world.network.link(ALICE[0], BOB[0], mtu=1300)
        self.world.network.tap(note)
        whole = Random(1).randbytes(300_000)
        self.to_bob.send(whole)
        self.to_alice.send(whole)
        self.world.run(5.0)
        self.to_bob.move(BOB)
        self.to_alice.move(ALICE)
        self.to_bob.send(whole)
        self.to_alice.send(whole)
        self.world.run(10.0)
        self.assertEqual(self.bob.heard.messages, [whole] * 2)
        self.assertEqual(self.alice.heard.messages, [whole] * 2)
        self.assertEqual(self.to_bob.mtu, 1164)
        self.assertEqual(set(lost), {1392, 1404, 1424, 1432}, "probes, and nothing else")
        self.world.network.link(ALICE[0], BOB[0], mtu=1500)
        self.to_bob.move(("10.0.0.22", 9050))
        self.to_bob.move(BOB)
        self.world.run(3.0)
        self.assertEqual(self.to_bob.mtu, 1432)


class RefreshTests(RelayTestCase):
    def test_an_idle_relay_asks_only_when_it_must(self) -> None:
        """
        A keepalive each 15 s, and a refresh each nine minutes.
        """
        self.relay()
        before = len(self.turn.server.seen)
        self.world.run(3600.0)
        methods = [seen.method for seen in self.turn.server.seen[before:]]
        self.assertEqual(methods.count(Method.REFRESH), 6)
        self.assertEqual(methods.count(Method.BINDING), 240)
        self.assertEqual(len(methods), 246)


class TcpTests(RelayTestCase):
    def test_a_reactor_without_tcp_has_no_such_relay(self) -> None:
        opened = self.open(replace(SERVER, transport="tcp"))
        self.world.run(0.1)
        self.assertIn("no connection with the TURN server", self.failure(opened))
