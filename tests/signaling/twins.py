"""
Daemons that share a registry in memory, and talk over it at once.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from p2pnet.interfaces import Address, IBus, IRegistry
from p2pnet.signaling.backends.memory import MemoryRegistry, Terms
from p2pnet.signaling.policy import Policy
from p2pnet.signaling.records import UnknownPeer
from tests.signaling.core import LEASE, WALL, Core
from tests.signaling.doubles import Wire, counting

NODES = ("east", "west")
UDP: tuple[Address, ...] = (("192.0.2.201", 9050), ("192.0.2.202", 9050))


class Bus:
    """
    :ivar cut: nothing gets through, and nobody is told.
    :ivar letters: what was said.
    """

    def __init__(self) -> None:
        self.listeners: dict[str, Any] = {}
        self.letters: list[tuple[str, str, bytes]] = []
        self.cut = False

    def send(self, sender: str, node: str, message: bytes) -> Deferred[bool]:
        self.letters.append((sender, node, message))
        if node not in self.listeners:
            return succeed(False)
        if not self.cut:
            self.listeners[node](sender, message)
        return succeed(True)


@implementer(IRegistry, IBus)
class TwinRegistry(MemoryRegistry):
    """
    One daemon's end of what all of them know.
    """

    def __init__(self, name: str, clock: Clock, first: TwinRegistry | None = None) -> None:
        terms = Terms(counting("secret"), b"k" * 32, lease=LEASE)
        super().__init__(clock, lambda: WALL + clock.seconds(), terms)
        self.node = name
        self.bus: Bus = Bus() if first is None else first.bus
        if first is not None:
            self.feed, self._roll, self._nonces = first.feed, first._roll, first._nonces

    def associate(self, peer_id: str, seen: Address) -> Deferred[None]:
        self._roll._node = self.node
        return super().associate(peer_id, seen)

    def renew(self, peer_id: str, seen: Address) -> Deferred[None]:
        entry = self._roll.entry(peer_id)
        if entry is None or entry.record.node != self.node:
            return fail(UnknownPeer())
        return self.associate(peer_id, seen)

    def dissociate(self, peer_id: str) -> Deferred[None]:
        entry = self._roll.entry(peer_id)
        if entry is not None and entry.record.node == self.node:
            return super().dissociate(peer_id)
        return succeed(None)

    def send(self, node: str, message: bytes) -> Deferred[bool]:
        return self.bus.send(self.node, node, message)

    def listen(self, listener: Any) -> None:
        self.bus.listeners[self.node] = listener


def twins(clock: Clock, wire: Wire, policy: Policy | None = None) -> tuple[Core, Core]:
    """
    Two daemons.
    """
    east = TwinRegistry(NODES[0], clock)
    west = TwinRegistry(NODES[1], clock, east)
    one, other = (
        Core(clock, wire, registry=registry, policy=policy, address=udp, name=registry.node)
        for registry, udp in ((east, UDP[0]), (west, UDP[1]))
    )
    return one, other
