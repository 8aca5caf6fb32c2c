"""
A peer of one daemon is introduced to a peer of another.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address, ConnectionState, DeliveryMethod, DisconnectReason
from p2pnet.signaling.attendance import Offline
from p2pnet.signaling.between import Answered, Asked, Done, Finish, Passed
from p2pnet.signaling.exchange import PATIENCE
from p2pnet.signaling.policy import Listing, Policy
from p2pnet.signaling.records import Record, RegistryUnavailable, Room, UnknownPeer
from p2pnet.signaling.sessions import UnknownSession
from p2pnet.signaling.shapes import About, Candidates, Ended, Find, Seek, Spot, encode
from tests.signaling.arrivals import A_INSIDE, B_INSIDE, A, B, messages, presented
from tests.signaling.core import ALICE, BOB, CAROL, KEY, Core
from tests.signaling.doubles import FakePeer, FakeRequest, Wire
from tests.signaling.twins import twins

C: Address = ("203.0.113.3", 61003)
HOST = Spot("host", "203.0.113.200", 4000)


class TwinCase(SynchronousTestCase):
    policy: Policy | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = Wire(punching=False)
        self.east, self.west = twins(self.clock, self.wire, self.policy)
        self.bus = self.east.registry.bus
        for peer_id, name in ((ALICE, "alice"), (BOB, "bob")):
            self.get(self.east.registry.register(Record(peer_id, name, "192.0.2.9", 4000), None))
        self.alice = self.associate(self.east, ALICE, A, A_INSIDE)
        self.bob = self.associate(self.west, BOB, B, B_INSIDE)

    def get(self, result: Deferred[Any]) -> Any:
        return self.successResultOf(result)

    def associate(
        self, daemon: Core, peer_id: str, address: Address, inside: Address = A_INSIDE
    ) -> FakePeer:
        request = FakeRequest(address, presented(daemon.tickets.issue(peer_id), inside))
        daemon.introducer.attendance.connection_request(request)
        assert request.peer is not None
        request.peer.answer_ping()
        return request.peer

    def say(self, daemon: Core, peer: FakePeer, message: object) -> None:
        attendance = daemon.introducer.attendance
        attendance.network_receive(peer, encode(message), 0, DeliveryMethod.RELIABLE_ORDERED)

    def introduced(self) -> str:
        """
        The token of alice and bob.
        """
        token: str = self.get(self.east.introducer.introduce(ALICE, BOB)).token
        return token


class IntroductionTests(TwinCase):
    def test_both_get_an_offer_each_from_its_own_daemon(self) -> None:
        self.say(self.west, self.bob, About("endpoint-independent"))
        self.say(self.east, self.alice, Seek(7, BOB))
        told_alice, told_bob = messages(self.alice)[-1], messages(self.bob)[-1]
        assert told_alice == {
            "type": "offer",
            "token": told_bob["token"],
            "peer_id": BOB,
            "username": "bob",
            "key": KEY,
            "role": "caller",
            "observed": {"kind": "observed", "ip": B[0], "port": B[1]},
            "nat": "endpoint-independent",
            "id": 7,
        }
        assert told_bob == {
            "type": "offer",
            "token": told_alice["token"],
            "peer_id": ALICE,
            "username": "alice",
            "key": KEY,
            "role": "callee",
            "observed": {"kind": "observed", "ip": A[0], "port": A[1]},
        }
        assert (self.east.introducer.broker.introductions) == 1
        assert (self.west.introducer.broker.introductions) == 0

    def test_each_daemon_sends_litenetlibs_introduction(self) -> None:
        """
        A NAT lets in only the daemon that its peer has written to.
        """
        token = self.introduced()
        for daemon in (self.east, self.west):
            assert daemon.manager.nat.introductions == [(A, A, B, B, token)]

    def test_a_seek_sends_none(self) -> None:
        self.say(self.east, self.alice, Seek(7, BOB))
        assert self.east.manager.nat.introductions == []
        assert self.west.manager.nat.introductions == []

    def test_behind_one_nat_they_are_together(self) -> None:
        self.bob = self.associate(self.west, BOB, (A[0], 61009), B_INSIDE)
        token = self.introduced()
        for peer in (self.alice, self.bob):
            assert messages(peer)[-1]["together"] is True
        ((inside, _, other_inside, _, _),) = self.west.manager.nat.introductions
        assert (inside, other_inside) == (A_INSIDE, B_INSIDE)
        private = Spot("host", "10.0.0.7", 4000)
        self.say(self.west, self.bob, Candidates(token, [private]))
        assert messages(self.alice)[-1]["candidates"][0]["ip"] == "10.0.0.7"

    def test_a_name_leads_to_who_is_elsewhere(self) -> None:
        self.say(self.east, self.alice, Find(3, "bob"))
        found = {"type": "found", "id": 3, "peer_id": BOB, "username": "bob"}
        assert messages(self.alice)[-1] == found

    def test_who_asks_another_daemon_by_http_is_introduced_all_the_same(self) -> None:
        offer = self.get(self.west.introducer.introduce(ALICE, BOB))
        assert messages(self.alice)[-1]["token"] == messages(self.bob)[-1]["token"] == offer.token
        assert offer.role == "caller"
        assert offer.peer_id == BOB

    def test_two_peers_of_another_daemon_are_introduced_there(self) -> None:
        self.bob = self.associate(self.east, BOB, B, B_INSIDE)
        offer = self.get(self.west.introducer.introduce(ALICE, BOB))
        assert messages(self.alice)[-1]["token"] == messages(self.bob)[-1]["token"] == offer.token

    def test_who_has_just_gone_is_offline(self) -> None:
        self.bob.state = ConnectionState.DISCONNECTED
        error = self.failureResultOf(self.east.introducer.introduce(ALICE, BOB), Offline).value
        assert error.peer_id == BOB
        assert len(self.alice.sent) == 1

    def test_whose_daemon_has_died_is_offline_at_once(self) -> None:
        del self.bus.listeners["west"]
        error = self.failureResultOf(self.east.introducer.introduce(ALICE, BOB), Offline).value
        assert error.peer_id == BOB

    def test_a_daemon_that_does_not_answer_is_not_waited_for_long(self) -> None:
        self.bus.cut = True
        asked = self.east.introducer.introduce(ALICE, BOB)
        self.assertNoResult(asked)
        self.clock.advance(PATIENCE)
        self.failureResultOf(asked, RegistryUnavailable)
        assert len(self.alice.sent) == 1

    def test_an_answer_that_comes_too_late_is_dropped(self) -> None:
        self.bus.cut = True
        asked = self.east.introducer.introduce(ALICE, BOB)
        self.clock.advance(PATIENCE)
        self.failureResultOf(asked, RegistryUnavailable)
        self.bus.listeners["east"]("west", encode(Answered(1, Done())))
        assert self.east.introducer.broker.drops == {"late": 1}

    def test_who_moves_from_one_daemon_to_the_other_is_introduced_there(self) -> None:
        """
        And the association that was left behind ends.
        """
        moved = self.associate(self.east, BOB, C)
        assert self.bob.state is ConnectionState.DISCONNECTED
        self.introduced()
        assert messages(moved)[-1]["type"] == "offer"
        assert self.get(self.west.registry.lookup(BOB)).observed == C
        moved.lose(DisconnectReason.TIMEOUT)
        assert self.get(self.west.registry.lookup(BOB)).observed is None

    def test_who_unregisters_loses_its_association_with_any_daemon(self) -> None:
        secret = "s" * 32
        self.get(
            self.east.registry.register(Record(CAROL, "carol", "192.0.2.9", 4000), secret)
        )
        carol = self.associate(self.west, CAROL, C)
        self.get(self.east.registry.unregister(CAROL, secret))
        assert carol.state is ConnectionState.DISCONNECTED


class SessionTests(TwinCase):
    def setUp(self) -> None:
        super().setUp()
        self.token = self.introduced()

    def test_candidates_are_passed_on_both_ways(self) -> None:
        self.say(self.east, self.alice, Candidates(self.token, [HOST]))
        self.say(self.west, self.bob, Candidates(self.token, [HOST]))
        for peer in (self.alice, self.bob):
            assert messages(peer)[-1] == {
                "type": "candidates",
                "token": self.token,
                "candidates": [{"kind": "host", "ip": HOST.ip, "port": HOST.port}],
            }

    def test_sixteen_of_a_side_and_no_more(self) -> None:
        for number in range(20):
            spot = Spot("host", HOST.ip, 1 + number)
            self.say(self.east, self.alice, Candidates(self.token, [spot]))
        assert len(messages(self.bob)) == 2 + 16

    def test_private_addresses_stay_at_home(self) -> None:
        self.say(self.east, self.alice, Candidates(self.token, [Spot("host", "10.0.0.7", 4000)]))
        assert messages(self.bob)[-1]["type"] == "offer"

    def test_where_somebody_is_seen_by_now_is_told_across(self) -> None:
        self.alice.lose(DisconnectReason.TIMEOUT)
        self.alice = self.associate(self.east, ALICE, C)
        told = messages(self.bob)[-1]
        assert told["candidates"] == [{"kind": "observed", "ip": C[0], "port": C[1]}]
        view = self.get(self.west.introducer.session(self.token, BOB))
        assert view.offer.observed == Spot("observed", *C)

    def test_when_a_daemon_dies_its_peer_goes_on_with_the_other(self) -> None:
        """
        What the survivor knows of the session is enough.
        """
        del self.bus.listeners["west"]
        bob = self.associate(self.east, BOB, C)
        told = messages(self.alice)[-1]
        assert told["candidates"] == [{"kind": "observed", "ip": C[0], "port": C[1]}]
        self.say(self.east, self.alice, Candidates(self.token, [HOST]))
        assert messages(bob)[-1]["candidates"][0]["ip"] == HOST.ip
        self.say(self.east, bob, Candidates(self.token, [HOST]))
        assert messages(self.alice)[-1]["candidates"][0]["ip"] == HOST.ip

    def test_only_the_other_side_passes_anything_on(self) -> None:
        known = len(self.bob.sent)
        strangers = (
            Passed(self.token, CAROL, BOB, [HOST]),
            Passed("another token", ALICE, BOB, [HOST]),
            Passed(self.token, ALICE, CAROL, [HOST]),
            Passed(self.token, ALICE, BOB, []),
        )
        for passed in strangers:
            self.bus.listeners["west"]("east", encode(passed))
        self.bus.listeners["west"]("east", b"\xff nonsense")
        assert len(self.bob.sent) == known
        drops = self.west.introducer.broker.drops
        assert drops == {"unknown token": 4, "not understood": 1}

    def test_a_session_is_seen_by_http_from_any_daemon(self) -> None:
        self.say(self.west, self.bob, Candidates(self.token, [HOST]))
        for daemon in (self.east, self.west):
            view = self.get(daemon.introducer.session(self.token, ALICE))
            assert (view.offer.peer_id, view.offer.role) == (BOB, "caller")
            assert view.heard == [HOST]
            assert 0 < view.left <= 60
            for peer_id, error in ((CAROL, UnknownPeer), (BOB, None)):
                seen = daemon.introducer.session(self.token, peer_id)
                if error is None:
                    assert self.get(seen).heard == []
                else:
                    self.failureResultOf(seen, error)
            self.failureResultOf(daemon.introducer.session("x", ALICE), UnknownSession)

    def test_by_http_one_can_tell_and_end_at_any_daemon(self) -> None:
        self.get(self.west.introducer.tell(self.token, ALICE, [HOST]))
        assert messages(self.bob)[-1]["candidates"][0]["ip"] == HOST.ip
        self.get(self.west.introducer.end(self.token, ALICE))
        self.failureResultOf(self.east.introducer.session(self.token, ALICE), UnknownSession)
        told = self.west.introducer.tell(self.token, ALICE, [HOST])
        self.failureResultOf(told, UnknownSession)

    def test_the_caller_tells_what_became_of_it_once(self) -> None:
        for message in (Ended(self.token, "direct"), Ended(self.token, "failed")):
            self.say(self.east, self.alice, message)
        self.say(self.west, self.bob, Ended(self.token, "failed"))
        self.say(self.east, self.alice, Ended("another", "failed"))
        east, west = self.east.introducer.broker, self.west.introducer.broker
        assert east.outcomes == {("direct", "unknown", "unknown"): 1}
        assert west.outcomes == {}

    def test_a_question_to_who_knows_nothing_is_answered(self) -> None:
        self.bus.listeners["west"]("east", encode(Asked(5, Finish("x", BOB))))
        assert b"unknown session" in self.bus.letters[-1][2]


class WallTests(TwinCase):
    policy = Policy(Listing.ROOMS)

    def test_in_rooms_only_members_of_one_room_reach_each_other(self) -> None:
        registry = self.east.registry
        self.failureResultOf(self.east.introducer.introduce(ALICE, BOB), UnknownPeer)
        self.get(registry.open_room(Room("den", "lock"), "secret"))
        self.get(registry.enter(ALICE, "den"))
        self.failureResultOf(self.east.introducer.introduce(ALICE, BOB), UnknownPeer)
        for question in (Seek(1, BOB), Find(2, "bob"), Find(3, BOB)):
            self.say(self.east, self.alice, question)
            assert messages(self.alice)[-1]["reason"] == "unknown"
        self.get(registry.enter(BOB, "den"))
        for question in (Find(2, "bob"), Find(3, BOB), Find(4, f"bob#{BOB[:4]}")):
            self.say(self.east, self.alice, question)
            assert messages(self.alice)[-1]["peer_id"] == BOB
        self.introduced()


class HiddenTests(TwinCase):
    policy = Policy(Listing.OFF)

    def test_where_nobody_is_listed_a_whole_id_leads_to_a_peer_and_no_name_does(self) -> None:
        for who in ("bob", f"bob#{BOB[:8]}"):
            self.say(self.east, self.alice, Find(2, who))
            assert messages(self.alice)[-1]["reason"] == "unknown"
        self.say(self.east, self.alice, Find(3, BOB))
        assert messages(self.alice)[-1]["peer_id"] == BOB
        self.introduced()
