"""
A TURN server on an internet in memory, for one client.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.protocol import DatagramProtocol

from p2pnet.stun.header import is_stun
from p2pnet.testing import Network
from p2pnet.turn.channel_data import is_channel_data
from p2pnet.turn.server import TurnServer as Server
from p2pnet.wire.constants import Address
from tests.turn.server import PASSWORD, RELAYED, USER, TurnServer

TURN: Address = (RELAYED[0], 3478)
SERVER = Server(*TURN, "udp", USER, PASSWORD)


class Stranger(DatagramProtocol):
    """
    A port without a manager.

    :ivar received: all that came, and from where.
    """

    def __init__(self, then: Callable[[bytes, Address], None] | None = None) -> None:
        self.received: list[tuple[bytes, Address]] = []
        self._then = then

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self.received.append((datagram, addr))
        if self._then is not None:
            self._then(datagram, addr)

    def send(self, data: bytes, address: Address) -> None:
        assert self.transport is not None
        self.transport.write(data, address)


class TurnHost:
    """
    A machine with a server on it.

    :ivar server: what it knows of its client.
    :ivar client: where that was seen last.
    :ivar is_up: it takes and answers what comes.
    """

    def __init__(self, network: Network, host: str = TURN[0]) -> None:
        self.server = TurnServer()
        self.client: Address | None = None
        self.is_up = True
        self.carried: list[bytes] = []
        """What came over channels."""
        self._network = network
        self._front = Stranger(self._from_client)
        self._back = Stranger(self._from_peer)
        network.host(host).listenUDP(TURN[1], self._front)
        network.host(host).listenUDP(RELAYED[1], self._back)

    def _from_client(self, data: bytes, address: Address) -> None:
        if not (self.is_up and (is_stun(data) or is_channel_data(data))):
            return
        self.client = address
        if is_channel_data(data):
            self.carried.append(data)
        self._answer(self.server.receive(data, self._network.seconds()))
        for _, peer, payload in self.server.relayed:
            self._back.send(payload, peer)
        self.server.relayed.clear()

    def _from_peer(self, data: bytes, address: Address) -> None:
        if self.is_up:
            self._answer(self.server.data_from(address, data, self._network.seconds()))

    def _answer(self, messages: list[bytes]) -> None:
        for message in messages:
            assert self.client is not None
            self._front.send(message, self.client)
