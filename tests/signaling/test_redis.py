"""
Several daemons share what is registered, and outlive what becomes of Redis.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.trial.unittest import TestCase

from p2pnet.signaling.backends.redis import redis_registry
from p2pnet.signaling.backends.shared import SharedRegistry
from p2pnet.signaling.records import (
    MIN_SECRET,
    Change,
    NotOwner,
    RegistryUnavailable,
    Room,
    Status,
    UnknownPeer,
)
from tests.signaling.core import ALICE, BOB
from tests.signaling.redis_server import RedisServer, needs_redis
from tests.signaling.registry_contract import (
    BOSS,
    KEY,
    LEASE,
    LIMIT,
    SEEN,
    RegistryContract,
    nobody,
    record,
    terms,
)

pytestmark = needs_redis

WITHIN = 8.0
"""Seconds after which what we wait for does not come."""


async def until(holds: Any, what: str) -> None:
    """
    Wait until that is so.
    """
    deadline = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await task.deferLater(reactor, 0.005)


class RedisCase(TestCase):
    timeout = 30
    server: Any
    nodes: int

    async def open(self, *, limit: int = LIMIT, password: str = "") -> SharedRegistry:
        """
        The registry of one more daemon.
        """
        self.nodes = getattr(self, "nodes", 0) + 1
        registry = redis_registry(
            self.server.place,
            password,
            reactor=reactor,
            clock=reactor,
            wall=time.time,
            terms=terms(limit),
            node=f"node{self.nodes}",
        )
        registry.startService()
        self.addCleanup(registry.stopService)
        await until(lambda: registry.available, "the registry")
        return registry


class RedisRegistryTests(RegistryContract, RedisCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = RedisServer()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close()

    async def make_registry(self) -> SharedRegistry:
        self.server.ask("FLUSHALL")
        return await self.open()

    async def pass_by(self, seconds: float) -> None:
        self.server.pass_by(seconds)

    async def settle(self) -> None:
        await self.registry.sweep()

    def wall(self) -> float:
        return time.time()


class SharingTests(RedisCase):
    """
    Two daemons on one Redis.
    """

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.server = RedisServer()
        self.addCleanup(self.server.close)
        self.a = await self.open()
        self.b = await self.open()

    async def test_what_one_hears_the_other_knows(self) -> None:
        secret = (await self.a.register(record(), None)).secret
        await self.a.associate(ALICE, SEEN)
        await until(lambda: self.b.feed.sequence == self.a.feed.sequence, "the news")
        for registry in (self.a, self.b):
            (listed,) = await registry.listing(None)
            assert (listed.username, listed.observed, listed.node) == ("alice", SEEN, "node1")
            assert await registry.owned(ALICE, secret) == listed
        await self.b.unregister(ALICE, secret)
        await until(lambda: self.b.feed.sequence == self.a.feed.sequence, "the news")
        assert list(await self.a.listing(None)) == []

    async def test_they_number_changes_alike(self) -> None:
        """
        Who follows one daemon can go on at the other.
        """
        start = self.a.feed.sequence
        for number in range(LIMIT):
            registry = (self.a, self.b)[number % 2]
            await registry.register(record(nobody(number)), None)
        await until(lambda: self.a.feed.sequence == self.b.feed.sequence == start + LIMIT, "all")
        assert self.a.feed.since(start + 1) == self.b.feed.since(start + 1)

    async def test_of_many_who_want_one_id_at_once_one_gets_it(self) -> None:
        tries = [
            registry.register(record(username=f"user{number}"), None)
            for number in range(25)
            for registry in (self.a, self.b)
        ]
        results = await DeferredList(tries, consumeErrors=True)
        assert sum(succeeded for succeeded, _ in results) == 1
        outcomes: list[tuple[bool, Any]] = results
        for succeeded, result in outcomes:
            assert succeeded or result.check(NotOwner)

    async def test_a_nonce_is_spent_at_all_of_them(self) -> None:
        spent = await gatherResults(
            [each.spend("nonce", 60.0) for _ in range(10) for each in (self.a, self.b)]
        )
        assert sorted(spent) == [False] * 19 + [True]
        assert self.a.key == self.b.key

    async def test_an_association_moves_from_one_to_the_other(self) -> None:
        await self.a.register(record(), None)
        await self.a.associate(ALICE, SEEN)
        await self.b.associate(ALICE, ("198.51.100.9", 9))
        await self.fails(UnknownPeer, self.a.renew(ALICE, SEEN))
        await self.a.dissociate(ALICE)
        found = await self.a.lookup(ALICE)
        assert (found.observed, found.node) == (("198.51.100.9", 9), "node2")

    async def test_they_talk_to_each_other(self) -> None:
        heard: list[tuple[str, bytes]] = []
        self.b.listen(lambda node, message: heard.append((node, message)))
        assert await self.a.send("node2", b"hello\nthere") is True
        assert await self.a.send("node3", b"is anybody there?") is False
        await until(lambda: heard, "what was said")
        assert heard == [("node1", b"hello\nthere")]

    async def test_rooms_are_shared(self) -> None:
        await self.a.open_room(Room("den", "lock"), BOSS)
        await self.b.register(record(room="den"), None)
        await until(lambda: self.b.feed.sequence == self.a.feed.sequence, "the news")
        assert len(await self.a.listing("den")) == 1
        assert (await self.b.census()).rooms == (await self.a.census()).rooms == 1
        await self.b.close_room("den", BOSS)
        await until(lambda: self.b.feed.sequence == self.a.feed.sequence, "the news")
        assert (await self.a.lookup(ALICE)).room is None

    async def test_a_daemon_that_comes_later_knows_everything(self) -> None:
        await self.a.open_room(Room("den", "lock"), BOSS)
        for number in range(LIMIT):
            await self.a.register(record(nobody(number), f"user{number}"), None)
        await self.a.enter(nobody(0), "den")
        c = await self.open()
        assert await c.listing(None) == await self.a.listing(None)
        assert await c.listing("den") == await self.a.listing("den")
        assert (await c.census()).rooms == 1
        assert c.feed.sequence == self.a.feed.sequence

    async def test_who_leaves_takes_its_associations_along(self) -> None:
        await self.a.register(record(), None)
        await self.a.associate(ALICE, SEEN)
        await self.a.stopService()
        found = await self.b.lookup(ALICE)
        assert (found.observed, found.online) == (None, True)

    async def test_networks_with_other_prefixes_are_strangers(self) -> None:
        self.server.place = replace(self.server.place, prefix="other")
        c = await self.open()
        await self.a.register(record(), None)
        await self.fails(UnknownPeer, c.lookup(ALICE))
        assert c.key != self.a.key or c.key == terms().key

    async def fails(self, error: type[Exception], result: Deferred[Any]) -> None:
        with pytest.raises(error):
            await result


class OutageTests(RedisCase):
    """
    Redis comes and goes.
    """

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.server = RedisServer()
        self.addCleanup(self.server.close)
        self.registry = await self.open()

    async def unavailable(self) -> None:
        """
        Each operation says so, and none waits long.
        """
        registry = self.registry
        began = time.monotonic()
        for result in (
            registry.register(record(), None),
            registry.owned(ALICE, "x"),
            registry.unregister(ALICE, "x"),
            registry.lookup(ALICE),
            registry.listing(None),
            registry.named(None, "alice"),
            registry.census(),
            registry.associate(ALICE, SEEN),
            registry.renew(ALICE, SEEN),
            registry.set_away(ALICE, True),
            registry.enter(ALICE, "den"),
            registry.open_room(Room("den", "lock"), BOSS),
            registry.room("den"),
            registry.close_room("den", BOSS),
            registry.spend("nonce", 60.0),
        ):
            with pytest.raises(RegistryUnavailable) as raised:
                await result
            assert raised.value.retry_after > 0
        assert await registry.send("node2", b"hello") is False
        assert time.monotonic() - began < 1.0

    async def test_while_redis_is_gone_the_registry_is_unavailable(self) -> None:
        self.server.stop()
        await until(lambda: not self.registry.available, "the end")
        await self.unavailable()
        self.server.start()
        await until(lambda: self.registry.available, "the return")
        await self.registry.register(record(), None)

    async def test_a_redis_that_does_not_answer_is_given_up(self) -> None:
        self.server.freeze()
        asked = self.registry.lookup(ALICE)
        with pytest.raises(RegistryUnavailable):
            await asked
        await self.unavailable()
        self.server.thaw()
        await until(lambda: self.registry.available, "the return")
        await self.registry.register(record(), None)

    async def test_who_is_associated_is_restored_when_redis_has_forgotten_everything(self) -> None:
        """
        Nobody has to register anew, and nobody else can take what was theirs.
        """
        await self.registry.open_room(Room("den", "lock"), BOSS)
        secret = (await self.registry.register(record(room="den"), None, KEY)).secret
        await self.registry.associate(ALICE, SEEN)
        await self.registry.register(record(BOB, "bob"), None)
        before = await self.registry.lookup(ALICE)
        changes: list[Change | None] = []
        self.registry.feed.watch(changes.append)
        self.server.stop()
        await until(lambda: not self.registry.available, "the end")
        self.server.start()
        await until(lambda: self.registry.available, "the return")
        after = await self.registry.lookup(ALICE)
        assert replace(after, last_seen=before.last_seen) == before
        assert await self.registry.owned(ALICE, secret) == after
        assert await self.registry.room("den") == Room("den", "lock")
        with pytest.raises(NotOwner):
            await self.registry.close_room("den", "guess")
        with pytest.raises(UnknownPeer):
            await self.registry.lookup(BOB)
        # Listeners are told that they have missed something, and numbers go on growing.
        assert None in changes
        assert (await self.registry.register(record(BOB, "bob"), None)).record.number > after.number

    async def test_nothing_is_lost_when_redis_remembers(self) -> None:
        self.server.close()
        self.server = RedisServer(persistent=True)
        self.addCleanup(self.server.close)
        registry = await self.open()
        secret = (await registry.register(record(), None)).secret
        sequence = registry.feed.sequence
        self.server.stop()
        await until(lambda: not registry.available, "the end")
        self.server.start()
        await until(lambda: registry.available, "the return")
        await registry.owned(ALICE, secret)
        assert registry.feed.sequence == sequence

    async def test_a_lease_that_ended_in_the_outage_runs_again(self) -> None:
        await self.registry.register(record(), None)
        await self.registry.associate(ALICE, SEEN)
        self.server.freeze()
        with pytest.raises(RegistryUnavailable):
            await self.registry.lookup(ALICE)
        self.server.thaw()
        self.server.pass_by(LEASE)
        await until(lambda: self.registry.available, "the return")
        assert (await self.registry.lookup(ALICE)).status is Status.ONLINE

    async def test_who_parted_in_the_outage_is_not_associated_after_it(self) -> None:
        await self.registry.register(record(), None)
        await self.registry.associate(ALICE, SEEN)
        self.server.freeze()
        with pytest.raises(RegistryUnavailable):
            await self.registry.dissociate(ALICE)
        self.server.thaw()
        await until(lambda: self.registry.available, "the return")
        assert (await self.registry.lookup(ALICE)).observed is None

    async def test_what_somebody_else_took_meanwhile_is_theirs(self) -> None:
        """
        Only when Redis has forgotten everything, and the stranger was quicker than we.
        """
        await self.registry.register(record(), None)
        await self.registry.associate(ALICE, SEEN)
        other = await self.open()
        self.server.ask("FLUSHALL")
        await other.register(record(username="mallory"), "m" * MIN_SECRET)
        self.registry._link.drop()
        await until(lambda: not self.registry.available, "the end")
        await until(lambda: self.registry.available, "the return")
        assert (await self.registry.lookup(ALICE)).username == "mallory"
        with pytest.raises(UnknownPeer):
            await self.registry.renew(ALICE, SEEN)
        assert (await self.registry.lookup(ALICE)).observed is None

    async def test_a_password_is_needed_where_there_is_one(self) -> None:
        self.server.close()
        self.server = RedisServer(password="hush")
        self.addCleanup(self.server.close)
        registry = await self.open(password="hush")
        await registry.register(record(), None)

    async def test_a_change_that_is_missed_is_noticed(self) -> None:
        other = await self.open()
        changes: list[Change | None] = []
        self.registry.feed.watch(changes.append)
        deaf: Any = self.registry._link._open[1]  # type: ignore[attr-defined]  # a RedisLink
        self.patch(deaf, "messageReceived", lambda *_: None)
        await other.register(record(BOB, "bob"), None)
        await other.register(record(), None)
        del deaf.messageReceived
        await other.associate(ALICE, SEEN)
        await until(lambda: None in changes, "the notice")
        await until(lambda: self.registry.available, "the return")
        assert await self.registry.listing(None) == await other.listing(None)
