from __future__ import annotations

import pickle

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.signaling.memory import FORGOTTEN_AT_ONCE, MemoryRegistry
from tests.signaling.daemon import ALICE, BOB
from tests.signaling.doubles import counting
from tests.signaling.registry_contract import (
    LEASE,
    LIMIT,
    RETENTION,
    RegistryContract,
    record,
)


def memory_registry(clock: Clock, limit: int = LIMIT) -> MemoryRegistry:
    return MemoryRegistry(
        clock.seconds, lease=LEASE, retention=RETENTION, limit=limit, secret=counting("secret")
    )


class MemoryRegistryTests(RegistryContract, SynchronousTestCase):
    def make_registry(self, clock: Clock) -> MemoryRegistry:
        return memory_registry(clock)


class InMemoryTests(SynchronousTestCase):
    def test_it_does_not_know_the_secrets(self) -> None:
        registry = memory_registry(Clock())
        secret = self.successResultOf(registry.register(record(), None)).secret
        assert secret is not None
        assert secret.encode() not in pickle.dumps(registry._entries)

    def test_no_call_pays_for_all_that_ended(self) -> None:
        clock = Clock()
        registry = memory_registry(clock, limit=1000)
        for number in range(1000):
            registry.register(record(f"{number:08}-0000-4000-8000-000000000000"), None)
        clock.advance(LEASE + RETENTION)
        registry.register(record(ALICE), None)
        assert len(registry._entries) == 1000 - FORGOTTEN_AT_ONCE + 1
        assert len(self.successResultOf(registry.listing())) == 1
        secret = self.successResultOf(registry.register(record(BOB), None)).secret
        for _ in range(1000 // FORGOTTEN_AT_ONCE):
            registry.register(record(BOB), secret)
        assert set(registry._entries) == set(registry._by_renewal) == {ALICE, BOB}
