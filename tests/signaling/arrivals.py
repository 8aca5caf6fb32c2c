"""
Peers that come to a daemon in memory, with a ticket.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address, DeliveryMethod
from p2pnet.serialization import NetDataWriter
from p2pnet.signaling.records import Record, Registration
from p2pnet.signaling.shapes import encode
from tests.signaling.core import ALICE, Core
from tests.signaling.doubles import FakePeer, FakeRequest

A: Address = ("192.0.2.1", 61001)
B: Address = ("198.51.100.2", 61002)
A_INSIDE: Address = ("10.0.0.1", 4001)
B_INSIDE: Address = ("10.0.0.2", 4002)


def presented(ticket: str, internal: Address = A_INSIDE) -> bytes:
    writer = NetDataWriter()
    writer.put_string(ticket)
    writer.put_endpoint(internal)
    return writer.data()


def messages(peer: FakePeer) -> list[dict[str, Any]]:
    return [msgspec.json.decode(data) for data in peer.sent]


class ArrivalCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = Core(limit=5)
        self.introducer = self.daemon.introducer
        self.attendance = self.introducer.attendance
        self.registry = self.daemon.registry

    def register(self, peer_id: str, username: str) -> str | None:
        record = Record(peer_id, username, "192.0.2.99", 4000)
        registered: Registration = self.successResultOf(self.registry.register(record, None))
        return registered.secret

    def request(self, peer_id: str, address: Address, internal: Address) -> FakeRequest:
        data = presented(self.daemon.tickets.issue(peer_id), internal)
        request = FakeRequest(address, data)
        self.attendance.connection_request(request)
        return request

    def associate(
        self, peer_id: str = ALICE, address: Address = A, internal: Address = A_INSIDE
    ) -> FakePeer:
        peer = self.request(peer_id, address, internal).peer
        assert peer is not None
        self.attendance.peer_connected(peer)
        peer.answer_ping()
        return peer

    def observed(self, peer_id: str = ALICE) -> Address | None:
        found: Record = self.successResultOf(self.registry.lookup(peer_id))
        return found.observed

    def rejected(self, data: bytes) -> str:
        request = FakeRequest(A, data)
        self.attendance.connection_request(request)
        assert request.peer is None
        assert request.rejection is not None
        reason: str = msgspec.json.decode(request.rejection)["reason"]
        return reason

    def say(self, peer: FakePeer, message: object) -> None:
        """
        A peer sends a message, or bytes that are none.
        """
        data = message if isinstance(message, bytes) else encode(message)
        self.attendance.network_receive(peer, data, 0, DeliveryMethod.RELIABLE_ORDERED)
