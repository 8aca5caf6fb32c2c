"""
A registry that lives as long as its process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from p2pnet.interfaces import Address, IRegistry
from p2pnet.signaling.backends.roll import Roll
from p2pnet.signaling.feed import Feed
from p2pnet.signaling.nonces import Nonces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.signaling.records import Census, Record, Registration, Room

SETTLE: Final = 1.0
"""Seconds within which the feed tells that a lease has ended."""
NODE: Final = "here"
"""What a daemon calls itself that is alone."""


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What all registries need.

    :ivar lease: seconds a registration is online without a renewal.
    :ivar retention: seconds for which an ended registration keeps its id from others.
    :ivar limit: registrations, online or retained; rooms, too.
    :ivar secret: a new unguessable string each time.
    :ivar key: 32 random bytes; what a registry that is nobody else's seals with.
    """

    secret: Callable[[], str]
    key: bytes
    lease: float = 60.0
    retention: float = 600.0
    limit: int = 10_000


@implementer(IRegistry)
class MemoryRegistry(Service):
    """
    A `Roll` that answers by Deferreds.

    :param clock: for timers; monotonic.
    :param wall: Unix seconds.
    """

    def __init__(self, clock: IReactorTime, wall: Callable[[], float], terms: Terms) -> None:
        self.node: str = NODE
        self.key: bytes = terms.key
        self.lease: float = terms.lease
        self.feed = Feed(int(wall() * 1000))
        self._clock = clock
        self._roll = Roll(
            clock.seconds,
            wall,
            self.feed,
            node=self.node,
            lease=terms.lease,
            retention=terms.retention,
            limit=terms.limit,
            secret=terms.secret,
        )
        self._nonces = Nonces(clock.seconds)
        self._settling = LoopingCall(self._roll.settle)
        self._settling.clock = clock

    # ------------------------------------------------------------ Service

    def startService(self) -> None:
        """
        Notice, from now on, when leases end.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._settling.start(SETTLE, now=False)

    def stopService(self) -> Deferred[None]:
        """
        Nothing more happens.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        if self._settling.running:
            self._settling.stop()
        return succeed(None)

    # ------------------------------------------------------------ IRegistry

    @property
    def available(self) -> bool:
        """
        See `IRegistry`.
        """
        return True

    def register(
        self, record: Record, secret: str | None, proven: bytes | None = None
    ) -> Deferred[Registration]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.register, record, secret, proven)

    def owned(self, peer_id: str, secret: str | None) -> Deferred[Record]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.owned, peer_id, secret)

    def unregister(self, peer_id: str, secret: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.unregister, peer_id, secret)

    def lookup(self, peer_id: str) -> Deferred[Record]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.lookup, peer_id)

    def listing(
        self, room: str | None, after: int = 0, limit: int | None = None
    ) -> Deferred[Sequence[Record]]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.listing, room, after, limit)

    def named(self, room: str | None, name: str) -> Deferred[Sequence[Record]]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.named, room, name)

    def census(self) -> Deferred[Census]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.census)

    def associate(self, peer_id: str, seen: Address) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.associate, peer_id, seen)

    def renew(self, peer_id: str, seen: Address) -> Deferred[None]:
        """
        See `IRegistry`.  There is no other daemon to be associated with.
        """
        return maybeDeferred(self._roll.associate, peer_id, seen)

    def dissociate(self, peer_id: str) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.dissociate, peer_id)

    def set_away(self, peer_id: str, away: bool) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.set_away, peer_id, away)

    def enter(self, peer_id: str, room: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.enter, peer_id, room)

    def open_room(self, room: Room, secret: str) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.open_room, room, secret)

    def room(self, name: str) -> Deferred[Room]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.room, name)

    def close_room(self, name: str, secret: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._roll.close_room, name, secret)

    def spend(self, nonce: str, seconds: float) -> Deferred[bool]:
        """
        See `IRegistry`.
        """
        return succeed(self._nonces.spend(nonce, seconds))
