"""
A manager without a reactor, moved by hand, on real sockets and with a clock of our own.
"""

from __future__ import annotations

import socket
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DisconnectReason,
    INetManager,
    INetPeer,
    NotConnected,
    RudpError,
)
from p2pnet.net.conditions import Conditions
from p2pnet.net.manager import NetManager
from p2pnet.net.manual import ManualNetManager
from p2pnet.net.peer import NetPeer
from p2pnet.rudp.config import EndpointConfig
from tests.net.world import ORDERED, Notebook

LOOPBACK = "127.0.0.1"
FRAME = 0.016


class Time:
    """
    Stands still until it is moved.
    """

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Game:
    """
    A program with a loop.
    """

    def __init__(self, time: Time, interface: str = LOOPBACK, **options: Any) -> None:
        self.heard = Notebook()
        managed = {name: options.pop(name) for name in ("conditions", "ipv6") if name in options}
        self.manager = ManualNetManager(
            self.heard,
            interface=interface,
            clock=time,
            random=Random(1).getrandbits,
            config=EndpointConfig(**options),
            **managed,
        )
        self.manager.start()

    @property
    def address(self) -> Address:
        return LOOPBACK, self.manager.local_port

    @property
    def peer(self) -> NetPeer:
        return self.manager.peers[0]

    def frame(self) -> None:
        self.manager.receive()
        self.manager.poll()
        self.manager.update()


class ManualTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.time = Time()

    def game(self, **options: Any) -> Game:
        game = Game(self.time, **options)
        self.addCleanup(game.manager.stop)
        return game

    def play(self, *games: Game, seconds: float = 0.5) -> None:
        """
        Let time pass, in frames.
        """
        for _ in range(round(seconds / FRAME)):
            self.time.now += FRAME
            for game in games:
                game.frame()

    def pair(self, **options: Any) -> tuple[Game, Game]:
        client, server = self.game(**options), self.game(**options)
        client.manager.connect(server.address, "key")
        self.play(client, server)
        assert client.heard.connected
        assert server.heard.connected
        return client, server

    def test_it_has_what_a_manager_has(self) -> None:
        game = self.game()
        for name in set(INetManager.names(all=True)) - {"open_relay"}:
            self.assertTrue(hasattr(game.manager, name), name)

    def test_a_connection_is_there_at_once_and_opens_later(self) -> None:
        client, server = self.game(), self.game()
        server.heard.decide = lambda request: request.accept_if_key("key")
        peer = client.manager.connect(server.address, "key")
        self.assertEqual(client.manager.peers, [])
        self.assertIs(client.manager.peer_by_id(peer.id), peer)
        self.play(client, server)
        self.assertEqual(client.manager.peers, [peer])
        self.assertEqual(client.heard.connected, [peer])

    def test_a_refusal_is_told(self) -> None:
        client, server = self.game(), self.game()
        server.heard.decide = lambda request: request.reject(b"no")
        peer = client.manager.connect(server.address)
        self.play(client, server)
        ((ended, info),) = client.heard.ended
        self.assertIs(ended, peer)
        self.assertEqual((info.reason, info.data), (DisconnectReason.CONNECTION_REJECTED, b"no"))

    def test_every_method_arrives(self) -> None:
        client, server = self.pair(channels=2)
        for method in DeliveryMethod:
            client.peer.send(method.name.encode(), method, 1)
        client.peer.send(bytes(100_000), ORDERED)
        self.play(client, server)
        self.assertCountEqual(
            server.heard.messages,
            [method.name.encode() for method in DeliveryMethod] + [bytes(100_000)],
        )

    def test_things_are_told_in_poll_and_sent_in_update(self) -> None:
        client, server = self.pair()
        client.peer.send(b"hello")
        server.manager.receive()
        server.manager.poll()
        self.assertEqual(server.heard.messages, [], "it has not left")
        client.manager.update()
        server.manager.receive()
        self.assertEqual(server.heard.messages, [], "nobody asked")
        server.manager.poll()
        self.assertEqual(server.heard.messages, [b"hello"])
        self.assertEqual(client.peer.unacknowledged, 1)
        server.manager.update()
        client.manager.receive()
        self.assertEqual(client.peer.unacknowledged, 0)

    def test_what_comes_of_a_poll_waits_for_the_next(self) -> None:
        client, _ = self.pair()
        client.manager.poll()
        told = len(client.heard.calls)
        client.heard.also["peer_disconnected"] = lambda peer, info: client.manager.connect(
            peer.address
        ).disconnect()
        client.peer.disconnect()
        for _ in range(3):
            client.manager.poll()
            told += 1
            self.assertEqual(len(client.heard.calls), told)

    def test_a_broken_socket_is_told_in_poll(self) -> None:
        game = self.game()
        game.manager.send_unconnected(("::1", 9), b"x")
        game.manager.update()
        self.assertEqual(game.heard.errors, [])
        game.manager.poll()
        self.assertEqual([address for address, _ in game.heard.errors], [("::1", 9)])

    def test_a_listener_that_raises_is_logged_and_the_rest_goes_on(self) -> None:
        client, server = self.pair()

        def broken(*args: object) -> None:
            raise ZeroDivisionError("in a listener")

        server.heard.also["network_receive"] = broken
        for message in (b"one", b"two"):
            client.peer.send(message)
        self.play(client, server)
        self.assertEqual(server.heard.messages, [b"one", b"two"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_time_is_what_the_clock_says(self) -> None:
        """
        Not how often one calls (PITFALLS D19).
        """
        client, server = self.pair(disconnect_timeout=5.0)
        server.manager.stop()
        client.heard.ended.clear()
        for _ in range(1000):
            client.manager.update()
        client.manager.poll()
        self.assertEqual(client.heard.ended, [])
        self.time.now += 5.1
        client.manager.update()
        client.manager.poll()
        self.assertEqual(client.heard.reasons, [DisconnectReason.TIMEOUT])

    def test_a_lost_datagram_is_repeated_in_time(self) -> None:
        client, server = self.pair()
        client.peer.send(b"hello")
        server.manager.conditions = Conditions(packet_loss=True, packet_loss_chance=100)
        self.play(client, server, seconds=0.3)
        server.manager.conditions = Conditions()
        self.play(client, server, seconds=1.5)
        self.assertEqual(server.heard.messages, [b"hello"])

    def test_a_simulated_delay_is_one(self) -> None:
        client, server = self.pair()
        server.manager.conditions = Conditions(latency=True, min_latency=0.1, max_latency=0.1)
        client.peer.send(b"late")
        client.manager.update()
        for passed, expected in ((0.0, []), (0.09, []), (0.02, [b"late"])):
            self.time.now += passed
            server.manager.receive()
            server.manager.poll()
            self.assertEqual(server.heard.messages, expected)

    # ------------------------------------------------------------ what strangers send

    def flood(self, game: Game, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for datagram in datagrams:
                sock.sendto(datagram, game.address)

    def test_an_empty_datagram_stops_nothing(self) -> None:
        """
        PITFALLS B8: in the reference one of them stops all reception, for good.
        """
        server = self.game(unconnected_messages_enabled=True)
        self.flood(server, b"", b"\x08one", b"", b"", b"\x08two")
        server.manager.receive()
        server.manager.poll()
        self.assertEqual([data for _, data, _ in server.heard.unconnected], [b"one", b"two"])
        self.assertEqual(server.manager.statistics.dropped, {"malformed": 3})

    def test_one_call_takes_all_there_is_up_to_a_limit(self) -> None:
        server = self.game(unconnected_messages_enabled=True)
        self.flood(server, *[b"\x08%d" % i for i in range(100)])
        for expected in (30, 60, 90, 100, 100):
            server.manager.receive(limit=30)
            server.manager.poll()
            self.assertEqual(len(server.heard.unconnected), expected)

    def test_strangers_fill_no_memory_while_nobody_polls(self) -> None:
        server = self.game(unconnected_messages_enabled=True)
        for _ in range(30):
            self.flood(server, *[b"\x08x"] * 50)
            server.manager.receive()
        server.manager.poll()
        self.assertEqual(len(server.heard.unconnected), 1024)
        self.assertEqual(server.manager.statistics.dropped, {"not polled": 1500 - 1024})
        self.flood(server, b"\x08again")
        server.manager.receive()
        server.manager.poll()
        self.assertEqual(len(server.heard.unconnected), 1025)

    def test_addresses_that_nobody_can_reach_fill_no_memory_either(self) -> None:
        game = self.game()
        for _ in range(2000):
            game.manager.send_unconnected(("::1", 9), b"x")
        game.manager.update()
        game.manager.poll()
        self.assertEqual(len(game.heard.errors), 1024)

    # ------------------------------------------------------------ back-pressure

    def unread(self, client: Game, server: Game, *, seconds: float = 2.0) -> None:
        """
        Let time pass while the server does not poll.
        """
        for _ in range(round(seconds / FRAME)):
            self.time.now += FRAME
            client.frame()
            server.manager.receive()
            server.manager.update()

    def poll(self, server: Game) -> int:
        """
        :return: bytes of messages that had been waiting.
        """
        before = len(server.heard.messages)
        server.manager.poll()
        return sum(len(message) for message in server.heard.messages[before:])

    def test_who_does_not_read_is_not_sent_more(self) -> None:
        """
        PITFALLS B3: it is repeated until it is read, and nothing is lost.
        """
        client, server = self.pair(receive_queue_limit=20_000)
        messages = [b"%5d" % i + bytes(995) for i in range(300)]
        for message in messages:
            client.peer.send(message)
        self.unread(client, server)
        self.assertGreater(client.peer.unacknowledged, 200)
        # One may be one too many; what waited behind a gap may come with it.
        self.assertLess(self.poll(server), 20_000 + 64 * 1000)
        self.play(client, server, seconds=20.0)
        self.assertEqual(server.heard.messages, messages)

    def test_without_a_limit_everything_is_taken(self) -> None:
        client, server = self.pair()
        for _ in range(300):
            client.peer.send(bytes(1000))
        self.unread(client, server)
        self.assertEqual(client.peer.unacknowledged, 0)
        self.assertEqual(self.poll(server), 300_000)

    def test_unreliable_messages_that_nobody_reads_are_lost(self) -> None:
        client, server = self.pair(receive_queue_limit=5_000)
        for _ in range(20):
            client.peer.send(bytes(1000), DeliveryMethod.UNRELIABLE)
        self.unread(client, server)
        self.assertEqual(self.poll(server), 5_000)
        client.peer.send(b"again", DeliveryMethod.UNRELIABLE)
        self.play(client, server)
        self.assertEqual(server.heard.messages[-1], b"again")

    def test_empty_messages_take_room_too(self) -> None:
        client, server = self.pair(receive_queue_limit=100)
        for _ in range(1000):
            client.peer.send(b"", DeliveryMethod.UNRELIABLE)
        self.unread(client, server)
        server.manager.poll()
        # One datagram may hold several hundred of them.
        self.assertLess(len(server.heard.messages), 100 + 1432 // 3)

    def test_one_who_floods_us_does_not_silence_another(self) -> None:
        client, server = self.pair(receive_queue_limit=5_000)
        other = self.game()
        other.manager.connect(server.address)
        self.play(client, server, other)
        for _ in range(50):
            client.peer.send(bytes(1000))
        self.unread(client, server)
        other.peer.send(b"me too")
        other.manager.update()
        server.manager.receive()
        server.manager.poll()
        self.assertEqual(server.heard.messages[-1], b"me too")

    def test_a_connection_lives_on_while_nobody_reads(self) -> None:
        client, server = self.pair(receive_queue_limit=1_000)
        for _ in range(50):
            client.peer.send(bytes(1000))
        self.unread(client, server, seconds=20.0)
        self.assertEqual((client.heard.ended, server.heard.ended), ([], []))

    # ------------------------------------------------------------ start and stop

    def test_nothing_works_before_the_start(self) -> None:
        manager = ManualNetManager(Notebook(), interface=LOOPBACK)
        self.assertEqual(manager.local_port, 0)
        with self.assertRaisesRegex(RudpError, "not running"):
            manager.connect((LOOPBACK, 9))
        with self.assertRaisesRegex(RudpError, "not running"):
            manager.send_unconnected((LOOPBACK, 9), b"x")
        manager.receive()
        manager.update()
        manager.poll()
        manager.stop()

    def test_a_port_that_is_taken_is_an_error(self) -> None:
        game = self.game()
        second = ManualNetManager(Notebook(), interface=LOOPBACK, port=game.address[1])
        with self.assertRaises(CannotListenError):
            second.start()
        self.assertEqual(second.local_port, 0)

    def test_who_stops_says_goodbye_and_can_be_told_so(self) -> None:
        client, server = self.pair()
        peer, port = client.peer, client.address[1]
        client.manager.stop()
        self.assertEqual(client.manager.local_port, 0)
        self.play(server)
        self.assertEqual(server.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])
        client.manager.poll()
        self.assertEqual(client.heard.reasons, [DisconnectReason.DISCONNECT_PEER_CALLED])
        with self.assertRaises(NotConnected):
            peer.send(b"x")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((LOOPBACK, port))

    def test_a_second_life_knows_nothing_of_the_first(self) -> None:
        client, server = self.pair()
        other = self.game()
        server.heard.decide = lambda request: None
        other.manager.connect(server.address)
        self.play(other, server)
        server.manager.stop()
        server.manager.start()
        with self.assertRaises(RudpError):
            server.heard.requests[-1].accept()
        self.assertEqual(server.manager.peers, [])
        server.heard.decide = lambda request: request.accept()
        client.manager.connect(server.address)
        self.play(client, server)
        self.assertEqual(len(server.manager.peers), 1)

    def test_both_kinds_of_addresses_on_one_port(self) -> None:
        server, client = self.game(interface=""), self.game(interface="")
        for host in (LOOPBACK, "::1"):
            client.manager.connect((host, server.address[1]))
        self.play(client, server)
        port = client.address[1]
        self.assertEqual(
            [peer.address for peer in server.manager.peers], [(LOOPBACK, port), ("::1", port)]
        )


class MixedTests(TestCase):
    """
    A game and a server that has a reactor.
    """

    timeout = 10

    def test_a_game_talks_with_a_server_on_a_reactor(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.talk())

    async def talk(self) -> None:
        at_server, at_game = Notebook(), Notebook()
        server = NetManager(at_server, reactor=reactor, interface=LOOPBACK)
        server.startService()
        self.addCleanup(server.stopService)
        game = ManualNetManager(at_game, interface=LOOPBACK)
        game.start()
        self.addCleanup(game.stop)

        def frame() -> None:
            game.receive()
            game.poll()
            game.update()

        loop = LoopingCall(frame)
        loop.start(0.002)
        self.addCleanup(loop.stop)

        at_server.also["network_receive"] = lambda peer, data: peer.send(data[::-1])
        done: Deferred[None] = Deferred()

        def answered(peer: INetPeer, data: bytes) -> None:
            if len(at_game.messages) == 20:
                done.callback(None)

        at_game.also["network_receive"] = answered
        questions = [b"%d" % i + bytes(20_000) for i in range(20)]

        def ask(peer: INetPeer) -> None:
            for question in questions:
                peer.send(question)

        at_game.also["peer_connected"] = ask
        game.connect((LOOPBACK, server.local_port))
        await done
        self.assertEqual(at_game.messages, [question[::-1] for question in questions])
        ended: Deferred[None] = Deferred()
        at_server.also["peer_disconnected"] = lambda peer, info: ended.callback(None)
        game.disconnect_all(b"good game")
        await ended
        self.assertEqual(at_server.ended[0][1].data, b"good game")
