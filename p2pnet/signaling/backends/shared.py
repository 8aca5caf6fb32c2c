"""
A registry that several daemons share, over something that runs scripts at one stroke and passes on
what is said: Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from p2pnet.interfaces import Address, IBus, IRegistry
from p2pnet.signaling.backends import scripts
from p2pnet.signaling.backends.memory import SETTLE
from p2pnet.signaling.backends.replica import Replica, record_of
from p2pnet.signaling.backends.store import Link, Linked, Reply, Store
from p2pnet.signaling.feed import Feed
from p2pnet.signaling.identity import id_of_key
from p2pnet.signaling.records import (
    MIN_SECRET,
    Census,
    NotOwner,
    Record,
    Registration,
    RegistryUnavailable,
    Room,
)
from p2pnet.signaling.secrets import digest, is_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.signaling.backends.memory import Terms

AT_ONCE: Final = 256
"""Registrations restored at once, so that others are answered in between."""


@implementer(IRegistry, IBus)
class SharedRegistry(Service):
    """
    Each operation is one script; listings come from a `Replica`.

    When the store comes back after an outage, whatever it has forgotten of the peers that are
    associated with us is restored, and their leases begin anew.

    :param link: made with what is to use it, and the channels that it listens to.
    :param clock: for timers; monotonic.
    :param wall: Unix seconds.
    :param node: a name that no other daemon has.
    """

    _log = Logger()

    def __init__(
        self,
        link: Callable[[Linked, Sequence[str]], Link],
        clock: IReactorTime,
        wall: Callable[[], float],
        terms: Terms,
        node: str,
    ) -> None:
        self.node: str = node
        self.key: bytes = terms.key
        self.lease: float = terms.lease
        self.feed = Feed(int(wall() * 1000))
        self._terms = terms
        self._link = link(self, ("changes", f"node:{node}"))
        self._replica = Replica(self.feed)
        self._store = Store(self._link, self._replica)
        self._was_linked = False
        self._listener: Callable[[str, bytes], None] = lambda node, message: None
        self._associated: set[str] = set()
        """Whose association we hold."""
        self._parted: set[str] = set()
        """Whose association has ended while nobody could be told."""
        self._incomplete = False
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = clock

    # ------------------------------------------------------------ Service

    def startService(self) -> None:
        """
        Connect.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._link.startService()
        self._sweeping.start(SETTLE, now=False)

    def stopService(self) -> Deferred[None]:
        """
        Disconnect.  Whoever is associated with us is not any more.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        if self._sweeping.running:
            self._sweeping.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for peer_id in list(self._associated):
            try:
                await self.dissociate(peer_id)
            except RegistryUnavailable:
                break
        await self._link.stopService()

    # ------------------------------------------------------------ Linked

    def linked(self) -> Deferred[None]:
        """
        See `Linked`.
        """
        return Deferred.fromCoroutine(self._linked())

    def unlinked(self) -> None:
        """
        See `Linked`.
        """
        if self._store.available and self.running:
            self._log.warn("the registry cannot be reached any more")
        self._store.available = False
        self._replica.unload()

    def heard(self, channel: str, data: bytes) -> None:
        """
        See `Linked`.
        """
        if channel == "changes":
            try:
                self._replica.hear(data)
            except ValueError as error:
                self._log.error("not understood: {error}", error=error)
        else:
            sender, _, message = data.partition(b"\n")
            self._listener(sender.decode("ascii", "replace"), message)

    async def _linked(self) -> None:
        self._replica.unload()
        key = await self._link.evaluate(scripts.KEY, (self._terms.key.hex().encode(),))
        self.key = bytes.fromhex(key.decode())
        for peer_id in list(self._parted):
            await self._store.run(scripts.DISSOCIATE, peer_id, self.node)
            self._parted.discard(peer_id)
        associated = sorted(self._associated)
        for start in range(0, len(associated), AT_ONCE):
            await gatherResults(
                [
                    Deferred.fromCoroutine(self._restore(peer_id))
                    for peer_id in associated[start : start + AT_ONCE]
                ],
                consumeErrors=True,
            )
        # Numbers go on growing even if the store has forgotten how far they were.
        last = str(self.feed.sequence if self._was_linked else 0).encode()
        self._replica.load(await self._link.evaluate(scripts.SNAPSHOT, (last,)))
        self._was_linked = True
        self._store.available = True
        self._log.info("the registry is there: {count} peers", count=len(self._replica.index))

    async def _restore(self, peer_id: str) -> None:
        row = self._replica.rows.get(peer_id)
        if row is None or row.w != self.node:
            # It is another's by now, as its next renewal will find out.
            return
        lock, secret = self._replica.rooms.get(row.r, ("", ""))
        arguments = (msgspec.json.encode(row), *self._leases(), lock.encode(), secret.encode())
        await self._link.evaluate(scripts.RESTORE, arguments)

    # ------------------------------------------------------------ IBus

    def send(self, node: str, message: bytes) -> Deferred[bool]:
        """
        See `IBus`.
        """
        said = self._link.publish(f"node:{node}", self.node.encode() + b"\n" + message)
        return said.addCallbacks(bool, lambda failure: failure.trap(RegistryUnavailable) is None)

    def listen(self, listener: Callable[[str, bytes], None]) -> None:
        """
        See `IBus`.
        """
        self._listener = listener

    # ------------------------------------------------------------ IRegistry

    @property
    def available(self) -> bool:
        """
        See `IRegistry`.
        """
        return self._store.available

    def register(
        self, record: Record, secret: str | None, proven: bytes | None = None
    ) -> Deferred[Registration]:
        """
        See `IRegistry`.
        """
        return Deferred.fromCoroutine(self._register(record, secret, proven))

    async def _register(
        self, record: Record, secret: str | None, proven: bytes | None
    ) -> Registration:
        made = self._terms.secret()
        given = "" if secret is None else digest(secret).hex()
        derived = proven is not None and id_of_key(proven) == record.peer_id
        reply = await self._store.call(
            scripts.REGISTER,
            record.peer_id,
            record.username,
            record.host,
            str(record.port),
            record.room or "",
            given,
            given if secret is not None and len(secret) >= MIN_SECRET else "",
            digest(made).hex(),
            "" if proven is None else proven.hex(),
            "1" if derived else "",
            *self._leases(),
            str(self._terms.limit),
        )
        return Registration(_record(reply), bool(reply.n), made if reply.m else None)

    def owned(self, peer_id: str, secret: str | None) -> Deferred[Record]:
        """
        See `IRegistry`.
        """
        return Deferred.fromCoroutine(self._owned(peer_id, secret))

    async def _owned(self, peer_id: str, secret: str | None) -> Record:
        reply = await self._store.call(scripts.LOOKUP, peer_id)
        if reply.r is None or not is_secret(secret, bytes.fromhex(reply.r.d)):
            raise NotOwner
        return _record(reply)

    def unregister(self, peer_id: str, secret: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        given = "" if secret is None else digest(secret).hex()
        return self._done(scripts.UNREGISTER, peer_id, given)

    def lookup(self, peer_id: str) -> Deferred[Record]:
        """
        See `IRegistry`.
        """
        found = Deferred.fromCoroutine(self._store.call(scripts.LOOKUP, peer_id))
        return found.addCallback(_record)

    def listing(
        self, room: str | None, after: int = 0, limit: int | None = None
    ) -> Deferred[Sequence[Record]]:
        """
        See `IRegistry`.
        """
        return self._store.known(lambda: self._replica.index.listing(room, after, limit))

    def named(self, room: str | None, name: str) -> Deferred[Sequence[Record]]:
        """
        See `IRegistry`.
        """
        return self._store.known(lambda: self._replica.index.named(room, name))

    def census(self) -> Deferred[Census]:
        """
        See `IRegistry`.
        """
        index, rooms = self._replica.index, self._replica.rooms
        return self._store.known(
            lambda: Census(len(index), index.online, index.associated, len(rooms))
        )

    def associate(self, peer_id: str, seen: Address) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return Deferred.fromCoroutine(self._associate(peer_id, seen, arriving=True))

    def renew(self, peer_id: str, seen: Address) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return Deferred.fromCoroutine(self._associate(peer_id, seen, arriving=False))

    async def _associate(self, peer_id: str, seen: Address, *, arriving: bool) -> None:
        host, port = seen
        await self._store.call(
            scripts.ASSOCIATE,
            peer_id,
            f"{host} {port}",
            self.node,
            "1" if arriving else "",
            *self._leases(),
        )
        self._associated.add(peer_id)
        self._parted.discard(peer_id)

    def dissociate(self, peer_id: str) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return Deferred.fromCoroutine(self._dissociate(peer_id))

    async def _dissociate(self, peer_id: str) -> None:
        self._associated.discard(peer_id)
        try:
            await self._store.call(scripts.DISSOCIATE, peer_id, self.node)
        except RegistryUnavailable:
            self._parted.add(peer_id)
            raise

    def set_away(self, peer_id: str, away: bool) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return self._done(scripts.SET_AWAY, peer_id, "1" if away else "")

    def enter(self, peer_id: str, room: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return self._done(scripts.ENTER, peer_id, room or "")

    def open_room(self, room: Room, secret: str) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        limit = str(self._terms.limit)
        return self._done(scripts.OPEN_ROOM, room.name, room.lock, digest(secret).hex(), limit)

    def room(self, name: str) -> Deferred[Room]:
        """
        See `IRegistry`.
        """
        found = Deferred.fromCoroutine(self._store.call(scripts.ROOM, name))
        return found.addCallback(lambda reply: Room(name, reply.k))

    def close_room(self, name: str, secret: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return self._done(scripts.CLOSE_ROOM, name, "" if secret is None else digest(secret).hex())

    def spend(self, nonce: str, seconds: float) -> Deferred[bool]:
        """
        See `IRegistry`.
        """
        return Deferred.fromCoroutine(self._spend(nonce, seconds))

    async def _spend(self, nonce: str, seconds: float) -> bool:
        self._store.check()
        milliseconds = str(int(seconds * 1000)).encode()
        return bool(await self._link.evaluate(scripts.SPEND, (nonce.encode(), milliseconds)))

    # ------------------------------------------------------------ inside

    def _done(self, script: bytes, *arguments: str) -> Deferred[None]:
        done = Deferred.fromCoroutine(self._store.call(script, *arguments))
        return done.addCallback(lambda _: None)

    def _leases(self) -> tuple[bytes, bytes]:
        """
        Milliseconds for which a lease runs, and for which a registration is kept.
        """
        terms = self._terms
        lease, keep = terms.lease * 1000, (terms.lease + terms.retention) * 1000
        return str(int(lease)).encode(), str(int(keep)).encode()

    def sweep(self) -> Deferred[None]:
        """
        Have all daemons told of the leases that have ended by now.  Any of them may do it.
        """
        return self._done(scripts.SWEEP)

    def _sweep(self) -> Deferred[None] | None:
        if not self._store.available:
            return None
        if self._replica.incomplete and self._incomplete:
            self._log.warn("a change was missed; reading all of them again")
            self._link.drop()
        self._incomplete = self._replica.incomplete
        return self.sweep().addErrback(self._unswept)

    def _unswept(self, failure: Failure) -> None:
        if not failure.check(RegistryUnavailable):
            self._log.failure("sweeping", failure)


def _record(reply: Reply) -> Record:
    assert reply.r is not None
    return record_of(reply.r)
