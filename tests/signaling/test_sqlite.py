"""
What is registered survives the process.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pnet.signaling.backends.sqlite import WRITE_BEHIND, SqliteRegistry, WriterThread
from p2pnet.signaling.records import (
    NotOwner,
    RegistryUnavailable,
    Room,
    UnknownPeer,
    UnknownRoom,
)
from tests.signaling.core import ALICE, BOB
from tests.signaling.registry_contract import (
    BOSS,
    KEY,
    LEASE,
    LIMIT,
    RETENTION,
    SEEN,
    RegistryContract,
    nobody,
    record,
    terms,
)

T = TypeVar("T")


class Here:
    """
    A writer that needs no thread.
    """

    running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        assert self.running
        return maybeDeferred(call)


class Later(Here):
    """
    A writer that writes when it is told to.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        done: Deferred[T] = Deferred()
        self.calls.append((call, done))
        return done

    def go(self) -> None:
        calls, self.calls = self.calls, []
        for call, done in calls:
            done.callback(call())


class SqliteRegistryTests(RegistryContract, TestCase):
    """
    The contract, with a real thread.
    """

    async def make_registry(self) -> SqliteRegistry:
        home = TemporaryDirectory()
        self.addCleanup(home.cleanup)
        path = os.path.join(home.name, "registry.db")
        writer = WriterThread(reactor)
        registry = SqliteRegistry(path, self.clock, self.clock.seconds, terms(), writer)
        registry.startService()
        self.addCleanup(registry.stopService)
        return registry


class SurvivalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        home = TemporaryDirectory()
        self.addCleanup(home.cleanup)
        self.path = os.path.join(home.name, "registry.db")
        self.wall = 1_700_000_000.0
        self.registry = self.open()

    def tearDown(self) -> None:
        self.stop()

    def open(self, writer: Here | None = None, limit: int = LIMIT) -> SqliteRegistry:
        registry = SqliteRegistry(
            self.path,
            self.clock,
            lambda: self.wall + self.clock.seconds(),
            terms(limit),
            writer or Here(),
        )
        registry.startService()
        return registry

    def stop(self) -> None:
        if self.registry.running:
            self.successResultOf(self.registry.stopService())

    def restart(self, after: float = 0.0) -> None:
        """
        In a new process, whose clock begins anew, some seconds later.
        """
        self.stop()
        self.wall += self.clock.seconds() + after
        self.clock = Clock()
        self.registry = self.open()

    def get(self, result: Deferred[T]) -> T:
        return self.successResultOf(result)

    def test_a_registration_survives(self) -> None:
        secret = self.get(self.registry.register(record(), None, KEY)).secret
        self.get(self.registry.set_away(ALICE, True))
        self.get(self.registry.associate(ALICE, SEEN))
        before = self.get(self.registry.lookup(ALICE))
        self.restart(after=10)
        after = self.get(self.registry.lookup(ALICE))
        assert (after.username, after.host, after.port) == ("alice", "192.0.2.1", 4000)
        assert (after.key, after.away, after.number) == (KEY, True, before.number)
        assert after.last_seen == before.last_seen
        assert after.online
        assert after.observed is None
        self.failureResultOf(self.registry.register(record(), None), NotOwner)
        self.get(self.registry.owned(ALICE, secret))

    def test_rooms_survive_with_who_is_in_them(self) -> None:
        self.get(self.registry.open_room(Room("den", "lock"), BOSS))
        self.get(self.registry.open_room(Room("attic", "lock"), BOSS))
        self.get(self.registry.close_room("attic", BOSS))
        self.get(self.registry.register(record(room="den"), None))
        self.restart()
        assert self.get(self.registry.room("den")) == Room("den", "lock")
        self.failureResultOf(self.registry.room("attic"), UnknownRoom)
        assert [each.peer_id for each in self.get(self.registry.listing("den"))] == [ALICE]
        self.get(self.registry.close_room("den", BOSS))

    def test_who_unregistered_stays_away(self) -> None:
        secret = self.get(self.registry.register(record(), None)).secret
        self.get(self.registry.unregister(ALICE, secret))
        self.restart()
        self.failureResultOf(self.registry.lookup(ALICE), UnknownPeer)

    def test_the_order_of_registration_survives(self) -> None:
        for peer_id in (nobody(3), nobody(1), nobody(2)):
            self.get(self.registry.register(record(peer_id), None))
        self.restart()
        listed = self.get(self.registry.listing(None))
        assert [each.peer_id for each in listed] == [nobody(3), nobody(1), nobody(2)]

    def test_no_lease_ends_while_no_daemon_runs(self) -> None:
        """
        A night without a server gives nobody's id away.
        """
        self.get(self.registry.register(record(BOB, "bob"), None))
        self.clock.advance(LEASE)
        self.get(self.registry.register(record(), None))
        self.restart(after=86_400 * 30)
        assert self.get(self.registry.lookup(ALICE)).online
        assert not self.get(self.registry.lookup(BOB)).online
        self.failureResultOf(self.registry.register(record(BOB), None), NotOwner)
        self.clock.advance(RETENTION)
        self.failureResultOf(self.registry.lookup(BOB), UnknownPeer)
        self.get(self.registry.lookup(ALICE))

    def test_an_answer_waits_until_it_is_written(self) -> None:
        self.stop()
        writer = Later()
        self.registry = self.open(writer)
        first = self.registry.register(record(), None)
        second = self.registry.register(record(BOB), None)
        self.assertNoResult(first)
        writer.go()
        self.get(first)
        self.assertNoResult(second)
        writer.go()
        self.get(second)
        stopped = self.registry.stopService()
        self.assertNoResult(stopped)
        writer.go()
        self.get(stopped)

    def test_renewals_are_written_a_little_later_and_many_at_once(self) -> None:
        self.get(self.registry.register(record(), None))
        self.clock.advance(30)
        self.get(self.registry.renew(ALICE, SEEN))
        seen = self.get(self.registry.lookup(ALICE)).last_seen
        assert self.kept("SELECT last_seen FROM peers") == [(seen - 30,)]
        self.clock.advance(WRITE_BEHIND)
        assert self.kept("SELECT last_seen FROM peers") == [(seen,)]

    def test_no_secret_is_in_the_file(self) -> None:
        secret = self.get(self.registry.register(record(), None)).secret
        assert secret is not None
        self.stop()
        for name in os.listdir(os.path.dirname(self.path)):
            path = Path(os.path.dirname(self.path), name)
            assert secret.encode() not in path.read_bytes()
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, name

    def test_what_cannot_be_written_is_unavailable_until_it_can(self) -> None:
        assert self.registry._database is not None
        self.registry._database.execute("PRAGMA query_only = 1")
        error = self.failureResultOf(
            self.registry.register(record(), None), RegistryUnavailable
        ).value
        assert self.path in str(error)
        assert not self.registry.available
        self.registry._database.execute("PRAGMA query_only = 0")
        self.clock.advance(WRITE_BEHIND)
        assert self.registry.available
        assert self.kept("SELECT peer_id FROM peers") == [(ALICE,)]

    def test_a_file_serves_one_daemon(self) -> None:
        with self.assertRaisesRegex(OSError, "in use by another daemon") as raised:
            self.open()
        assert self.path in str(raised.exception)

    def test_the_file_of_another_program_is_left_alone(self) -> None:
        self.stop()
        other = self.path + ".other"
        with sqlite3.connect(other) as database:
            database.execute("CREATE TABLE theirs (x)")
        database.close()
        with open(self.path + ".text", "w") as file:
            file.write("this is no database, and longer than its header would be" * 20)
        for path in (other, self.path + ".text"):
            before = Path(path).read_bytes()
            registry = SqliteRegistry(path, self.clock, lambda: 0.0, terms(), Here())
            with self.assertRaises(OSError) as raised:
                registry.startService()
            assert path in str(raised.exception)
            assert Path(path).read_bytes() == before

    def test_a_directory_that_is_not_there_is_named(self) -> None:
        path = self.path + ".missing/registry.db"
        registry = SqliteRegistry(path, self.clock, lambda: 0.0, terms(), Here())
        with self.assertRaisesRegex(OSError, "missing"):
            registry.startService()

    def test_after_the_end_nothing_is_taken(self) -> None:
        self.stop()
        self.failureResultOf(self.registry.register(record(), None), RegistryUnavailable)
        assert not self.registry.available

    def kept(self, query: str) -> list[Any]:
        """
        As another program reads it, a backup say.
        """
        database = sqlite3.connect(self.path)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()
