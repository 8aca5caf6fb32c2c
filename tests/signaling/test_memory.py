from __future__ import annotations

import pickle

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from p2pnet.signaling.backends.memory import SETTLE, MemoryRegistry
from p2pnet.signaling.backends.roll import FORGOTTEN_AT_ONCE
from p2pnet.signaling.records import Change
from tests.signaling.core import ALICE, BOB
from tests.signaling.registry_contract import (
    LEASE,
    LIMIT,
    RETENTION,
    RegistryContract,
    nobody,
    record,
    terms,
)


def memory_registry(clock: Clock, limit: int = LIMIT) -> MemoryRegistry:
    return MemoryRegistry(clock, clock.seconds, terms(limit))


class MemoryRegistryTests(RegistryContract, TestCase):
    async def make_registry(self) -> MemoryRegistry:
        registry = memory_registry(self.clock)
        registry.startService()
        self.addCleanup(registry.stopService)
        return registry


class InMemoryTests(SynchronousTestCase):
    def test_it_does_not_know_the_secrets(self) -> None:
        registry = memory_registry(Clock())
        secret = self.successResultOf(registry.register(record(), None)).secret
        assert secret is not None
        assert secret.encode() not in pickle.dumps(registry._roll._entries)

    def test_no_call_pays_for_all_that_ended(self) -> None:
        clock = Clock()
        registry = memory_registry(clock, limit=1000)
        for number in range(1000):
            registry.register(record(nobody(number)), None)
        clock.advance(LEASE + RETENTION)
        registry.register(record(ALICE), None)
        assert len(registry._roll._entries) == 1000 - FORGOTTEN_AT_ONCE + 1
        secret = self.successResultOf(registry.register(record(BOB), None)).secret
        for _ in range(1000 // FORGOTTEN_AT_ONCE):
            registry.register(record(BOB), secret)
        listed = self.successResultOf(registry.listing(None))
        assert [each.peer_id for each in listed] == [ALICE, BOB]
        assert set(registry._roll._by_renewal) == set(registry._roll._running) == {ALICE, BOB}

    def test_that_a_lease_has_ended_is_told_though_nobody_asks(self) -> None:
        clock = Clock()
        registry = memory_registry(clock)
        changes: list[Change | None] = []
        registry.feed.watch(changes.append)
        registry.startService()
        registry.register(record(), None)
        for _ in range(int(LEASE / SETTLE)):
            clock.advance(SETTLE)
        assert [each.record.online for each in changes if each] == [True, False]
        self.successResultOf(registry.stopService())
        assert clock.getDelayedCalls() == []

    def test_numbers_from_before_a_restart_are_too_old(self) -> None:
        clock = Clock()
        clock.advance(1000)
        before = memory_registry(clock)
        for number in range(LIMIT):
            before.register(record(nobody(number)), None)
        clock.advance(1)
        after = memory_registry(clock)
        assert after.feed.since(before.feed.sequence) is None
        after.register(record(), None)
        assert after.feed.since(before.feed.sequence) is None
