"""
A whole rendezvous daemon in memory: the real API, registry, tickets and introducer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2pnet.signaling.api import SignalingAPI
from p2pnet.signaling.health import Health
from p2pnet.signaling.http import TreqHTTP
from p2pnet.signaling.prober import Prober
from p2pnet.signaling.rest.desk import Desk
from p2pnet.signaling.rooms import Rooms
from p2pnet.signaling.tickets import TicketOffice
from p2pnet.signaling.turn import RelayLogins, RelayServer
from tests.signaling.core import (
    ALICE,
    BOB,
    CAROL,
    KEY,
    LEASE,
    NONCE,
    SERVER,
    UDP,
    WALL,
    Core,
)
from tests.signaling.doubles import Wire, counting
from tests.signaling.fake_ports import FakePorts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pnet.interfaces import Address, IRegistry
    from p2pnet.signaling.policy import Policy

__all__ = ["ALICE", "BOB", "CAROL", "KEY", "LEASE", "NONCE", "SERVER", "UDP", "WALL", "Daemon"]


class FakeThreads:
    """
    Work for other threads, done when `work` says so.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def call(self, call: Callable[[], Any]) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self._waiting.append((call, done))
        return done

    def work(self) -> None:
        while self._waiting:
            call, done = self._waiting.pop(0)
            done.callback(call())


class Daemon(Core):
    """
    :param limit: of registrations and associations.
    :param relays: TURN servers that peers are told of.
    :ivar threads: where passwords are tried.
    :ivar ports: those that are opened besides the engine's.
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
        public_host: str | None = None,
        relays: Sequence[RelayServer] = (),
    ) -> None:
        super().__init__(
            clock,
            wire,
            registry=registry,
            limit=limit,
            policy=policy,
            address=address,
            name=name,
        )
        self.ports = FakePorts()
        self.threads = FakeThreads()
        self.health = Health({}, self.clock)
        self.api = SignalingAPI(
            Desk(
                self.registry,
                self.introducer,
                self.tickets,
                TicketOffice(
                    self.registry, "challenge", wall=self.wall, nonce=counting("challenge")
                ),
                Rooms(self.registry, self.threads.call, lambda size: bytes(range(size))),
                Prober(self.ports.open, self.clock, random=lambda bits: NONCE),
                RelayLogins(relays, "a secret of ours", self.wall),
                self.policy,
                lambda: self.manager.local_port,
                public_host,
            ),
            clock=self.clock,
            wall=self.wall,
            statistics=lambda: self.manager.statistics,
            limits=self.limits,
            health=self.health,
        )
        self.treq: Any = StubTreq(self.api.resource())

    def http(self) -> TreqHTTP:
        """
        A client's way to us.
        """
        return TreqHTTP(self.treq, self.clock)
