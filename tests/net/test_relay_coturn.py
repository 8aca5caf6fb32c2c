"""
Relays of managers with coturn, over UDP and TCP on loopback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Literal

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import TestCase

from p2pnet.interfaces import Address, DisconnectReason, INetPeer, IRelay, RelayFailed
from p2pnet.net.manager import NetManager
from p2pnet.turn.server import TurnServer
from tests.net.world import Notebook
from tests.turn.coturn import HOST, PASSWORD, USER, Coturn

Transport = Literal["udp", "tcp"]
Story = Coroutine[Deferred[Any], Any, None]
PATIENCE = 20.0
"""Seconds to wait for what must come."""


def story(test: Callable[[Any], Story]) -> Callable[[Any], Deferred[None]]:
    """
    Make a test of a coroutine.
    """

    def run(self: RelayTests) -> Deferred[None]:
        return Deferred.fromCoroutine(test(self))

    update_wrapper(run, test)
    return run


class Node:
    """
    A manager on loopback, and who listens to it.
    """

    def __init__(self) -> None:
        self.heard = Notebook()
        self.manager = NetManager(self.heard, reactor=reactor, interface=HOST)
        self.manager.startService()
        self.seen: list[bytes] = []

    @property
    def address(self) -> Address:
        return HOST, self.manager.local_port

    def receive(self, data: bytes, remote: Address) -> bool:
        """
        What comes over a relay, but for what is the engine's.
        """
        self.seen.append(data)
        return False


class RelayTests(TestCase):
    timeout = 90

    def coturn(self, *options: str) -> Coturn:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        coturn = Coturn(Path(directory.name), *options)
        self.addCleanup(coturn.kill)
        coturn.start()
        return coturn

    def node(self) -> Node:
        node = Node()
        self.addCleanup(node.manager.stopService)
        return node

    def server(self, coturn: Coturn, transport: Transport, password: str = PASSWORD) -> TurnServer:
        return TurnServer(*coturn.address, transport, USER, password)

    async def relay(self, node: Node, coturn: Coturn, transport: Transport) -> IRelay:
        return await node.manager.open_relay(self.server(coturn, transport), node.receive)

    async def until(self, predicate: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not predicate():
            if time.monotonic() > deadline:
                self.fail(f"not so within {PATIENCE:g} s")
            await self.passed(0.005)

    async def passed(self, seconds: float) -> None:
        waiting: Deferred[None] = Deferred()
        IReactorTime(reactor).callLater(seconds, waiting.callback, None)
        await waiting

    async def relayed_pair(
        self, coturn: Coturn, first: Transport, second: Transport
    ) -> tuple[Node, Node, IRelay, IRelay, INetPeer, INetPeer]:
        """
        Two who reach each other through a relay of each; as if both had the worst of NATs.
        """
        alice, bob = self.node(), self.node()
        of_alice = await self.relay(alice, coturn, first)
        of_bob = await self.relay(bob, coturn, second)
        of_bob.route(of_alice.relayed)
        # Their server lets in nobody whom they have not permitted yet.
        await self.passed(0.1)
        to_bob = await alice.manager.connect(of_alice.route(of_bob.relayed), "key")
        await self.until(lambda: bob.heard.connected)
        return alice, bob, of_alice, of_bob, to_bob, bob.heard.connected[0]

    async def exchange(self, first: Transport, second: Transport) -> None:
        coturn = self.coturn()
        alice, bob, of_alice, of_bob, to_bob, to_alice = await self.relayed_pair(
            coturn, first, second
        )
        self.assertEqual(to_alice.address, of_bob.route(of_alice.relayed))
        whole = Random(3).randbytes(1_000_000)
        to_bob.send(whole)
        to_alice.send(whole)
        await self.until(lambda: alice.heard.messages and bob.heard.messages)
        self.assertTrue(alice.heard.messages == bob.heard.messages == [whole])
        # What the relays add still fits the loopback, and an Ethernet.
        await self.until(lambda: to_bob.mtu == to_alice.mtu == 1432)
        await gatherResults([of_alice.close(), of_bob.close()])
        # The server has let go of both: it would not give the same port another address.
        for node, transport in ((alice, first), (bob, second)):
            again = await self.relay(node, coturn, transport)
            self.assertEqual(again.relayed[0], HOST)

    @story
    async def test_a_megabyte_both_ways_through_udp_and_tcp(self) -> None:
        await self.exchange("udp", "tcp")

    @story
    async def test_a_megabyte_both_ways_through_udp(self) -> None:
        await self.exchange("udp", "udp")

    @story
    async def test_a_megabyte_both_ways_through_tcp(self) -> None:
        await self.exchange("tcp", "tcp")

    async def lose(self, transport: Transport) -> str:
        coturn = self.coturn("--max-allocate-lifetime=2")
        alice, bob = self.node(), self.node()
        relay = await self.relay(alice, coturn, transport)
        told: list[str] = []
        relay.lost.addCallback(told.append)
        to_bob = await alice.manager.connect(relay.route(bob.address))
        await self.until(lambda: bob.heard.connected)
        # Renewed meanwhile.
        await self.passed(3.0)
        to_bob.send(b"x")
        await self.until(lambda: bob.heard.messages)
        self.assertEqual(told, [])
        coturn.kill()
        to_bob.send(b"into the void")
        await self.until(lambda: told)
        await self.until(lambda: alice.heard.ended and bob.heard.ended)
        self.assertEqual(alice.heard.reasons, [DisconnectReason.TIMEOUT])
        self.assertEqual(bob.heard.reasons, [DisconnectReason.TIMEOUT])
        self.assertEqual(len(told), 1)
        self.assertGreater(alice.manager.statistics.dropped["relay gone"], 0)
        self.assertEqual(alice.heard.errors, [])
        return told[0]

    @story
    async def test_a_server_that_dies_is_noticed_over_tcp(self) -> None:
        self.assertIn("has ended", await self.lose("tcp"))

    @story
    async def test_a_server_that_dies_is_noticed_over_udp(self) -> None:
        self.assertIn("renewed", await self.lose("udp"))

    async def move(self, transport: Transport) -> None:
        coturn = self.coturn()
        alice, bob, of_alice, of_bob, to_bob, to_alice = await self.relayed_pair(
            coturn, transport, transport
        )
        said: list[bytes] = []

        async def talk(times: int) -> None:
            for _ in range(times):
                for _ in range(5):
                    said.append(b"%d " % len(said) + bytes(len(said) % 3000))
                    to_bob.send(said[-1])
                    to_alice.send(said[-1])
                await self.passed(0.002)

        await talk(100)
        to_bob.move(bob.address)
        await talk(5)
        to_alice.move(alice.address)
        await talk(100)
        relayed = len(alice.seen), len(bob.seen)
        await talk(100)
        await self.until(lambda: len(alice.heard.messages) == len(bob.heard.messages) == len(said))
        self.assertTrue(alice.heard.messages == said)
        self.assertTrue(bob.heard.messages == said)
        self.assertEqual((len(alice.seen), len(bob.seen)), relayed)
        self.assertEqual((to_bob.address, to_alice.address), (bob.address, alice.address))
        await gatherResults([of_alice.close(), of_bob.close()])
        to_bob.send(b"and on")
        await self.until(lambda: bob.heard.messages[-1] == b"and on")
        self.assertEqual(alice.heard.ended + bob.heard.ended, [])

    @story
    async def test_a_connection_moves_from_relays_over_udp_to_the_direct_path(self) -> None:
        await self.move("udp")

    @story
    async def test_a_connection_moves_from_relays_over_tcp_to_the_direct_path(self) -> None:
        await self.move("tcp")

    @story
    async def test_what_a_tcp_connection_does_not_take_at_once_is_lost(self) -> None:
        """
        Not kept for later: a datagram that is seconds old is of no use, and has come again.
        """
        coturn = self.coturn()
        alice, bob = self.node(), self.node()
        relay = await self.relay(alice, coturn, "tcp")
        to_bob = await alice.manager.connect(relay.route(bob.address))
        for _ in range(2000):
            relay.send(bob.address, b"\xff" * 1000)
        dropped = alice.manager.statistics.dropped
        self.assertGreater(dropped["relay full"], 1000)
        to_bob.send(b"all is well")
        await self.until(lambda: bob.heard.messages == [b"all is well"])
        self.assertGreater(bob.manager.statistics.dropped["malformed"], 10)

    @story
    async def test_a_wrong_password_is_told(self) -> None:
        coturn = self.coturn()
        for transport in ("udp", "tcp"):
            node = self.node()
            server = self.server(coturn, transport, "guess")
            with self.assertRaisesRegex(RelayFailed, "password"):
                await node.manager.open_relay(server, node.receive)

    @story
    async def test_nobody_there_is_told(self) -> None:
        node = self.node()
        nobody = TurnServer(HOST, node.manager.local_port, "tcp", USER, PASSWORD)
        with self.assertRaisesRegex(RelayFailed, "no connection with the TURN server 127.0.0.1"):
            await node.manager.open_relay(nobody, node.receive)

    @story
    async def test_stopping_closes_relays_and_takes_half_a_second_at_most(self) -> None:
        coturn = self.coturn()
        node = self.node()
        for transport in ("udp", "tcp"):
            await self.relay(node, coturn, transport)
        begun = time.monotonic()
        await node.manager.stopService()
        self.assertLess(time.monotonic() - begun, 0.5)
        node.manager.startService()
