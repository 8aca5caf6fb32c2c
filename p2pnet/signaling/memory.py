"""
A registry that lives as long as its process.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from p2pnet.interfaces import Address, IRegistry
from p2pnet.signaling.records import (
    MIN_SECRET,
    NotOwner,
    Record,
    Registration,
    RegistryFull,
    UnknownPeer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORGOTTEN_AT_ONCE: Final = 64
"""Ended registrations dropped per call: many may end together, and no call should pay for all."""


@dataclass(slots=True)
class _Entry:
    username: str
    host: str
    port: int
    secret: bytes
    """SHA-256 of it: a copy of this memory gives nobody's registration away."""
    last_seen: float = 0.0
    lease_ends: float = 0.0
    observed: Address | None = None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "replace")).digest()


@implementer(IRegistry)
class MemoryRegistry:
    """
    Registrations in a dict, their leases in order of ending.

    :param clock: monotonic seconds.
    :param lease: seconds a registration is online without a refresh.
    :param retention: seconds for which an ended registration keeps its id from others.
    :param limit: registrations, online or retained.
    :param secret: a new unguessable string each time.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        lease: float = 60.0,
        retention: float = 600.0,
        limit: int = 10_000,
        secret: Callable[[], str],
    ) -> None:
        self._clock = clock
        self._lease = lease
        self._retention = retention
        self._limit = limit
        self._secret = secret
        self._entries: dict[str, _Entry] = {}
        # All leases are equally long, so the one renewed longest ago ends first.
        self._by_renewal: OrderedDict[str, None] = OrderedDict()

    def register(self, record: Record, secret: str | None) -> Deferred[Registration]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._register, record, secret)

    def owned(self, peer_id: str, secret: str | None) -> Deferred[Record]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._owned, peer_id, secret)

    def unregister(self, peer_id: str, secret: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._unregister, peer_id, secret)

    def observe(self, peer_id: str, endpoint: Address | None) -> Deferred[None]:
        """
        See `IRegistry`.  To be seen somewhere renews the lease; to be gone does not end it.
        """
        return maybeDeferred(self._observe, peer_id, endpoint)

    def lookup(self, peer_id: str) -> Deferred[Record]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._lookup, peer_id)

    def listing(self) -> Deferred[Sequence[Record]]:
        """
        See `IRegistry`.
        """
        return maybeDeferred(self._listing)

    def _register(self, record: Record, secret: str | None) -> Registration:
        now = self._clock()
        self._forget(now)
        entry = self._known(record.peer_id, now)
        is_new, told = entry is None, None
        if entry is None:
            self._drop(record.peer_id)
            if len(self._entries) >= self._limit:
                raise RegistryFull
            if secret is None or len(secret) < MIN_SECRET:
                secret = told = self._secret()
            entry = _Entry(record.username, record.host, record.port, _digest(secret))
            self._entries[record.peer_id] = entry
        else:
            self._check(entry, secret)
            entry.username, entry.host, entry.port = record.username, record.host, record.port
        self._renew(record.peer_id, entry, now)
        return Registration(self._record(record.peer_id, entry, now), is_new, told)

    def _owned(self, peer_id: str, secret: str | None) -> Record:
        now = self._clock()
        entry = self._find(peer_id, now)
        self._check(entry, secret)
        return self._record(peer_id, entry, now)

    def _unregister(self, peer_id: str, secret: str | None) -> None:
        self._owned(peer_id, secret)
        self._drop(peer_id)

    def _observe(self, peer_id: str, endpoint: Address | None) -> None:
        now = self._clock()
        entry = self._find(peer_id, now)
        entry.observed = endpoint
        if endpoint is not None:
            self._renew(peer_id, entry, now)

    def _lookup(self, peer_id: str) -> Record:
        now = self._clock()
        return self._record(peer_id, self._find(peer_id, now), now)

    def _listing(self) -> list[Record]:
        now = self._clock()
        return [
            self._record(peer_id, entry, now)
            for peer_id, entry in self._entries.items()
            if not self._is_over(entry, now)
        ]

    def _find(self, peer_id: str, now: float) -> _Entry:
        entry = self._known(peer_id, now)
        if entry is None:
            raise UnknownPeer
        return entry

    def _known(self, peer_id: str, now: float) -> _Entry | None:
        entry = self._entries.get(peer_id)
        return None if entry is None or self._is_over(entry, now) else entry

    def _is_over(self, entry: _Entry, now: float) -> bool:
        return entry.lease_ends + self._retention <= now

    def _check(self, entry: _Entry, secret: str | None) -> None:
        if secret is None or not hmac.compare_digest(entry.secret, _digest(secret)):
            raise NotOwner

    def _renew(self, peer_id: str, entry: _Entry, now: float) -> None:
        entry.last_seen = now
        entry.lease_ends = now + self._lease
        self._by_renewal[peer_id] = None
        self._by_renewal.move_to_end(peer_id)

    def _drop(self, peer_id: str) -> None:
        self._entries.pop(peer_id, None)
        self._by_renewal.pop(peer_id, None)

    def _forget(self, now: float) -> None:
        for _ in range(FORGOTTEN_AT_ONCE):
            oldest = next(iter(self._by_renewal), None)
            if oldest is None or not self._is_over(self._entries[oldest], now):
                return
            self._drop(oldest)

    def _record(self, peer_id: str, entry: _Entry, now: float) -> Record:
        return Record(
            peer_id,
            entry.username,
            entry.host,
            entry.port,
            entry.last_seen,
            now < entry.lease_ends,
            entry.observed,
        )
