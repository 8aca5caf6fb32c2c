"""
A long answer waits for its client, but not for ever, and not many at a time.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.signaling.api import make_site
from p2pnet.signaling.records import Record
from p2pnet.signaling.rest.pouring import PIECE, PORTION
from tests.signaling.daemon import Daemon


class Slow(StringTransport):
    """
    A client that takes nothing until it is told to.
    """

    aborting = False
    eager = False
    protocol: Any = None

    def write(self, data: bytes) -> None:
        super().write(data)
        if not self.eager and self.producer is not None and len(self.value()) > PIECE:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        self.aborting = True


class PouringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(limit=2000)
        for number in range(1000):
            peer_id = f"{number:08x}-0000-4000-8000-000000000000"
            record = Record(peer_id, "somebody", "192.0.2.1", 1)
            self.successResultOf(self.daemon.registry.register(record, "x" * 40))
        self.site = make_site(self.daemon.api, self.daemon.clock)

    def ask(self, host: str = "192.0.2.1") -> Slow:
        address = IPv4Address("TCP", host, 1)
        protocol: Any = self.site.buildProtocol(address)
        wire = Slow(peerAddress=address)
        protocol.makeConnection(wire)
        protocol.dataReceived(b"GET /peers HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.protocol = protocol
        return wire

    def test_only_a_piece_waits_at_a_time(self) -> None:
        wire = self.ask()
        assert PIECE < len(wire.value()) < 3 * PIECE
        wire.eager = True
        assert wire.producer is not None
        wire.producer.resumeProducing()
        head, _, body = wire.value().partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(body) in head
        assert body.startswith(b'{"peers":[')
        assert body.endswith(b'"count":1000}')
        # And the connection is good for another request.
        wire.protocol.dataReceived(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"p2pnet rendezvous" in wire.value()

    def test_who_takes_too_long_in_all_is_cut(self) -> None:
        patience = self.daemon.limits.drain_time
        quick = self.ask()
        quick.eager = True
        assert quick.producer is not None
        quick.producer.resumeProducing()
        slow = self.ask()
        size = int(slow.value().partition(b"Content-Length: ")[2].split()[0])
        whole = patience * (1 + size / PORTION)
        for wait in (10, 10, whole - 21):
            self.daemon.clock.advance(wait)
            # A little at a time, so that it is never quite still.
            assert slow.producer is not None
            slow.producer.resumeProducing()
        assert not slow.aborting
        self.daemon.clock.advance(1)
        assert slow.aborting
        assert not quick.aborting

    def test_a_network_has_few_of_them_at_a_time(self) -> None:
        self.daemon.limits.pours = 2
        wires = [self.ask(), self.ask(), self.ask(), self.ask("198.51.100.1")]
        codes = [int(wire.value().split()[1]) for wire in wires]
        assert codes == [200, 200, 429, 200]
        assert b"Retry-After: 5" in wires[2].value()
        wires[0].protocol.connectionLost(Failure(ConnectionDone()))
        assert self.ask().value().startswith(b"HTTP/1.1 200")

    def test_all_of_them_have_a_size(self) -> None:
        self.daemon.limits.poured = 400_000
        wires = [self.ask(f"192.0.{number}.1") for number in range(3)]
        codes = [int(wire.value().split()[1]) for wire in wires]
        assert codes == [200, 200, 429]
