"""
Records by id, by room and by name.  Pure.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from p2pnet.signaling.whom import names_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pnet.signaling.records import Record

K = TypeVar("K")


class Index:
    """
    Finds records without looking at all of them.

    Within a room they stand in the order in which they came, which is to be that of
    `Record.number`.
    """

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._rooms: dict[str | None, dict[str, Record]] = {}
        self._names: dict[tuple[str | None, str], dict[str, Record]] = {}
        self._associated = 0
        self._online = 0

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    @property
    def online(self) -> int:
        """
        How many have a lease that has not ended.
        """
        return self._online

    @property
    def associated(self) -> int:
        """
        How many have a UDP association.
        """
        return self._associated

    def get(self, peer_id: str) -> Record | None:
        """
        The record of that peer, if there is one.
        """
        return self._records.get(peer_id)

    def put(self, record: Record) -> None:
        """
        Add a record, or put it in the place of the peer's last one.
        """
        peer_id, room = record.peer_id, record.room
        before = self._records.get(peer_id)
        if before is not None:
            self._count(before, -1)
            if before.room != room or before.number != record.number:
                _remove(self._rooms, before.room, peer_id)
            if (before.room, before.username) != (room, record.username):
                for name in names_of(before.username):
                    _remove(self._names, (before.room, name), peer_id)
        self._count(record, 1)
        self._records[peer_id] = record
        self._rooms.setdefault(room, {})[peer_id] = record
        for name in names_of(record.username):
            self._names.setdefault((room, name), {})[peer_id] = record

    def drop(self, peer_id: str) -> Record | None:
        """
        Remove a record, if it is there.
        """
        record = self._records.pop(peer_id, None)
        if record is not None:
            self._count(record, -1)
            _remove(self._rooms, record.room, peer_id)
            for name in names_of(record.username):
                _remove(self._names, (record.room, name), peer_id)
        return record

    def clear(self) -> None:
        """
        Remove all.
        """
        self._records.clear()
        self._rooms.clear()
        self._names.clear()
        self._associated = self._online = 0

    def inside(self, room: str | None) -> int:
        """
        How many are in a room.
        """
        return len(self._rooms.get(room, ()))

    def listing(self, room: str | None, after: int, limit: int | None) -> list[Record]:
        """
        As `IRegistry.listing`.
        """
        records = self._rooms.get(room, {}).values()
        if after <= 0:
            return list(islice(records, limit))
        return list(islice((each for each in records if each.number > after), limit))

    def named(self, room: str | None, name: str) -> list[Record]:
        """
        As `IRegistry.named`.
        """
        return list(self._names.get((room, name), {}).values())

    def _count(self, record: Record, sign: int) -> None:
        self._online += sign * record.online
        self._associated += sign * (record.observed is not None)


def _remove(index: dict[K, dict[str, Record]], key: K, peer_id: str) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(peer_id, None)
        if not found:
            del index[key]
