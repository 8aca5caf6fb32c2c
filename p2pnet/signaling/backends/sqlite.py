"""
A registry that survives its process: one that lives in memory, and a copy of it in a file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from p2pnet.signaling.backends.memory import MemoryRegistry
from p2pnet.signaling.backends.roll import Entry, RoomEntry
from p2pnet.signaling.records import Record, RegistryUnavailable, Room

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.signaling.backends.memory import Terms
    from p2pnet.signaling.records import Registration

APPLICATION: Final = 0x70327031
"""What marks a database of ours (SQLite, "PRAGMA application_id"): ``p2p1``."""
WRITE_BEHIND: Final = 5.0
"""Seconds within which a renewed lease is written; who only stays loses nothing by it."""
BUSY: Final = 5.0
"""Seconds to wait for whoever reads the file, such as a backup."""

_PEERS: Final = (
    "peer_id",
    "username",
    "host",
    "port",
    "room",
    "key",
    "away",
    "number",
    "last_seen",
    "secret",
)
_ROOMS: Final = ("name", "lock", "secret", "used")
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS peers ({", ".join(_PEERS)}, PRIMARY KEY (peer_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rooms ({", ".join(_ROOMS)}, PRIMARY KEY (name)) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
"""

T = TypeVar("T")
_Statement = tuple[str, tuple[Any, ...]]


class Writer(Protocol):
    """
    Makes blocking calls in one other thread, one after another.
    """

    def start(self) -> None:
        """
        From now on.
        """

    def stop(self) -> None:
        """
        Wait for the last one.
        """

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        """
        Make one; the Deferred fires in the reactor's thread.
        """


