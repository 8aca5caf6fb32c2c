"""
A rendezvous daemon in memory, all but its HTTP: registry, tickets and introducer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock

from p2pnet.interfaces import Address
from p2pnet.signaling.backends.memory import MemoryRegistry, Terms
from p2pnet.signaling.introducer import Introducer
from p2pnet.signaling.limits import Limits
from p2pnet.signaling.policy import Policy
from p2pnet.signaling.shapes import UdpEndpoint
from p2pnet.signaling.tickets import TicketOffice
from tests.signaling.doubles import FakeManager, Wire, counting

if TYPE_CHECKING:
    from p2pnet.interfaces import IRegistry

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


class Core:
    """
    :param registry: one that it shares with others; None for one of its own.
    :param limit: of registrations and associations.
    :param address: of the engine.
    :ivar observers: what peers are told of with their welcome.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        wire: Wire | None = None,
        *,
        registry: IRegistry | None = None,
        limit: int = 100,
        policy: Policy | None = None,
        address: Address = UDP,
        name: str = "",
    ) -> None:
        self.clock = clock or Clock()
        self.wire = wire or Wire()
        self.limits = Limits()
        self.policy = policy or Policy()
        self.registry: Any = registry or MemoryRegistry(
            self.clock,
            self.wall,
            Terms(counting("secret"), b"k" * 32, lease=LEASE, retention=600.0, limit=limit),
        )
        self.tickets = TicketOffice(
            self.registry, "ticket", wall=self.wall, nonce=counting(f"{name}nonce")
        )
        self.observers: list[UdpEndpoint] = []
        self.introducer = Introducer(
            self.registry,
            self.tickets,
            clock=self.clock,
            token=counting(f"{name}token"),
            key=lambda: KEY,
            limit=limit,
            limits=self.limits,
            policy=self.policy,
            observers=lambda: self.observers,
        )
        self.manager = FakeManager(self.wire, address, self.introducer.attendance)
        self.introducer.attach(self.manager)

    def wall(self) -> float:
        return WALL + self.clock.seconds()
