"""
What every registry must do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from p2pnet.interfaces import IRegistry
from p2pnet.signaling.backends.memory import Terms
from p2pnet.signaling.identity import id_of_key
from p2pnet.signaling.records import (
    MIN_SECRET,
    Census,
    Change,
    NotOwner,
    Record,
    RegistryFull,
    Room,
    RoomTaken,
    Status,
    UnknownPeer,
    UnknownRoom,
)
from tests.signaling.core import ALICE, BOB, CAROL
from tests.signaling.doubles import counting

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase

    Base = TestCase
else:
    Base = object

LEASE = 60.0
RETENTION = 600.0
LIMIT = 3
SEEN = ("198.51.100.7", 61000)
KEY, OTHER_KEY = b"K" * 32, b"O" * 32
BOSS = "the owner of the room, unguessable"


def record(
    peer_id: str = ALICE, username: str = "alice", port: int = 4000, room: str | None = None
) -> Record:
    return Record(peer_id, username, "192.0.2.1", port, room=room)


def terms(limit: int = LIMIT) -> Terms:
    return Terms(counting("secret"), b"k" * 32, lease=LEASE, retention=RETENTION, limit=limit)


def nobody(number: int) -> str:
    return f"{number:08}-0000-4000-8000-000000000000"


class RegistryContract(Base):
    """
    Mix into a test case that has `make_registry`, and `pass_by` if its time is not `clock`'s.
    """

    registry: Any

    async def make_registry(self) -> Any:
        """
        A running `IRegistry` of `terms`; the test case ends it.
        """
        raise NotImplementedError

    async def pass_by(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self.clock.advance(seconds)

    async def settle(self) -> None:
        """
        Wait until the feed has told what has happened.
        """

    def wall(self) -> float:
        """
        The registry's idea of the time.
        """
        return self.clock.seconds()

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.clock = Clock()
        self.registry = await self.make_registry()
        self.changes: list[Change | None] = []
        self.registry.feed.watch(self.changes.append)

    async def register(self, *args: Any, secret: str | None = None, **fields: Any) -> Any:
        proven = fields.pop("proven", None)
        return await self.registry.register(record(*args, **fields), secret, proven)

    async def fails(self, error: type[Exception], result: Deferred[Any]) -> None:
        try:
            value = await result
        except error:
            return
        raise AssertionError(f"{value!r} instead of {error.__name__}")

    async def heard(self) -> list[tuple[str, str, str | None, bool]]:
        """
        What the feed has told since the last time: who, how it is, in which room, whether it left.
        """
        await self.settle()
        changes, self.changes[:] = list(self.changes), []
        told = []
        for each in changes:
            assert each is not None
            assert each.removed <= each.gone
            it = each.record
            told.append((it.username, it.status.value, it.room, each.gone))
        return told

    async def test_it_is_a_registry(self) -> None:
        verifyObject(IRegistry, self.registry)
        assert self.registry.available
        assert len(self.registry.key) >= 32

    # ------------------------------------------------------------ who owns what

    async def test_a_new_registration_is_away_and_has_a_secret(self) -> None:
        await self.pass_by(5)
        registration = await self.register()
        found = registration.record
        assert registration.secret
        assert registration.is_new
        assert (found.peer_id, found.username, found.endpoint) == (
            ALICE,
            "alice",
            ("192.0.2.1", 4000),
        )
        assert found.online
        assert found.status is Status.AWAY
        assert abs(found.last_seen - self.wall()) < 2
        assert await self.registry.lookup(ALICE) == found

    async def test_secrets_differ(self) -> None:
        assert (await self.register(ALICE)).secret != (await self.register(BOB)).secret

    async def test_a_refresh_changes_name_and_port_and_tells_no_secret(self) -> None:
        secret = (await self.register()).secret
        again = await self.register(username="al", port=5000, secret=secret)
        assert (again.is_new, again.secret) == (False, None)
        assert (again.record.username, again.record.port) == ("al", 5000)
        assert await self.registry.lookup(ALICE) == again.record
        await self.register(secret=secret)

    async def test_a_registration_is_never_overwritten_without_its_secret(self) -> None:
        await self.register()
        other = (await self.register(BOB)).secret
        for secret in (None, "", "guess", other):
            await self.fails(NotOwner, self.registry.register(record(username="mallory"), secret))
        assert (await self.registry.lookup(ALICE)).username == "alice"

    async def test_who_brings_a_secret_is_known_by_it_and_may_ask_again(self) -> None:
        """
        An answer that is lost does not shut its owner out.
        """
        own = "5" * MIN_SECRET
        first, again = await self.register(secret=own), await self.register(secret=own)
        assert (first.is_new, first.secret) == (True, None)
        assert (again.is_new, again.secret) == (False, None)
        assert await self.registry.owned(ALICE, own) == again.record
        await self.fails(NotOwner, self.registry.register(record(username="mallory"), None))

    async def test_a_secret_that_is_too_short_to_bring_is_replaced(self) -> None:
        short = "5" * (MIN_SECRET - 1)
        registration = await self.register(secret=short)
        assert registration.secret not in (None, short)
        await self.fails(NotOwner, self.registry.owned(ALICE, short))

    async def test_the_owner_is_known_by_the_secret(self) -> None:
        registration = await self.register()
        assert await self.registry.owned(ALICE, registration.secret) == registration.record
        await self.fails(NotOwner, self.registry.owned(ALICE, None))
        await self.fails(NotOwner, self.registry.owned(ALICE, "\ud800 guess"))
        await self.fails(UnknownPeer, self.registry.owned(BOB, registration.secret))

    async def test_only_the_owner_unregisters(self) -> None:
        secret = (await self.register()).secret
        await self.fails(NotOwner, self.registry.unregister(ALICE, None))
        await self.fails(NotOwner, self.registry.unregister(ALICE, "guess"))
        await self.registry.unregister(ALICE, secret)
        await self.fails(UnknownPeer, self.registry.lookup(ALICE))
        await self.fails(UnknownPeer, self.registry.unregister(ALICE, secret))

    async def test_an_unregistered_id_is_free(self) -> None:
        secret = (await self.register()).secret
        await self.registry.unregister(ALICE, secret)
        assert (await self.register()).secret

    # ------------------------------------------------------------ keys

    async def test_who_has_the_key_needs_no_secret(self) -> None:
        """
        The peer's process may be a new one.
        """
        own, new = "5" * MIN_SECRET, "6" * MIN_SECRET
        assert (await self.register(secret=own, proven=KEY)).record.key == KEY
        again = await self.register(secret=new, proven=KEY)
        assert (again.is_new, again.secret, again.record.key) == (False, None, KEY)
        await self.registry.owned(ALICE, new)
        await self.fails(NotOwner, self.registry.owned(ALICE, own))
        made = await self.register(proven=KEY)
        assert made.secret
        await self.registry.owned(ALICE, made.secret)

    async def test_a_registration_is_bound_to_a_key_once(self) -> None:
        secret = (await self.register()).secret
        assert (await self.register(secret=secret, proven=KEY)).record.key == KEY
        assert (await self.register(secret=secret)).record.key == KEY
        for owner in (secret, None):
            await self.fails(NotOwner, self.registry.register(record(), owner, OTHER_KEY))
        await self.register(proven=KEY)

    async def test_no_key_takes_what_is_not_bound_to_it(self) -> None:
        secret = (await self.register()).secret
        await self.fails(NotOwner, self.registry.register(record(), None, KEY))
        await self.registry.owned(ALICE, secret)

    async def test_an_id_made_from_a_key_is_its_owners_whoever_was_there_first(self) -> None:
        own = id_of_key(KEY)
        squatter = (await self.register(own, "squatter")).secret
        await self.fails(NotOwner, self.registry.register(record(own), None, OTHER_KEY))
        taken = await self.register(own, proven=KEY)
        assert (taken.is_new, taken.record.key) == (True, KEY)
        await self.fails(NotOwner, self.registry.owned(own, squatter))
        told = await self.heard()
        assert ("squatter", "offline", None, True) in told
        assert told[-1] == ("alice", "away", None, False)

    # ------------------------------------------------------------ leases

    async def test_a_lease_ends_when_not_renewed(self) -> None:
        await self.register()
        await self.pass_by(LEASE - 1)
        assert (await self.registry.lookup(ALICE)).online
        await self.pass_by(1)
        found = await self.registry.lookup(ALICE)
        assert not found.online
        assert found.status is Status.OFFLINE

    async def test_a_refresh_starts_the_lease_anew(self) -> None:
        secret = (await self.register()).secret
        for _ in range(5):
            await self.pass_by(LEASE - 1)
            await self.register(secret=secret)
        found = await self.registry.lookup(ALICE)
        assert found.online
        assert abs(found.last_seen - self.wall()) < 2

    async def test_an_ended_registration_keeps_its_id_for_a_while(self) -> None:
        secret = (await self.register()).secret
        await self.pass_by(LEASE + RETENTION - 1)
        await self.fails(NotOwner, self.registry.register(record(username="mallory"), None))
        await self.register(secret=secret)
        assert (await self.registry.lookup(ALICE)).online

    async def test_an_ended_registration_is_forgotten_at_last(self) -> None:
        secret = (await self.register()).secret
        await self.pass_by(LEASE + RETENTION)
        await self.fails(UnknownPeer, self.registry.lookup(ALICE))
        await self.fails(UnknownPeer, self.registry.owned(ALICE, secret))
        await self.fails(UnknownPeer, self.registry.associate(ALICE, SEEN))
        await self.settle()
        assert list(await self.registry.listing(None)) == []
        assert (await self.register(username="another")).secret

    # ------------------------------------------------------------ associations

    async def test_an_observed_endpoint_comes_before_the_claimed_one(self) -> None:
        await self.register()
        await self.registry.associate(ALICE, SEEN)
        found = await self.registry.lookup(ALICE)
        assert found.observed == found.endpoint == SEEN
        assert (found.status, found.node) == (Status.ONLINE, self.registry.node)
        await self.registry.dissociate(ALICE)
        found = await self.registry.lookup(ALICE)
        assert (found.observed, found.node, found.status) == (None, "", Status.AWAY)
        assert found.endpoint == ("192.0.2.1", 4000)

    async def test_a_refresh_leaves_the_observed_endpoint(self) -> None:
        secret = (await self.register()).secret
        await self.registry.associate(ALICE, SEEN)
        assert (await self.register(secret=secret)).record.observed == SEEN

    async def test_an_association_renews_the_lease_and_its_end_does_not(self) -> None:
        await self.register()
        await self.pass_by(LEASE - 1)
        await self.registry.associate(ALICE, SEEN)
        await self.pass_by(LEASE - 1)
        await self.registry.renew(ALICE, SEEN)
        await self.pass_by(LEASE - 1)
        await self.registry.dissociate(ALICE)
        assert (await self.registry.lookup(ALICE)).online
        await self.pass_by(1)
        assert not (await self.registry.lookup(ALICE)).online

    async def test_a_renewal_tells_where_a_peer_is_seen_by_now(self) -> None:
        await self.register()
        await self.registry.associate(ALICE, SEEN)
        await self.registry.renew(ALICE, ("198.51.100.8", 1))
        assert (await self.registry.lookup(ALICE)).observed == ("198.51.100.8", 1)

    async def test_who_comes_back_after_its_lease_is_online_again(self) -> None:
        await self.register()
        await self.pass_by(LEASE + 1)
        await self.settle()
        await self.registry.associate(ALICE, SEEN)
        assert (await self.registry.lookup(ALICE)).status is Status.ONLINE

    async def test_nobody_is_associated_who_is_not_registered(self) -> None:
        await self.fails(UnknownPeer, self.registry.associate(ALICE, SEEN))
        await self.fails(UnknownPeer, self.registry.renew(ALICE, SEEN))
        await self.fails(UnknownPeer, self.registry.set_away(ALICE, True))
        await self.registry.dissociate(ALICE)

    async def test_who_says_so_is_away(self) -> None:
        await self.register()
        await self.registry.associate(ALICE, SEEN)
        await self.registry.set_away(ALICE, True)
        assert (await self.registry.lookup(ALICE)).status is Status.AWAY
        await self.registry.set_away(ALICE, False)
        assert (await self.registry.lookup(ALICE)).status is Status.ONLINE

    # ------------------------------------------------------------ listings

    async def test_the_listing_is_in_order_of_registration(self) -> None:
        secret = (await self.register(CAROL, "carol")).secret
        await self.register(ALICE)
        await self.pass_by(1)
        await self.register(BOB, "bob")
        await self.register(CAROL, "carol", secret=secret)
        await self.pass_by(LEASE - 1)
        await self.settle()
        listed = await self.registry.listing(None)
        assert [(each.peer_id, each.online) for each in listed] == [
            (CAROL, True),
            (ALICE, False),
            (BOB, True),
        ]

    async def test_a_listing_can_be_read_in_pieces(self) -> None:
        for peer_id in (CAROL, ALICE, BOB):
            await self.register(peer_id)
        first = await self.registry.listing(None, 0, 2)
        assert [each.peer_id for each in first] == [CAROL, ALICE]
        rest = await self.registry.listing(None, first[-1].number, 2)
        assert [each.peer_id for each in rest] == [BOB]
        assert list(await self.registry.listing(None, rest[-1].number, 2)) == []

    async def test_people_are_found_by_name_as_it_is_and_as_it_is_shown(self) -> None:
        secret = (await self.register(ALICE, "<b>")).secret
        await self.register(BOB, "bob")
        await self.register(CAROL, "bob")
        for name in ("<b>", r"\x3cb\x3e"):
            assert [each.peer_id for each in await self.registry.named(None, name)] == [ALICE]
        assert {each.peer_id for each in await self.registry.named(None, "bob")} == {BOB, CAROL}
        await self.register(ALICE, "bob", secret=secret)
        assert list(await self.registry.named(None, "<b>")) == []
        assert len(await self.registry.named(None, "bob")) == 3

    async def test_a_census_counts_everybody(self) -> None:
        assert await self.registry.census() == Census(0, 0, 0, 0)
        await self.register(ALICE)
        await self.pass_by(LEASE)
        await self.registry.open_room(Room("den", "lock"), BOSS)
        await self.register(BOB, room="den")
        await self.register(CAROL)
        await self.registry.associate(BOB, SEEN)
        await self.settle()
        assert await self.registry.census() == Census(3, 2, 1, 1)

    async def test_there_is_a_limit_to_registrations(self) -> None:
        secret = (await self.register(ALICE)).secret
        for number in range(1, LIMIT):
            await self.register(nobody(number))
        await self.fails(RegistryFull, self.registry.register(record(BOB), None))
        await self.register(ALICE, secret=secret)
        await self.registry.unregister(ALICE, secret)
        await self.register(BOB)

    async def test_who_is_forgotten_makes_room(self) -> None:
        for number in range(LIMIT):
            await self.register(nobody(number))
        await self.pass_by(LEASE + RETENTION - 1)
        await self.fails(RegistryFull, self.registry.register(record(BOB), None))
        await self.pass_by(1)
        await self.register(BOB)

    # ------------------------------------------------------------ rooms

    async def test_a_room_has_its_own_listing(self) -> None:
        await self.registry.open_room(Room("den", "lock"), BOSS)
        assert await self.registry.room("den") == Room("den", "lock")
        await self.register(ALICE, "alice", room="den")
        await self.register(BOB, "bob")
        assert [each.peer_id for each in await self.registry.listing("den")] == [ALICE]
        assert [each.peer_id for each in await self.registry.listing(None)] == [BOB]
        assert list(await self.registry.listing("nowhere")) == []
        assert list(await self.registry.named(None, "alice")) == []
        assert len(await self.registry.named("den", "alice")) == 1

    async def test_a_peer_goes_from_room_to_room(self) -> None:
        await self.registry.open_room(Room("den", "lock"), BOSS)
        await self.registry.open_room(Room("attic", "lock"), BOSS)
        secret = (await self.register(room="den")).secret
        assert (await self.register(secret=secret)).record.room == "den"
        await self.registry.enter(ALICE, "attic")
        assert (await self.registry.lookup(ALICE)).room == "attic"
        assert (await self.register(secret=secret, room="den")).record.room == "den"
        await self.registry.enter(ALICE, None)
        assert (await self.registry.lookup(ALICE)).room is None
        assert list(await self.registry.listing("den")) == []
        assert await self.heard() == [
            ("alice", "away", "den", False),
            ("alice", "away", "den", True),
            ("alice", "away", "attic", False),
            ("alice", "away", "attic", True),
            ("alice", "away", "den", False),
            ("alice", "away", "den", True),
            ("alice", "away", None, False),
        ]

    async def test_nobody_is_in_a_room_that_is_not_there(self) -> None:
        await self.fails(UnknownRoom, self.registry.register(record(room="den"), None))
        await self.fails(UnknownPeer, self.registry.lookup(ALICE))
        await self.register()
        await self.fails(UnknownRoom, self.registry.enter(ALICE, "den"))
        await self.registry.open_room(Room("den", "lock"), BOSS)
        await self.fails(UnknownPeer, self.registry.enter(BOB, "den"))

    async def test_a_room_is_not_taken_over(self) -> None:
        await self.registry.open_room(Room("den", "lock"), BOSS)
        await self.fails(RoomTaken, self.registry.open_room(Room("den", "other"), "mine"))
        assert (await self.registry.room("den")).lock == "lock"
        for secret in (None, "", "mine"):
            await self.fails(NotOwner, self.registry.close_room("den", secret))
        await self.fails(UnknownRoom, self.registry.close_room("attic", BOSS))

    async def test_who_is_in_a_room_that_is_closed_is_in_none(self) -> None:
        await self.registry.open_room(Room("den", "lock"), BOSS)
        await self.register(room="den")
        await self.registry.close_room("den", BOSS)
        await self.fails(UnknownRoom, self.registry.room("den"))
        assert (await self.registry.lookup(ALICE)).room is None
        assert [each.peer_id for each in await self.registry.listing(None)] == [ALICE]
        assert (await self.heard())[-2:] == [
            ("alice", "away", "den", True),
            ("alice", "away", None, False),
        ]

    async def test_there_is_a_limit_to_rooms(self) -> None:
        for number in range(LIMIT):
            await self.registry.open_room(Room(f"room{number}", "lock"), BOSS)
        await self.fails(RegistryFull, self.registry.open_room(Room("den", "lock"), BOSS))
        await self.registry.close_room("room0", BOSS)
        await self.registry.open_room(Room("den", "lock"), BOSS)

    async def test_a_room_that_nobody_uses_ends_after_a_day(self) -> None:
        secret = (await self.register()).secret
        for name in ("den", "attic"):
            await self.registry.open_room(Room(name, "lock"), BOSS)
        await self.registry.enter(ALICE, "attic")
        for _ in range(30):
            await self.pass_by(3600 - LEASE)
            await self.pass_by(LEASE)
            if not await self._is_registered():
                secret = (await self.register(secret=secret, room="attic")).secret
        await self.settle()
        await self.fails(UnknownRoom, self.registry.room("den"))
        await self.registry.room("attic")

    async def _is_registered(self) -> bool:
        try:
            await self.registry.lookup(ALICE)
        except UnknownPeer:
            return False
        return True

    # ------------------------------------------------------------ the feed

    async def test_the_feed_tells_what_others_may_see(self) -> None:
        secret = (await self.register()).secret
        await self.registry.associate(ALICE, SEEN)
        await self.register(secret=secret)
        await self.registry.renew(ALICE, SEEN)
        await self.registry.set_away(ALICE, True)
        await self.registry.set_away(ALICE, True)
        await self.registry.set_away(ALICE, False)
        await self.register(username="al", secret=secret)
        await self.registry.dissociate(ALICE)
        await self.registry.dissociate(ALICE)
        await self.pass_by(LEASE)
        await self.settle()
        await self.register(username="al", secret=secret)
        await self.registry.unregister(ALICE, secret)
        assert await self.heard() == [
            ("alice", "away", None, False),
            ("alice", "online", None, False),
            ("alice", "away", None, False),
            ("alice", "online", None, False),
            ("al", "online", None, False),
            ("al", "away", None, False),
            ("al", "offline", None, False),
            ("al", "away", None, False),
            ("al", "offline", None, True),
        ]

    async def test_the_feed_is_numbered_without_gaps(self) -> None:
        start = self.registry.feed.sequence
        secret = (await self.register()).secret
        await self.registry.associate(ALICE, SEEN)
        await self.registry.unregister(ALICE, secret)
        await self.settle()
        assert [each.sequence - start for each in self.changes if each] == [1, 2, 3]
        assert self.registry.feed.since(start + 1) == self.changes[1:]

    async def test_who_is_forgotten_leaves_the_feed_as_well(self) -> None:
        await self.register()
        await self.pass_by(LEASE)
        await self.settle()
        await self.pass_by(RETENTION)
        assert (await self.heard())[-2:] == [
            ("alice", "offline", None, False),
            ("alice", "offline", None, True),
        ]

    # ------------------------------------------------------------ nonces

    async def test_a_nonce_is_spent_once(self) -> None:
        assert await self.registry.spend("nonce", 60.0) is True
        assert await self.registry.spend("nonce", 60.0) is False
        assert await self.registry.spend("another", 60.0) is True
        await self.pass_by(59.0)
        assert await self.registry.spend("nonce", 60.0) is False