class WriterThread:
    """
    The thread.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=1, name="registry")

    def start(self) -> None:
        """
        See `Writer`.
        """
        self._pool.start()

    def stop(self) -> None:
        """
        See `Writer`.
        """
        self._pool.stop()

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._pool, call)


class SqliteRegistry(MemoryRegistry):
    """
    A `MemoryRegistry` that is copied into the database ``path``, and begins with what is there.

    An answer to who registers, or opens a room, waits until that is written; many are written at
    once.  The time in which no daemon ran does not count: no lease ends in it, and nobody's id is
    given away.

    :param path: of a file, which need not exist; its directory must.
    :param writer: writes.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        clock: IReactorTime,
        wall: Callable[[], float],
        terms: Terms,
        writer: Writer,
    ) -> None:
        super().__init__(clock, wall, terms)
        self._path = path
        self._wall = wall
        self._writer = writer
        self._lock = -1
        self._database: sqlite3.Connection | None = None
        self._writing = False
        self._broken = ""
        """Why the last attempt to write has failed."""
        # Ordered sets.
        self._peers: dict[str, None] = {}
        self._rooms: dict[str, None] = {}
        self._waiting: list[Deferred[None]] = []
        self._roll.touched = self._peer_touched
        self._roll.room_touched = self._room_touched
        self._behind = LoopingCall(self._write)
        self._behind.clock = clock

    # ------------------------------------------------------------ Service

    def startService(self) -> None:
        """
        Open the file, and take in what is there.

        :raise OSError: it cannot be opened, is another's, or is in use.
        """
        self._lock = _locked(self._path)
        try:
            self._database = _opened(self._path)
            self._load(self._database)
        except (sqlite3.Error, ValueError) as error:
            self._close()
            raise OSError(f"{self._path!r}: {error}") from error
        self._writer.start()
        self._behind.start(WRITE_BEHIND, now=False)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """
        Write what is not written yet, and close the file.
        """
        left = super().stopService()
        if self._behind.running:
            self._behind.stop()
        if self._database is None:
            return left
        return self._flushed().addErrback(lambda _: None).addCallback(self._end)

    def _end(self, _: None) -> None:
        self._writer.stop()
        self._close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        os.close(self._lock)

    # ------------------------------------------------------------ IRegistry

    @property
    def available(self) -> bool:
        """
        See `IRegistry`.
        """
        return self._database is not None and not self._broken

    def register(
        self, record: Record, secret: str | None, proven: bytes | None = None
    ) -> Deferred[Registration]:
        """
        See `IRegistry`.
        """
        return self._written(super().register(record, secret, proven))

    def unregister(self, peer_id: str, secret: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return self._written(super().unregister(peer_id, secret))

    def enter(self, peer_id: str, room: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return self._written(super().enter(peer_id, room))

    def open_room(self, room: Room, secret: str) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return self._written(super().open_room(room, secret))

    def close_room(self, name: str, secret: str | None) -> Deferred[None]:
        """
        See `IRegistry`.
        """
        return self._written(super().close_room(name, secret))

    # ------------------------------------------------------------ the copy

    def _written(self, done: Deferred[T]) -> Deferred[T]:
        """
        ``done``, once that is written.
        """

        def succeeded(result: T) -> Deferred[T]:
            return self._flushed().addCallback(lambda _: result)

        return done.addCallback(succeeded)

    def _flushed(self) -> Deferred[None]:
        flushed: Deferred[None] = Deferred()
        self._waiting.append(flushed)
        self._write()
        return flushed

    def _peer_touched(self, peer_id: str) -> None:
        self._peers[peer_id] = None

    def _room_touched(self, name: str) -> None:
        self._rooms[name] = None

    def _write(self) -> None:
        """
        Write what has changed; what changes in the meantime is written after it.
        """
        if self._writing:
            return
        database = self._database
        if database is None:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.errback(RegistryUnavailable(f"{self._path} is closed"))
            return
        peers, self._peers = self._peers, {}
        rooms, self._rooms = self._rooms, {}
        waiting, self._waiting = self._waiting, []
        statements = [self._room_statement(each) for each in rooms]
        statements += [self._peer_statement(each) for each in peers]
        self._writing = True

        def succeeded(_: None) -> None:
            self._broken = ""
            for each in waiting:
                each.callback(None)

        def failed(failure: Failure) -> None:
            # All of it is tried again, with what comes then.
            self._peers = peers | self._peers
            self._rooms = rooms | self._rooms
            self._broken = f"{self._path}: {failure.getErrorMessage()}"
            self._log.error("cannot write {broken}", broken=self._broken)
            for each in waiting:
                each.errback(RegistryUnavailable(self._broken))

        def done(_: None) -> None:
            self._writing = False
            if self._waiting:
                self._write()

        written = self._writer(lambda: _execute(database, statements))
        written.addCallbacks(succeeded, failed).addCallback(done)
        written.addErrback(lambda failure: self._log.failure("writing", failure))

    def _peer_statement(self, peer_id: str) -> _Statement:
        entry = self._roll.entry(peer_id)
        if entry is None:
            return "DELETE FROM peers WHERE peer_id = ?", (peer_id,)
        it = entry.record
        row = (peer_id, it.username, it.host, it.port, it.room, it.key, it.away, it.number)
        return _replace("peers", (*row, it.last_seen, entry.secret))

    def _room_statement(self, name: str) -> _Statement:
        entry = self._roll.room_entry(name)
        if entry is None:
            return "DELETE FROM rooms WHERE name = ?", (name,)
        used = self._wall() - (self._clock.seconds() - entry.used)
        return _replace("rooms", (name, entry.room.lock, entry.secret, used))

    def _load(self, database: sqlite3.Connection) -> None:
        now, lease = self._clock.seconds(), self.lease
        peers = database.execute(f"SELECT {', '.join(_PEERS)} FROM peers").fetchall()
        rooms = database.execute(f"SELECT {', '.join(_ROOMS)} FROM rooms ORDER BY used").fetchall()
        # When a daemon last ran, as far as anybody knows.
        latest = max([row[8] for row in peers] + [row[3] for row in rooms], default=0.0)
        for name, lock, secret, used in rooms:
            self._roll.restore_room(RoomEntry(Room(name, lock), secret, now - (latest - used)))
        entries = []
        for peer_id, username, host, port, room, key, away, number, last_seen, secret in peers:
            age = latest - last_seen
            record = Record(
                peer_id,
                username,
                host,
                port,
                last_seen,
                age < lease,
                room=room,
                key=key,
                away=bool(away),
                number=number,
            )
            entries.append(Entry(record, secret, now - age))
        self._roll.restore(entries)


def _locked(path: str) -> int:
    """
    A lock that no other process can have, and that ends with this one.

    :raise OSError: another has it, or the file cannot be made.
    """
    # Not the database itself: to close that would end SQLite's own locks.
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise OSError(f"{path!r} is in use by another daemon") from None
    return handle


def _opened(path: str) -> sqlite3.Connection:
    """
    :raise sqlite3.Error: it cannot be opened, or is no database.
    :raise ValueError: it is a database of another program.
    """
    # Secrets are in it, if only their digests.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(
        path, timeout=BUSY, isolation_level=None, check_same_thread=False
    )
    try:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or tables):
            raise ValueError("this is the database of another program")
        # A daemon that is killed loses nothing; a machine that loses power, the last moments.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _execute(database: sqlite3.Connection, statements: list[_Statement]) -> None:
    if not statements:
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement, row in statements:
            database.execute(statement, row)
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _replace(table: str, row: tuple[Any, ...]) -> _Statement:
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row
