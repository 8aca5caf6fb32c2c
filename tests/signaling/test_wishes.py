"""
Peers that want more than a name: a room, a key, and another daemon when theirs has gone.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address, DisconnectReason
from p2pnet.signaling import directory
from p2pnet.signaling.directory import Answer, Directory, NoAnswer, Refused, Wish
from p2pnet.signaling.identity import KeyPair, id_of_key
from p2pnet.signaling.membership import MAX_BACKOFF, SOON, Membership
from p2pnet.signaling.policy import Listing, Policy
from p2pnet.signaling.records import Record, UnknownPeer
from p2pnet.signaling.shapes import Registered
from tests.signaling.core import ALICE, BOB, LEASE
from tests.signaling.daemon import Daemon
from tests.signaling.doubles import FakeManager, RecordingListener, Wire
from tests.signaling.twins import UDP, TwinRegistry

NAMES = ("east.example", "west.example")
SERVERS = [f"http://{name}:8000" for name in NAMES]
ALICE_AT: Address = ("198.51.100.1", 5000)
OWN, NEW = "5" * 64, "6" * 64
KEYS = KeyPair(b"k" * 32)
PASSWORD = "sesame, open"


class Net:
    """
    HTTP to several daemons.

    :ivar gone: do not answer.
    :ivar refusing: answer that they cannot.
    """

    def __init__(self, daemons: dict[str, Daemon]) -> None:
        self.daemons = daemons
        self.gone: set[str] = set()
        self.requests: list[tuple[str, str, str]] = []

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        name: str | None = None,
        secret: str | None = None,
    ) -> Deferred[Answer]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self.requests.append((host, method, parts.path))
        if host in self.gone:
            return fail(NoAnswer(f"{url} does not answer: no connection"))
        daemon = self.daemons[host]
        answer = daemon.http().request(method, url, body=body, name=name, secret=secret)
        # Passwords are tried in another thread.
        daemon.threads.work()
        daemon.treq.flush()
        return answer


class Peer:
    """
    A member, and what it hears.
    """

    def __init__(self, case: WishCase, peer_id: str, secret: str, **wishes: Any) -> None:
        self.manager = FakeManager(case.wire, ALICE_AT, RecordingListener())
        self.answers: list[Registered] = []
        servers = wishes.pop("servers", SERVERS)
        self.directory = Directory(case.net, servers, Wish(**wishes))
        self.member = Membership(
            self.manager,
            self.directory,
            self,
            self,
            peer_id=peer_id,
            username="alice",
            clock=case.clock,
            resolve=lambda host: succeed("127.0.0.1"),
            random=lambda: 0.5,
            local_address=lambda ip: "10.0.0.7",
            secret=secret,
        )

    def registered(self, answer: Registered) -> None:
        self.answers.append(answer)

    def welcomed(self, welcome: object, facilitator: Address) -> None:
        self.facilitator = facilitator

    def told(self, message: object) -> None:
        raise AssertionError(message)

    def parted(self) -> None:
        pass

    def open(self, facilitator: Address) -> Deferred[Address]:
        raise AssertionError("no relay")

    def close(self) -> None:
        pass


class WishCase(SynchronousTestCase):
    policy = Policy()

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = Wire()
        east = TwinRegistry("east", self.clock)
        registries = (east, TwinRegistry("west", self.clock, east))
        self.east, self.west = (
            Daemon(
                self.clock,
                self.wire,
                registry=registry,
                policy=self.policy,
                address=udp,
                name=registry.node,
                public_host=udp[0],
            )
            for registry, udp in zip(registries, UDP, strict=True)
        )
        self.net = Net(dict(zip(NAMES, (self.east, self.west), strict=True)))

    def peer(self, peer_id: str = ALICE, secret: str = OWN, **wishes: Any) -> Peer:
        peer = Peer(self, peer_id, secret, **wishes)
        peer.member.startService()
        self.addCleanup(peer.member.stopService)
        return peer

    def record(self, peer_id: str = ALICE) -> Record:
        found: Record = self.successResultOf(self.east.registry.lookup(peer_id))
        return found

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.25)):
            self.clock.advance(0.25)


class RoomTests(WishCase):
    policy = Policy(Listing.ROOMS)

    def listed(self, peer: Peer) -> list[str]:
        found = self.successResultOf(Deferred.fromCoroutine(peer.member.peers()))
        return [each.peer_id for each in found]

    def test_who_comes_first_opens_the_room_and_the_next_gets_in(self) -> None:
        alice = self.peer(room="den", password=PASSWORD)
        assert alice.member.online
        bob = self.peer(BOB, NEW, room="den", password=PASSWORD)
        assert self.record().room == self.record(BOB).room == "den"
        for peer in (alice, bob):
            assert self.listed(peer) == [ALICE, BOB]

    def test_who_does_not_know_the_password_stays_outside(self) -> None:
        self.peer(room="den", password=PASSWORD)
        mallory = self.peer(BOB, NEW, room="den", password="sesame, shut")
        assert not mallory.member.online
        assert "refuses us" in mallory.member.status
        self.failureResultOf(self.east.registry.lookup(BOB), UnknownPeer)

    def test_who_is_in_no_room_is_told_that_nobody_is_listed(self) -> None:
        self.peer(room="den", password=PASSWORD)
        asked = Deferred.fromCoroutine(self.peer(BOB, NEW).member.peers())
        refused = self.failureResultOf(asked, Refused).value
        assert str(refused) == "this server lists no peers to you"

    def test_a_refresh_needs_no_password_and_stays_in_the_room(self) -> None:
        peer = self.peer(room="den", password=PASSWORD)
        self.wait(3 * LEASE)
        assert self.record().online
        assert self.record().room == "den"
        assert peer.member.online

    def test_a_long_listing_is_read_to_its_end(self) -> None:
        alice = self.peer(room="den", password=PASSWORD)
        for number in range(90):
            record = Record(f"{number:08}-0000-4000-8000-000000000000", "x", "::1", 1, room="den")
            self.east.registry.register(record, None)
        self.patch(directory, "PAGE", 20)
        assert len(self.listed(alice)) == 91


class KeyTests(WishCase):
    def test_a_registration_is_bound_to_the_key(self) -> None:
        self.peer(key=KEYS)
        assert self.record().key == KEYS.public

    def test_with_its_key_a_new_process_takes_its_id_up_again(self) -> None:
        first = self.peer(key=KEYS)
        first.member.stopService = lambda: succeed(None)  # type: ignore[method-assign]
        second = self.peer(secret=NEW, key=KEYS)
        assert second.member.online
        self.successResultOf(self.east.registry.owned(ALICE, NEW))

    def test_another_key_does_not(self) -> None:
        self.peer(key=KEYS)
        mallory = self.peer(secret=NEW, key=KeyPair(b"m" * 32))
        assert not mallory.member.online
        assert "somebody else is registered" in mallory.member.status

    def test_an_id_made_of_the_key_is_taken_from_who_squats_on_it(self) -> None:
        own = id_of_key(KEYS.public)
        squatter = self.peer(own, NEW)
        assert squatter.member.online
        owner = self.peer(own, OWN, key=KEYS)
        assert owner.member.online
        assert not squatter.member.online
        assert self.record(own).key == KEYS.public

    def test_a_signature_for_another_server_is_worth_nothing(self) -> None:
        """
        A server in the middle cannot register us with another one.
        """

        class Relayed(Net):
            """
            What is asked of one server is asked of the other one, as itself.
            """

            def request(self, method: str, url: str, **options: Any) -> Deferred[Answer]:
                return super().request(method, url.replace(*NAMES), **options)

        relayed = Directory(Relayed(self.net.daemons), SERVERS[:1], Wish(key=KEYS))
        asked = Deferred.fromCoroutine(relayed.register(ALICE, "alice", 1, OWN))
        error = self.failureResultOf(asked, Refused).value
        assert error.status == 403
        assert self.record().key is None

    def test_the_binding_returns_when_the_server_has_forgotten_it(self) -> None:
        self.peer(key=KEYS)
        self.successResultOf(self.east.registry.unregister(ALICE, OWN))
        self.wait(LEASE)
        assert self.record().key == KEYS.public


class FailoverTests(WishCase):
    def die(self, daemon: Daemon, name: str) -> None:
        """
        Its process is killed: nothing answers there any more.
        """
        self.net.gone.add(name)
        udp = daemon.manager.address
        del self.wire.managers[udp]
        for far in self.wire.accepted:
            if far.listener is daemon.introducer.attendance and far.other is not None:
                far.other.lose(DisconnectReason.TIMEOUT)

    def test_the_first_server_is_asked_first(self) -> None:
        peer = self.peer()
        assert peer.facilitator == UDP[0]
        assert self.record().node == "east"
        assert {host for host, _, _ in self.net.requests} == {NAMES[0]}

    def test_when_a_daemon_dies_its_peers_go_to_the_next_with_what_they_have(self) -> None:
        """
        The same id and secret, within a second of knowing.
        """
        peer = self.peer()
        self.die(self.east, NAMES[0])
        assert not peer.member.online
        self.wait(2 * SOON)
        assert peer.member.online
        assert self.record().node == "west"
        assert self.record().observed == ALICE_AT
        self.successResultOf(self.west.registry.owned(ALICE, OWN))
        assert peer.member.status == f"registered with {SERVERS[1]}"

    def test_a_server_that_is_down_from_the_start_is_passed_over(self) -> None:
        self.net.gone.add(NAMES[0])
        peer = self.peer()
        self.wait(SOON)
        assert peer.member.online
        assert self.record().node == "west"

    def test_when_all_are_down_they_are_asked_less_and_less_often(self) -> None:
        self.net.gone.update(NAMES)
        peer = self.peer()
        self.wait(300)
        assert 2 * 300 / MAX_BACKOFF < len(self.net.requests) < 60
        assert {host for host, _, _ in self.net.requests} == set(NAMES)
        self.net.gone.clear()
        self.wait(MAX_BACKOFF + 1)
        assert peer.member.online

    def test_who_is_associated_stays_though_http_fails(self) -> None:
        """
        The association renews the lease.
        """
        peer = self.peer()
        self.net.gone.update(NAMES)
        self.wait(2 * LEASE)
        assert peer.member.online
        assert self.record().node == "east"

    def test_who_is_told_that_its_daemon_leaves_goes_at_once(self) -> None:
        peer = self.peer()
        assert self.east.introducer.attendance.drain(30.0) == 1
        self.net.gone.add(NAMES[0])
        self.wait(SOON)
        assert peer.member.online
        assert self.record().node == "west"

    def test_who_has_one_server_comes_back_when_it_is_told_to(self) -> None:
        peer = self.peer(servers=SERVERS[:1])
        self.east.introducer.attendance.drain(20.0)
        assert "about to end; coming back in 15 s" in peer.member.status
        self.wait(14)
        assert not peer.member.online
        self.east.introducer.attendance._draining = False
        self.wait(2)
        assert peer.member.online

    def test_who_is_drained_lets_nobody_in(self) -> None:
        self.east.introducer.attendance.drain(30.0)
        peer = self.peer()
        self.wait(2 * SOON)
        assert peer.member.online
        assert self.record().node == "west"
        assert self.east.introducer.attendance.refusals == {"draining": 1}


class DirectoryTests(SynchronousTestCase):
    def test_there_must_be_a_server(self) -> None:
        with self.assertRaisesRegex(ValueError, "there must be a server"):
            Directory(Net({}), [])
