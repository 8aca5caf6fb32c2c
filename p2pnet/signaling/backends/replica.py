"""
What a daemon knows of a registry that it shares, kept up to date by what is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from twisted.internet.defer import Deferred

from p2pnet.signaling.backends.index import Index
from p2pnet.signaling.records import Change, Record

if TYPE_CHECKING:
    from p2pnet.interfaces import Address
    from p2pnet.signaling.feed import Feed


class Row(msgspec.Struct):
    """
    A registration, as `p2pnet.signaling.backends.scripts` has it.
    """

    i: str
    u: str
    h: str
    p: str
    r: str
    k: str
    a: str
    n: str
    s: str
    o: str
    w: str
    d: str
    l: str = ""  # noqa: E741  # the name that it has there


class _Said(msgspec.Struct):
    """
    One message: a numbered change (q, g, x, r), a renewal (i, s), a room opened (o, k, d) or closed
    (c).
    """

    q: str = ""
    g: str = ""
    x: str = ""
    r: Row | None = None
    i: str = ""
    s: str = ""
    o: str = ""
    k: str = ""
    d: str = ""
    c: str = ""


class _Snapshot(msgspec.Struct):
    """
    Everything at one moment: the sequence, the peers and the rooms.
    """

    q: str
    p: list[Row]
    m: list[_Said]


class Replica:
    """
    Changes come twice, in the answer to who has made them and to everybody, and those of several
    daemons in any order.  They are applied once, and in the order of their numbers.

    :param feed: is told of them.
    :ivar index: who there is.
    :ivar rooms: by name: the lock, and the digest of the owner's secret in hexadecimal digits.
    :ivar rows: what is known of each peer, its secret's digest included.
    """

    def __init__(self, feed: Feed) -> None:
        self.index = Index()
        self.rooms: dict[str, tuple[str, str]] = {}
        self.rows: dict[str, Row] = {}
        self._feed = feed
        self._loaded = False
        self._early: list[_Said] = []
        """Heard before the snapshot that it may or may not be in."""
        self._ahead: dict[int, _Said] = {}
        """Changes whose predecessors have yet to come."""
        self._waiting: list[tuple[int, Deferred[None]]] = []

    @property
    def incomplete(self) -> bool:
        """
        Some change has yet to come whose successors are here.
        """
        return bool(self._ahead)

    def unload(self) -> None:
        """
        From now on changes may be missed.
        """
        self._loaded = False
        self._early.clear()
        self._ahead.clear()
        waiting, self._waiting = self._waiting, []
        for _, each in waiting:
            each.callback(None)

    def load(self, data: bytes) -> None:
        """
        All there is.
        """
        snapshot = msgspec.json.decode(data, type=_Snapshot)
        self.index.clear()
        self.rows = {row.i: row for row in snapshot.p}
        for row in snapshot.p:
            self.index.put(record_of(row))
        self.rooms = {each.o: (each.k, each.d) for each in snapshot.m}
        self._loaded = True
        sequence = int(snapshot.q)
        if sequence != self._feed.sequence:
            self._feed.break_off(sequence)
        early, self._early = self._early, []
        for said in early:
            self._take(said)

    def hear(self, data: bytes | str) -> int:
        """
        One message.

        :return: the number of the change, 0 for none.
        """
        said = msgspec.json.decode(data, type=_Said)
        if not self._loaded:
            self._early.append(said)
            return 0
        self._take(said)
        return int(said.q or 0)

    def reached(self, sequence: int) -> Deferred[None]:
        """
        Fires when all changes up to that one have been applied.
        """
        reached: Deferred[None] = Deferred()
        if not self._loaded or sequence <= self._feed.sequence:
            reached.callback(None)
        else:
            self._waiting.append((sequence, reached))
        return reached

    def _take(self, said: _Said) -> None:
        if said.q:
            if int(said.q) > self._feed.sequence:
                self._ahead[int(said.q)] = said
                self._apply()
        elif said.o:
            self.rooms[said.o] = said.k, said.d
        elif said.c:
            self.rooms.pop(said.c, None)
        else:
            record = self.index.get(said.i)
            if record is not None:
                self.rows[said.i].s = said.s
                self.index.put(replace(record, last_seen=float(said.s)))

    def _apply(self) -> None:
        while (said := self._ahead.pop(self._feed.sequence + 1, None)) is not None:
            row = said.r
            assert row is not None
            record = record_of(row)
            if said.g:
                self.index.drop(row.i)
                self.rows.pop(row.i, None)
            else:
                self.index.put(record)
                self.rows[row.i] = row
            self._feed.append(Change(int(said.q), record, bool(said.g), bool(said.x)))
        still = []
        for sequence, waiting in self._waiting:
            if sequence <= self._feed.sequence:
                waiting.callback(None)
            else:
                still.append((sequence, waiting))
        self._waiting = still


def record_of(row: Row) -> Record:
    """
    A row as everybody else knows it.
    """
    observed: Address | None = None
    if row.o:
        host, _, port = row.o.partition(" ")
        observed = host, int(port)
    return Record(
        row.i,
        row.u,
        row.h,
        int(row.p),
        float(row.s),
        bool(row.l),
        observed,
        row.r or None,
        bytes.fromhex(row.k) if row.k else None,
        bool(row.a),
        row.w,
        int(row.n),
    )
