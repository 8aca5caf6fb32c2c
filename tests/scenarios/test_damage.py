"""
Datagrams that are damaged on their way, between managers with a checksum.

The comments number the reference's CRC32LayerTest, which does the same with the layer alone; so
does `tests/wire/test_layers.py` here.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import TestCase

from p2pnet.testing.network import Fate
from p2pnet.wire.constants import Address
from p2pnet.wire.crc32c import crc32c
from p2pnet.wire.layers import Crc32cLayer
from tests.scenarios.stage import LOOPBACK, Ground, Internet, Loopback, scene

TEXT = b"This is the text that will be checked."
COUNTED = "packet layer"


class Damaging(Crc32cLayer):
    """
    Adds right checksums, and then damages every third datagram.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._passed = 0

    def outbound(self, data: bytes) -> bytes:
        whole = super().outbound(data)
        self._passed += 1
        if self._passed % 3:
            return whole
        self.damaged += 1
        return self.damage(whole)

    def damage(self, whole: bytes) -> bytes:
        """
        What arrives instead.
        """
        place = min(4, len(whole) - 1)
        return whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :]


class Truncating(Damaging):
    """
    Cuts off every third datagram.
    """

    def damage(self, whole: bytes) -> bytes:
        return whole[:2]


class Damage(Ground):
    """
    Mix into a test case that stands on a ground.
    """

    # 22, 25
    @scene
    async def test_a_message_comes_and_goes_back_without_its_checksum(self) -> None:
        server, client = await self.pair()
        server.heard.also["network_receive"] = lambda peer, data: peer.send(data)
        client.peers[0].send(TEXT)
        await self.until(lambda: client.heard.messages)
        self.assertEqual((server.heard.messages, client.heard.messages), ([TEXT], [TEXT]))
        for node in (server, client):
            self.assertEqual(node.manager.statistics.dropped, {})

    # 23
    @scene
    async def test_a_damaged_datagram_is_dropped_and_counted(self) -> None:
        await self.talk_through(Damaging())

    # 24
    @scene
    async def test_a_datagram_too_short_for_a_checksum_is_dropped_and_counted(self) -> None:
        await self.talk_through(Truncating())

    async def talk_through(self, layer: Damaging) -> None:
        server, client = self.node(), self.node(layer=layer, **self.hurry)
        await client.connect(server)
        sent = []
        for number in range(50):
            sent.append(b"%d " % number + TEXT)
            client.peers[0].send(sent[-1])
            # In a datagram of its own.
            await self.passed(0.005)
        await self.until(lambda: len(server.heard.messages) == len(sent))
        self.assertEqual(server.heard.messages, sent)
        dropped = server.manager.statistics.dropped
        # The last one may still be under way.
        await self.until(lambda: layer.damaged > 10 and dropped == {COUNTED: layer.damaged})
        (peer,) = server.peers
        # The first ones came before there was a connection.
        self.assertLess(layer.damaged - peer.statistics.dropped[COUNTED], 3)
        self.assertEqual(client.manager.statistics.dropped, {})


class LoopbackTests(Damage, Loopback, TestCase):
    """
    Between sockets.
    """

    # 24
    @scene
    async def test_what_a_stranger_sends_without_a_checksum_disturbs_nobody(self) -> None:
        server, client = await self.pair()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for garbage in (b"", b"\1\2", b"\1\2\3\4", b"\xff" * 1432):
                stranger.sendto(garbage, (LOOPBACK, server.manager.local_port))
        await self.until(lambda: server.manager.statistics.dropped.get(COUNTED) == 4)
        client.peers[0].send(TEXT)
        await self.until(lambda: server.heard.messages == [TEXT])


class InternetTests(Damage, Internet, TestCase):
    """
    Between hosts.
    """

    # 22
    @scene
    async def test_every_datagram_ends_with_its_checksum(self) -> None:
        seen: list[bytes] = []

        def note(now: float, source: Address, target: Address, data: bytes, fate: Fate) -> None:
            seen.append(data)

        self.network.tap(note)
        server, client = await self.pair()
        client.peers[0].send(TEXT)
        client.peers[0].send(bytes(5000))
        await self.until(lambda: len(server.heard.messages) == 2)
        await self.passed(5.0)
        server.peers[0].disconnect(b"enough")
        await self.until(lambda: client.heard.ended)
        self.assertGreater(len(seen), 20)
        for datagram in seen:
            self.assertEqual(datagram[-4:], crc32c(datagram[:-4]).to_bytes(4, "little"))
