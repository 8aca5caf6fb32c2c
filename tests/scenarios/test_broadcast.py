"""
Who is there?  18 of the reference's CommunicationTest.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from twisted.trial.unittest import SkipTest, TestCase

from p2pnet.interfaces import Address, UnconnectedMessageType
from p2pnet.net.addresses import EVERYBODY
from p2pnet.serialization import NetDataReader, NetDataWriter
from tests.scenarios.stage import KEY, Loopback, Node, scene

ANYWHERE: Final[dict[str, Any]] = {"interface": "", "interface_v6": None}
"""A socket of one address hears no broadcast."""
CLIENTS = 10


class BroadcastTests(Loopback, TestCase):
    """
    On the network that this machine has, if it has one.
    """

    # 18
    @scene
    async def test_clients_find_a_server_by_asking_everybody(self) -> None:
        if not broadcasts_are_heard():
            raise SkipTest(f"this machine does not hear what it sends to {EVERYBODY}")
        server = self.node(managed=ANYWHERE, broadcast_receive_enabled=True)
        clients = [
            self.node(managed=ANYWHERE, unconnected_messages_enabled=True) for _ in range(CLIENTS)
        ]

        def answer(address: Address, data: bytes) -> None:
            server.manager.send_unconnected(address, text("Server response"))

        server.heard.also["network_receive_unconnected"] = answer
        for client in clients:
            self.connect_to_who_answers(client)
            self.assertTrue(
                client.manager.send_broadcast(text("Client request"), server.address[1])
            )
        await self.until(lambda: len(server.peers) == CLIENTS)
        await self.until(lambda: all(len(client.peers) == 1 for client in clients))
        for _, data, kind in server.heard.unconnected:
            self.assertEqual(NetDataReader(data).get_string(), "Client request")
            self.assertIs(kind, UnconnectedMessageType.BROADCAST)
        for client in clients:
            for _, data, kind in client.heard.unconnected:
                self.assertEqual(NetDataReader(data).get_string(), "Server response")
                self.assertIs(kind, UnconnectedMessageType.BASIC_MESSAGE)
            # Multicast has no way out on a machine without IPv6; that is told, and no fault.
            client.heard.errors.clear()

    @scene
    async def test_who_has_not_enabled_it_hears_no_broadcast(self) -> None:
        if not broadcasts_are_heard():
            raise SkipTest(f"this machine does not hear what it sends to {EVERYBODY}")
        deaf, client = self.node(managed=ANYWHERE), self.node(managed=ANYWHERE)
        client.manager.send_broadcast(text("Client request"), deaf.address[1])
        dropped = deaf.manager.statistics.dropped
        await self.until(lambda: dropped.get("broadcasts disabled"))
        self.assertEqual(deaf.heard.unconnected, [])
        client.heard.errors.clear()

    def connect_to_who_answers(self, client: Node) -> None:
        def answered(address: Address, data: bytes) -> None:
            if ":" not in address[0]:
                client.manager.connect(address, KEY)

        client.heard.also["network_receive_unconnected"] = answered


def text(message: str) -> bytes:
    writer = NetDataWriter()
    writer.put_string(message)
    return writer.data()


def broadcasts_are_heard() -> bool:
    """
    Whether a broadcast comes back to the machine that sends it.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        ear.bind(("0.0.0.0", 0))
        ear.settimeout(0.5)
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            mouth.sendto(b"?", (EVERYBODY, ear.getsockname()[1]))
            return ear.recv(1) == b"?"
        except OSError:
            return False
