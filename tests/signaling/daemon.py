"""
A whole rendezvous daemon in memory: the real API, registry, tickets and introducer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treq.testing import StubTreq
from twisted.internet.task import Clock

from p2pnet.interfaces import Address
from p2pnet.signaling.api import SignalingAPI
from p2pnet.signaling.http import TreqHTTP
from p2pnet.signaling.introducer import Introducer
from p2pnet.signaling.memory import MemoryRegistry
from p2pnet.signaling.prober import Prober
from p2pnet.signaling.shapes import UdpEndpoint
from p2pnet.signaling.tickets import TicketOffice
from p2pnet.signaling.turn import RelayLogins, RelayServer
from tests.signaling.doubles import FakeManager, Wire, counting
from tests.signaling.fake_ports import FakePorts

if TYPE_CHECKING:
    from collections.abc import Sequence

UDP: Address = ("127.0.0.1", 9050)
SERVER = "http://127.0.0.1:8000"
WALL = 1_700_000_000.0
"""Unix time when the clock stands at 0."""
LEASE = 60.0
KEY = "0123456789abcdef" * 2
NONCE = 0x1122334455667788

ALICE = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
BOB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
CAROL = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"


class Daemon:
    """
    :param limit: of registrations and associations.
    :param relays: TURN servers that peers are told of.
    :ivar observers: what peers are told of with their welcome.
    :ivar ports: those that are opened besides the engine's.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        wire: Wire | None = None,
        *,
        limit: int = 100,
        public_host: str | None = None,
        relays: Sequence[RelayServer] = (),
    ) -> None:
        self.clock = clock or Clock()
        self.wire = wire or Wire()
        seconds = self.clock.seconds
        self.registry = MemoryRegistry(
            seconds, lease=LEASE, retention=600.0, limit=limit, secret=counting("secret")
        )
        self.tickets = TicketOffice(b"k" * 32, seconds, counting("nonce"))
        self.observers: list[UdpEndpoint] = []
        self.ports = FakePorts()
        self.introducer = Introducer(
            self.registry,
            self.tickets,
            clock=self.clock,
            token=counting("token"),
            key=lambda: KEY,
            limit=limit,
            observers=lambda: self.observers,
        )
        self.manager = FakeManager(self.wire, UDP, self.introducer.attendance)
        self.introducer.attach(self.manager)
        self.api = SignalingAPI(
            self.registry,
            self.introducer,
            self.tickets,
            Prober(self.ports.open, self.clock, random=lambda bits: NONCE),
            RelayLogins(relays, "a secret of ours", lambda: WALL + seconds()),
            lease=LEASE,
            wall=lambda: WALL + seconds(),
            clock=seconds,
            udp_port=lambda: self.manager.local_port,
            public_host=public_host,
        )
        self.treq: Any = StubTreq(self.api.resource())

    def http(self) -> TreqHTTP:
        """
        A client's way to us.
        """
        return TreqHTTP(self.treq, self.clock)
