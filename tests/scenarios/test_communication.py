"""
What two programs and more do with one another.

Every ground plays all of it.  The comment above each scenario is the number of the test in the C#
library's own CommunicationTest that it comes from.  Elsewhere are 18 (`test_broadcast.py`), 20
(`test_manual.py`) and, with times that count, 5 to 8 again (`test_times.py`).  3 is 1 without
polling, which nobody does here; 17 is 1 over IPv6, a ground of its own here; 19 tests the C#
test's helper.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from p2pnet.interfaces import (
    ConnectFailed,
    ConnectionState,
    DeliveryMethod,
    DisconnectReason,
    INetPeer,
)
from p2pnet.wire.layers import XorEncryptLayer
from tests.scenarios.stage import (
    ORDERED,
    UNORDERED,
    UNRELIABLE,
    DualStack,
    Ground,
    Internet,
    Loopback,
    LoopbackV6,
    Node,
    scene,
)

CALLED = DisconnectReason.DISCONNECT_PEER_CALLED
CLOSED = DisconnectReason.REMOTE_CONNECTION_CLOSE


class Communication(Ground):
    """
    Mix into a test case that stands on a ground.
    """

    # 1, 3, 17
    @scene
    async def test_who_connects_has_one_peer_and_so_has_the_other(self) -> None:
        server, client = self.node(), self.node()
        peer = await client.connect(server)
        await self.until(lambda: server.peers)
        self.assertEqual(client.peers, [peer])
        self.assertEqual([peer.address for peer in client.peers], [server.address])
        self.assertEqual([peer.address for peer in server.peers], [client.address])
        self.assertEqual(len(server.heard.requests), 1)

    # 2
    @scene
    async def test_two_who_call_each_other_end_with_one_connection(self) -> None:
        one, two = self.node(), self.node()
        first = one.connect(two, peer_to_peer=True)
        second = two.connect(one, peer_to_peer=True)
        (await first).send(b"from one")
        (await second).send(b"from two")
        await self.until(lambda: one.heard.messages and two.heard.messages)
        self.assertEqual((one.heard.messages, two.heard.messages), ([b"from two"], [b"from one"]))
        self.assertEqual((len(one.peers), len(two.peers)), (1, 1))
        gave_way = [node.heard.reasons for node in (one, two)]
        self.assertIn([DisconnectReason.PEER_TO_PEER_CONNECTION], gave_way)
        self.assertIn([], gave_way)

    # 4
    @scene
    async def test_a_large_message_arrives_whole_and_its_sender_is_told(self) -> None:
        message = bytearray(250 * 1024)
        for place, mark in ((0, 196), (7000, 32), (12499, 200), (-1, 254)):
            message[place] = mark
        server, client = await self.pair()
        client.peers[0].send_with_delivery_event(bytes(message), 5, UNORDERED)
        await self.until(lambda: server.heard.messages and client.heard.delivered, 4.0)
        self.assertEqual(server.heard.messages, [message])
        self.assertEqual(client.heard.delivered, [5])

    # 5
    @scene
    async def test_a_server_that_forgot_us_is_noticed(self) -> None:
        server, client = self.node(port=self.free_port()), self.node(**self.hurry)
        await client.connect(server)
        await self.until(lambda: server.peers)
        await server.vanish()
        server.start()
        await self.until(lambda: client.heard.ended, 4.0)
        self.assertEqual(client.heard.reasons, [CLOSED])
        self.assertEqual(client.peers, [])

    # 6
    @scene
    async def test_a_call_to_nobody_fails(self) -> None:
        nobody, client = self.node(), self.node(**self.hurry)
        address = nobody.address
        await nobody.stop()
        with self.assertRaises(ConnectFailed):
            await client.manager.connect(address, "")
        self.assertEqual(client.heard.reasons, [DisconnectReason.CONNECTION_FAILED])
        self.assertEqual(client.peers, [])

    # 7
    @scene
    async def test_a_server_that_stops_ends_its_connections(self) -> None:
        server, client = await self.pair()
        await server.stop()
        self.assertEqual(server.peers, [])
        await self.until(lambda: not client.peers)
        self.assertEqual(client.heard.reasons, [CLOSED])

    # 8, and the same without a goodbye
    @scene
    async def test_a_client_comes_back_while_messages_wait_for_it(self) -> None:
        await self.come_back(goodbye=True)

    @scene
    async def test_a_client_that_was_killed_comes_back_while_messages_wait_for_it(self) -> None:
        await self.come_back(goodbye=False)

    async def come_back(self, *, goodbye: bool) -> None:
        server, client = self.node(), self.node(port=self.free_port())
        await client.connect(server)
        await self.until(lambda: server.peers)
        for number in range(1000):
            server.peers[0].send(b"%09d" % number)
        await (client.stop() if goodbye else client.vanish())
        before = len(client.heard.messages)
        self.assertLess(before, 1000, "all of it was there before it left")
        client.start()
        await client.connect(server)
        await self.until(lambda: len(server.heard.connected) == 2)
        reason = CLOSED if goodbye else DisconnectReason.RECONNECT
        self.assertEqual(server.heard.reasons, [reason])
        self.assertEqual(len(server.peers), 1)
        server.peers[0].send(b"welcome back")
        await self.until(lambda: client.heard.messages[before:])
        self.assertEqual(client.heard.messages[before:], [b"welcome back"])

    # 9
    @scene
    async def test_a_rejection_says_why(self) -> None:
        server, client = self.node(), self.node()
        server.heard.decide = lambda request: request.reject(b"reject_test")
        await self.rejected(server, client)

    # 10
    @scene
    async def test_a_rejection_by_force_says_why(self) -> None:
        server, client = self.node(), self.node()
        server.heard.decide = lambda request: request.reject_force(b"reject_test")
        await self.rejected(server, client)

    async def rejected(self, server: Node, client: Node) -> None:
        with self.assertRaises(ConnectFailed):
            await client.connect(server)
        ((_, info),) = client.heard.ended
        self.assertEqual(info.reason, DisconnectReason.CONNECTION_REJECTED)
        self.assertEqual(info.data, b"reject_test")
        self.assertEqual((server.peers, client.peers), ([], []))

    # 11
    @scene
    async def test_all_who_are_disconnected_hear_why(self) -> None:
        server, *clients = self.node(), self.node(), self.node()
        peers = [await client.connect(server) for client in clients]
        await self.until(lambda: len(server.peers) == 2)
        server.manager.disconnect_all(b"\1\2\3\4")
        self.assertEqual(server.peers, [])
        await self.until(lambda: all(client.heard.ended for client in clients))
        for client in clients:
            ((_, info),) = client.heard.ended
            self.assertEqual((info.reason, info.data), (CLOSED, b"\1\2\3\4"))
        self.assertEqual([peer.state for peer in peers], [ConnectionState.DISCONNECTED] * 2)
        await self.until(lambda: server.heard.reasons == [CALLED, CALLED])

    # 12
    @scene
    async def test_a_server_disconnects_a_client(self) -> None:
        server, client = await self.pair()
        server.peers[0].disconnect()
        await self.until(lambda: server.heard.ended and client.heard.ended)
        self.assertEqual((server.heard.reasons, client.heard.reasons), ([CALLED], [CLOSED]))
        self.assertEqual((server.peers, client.peers), ([], []))

    # 13
    @scene
    async def test_a_key_of_xor_is_the_same_on_both_sides(self) -> None:
        server, client = await self.pair(layer=XorEncryptLayer("secret_key"))
        for node in (server, client):
            node.peers[0].send(b"under cover")
        await self.until(lambda: server.heard.messages and client.heard.messages)
        self.assertEqual((server.heard.messages, client.heard.messages), ([b"under cover"],) * 2)
        self.assertEqual((len(server.peers), len(client.peers)), (1, 1))

    # 14, and the same without a goodbye
    @scene
    async def test_a_client_comes_back_to_its_port(self) -> None:
        server, client = self.node(), self.node(port=self.free_port())
        for goodbye in (True, False, True):
            await client.connect(server)
            await (client.stop() if goodbye else client.vanish())
            client.start()
        await client.connect(server)
        await self.until(lambda: len(server.heard.connected) == 4)
        self.assertEqual((len(server.peers), len(client.peers)), (1, 1))
        self.assertEqual({peer.address for peer in server.heard.connected}, {client.address})
        self.assertEqual(server.heard.reasons, [CLOSED, DisconnectReason.RECONNECT, CLOSED])

    # 15
    @scene
    async def test_a_client_disconnects(self) -> None:
        server, client = await self.pair()
        left: list[list[INetPeer]] = []
        client.heard.also["peer_disconnected"] = lambda peer, info: left.append(client.peers)
        client.peers[0].disconnect()
        await self.until(lambda: server.heard.ended and client.heard.ended)
        self.assertEqual(left, [[]], "it is counted no more when it is told")
        self.assertEqual((server.heard.reasons, client.heard.reasons), ([CLOSED], [CALLED]))
        self.assertEqual((server.peers, client.peers), ([], []))

    # 16
    @scene
    async def test_every_method_works_on_each_of_64_channels(self) -> None:
        server, client = await self.pair(channels=64)
        (peer,) = client.peers
        sent = [(channel, method) for channel in range(64) for method in DeliveryMethod]
        for channel, method in sent:
            padding = 506 if method in (ORDERED, UNORDERED) else 0
            peer.send(bytes([method]) + bytes(padding), method, channel)
        received = server.heard.received
        await self.until(lambda: len(received) >= len(sent) and not peer.unacknowledged)
        self.assertEqual([data[0] for _, data, _, _ in received], [way for *_, way in received])
        for method in DeliveryMethod:
            channels = [channel for _, _, channel, way in received if way is method]
            # An unreliable packet names no channel (WIRE §4.1), and may come twice.
            unreliable = method is UNRELIABLE
            self.assertEqual({*channels}, {0} if unreliable else {*range(64)})
            self.assertTrue(len(channels) >= 64 if unreliable else len(channels) == 64, method)

    # 21
    @scene
    async def test_what_is_sent_to_all_reaches_each_once(self) -> None:
        server, *clients = (self.node() for _ in range(11))
        for client in clients:
            await client.connect(server)
        await self.until(lambda: len(server.peers) == 10)
        server.manager.send_to_all(b"TextForTest", UNORDERED)
        await self.until(lambda: all(client.heard.messages for client in clients))
        await self.until(lambda: not any(peer.unacknowledged for peer in server.peers))
        self.assertEqual([client.heard.messages for client in clients], [[b"TextForTest"]] * 10)
        self.assertEqual([len(client.peers) for client in clients], [1] * 10)
        self.assertEqual(len(server.peers), 10)


class LoopbackTests(Communication, Loopback, TestCase):
    """
    Between sockets, over IPv4.
    """


class LoopbackV6Tests(Communication, LoopbackV6, TestCase):
    """
    Between sockets, over IPv6.
    """


class DualStackTests(Communication, DualStack, TestCase):
    """
    Between dual-stack sockets, over IPv4, which the reference cannot do (PITFALLS D24).
    """


class InternetTests(Communication, Internet, TestCase):
    """
    Between hosts, with the times of the reference.
    """


class DuplicatingInternetTests(Communication, Internet, TestCase):
    """
    The same where datagrams come twice and overtake one another.
    """

    conditions: ClassVar[dict[str, Any]] = {"latency": 0.02, "jitter": 0.01, "duplicate": 0.3}


class TickingInternetTests(Communication, Internet, TestCase):
    """
    With managers that send on a tick, as those of the reference do.
    """

    usual: ClassVar[dict[str, Any]] = {"update_time": 0.015}
