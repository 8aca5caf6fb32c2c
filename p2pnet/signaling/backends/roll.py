"""
The registrations and rooms of one daemon, in its memory.  Knows nothing of Deferreds or files.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from p2pnet.signaling.backends.index import Index
from p2pnet.signaling.identity import id_of_key
from p2pnet.signaling.records import (
    MIN_SECRET,
    Census,
    NotOwner,
    Record,
    Registration,
    RegistryFull,
    Room,
    RoomTaken,
    UnknownPeer,
    UnknownRoom,
)
from p2pnet.signaling.secrets import digest, is_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.interfaces import Address
    from p2pnet.signaling.feed import Feed

FORGOTTEN_AT_ONCE: Final = 64
"""Ended registrations dropped per call: many may end together, and no call should pay for all."""
ROOM_RETENTION: Final = 86_400.0
"""Seconds for which a room outlives its last member."""


@dataclass(slots=True)
class Entry:
    """
    A registration.

    :ivar record: as it last changed; that its lease has ended may not have been noticed yet.
    :ivar secret: digest of its owner's: a copy of this memory gives nobody's registration away.
    :ivar renewed: when its lease began, in seconds of the clock.
    """

    record: Record
    secret: bytes
    renewed: float


@dataclass(slots=True)
class RoomEntry:
    """
    A room.

    :ivar secret: digest of its owner's.
    :ivar used: when somebody was last seen to be in it, in seconds of the clock.
    """

    room: Room
    secret: bytes
    used: float


class Roll:
    """
    Registrations in a dict, their leases in order of ending.

    Methods raise and mean what those of `p2pnet.interfaces.IRegistry` do.

    :param clock: monotonic seconds.
    :param wall: Unix seconds.
    :param feed: is told of what changes.
    :param node: our own name.
    :param lease: seconds a registration is online without a renewal.
    :param retention: seconds for which an ended registration keeps its id from others.
    :param limit: registrations, online or retained; rooms, too.
    :param secret: a new unguessable string each time.
    :ivar touched: told of each peer whose entry is new, different, renewed or gone.
    :ivar room_touched: and of each room.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        wall: Callable[[], float],
        feed: Feed,
        *,
        node: str,
        lease: float,
        retention: float,
        limit: int,
        secret: Callable[[], str],
    ) -> None:
        self.touched: Callable[[str], None] = lambda peer_id: None
        self.room_touched: Callable[[str], None] = lambda name: None
        self._clock = clock
        self._wall = wall
        self._feed = feed
        self._node = node
        self._lease = lease
        self._retention = retention
        self._limit = limit
        self._secret = secret
        self._last = 0
        """Number of the newest registration."""
        self._entries: dict[str, Entry] = {}
        self._rooms: dict[str, RoomEntry] = {}
        self._index = Index()
        # All leases are equally long, so the one renewed longest ago ends first.
        self._running: OrderedDict[str, None] = OrderedDict()
        """Whose lease has not ended, as far as we have noticed."""
        self._by_renewal: OrderedDict[str, None] = OrderedDict()

    # ------------------------------------------------------------ registrations

    def register(self, record: Record, secret: str | None, proven: bytes | None) -> Registration:
        """
        See `IRegistry`.
        """
        now = self._settled()
        peer_id = record.peer_id
        entry, told = self._known(peer_id), None
        if record.room is not None and record.room not in self._rooms:
            raise UnknownRoom
        if entry is not None and not self._is_owner(entry, secret, proven):
            if proven is None or id_of_key(proven) != peer_id:
                raise NotOwner
            self._drop(peer_id)
            entry = None
        is_new = entry is None
        if entry is None:
            if len(self._entries) >= self._limit:
                raise RegistryFull
            secret, told = self._chosen(secret)
            self._last += 1
            entry = Entry(replace(record, key=proven, number=self._last), digest(secret), now)
            self._entries[peer_id] = entry
            self._renew(entry, now, changed=True)
            return Registration(entry.record, is_new, told)
        if not is_secret(secret, entry.secret):
            secret, told = self._chosen(secret)
            entry.secret = digest(secret)
        moved = record.room not in (None, entry.record.room)
        if moved:
            self._move(entry, record.room)
        before = entry.record
        entry.record = replace(
            before,
            username=record.username,
            host=record.host,
            port=record.port,
            key=before.key or proven,
        )
        self._renew(entry, now, changed=moved or entry.record != before)
        return Registration(entry.record, is_new, told)

    def owned(self, peer_id: str, secret: str | None) -> Record:
        """
        See `IRegistry`.
        """
        self._settled()
        entry = self._known(peer_id)
        fits = is_secret(secret, None if entry is None else entry.secret)
        if entry is None:
            raise UnknownPeer
        if not fits:
            raise NotOwner
        return entry.record

    def unregister(self, peer_id: str, secret: str | None) -> None:
        """
        See `IRegistry`.
        """
        self.owned(peer_id, secret)
        self._drop(peer_id)

    def lookup(self, peer_id: str) -> Record:
        """
        See `IRegistry`.
        """
        self._settled()
        return self._find(peer_id).record

    def listing(self, room: str | None, after: int, limit: int | None) -> list[Record]:
        """
        See `IRegistry`.
        """
        self._settled()
        return self._index.listing(room, after, limit)

    def named(self, room: str | None, name: str) -> list[Record]:
        """
        See `IRegistry`.
        """
        self._settled()
        return self._index.named(room, name)

    def census(self) -> Census:
        """
        See `IRegistry`.
        """
        self._settled()
        index = self._index
        return Census(len(index), index.online, index.associated, len(self._rooms))

    def associate(self, peer_id: str, seen: Address) -> None:
        """
        See `IRegistry`.
        """
        now = self._settled()
        entry = self._find(peer_id)
        before = entry.record
        entry.record = replace(before, observed=seen, node=self._node)
        self._renew(entry, now, changed=entry.record != before)

    def dissociate(self, peer_id: str) -> None:
        """
        See `IRegistry`.
        """
        self._settled()
        entry = self._known(peer_id)
        if entry is not None and entry.record.observed is not None:
            entry.record = replace(entry.record, observed=None, node="")
            self._changed(entry)

    def set_away(self, peer_id: str, away: bool) -> None:
        """
        See `IRegistry`.
        """
        self._settled()
        entry = self._find(peer_id)
        if entry.record.away != away:
            entry.record = replace(entry.record, away=away)
            self._changed(entry)

    def enter(self, peer_id: str, room: str | None) -> None:
        """
        See `IRegistry`.
        """
        self._settled()
        entry = self._find(peer_id)
        if room is not None and room not in self._rooms:
            raise UnknownRoom
        if entry.record.room != room:
            self._move(entry, room)
            self._changed(entry)

    # ------------------------------------------------------------ rooms

    def open_room(self, room: Room, secret: str) -> None:
        """
        See `IRegistry`.
        """
        now = self._settled()
        if room.name in self._rooms:
            raise RoomTaken
        if len(self._rooms) >= self._limit:
            raise RegistryFull
        self._rooms[room.name] = RoomEntry(room, digest(secret), now)
        self.room_touched(room.name)

    def room(self, name: str) -> Room:
        """
        See `IRegistry`.
        """
        self._settled()
        entry = self._rooms.get(name)
        if entry is None:
            raise UnknownRoom
        return entry.room

    def close_room(self, name: str, secret: str | None) -> None:
        """
        See `IRegistry`.
        """
        self._settled()
        entry = self._rooms.get(name)
        fits = is_secret(secret, None if entry is None else entry.secret)
        if entry is None:
            raise UnknownRoom
        if not fits:
            raise NotOwner
        for record in self._index.listing(name, 0, None):
            member = self._entries[record.peer_id]
            self._move(member, None)
            self._changed(member)
        del self._rooms[name]
        self.room_touched(name)

    # ------------------------------------------------------------ for who keeps a copy

    def entry(self, peer_id: str) -> Entry | None:
        """
        The entry of a peer, if there is one.
        """
        return self._entries.get(peer_id)

    def room_entry(self, name: str) -> RoomEntry | None:
        """
        The entry of a room, if there is one.
        """
        return self._rooms.get(name)

    def restore_room(self, entry: RoomEntry) -> None:
        """
        Take in what was kept of a room; before its members.
        """
        self._rooms[entry.room.name] = entry

    def restore(self, entries: list[Entry]) -> None:
        """
        Take in what was kept of registrations, after that of rooms, when there are none yet.
        """
        for entry in entries:
            if entry.record.room is not None and entry.record.room not in self._rooms:
                entry.record = replace(entry.record, room=None)
            self._entries[entry.record.peer_id] = entry
        for entry in sorted(entries, key=lambda each: each.record.number):
            self._index.put(entry.record)
            self._last = entry.record.number
        for entry in sorted(entries, key=lambda each: each.renewed):
            self._by_renewal[entry.record.peer_id] = None
            if entry.record.online:
                self._running[entry.record.peer_id] = None

    def settle(self) -> None:
        """
        Notice which leases have ended by now.
        """
        self._settled()

    # ------------------------------------------------------------ inside

    def _settled(self) -> float:
        now = self._clock()
        while self._running:
            entry = self._entries[next(iter(self._running))]
            if now < entry.renewed + self._lease:
                break
            self._running.popitem(last=False)
            entry.record = replace(entry.record, online=False)
            self._changed(entry)
        for _ in range(FORGOTTEN_AT_ONCE):
            oldest = next(iter(self._by_renewal), None)
            if oldest is None or not self._is_over(self._entries[oldest], now):
                break
            self._drop(oldest)
        for _ in range(FORGOTTEN_AT_ONCE):
            room = next(iter(self._rooms.values()), None)
            if room is None or now < room.used + ROOM_RETENTION:
                break
            # The longest unused one stands first, unless somebody is in it.
            del self._rooms[room.room.name]
            if self._index.inside(room.room.name):
                room.used = now
                self._rooms[room.room.name] = room
            self.room_touched(room.room.name)
        return now

    def _is_over(self, entry: Entry, now: float) -> bool:
        return entry.renewed + self._lease + self._retention <= now

    def _known(self, peer_id: str) -> Entry | None:
        entry = self._entries.get(peer_id)
        return None if entry is None or self._is_over(entry, self._clock()) else entry

    def _find(self, peer_id: str) -> Entry:
        entry = self._known(peer_id)
        if entry is None:
            raise UnknownPeer
        return entry

    def _is_owner(self, entry: Entry, secret: str | None, proven: bytes | None) -> bool:
        key = entry.record.key
        if proven is not None and key is not None:
            # Not even who has the secret binds it to another key.
            return proven == key
        return is_secret(secret, entry.secret)

    def _chosen(self, secret: str | None) -> tuple[str, str | None]:
        """
        A secret for a registration, and what its owner is to be told of it.
        """
        if secret is not None and len(secret) >= MIN_SECRET:
            return secret, None
        made = self._secret()
        return made, made

    def _move(self, entry: Entry, room: str | None) -> None:
        """
        Bring it into another room; who is left behind is told.
        """
        before = entry.record
        self._index.drop(before.peer_id)
        self._feed.publish(before, gone=True)
        # Order of registration is what listings are read on by.
        self._last += 1
        entry.record = replace(before, room=room, number=self._last)
        if before.room is not None:
            self._use(before.room)

    def _use(self, room: str) -> None:
        entry = self._rooms.pop(room)
        entry.used = self._clock()
        self._rooms[room] = entry
        self.room_touched(room)

    def _renew(self, entry: Entry, now: float, *, changed: bool) -> None:
        entry.renewed = now
        changed = changed or not entry.record.online
        entry.record = replace(entry.record, last_seen=self._wall(), online=True)
        peer_id = entry.record.peer_id
        for order in (self._running, self._by_renewal):
            order[peer_id] = None
            order.move_to_end(peer_id)
        if changed:
            self._changed(entry)
        else:
            self._index.put(entry.record)
            self.touched(peer_id)

    def _changed(self, entry: Entry) -> None:
        self._index.put(entry.record)
        self.touched(entry.record.peer_id)
        self._feed.publish(entry.record)

    def _drop(self, peer_id: str) -> None:
        entry = self._entries.pop(peer_id)
        self._by_renewal.pop(peer_id, None)
        self._running.pop(peer_id, None)
        self._index.drop(peer_id)
        if entry.record.room is not None:
            self._use(entry.record.room)
        entry.record = replace(entry.record, observed=None, online=False, node="")
        self.touched(peer_id)
        self._feed.publish(entry.record, gone=True, removed=True)
