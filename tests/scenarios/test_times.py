"""
How long it takes until something is noticed, with the times of the reference.

Numbers are those of its CommunicationTest (`test_communication.py`).
"""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from p2pnet.interfaces import ConnectFailed, DisconnectReason
from p2pnet.testing import Network
from p2pnet.testing.network import Fate
from p2pnet.wire.constants import Address, PacketProperty
from p2pnet.wire.control import ConnectRequest
from tests.scenarios.stage import Internet, scene

LATENCY = 0.02
ROUND_TRIP = 2 * LATENCY


class TimeTests(Internet, TestCase):
    """
    On an internet where a datagram takes 20 ms.
    """

    conditions: ClassVar[dict[str, Any]] = {"latency": LATENCY}

    def now(self) -> float:
        return self.network.seconds()

    # 5
    @scene
    async def test_a_server_that_forgot_us_is_noticed_by_the_next_ping(self) -> None:
        server, client = self.node(port=self.free_port()), self.node()
        await client.connect(server)
        await self.passed(3.5)
        await server.vanish()
        server.start()
        begin = self.now()
        await self.until(lambda: client.heard.ended)
        # The ping is answered, that is doubted, and the doubt is answered.
        self.assertLess(self.now() - begin, 1.0 + 2 * ROUND_TRIP + 0.01)
        self.assertEqual(client.heard.reasons, [DisconnectReason.REMOTE_CONNECTION_CLOSE])

    # 6
    @scene
    async def test_a_call_to_nobody_is_given_up_after_eleven_requests(self) -> None:
        asked: list[float] = []

        def note(now: float, source: Address, target: Address, data: bytes, fate: Fate) -> None:
            self.assertEqual(data[0], PacketProperty.CONNECT_REQUEST)
            self.assertIs(fate, Fate.NOWHERE)
            asked.append(now - LATENCY)

        self.network.tap(note)
        client = self.node()
        with self.assertRaises(ConnectFailed):
            await client.manager.connect(("10.9.9.9", 9050), "")
        self.assertEqual([round(at, 3) for at in asked], [0.5 * n for n in range(11)])
        self.assertAlmostEqual(self.now(), 5.5, places=2)
        self.assertEqual(client.heard.reasons, [DisconnectReason.CONNECTION_FAILED])

    # 7, which by its name should be this
    @scene
    async def test_silence_ends_a_connection_after_five_seconds(self) -> None:
        server, client = await self.pair()
        await self.passed(10.5)
        self.network.partition(server.host, client.host)
        begin = self.now()
        await self.until(lambda: server.heard.ended or client.heard.ended)
        self.assertGreater(
            self.now() - begin, 4.0, "since the last ping, which may be a second old"
        )
        await self.until(lambda: server.heard.ended and client.heard.ended)
        self.assertLess(self.now() - begin, 5.0 + LATENCY + 0.01)
        for node in (server, client):
            self.assertEqual(node.heard.reasons, [DisconnectReason.TIMEOUT])
            self.assertEqual(node.peers, [])

    # 7
    @scene
    async def test_a_server_that_stops_is_gone_after_half_a_round_trip(self) -> None:
        server, client = await self.pair()
        begin = self.now()
        stopped = server.manager.stopService()
        await self.until(lambda: client.heard.ended)
        self.assertLess(self.now() - begin, LATENCY + 0.01)
        await stopped
        self.assertLess(self.now() - begin, 0.1, "our goodbye was confirmed")

    # 8
    @scene
    async def test_who_was_killed_is_let_in_again_within_a_second(self) -> None:
        server, client = self.node(), self.node(port=self.free_port())
        await client.connect(server)
        await self.passed(0.5)
        await client.vanish()
        client.start()
        begin = self.now()
        await client.connect(server)
        self.assertLess(self.now() - begin, 1.0 + 0.5 + ROUND_TRIP)
        self.assertEqual(server.heard.reasons, [DisconnectReason.RECONNECT])

    # 14
    @scene
    async def test_who_restarts_at_once_is_let_in_at_once(self) -> None:
        """
        Also if the random part of the new connection's time is smaller than that of the old one's.
        """
        self.network.link("10.0.0.1", "10.0.0.2", latency=0.001)
        times: list[int] = []

        def note(now: float, source: Address, target: Address, data: bytes, fate: Fate) -> None:
            if data[0] == PacketProperty.CONNECT_REQUEST:
                times.append(ConnectRequest.decode(data[:-4]).connection_time)

        self.network.tap(note)
        random = iter([2**20 - 1])
        server = self.node()
        client = self.node(
            port=self.free_port(),
            managed={"random": lambda bits: next(random, 0) if bits == 20 else 0},
        )
        await client.connect(server)
        await client.stop()
        client.start()
        begin = self.now()
        await client.connect(server)
        self.assertLess(self.now() - begin, 0.01)
        self.assertEqual(times[1:], [times[0] + 1])

    @scene
    async def test_a_connection_on_which_nothing_happens_stays_for_an_hour(self) -> None:
        server, client = await self.pair()
        await self.passed(3600.0)
        client.peers[0].send(b"still there")
        await self.until(lambda: server.heard.messages == [b"still there"])
        self.assertEqual(server.heard.ended, [])
        self.assertLess(client.manager.statistics.packets_sent, 2.2 * 3600)

    # 2
    def test_two_who_call_each_other_meet_whoever_is_first_and_whatever_is_lost(self) -> None:
        for seed in range(24):
            head_start = seed % 4 * LATENCY / 2
            self.network = Network(seed, latency=LATENCY, loss=0.2 if seed % 2 else 0.0)
            self.nodes = []
            self.successResultOf(self.play(self.meet(seed, head_start)))

    async def meet(self, seed: int, head_start: float) -> None:
        one, two = sorted((self.node(), self.node()), key=lambda _: Random(seed).random())
        first = one.connect(two, peer_to_peer=True)
        await self.passed(head_start)
        second = None if two.heard.requests else two.connect(one, peer_to_peer=True)
        await first
        if second is not None:
            await second
        await self.until(lambda: one.peers and two.peers)
        await self.passed(3.0)
        for node, other in ((one, two), (two, one)):
            self.assertEqual([peer.address for peer in node.peers], [other.address], seed)
            self.assertEqual(len(node.heard.connected), 1, seed)

    # 1
    def test_a_connection_comes_about_on_a_bad_network(self) -> None:
        for seed in range(12):
            self.network = Network(seed, latency=LATENCY, loss=0.3, jitter=0.1, duplicate=0.2)
            self.nodes = []
            self.successResultOf(self.play(self.connect_somehow(seed)))

    async def connect_somehow(self, seed: int) -> None:
        server, client = self.node(), self.node()
        await client.connect(server)
        await self.until(lambda: server.peers and client.peers)
        self.assertEqual(len(server.heard.connected), 1, seed)
        self.assertEqual(len(client.heard.connected), 1, seed)
        for node in (server, client):
            node.peers[0].send(b"hello")
        await self.until(lambda: server.heard.messages and client.heard.messages)
        self.assertEqual(server.heard.messages, client.heard.messages, seed)
