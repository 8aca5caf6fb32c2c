"""
A game loop instead of a reactor: 20 of the reference's CommunicationTest, and whole conversations.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pnet.interfaces import Address, DeliveryMethod, DisconnectReason
from p2pnet.net.conditions import Conditions
from p2pnet.net.manual import ManualNetManager
from p2pnet.net.peer import NetPeer
from p2pnet.rudp.config import EndpointConfig
from tests.net.world import Notebook
from tests.scenarios.stage import CRC, KEY, LOOPBACK, ORDERED, SEED, UNORDERED, Loopback, scene

FRAME = 0.015


class Game:
    """
    A program with a loop.
    """

    def __init__(self, *, conditions: Conditions | None = None, **options: Any) -> None:
        self.heard = Notebook()
        self.heard.decide = lambda request: request.accept_if_key(KEY)
        self.manager = ManualNetManager(
            self.heard,
            interface=LOOPBACK,
            layer=CRC,
            conditions=conditions,
            random=Random(SEED).getrandbits,
            **options,
        )
        self.manager.start()

    @property
    def address(self) -> Address:
        return LOOPBACK, self.manager.local_port

    def frame(self) -> None:
        self.manager.receive()
        self.manager.poll()
        self.manager.update()


class BesideAReactorTests(Loopback, TestCase):
    """
    One side has a loop, the other a reactor.
    """

    # 20
    @scene
    async def test_a_client_connects_to_a_server_with_a_loop(self) -> None:
        game = Game()
        self.addCleanup(game.manager.stop)
        loop = LoopingCall(game.frame)
        loop.start(FRAME)
        self.addCleanup(loop.stop)
        client = self.node()
        peer = await client.manager.connect(game.address, KEY)
        self.assertEqual((len(game.manager.peers), len(client.peers)), (1, 1))
        peer.send(bytes(100_000))
        await self.until(lambda: game.heard.messages)
        self.assertEqual(game.heard.messages, [bytes(100_000)])
        game.manager.peers[0].send(b"seen")
        await self.until(lambda: client.heard.messages == [b"seen"])


class TwoLoopTests(SynchronousTestCase):
    """
    Two programs with loops that take turns, 15 ms of a clock of our own each.
    """

    def setUp(self) -> None:
        print(f"seed {SEED}")
        self.now = 0.0
        self.games: list[Game] = []

    def game(self, **options: Any) -> Game:
        game = Game(
            clock=lambda: self.now,
            wall=lambda: 1.7e9 + self.now,
            config=EndpointConfig(channels=4),
            **options,
        )
        self.addCleanup(game.manager.stop)
        self.games.append(game)
        return game

    def until(self, predicate: Callable[[], object], seconds: float = 60.0) -> None:
        """
        Play on until ``predicate()`` is true.
        """
        deadline = self.now + seconds
        while not predicate():
            self.assertLess(self.now, deadline)
            for game in self.games:
                game.frame()
            self.now += FRAME

    def pair(self, **options: Any) -> tuple[Game, Game, NetPeer]:
        server, client = self.game(**options), self.game(**options)
        peer = client.manager.connect(server.address, KEY)
        self.until(lambda: server.heard.connected and client.heard.connected)
        return server, client, peer

    # 1
    def test_the_client_counts_its_peer_before_it_polls(self) -> None:
        server, client = self.game(), self.game()
        client.manager.connect(server.address, KEY)
        client.manager.update()
        server.frame()
        self.assertEqual(len(server.manager.peers), 1)
        client.manager.receive()
        self.assertEqual(len(client.manager.peers), 1)
        self.assertEqual(client.heard.connected, [])
        client.manager.poll()
        self.assertEqual(len(client.heard.connected), 1)

    def test_every_method_works_both_ways(self) -> None:
        server, client, peer = self.pair()
        (back,) = server.manager.peers
        sent = [(channel, method) for channel in range(4) for method in DeliveryMethod]
        for channel, method in sent:
            peer.send(b"there", method, channel)
            back.send(b"back", method, channel)
        self.until(lambda: len(server.heard.messages) == len(client.heard.messages) == len(sent))
        for game in (server, client):
            methods = [method for *_, method in game.heard.received]
            self.assertEqual(sorted(methods), sorted(method for _, method in sent))

    def test_everything_arrives_on_a_bad_network(self) -> None:
        bad = Conditions(packet_loss=True, packet_loss_chance=20, latency=True)
        server, client, peer = self.pair(conditions=bad)
        messages = [b"%d" % number for number in range(500)]
        for message in messages:
            peer.send(message)
            server.manager.peers[0].send(message, UNORDERED)
        peer.send_with_delivery_event(bytes(100_000), "large", ORDERED)
        self.until(lambda: client.heard.delivered and len(client.heard.messages) == 500)
        self.assertEqual(server.heard.messages, [*messages, bytes(100_000)])
        self.assertEqual(sorted(client.heard.messages), sorted(messages))
        for game in (server, client):
            self.assertGreater(game.manager.statistics.dropped["simulated loss"], 20)

    def test_who_stops_says_goodbye(self) -> None:
        server, client, _ = self.pair()
        server.manager.stop()
        self.until(lambda: client.heard.ended, 0.1)
        self.assertEqual(client.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])
        self.assertEqual(client.manager.peers, [])
