"""
What every registry must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from p2pnet.interfaces import IRegistry
from p2pnet.signaling.records import MIN_SECRET, NotOwner, Record, RegistryFull, UnknownPeer
from tests.signaling.daemon import ALICE, BOB, CAROL

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase

    Base = SynchronousTestCase
else:
    Base = object

LEASE = 60.0
RETENTION = 600.0
LIMIT = 3


def record(peer_id: str = ALICE, username: str = "alice", port: int = 4000) -> Record:
    return Record(peer_id, username, "192.0.2.1", port)


class RegistryContract(Base):
    """
    Mix into a test case that has `make_registry`.
    """

    def make_registry(self, clock: Clock) -> Any:
        """
        An `IRegistry` with `LEASE`, `RETENTION` and `LIMIT`, on the time of `clock`.
        """
        raise NotImplementedError

    def setUp(self) -> None:
        self.clock = Clock()
        self.registry = self.make_registry(self.clock)

    def get(self, result: Deferred[Any]) -> Any:
        return self.successResultOf(result)

    def register(self, *args: Any, secret: str | None = None, **fields: Any) -> Any:
        return self.get(self.registry.register(record(*args, **fields), secret))

    def fails(self, error: type[Exception], result: Deferred[Any]) -> None:
        self.failureResultOf(result, error)

    def test_it_is_a_registry(self) -> None:
        verifyObject(IRegistry, self.registry)

    def test_a_new_registration_is_online_and_has_a_secret(self) -> None:
        self.clock.advance(5)
        registration = self.register()
        assert registration.secret
        assert registration.record == Record(
            ALICE, "alice", "192.0.2.1", 4000, last_seen=5.0, online=True
        )
        assert self.get(self.registry.lookup(ALICE)) == registration.record

    def test_secrets_differ(self) -> None:
        assert self.register(ALICE).secret != self.register(BOB).secret

    def test_a_refresh_changes_name_and_port_and_tells_no_secret(self) -> None:
        secret = self.register().secret
        again = self.register(username="al", port=5000, secret=secret)
        assert again.secret is None
        assert (again.record.username, again.record.port) == ("al", 5000)
        assert self.get(self.registry.lookup(ALICE)) == again.record
        self.register(secret=secret)

    def test_a_registration_is_never_overwritten_without_its_secret(self) -> None:
        self.register()
        other = self.register(BOB).secret
        for secret in (None, "", "guess", other):
            self.fails(NotOwner, self.registry.register(record(username="mallory"), secret))
        assert self.get(self.registry.lookup(ALICE)).username == "alice"

    def test_who_brings_a_secret_is_known_by_it_and_may_ask_again(self) -> None:
        """
        An answer that is lost does not shut its owner out.
        """
        own = "5" * MIN_SECRET
        first, again = self.register(secret=own), self.register(secret=own)
        assert (first.is_new, first.secret) == (True, None)
        assert (again.is_new, again.secret) == (False, None)
        assert self.get(self.registry.owned(ALICE, own)) == again.record
        self.fails(NotOwner, self.registry.register(record(username="mallory"), None))

    def test_a_secret_that_is_too_short_to_bring_is_replaced(self) -> None:
        short = "5" * (MIN_SECRET - 1)
        registration = self.register(secret=short)
        assert registration.secret not in (None, short)
        self.fails(NotOwner, self.registry.owned(ALICE, short))

    def test_the_owner_is_known_by_the_secret(self) -> None:
        registration = self.register()
        assert self.get(self.registry.owned(ALICE, registration.secret)) == registration.record
        self.fails(NotOwner, self.registry.owned(ALICE, None))
        self.fails(NotOwner, self.registry.owned(ALICE, "\ud800 guess"))
        self.fails(UnknownPeer, self.registry.owned(BOB, registration.secret))

    def test_only_the_owner_unregisters(self) -> None:
        secret = self.register().secret
        self.fails(NotOwner, self.registry.unregister(ALICE, None))
        self.fails(NotOwner, self.registry.unregister(ALICE, "guess"))
        self.get(self.registry.unregister(ALICE, secret))
        self.fails(UnknownPeer, self.registry.lookup(ALICE))
        self.fails(UnknownPeer, self.registry.unregister(ALICE, secret))

    def test_an_unregistered_id_is_free(self) -> None:
        secret = self.register().secret
        self.get(self.registry.unregister(ALICE, secret))
        assert self.register().secret

    def test_a_lease_ends_when_not_refreshed(self) -> None:
        self.register()
        self.clock.advance(LEASE - 0.1)
        assert self.get(self.registry.lookup(ALICE)).online
        self.clock.advance(0.1)
        assert not self.get(self.registry.lookup(ALICE)).online

    def test_a_refresh_starts_the_lease_anew(self) -> None:
        secret = self.register().secret
        for _ in range(5):
            self.clock.advance(LEASE - 1)
            self.register(secret=secret)
        found = self.get(self.registry.lookup(ALICE))
        assert found.online
        assert found.last_seen == 5 * (LEASE - 1)

    def test_an_ended_registration_keeps_its_id_for_a_while(self) -> None:
        secret = self.register().secret
        self.clock.advance(LEASE + RETENTION - 1)
        self.fails(NotOwner, self.registry.register(record(username="mallory"), None))
        self.register(secret=secret)
        assert self.get(self.registry.lookup(ALICE)).online

    def test_an_ended_registration_is_forgotten_at_last(self) -> None:
        secret = self.register().secret
        self.clock.advance(LEASE + RETENTION)
        self.fails(UnknownPeer, self.registry.lookup(ALICE))
        self.fails(UnknownPeer, self.registry.owned(ALICE, secret))
        self.fails(UnknownPeer, self.registry.observe(ALICE, ("192.0.2.1", 1)))
        assert list(self.get(self.registry.listing())) == []
        assert self.register(username="another").secret

    def test_an_observed_endpoint_comes_before_the_claimed_one(self) -> None:
        self.register()
        assert self.get(self.registry.lookup(ALICE)).endpoint == ("192.0.2.1", 4000)
        self.get(self.registry.observe(ALICE, ("198.51.100.7", 61000)))
        found = self.get(self.registry.lookup(ALICE))
        assert found.observed == found.endpoint == ("198.51.100.7", 61000)
        self.get(self.registry.observe(ALICE, None))
        found = self.get(self.registry.lookup(ALICE))
        assert found.observed is None
        assert found.endpoint == ("192.0.2.1", 4000)

    def test_a_refresh_leaves_the_observed_endpoint(self) -> None:
        secret = self.register().secret
        self.get(self.registry.observe(ALICE, ("198.51.100.7", 61000)))
        assert self.register(secret=secret).record.observed == ("198.51.100.7", 61000)

    def test_to_be_observed_renews_the_lease_and_to_be_gone_does_not(self) -> None:
        self.register()
        self.clock.advance(LEASE - 1)
        self.get(self.registry.observe(ALICE, ("198.51.100.7", 61000)))
        self.clock.advance(LEASE - 1)
        self.get(self.registry.observe(ALICE, None))
        assert self.get(self.registry.lookup(ALICE)).online
        self.clock.advance(1)
        assert not self.get(self.registry.lookup(ALICE)).online

    def test_nobody_observes_an_unknown_peer(self) -> None:
        self.fails(UnknownPeer, self.registry.observe(ALICE, ("192.0.2.1", 1)))
        self.fails(UnknownPeer, self.registry.observe(ALICE, None))

    def test_the_listing_is_in_order_of_registration(self) -> None:
        secret = self.register(CAROL, "carol").secret
        self.register(ALICE)
        self.clock.advance(1)
        self.register(BOB, "bob")
        self.register(CAROL, "carol", secret=secret)
        self.clock.advance(LEASE - 1)
        listed = self.get(self.registry.listing())
        assert [(each.peer_id, each.online) for each in listed] == [
            (CAROL, True),
            (ALICE, False),
            (BOB, True),
        ]

    def test_there_is_a_limit_to_registrations(self) -> None:
        secret = self.register(ALICE).secret
        for number in range(1, LIMIT):
            self.register(f"{number:08}-0000-4000-8000-000000000000")
        self.fails(RegistryFull, self.registry.register(record(BOB), None))
        self.register(ALICE, secret=secret)
        self.get(self.registry.unregister(ALICE, secret))
        self.register(BOB)

    def test_who_is_forgotten_makes_room(self) -> None:
        for number in range(LIMIT):
            self.register(f"{number:08}-0000-4000-8000-000000000000")
        self.clock.advance(LEASE + RETENTION - 1)
        self.fails(RegistryFull, self.registry.register(record(BOB), None))
        self.clock.advance(1)
        self.register(BOB)
