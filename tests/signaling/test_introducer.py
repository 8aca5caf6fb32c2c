"""
The daemon introduces two peers, and carries word of where they are.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail

from p2pnet.interfaces import Address, ConnectionState, DisconnectReason
from p2pnet.signaling.allowance import TooOften
from p2pnet.signaling.attendance import Offline
from p2pnet.signaling.introducer import MAX_MESSAGE
from p2pnet.signaling.records import UnknownPeer
from p2pnet.signaling.sessions import LIFETIME
from p2pnet.signaling.shapes import About, Candidates, Find, Seek, Spot, encode
from tests.signaling.arrivals import (
    A_INSIDE,
    B_INSIDE,
    A,
    ArrivalCase,
    B,
    messages,
)
from tests.signaling.core import ALICE, BOB, CAROL, KEY, LEASE
from tests.signaling.doubles import FakePeer

C: Address = ("203.0.113.3", 61003)
MOVED: Address = ("198.51.100.77", 62000)
OBSERVED_AT_MOVED = {"kind": "observed", "ip": MOVED[0], "port": MOVED[1]}


def spot(ip: str, port: int = 4000, kind: Any = "host") -> Spot:
    return Spot(kind, ip, port)


class IntroductionTests(ArrivalCase):
    def setUp(self) -> None:
        super().setUp()
        self.register(ALICE, "alice")
        self.register(BOB, "bob")
        self.introductions = self.daemon.manager.nat.introductions
        self.daemon.wire.punching = False

    def test_both_get_an_offer_and_the_introduction(self) -> None:
        alice, bob = self.associate(), self.associate(BOB, B, B_INSIDE)
        self.say(bob, About("endpoint-independent"))
        offer = self.successResultOf(self.introducer.introduce(ALICE, BOB))
        assert (offer.peer_id, offer.username) == (BOB, "bob")
        both = {"type": "offer", "token": offer.token, "key": KEY}
        assert messages(alice)[1:] == [
            both
            | {"peer_id": BOB, "username": "bob", "role": "caller"}
            | {"observed": {"kind": "observed", "ip": B[0], "port": B[1]}}
            | {"nat": "endpoint-independent"}
        ]
        assert messages(bob)[1:] == [
            both
            | {"peer_id": ALICE, "username": "alice", "role": "callee"}
            | {"observed": {"kind": "observed", "ip": A[0], "port": A[1]}}
        ]
        assert self.introductions == [(A, A, B, B, offer.token)]

    def test_both_are_told_that_they_are_seen_at_one_public_address(self) -> None:
        alice, bob = self.associate(), self.associate(BOB, (A[0], 61009))
        self.successResultOf(self.introducer.introduce(ALICE, BOB))
        assert messages(alice)[-1]["together"] is messages(bob)[-1]["together"] is True

    def test_every_introduction_has_a_token_of_its_own(self) -> None:
        self.associate()
        self.associate(BOB, B)
        one = self.successResultOf(self.introducer.introduce(ALICE, BOB))
        other = self.successResultOf(self.introducer.introduce(BOB, ALICE))
        assert one.token != other.token

    def internals(self, a: Address, b: Address, address: Address = (A[0], 61009)) -> list[Address]:
        self.associate(ALICE, A, a)
        self.associate(BOB, address, b)
        self.successResultOf(self.introducer.introduce(ALICE, BOB))
        a_told, _, b_told, _, _ = self.introductions[-1]
        return [a_told, b_told]

    def test_behind_one_nat_they_are_told_of_each_others_inside(self) -> None:
        assert self.internals(A_INSIDE, B_INSIDE) == [A_INSIDE, B_INSIDE]

    def test_strangers_are_told_no_inside(self) -> None:
        assert self.internals(A_INSIDE, B_INSIDE, B) == [A, B]

    def test_nobody_is_made_to_punch_at_a_third_party(self) -> None:
        other = (A[0], 61009)
        for inside in ("8.8.8.8", "224.0.0.1", "0.0.0.0", "255.255.255.255"):
            assert self.internals((inside, 53), B_INSIDE) == [A, B_INSIDE]
        assert self.internals(A_INSIDE, ("2606:4700::1", 53)) == [A_INSIDE, other]

    def test_without_a_nat_the_inside_is_the_outside(self) -> None:
        assert self.internals(A, B_INSIDE) == [A, B_INSIDE]

    def test_who_is_not_associated_is_offline(self) -> None:
        self.associate()
        error = self.failureResultOf(self.introducer.introduce(ALICE, BOB), Offline).value
        assert error.peer_id == BOB
        error = self.failureResultOf(self.introducer.introduce(BOB, ALICE), Offline).value
        assert error.peer_id == BOB

    def test_who_is_not_registered_is_unknown(self) -> None:
        self.associate()
        self.failureResultOf(self.introducer.introduce(ALICE, CAROL), UnknownPeer)

    def test_who_has_just_gone_is_offline(self) -> None:
        self.associate()
        bob = self.associate(BOB, B)
        bob.state = ConnectionState.DISCONNECTED
        self.failureResultOf(self.introducer.introduce(ALICE, BOB), Offline)
        assert self.introductions == []
        assert len(self.introducer.broker._sessions) == 0

    def test_nobody_asks_without_end(self) -> None:
        self.associate()
        self.associate(BOB, B)
        for _ in range(10):
            self.successResultOf(self.introducer.introduce(ALICE, BOB))
        error = self.failureResultOf(self.introducer.introduce(ALICE, BOB), TooOften).value
        assert 0 < error.retry_after <= 1
        self.successResultOf(self.introducer.introduce(BOB, ALICE))
        self.daemon.clock.advance(1)
        self.successResultOf(self.introducer.introduce(ALICE, BOB))


class QuestionTests(ArrivalCase):
    def setUp(self) -> None:
        super().setUp()
        self.register(ALICE, "alice")
        self.register(BOB, "bob")
        self.alice = self.associate()
        self.bob = self.associate(BOB, B, B_INSIDE)

    def ask(self, message: object) -> dict[str, Any]:
        """
        What alice is answered.
        """
        known = len(self.alice.sent)
        self.say(self.alice, message)
        (answer,) = messages(self.alice)[known:]
        return answer

    def refused(self, message: object) -> str:
        answer = self.ask(message)
        assert (answer["type"], answer["id"]) == ("refused", 7)
        assert answer["detail"]
        reason: str = answer["reason"]
        return reason

    def test_a_name_leads_to_an_id(self) -> None:
        for who in ("bob", BOB, BOB.upper(), f"bob#{BOB[:4]}"):
            found = {"type": "found", "id": 7, "peer_id": BOB, "username": "bob"}
            assert self.ask(Find(7, who)) == found

    def test_why_nobody_is_found(self) -> None:
        self.register(CAROL, "bob")
        assert self.refused(Find(7, "bob")) == "ambiguous"
        assert self.refused(Find(7, "dave")) == "unknown"
        assert self.refused(Find(7, "alice")) == "self"
        self.daemon.clock.advance(LEASE / 2)
        self.alice.answer_ping()
        self.daemon.clock.advance(LEASE / 2)
        assert self.refused(Find(7, BOB)) == "offline"

    def test_a_seek_is_answered_by_the_offer_and_the_other_one_gets_one_too(self) -> None:
        offer = self.ask(Seek(7, BOB))
        assert (offer["type"], offer["id"], offer["role"]) == ("offer", 7, "caller")
        theirs = messages(self.bob)[-1]
        assert "id" not in theirs
        assert theirs["role"] == "callee"
        assert (theirs["token"], theirs["key"]) == (offer["token"], offer["key"])

    def test_a_seek_sends_no_introduction_of_litenetlibs_own(self) -> None:
        self.ask(Seek(7, BOB))
        assert self.daemon.manager.nat.introductions == []

    def test_why_nobody_is_introduced(self) -> None:
        assert self.refused(Seek(7, ALICE)) == "self"
        assert self.refused(Seek(7, CAROL)) == "unknown"
        assert self.refused(Seek(7, "bob")) == "unknown"
        self.bob.lose(DisconnectReason.TIMEOUT)
        assert self.refused(Seek(7, BOB)) == "offline"

    def test_nobody_seeks_or_finds_without_end(self) -> None:
        for question in (Seek(7, BOB), Find(7, "bob")):
            for _ in range(10):
                assert self.ask(question)["type"] != "refused"
            assert self.refused(question) == "unavailable"
        # REST and association are one allowance, and others have their own.
        self.failureResultOf(self.introducer.introduce(ALICE, BOB), TooOften)
        self.successResultOf(self.introducer.introduce(BOB, ALICE))
        self.daemon.clock.advance(1)
        assert self.ask(Seek(7, BOB))["type"] == "offer"

    def test_a_registry_in_trouble_is_told_and_logged(self) -> None:
        def broken(*_: object) -> Deferred[Any]:
            return fail(OSError("no connection"))

        self.patch(self.registry, "lookup", broken)
        assert self.refused(Find(7, "bob")) == "unavailable"
        assert self.refused(Seek(7, BOB)) == "unavailable"
        assert len(self.flushLoggedErrors(OSError)) == 2

    def test_an_answer_that_comes_when_the_asker_has_gone_is_nobodys(self) -> None:
        listed: Deferred[Any] = Deferred()
        self.patch(self.registry, "named", lambda room, name: listed)
        self.say(self.alice, Find(7, "bob"))
        self.alice.lose(DisconnectReason.TIMEOUT)
        listed.callback([])
        assert len(self.alice.sent) == 1

    def test_what_is_not_understood_is_counted_and_not_answered(self) -> None:
        known = len(self.alice.sent)
        bad = (
            b"",
            b"\xff",
            b"[]",
            b'{"type":"find"}',
            b'{"type":"dance","id":1}',
            b'{"type":"seek","id":-1,"to":"x"}',
            b'{"type":"find","id":1,"who":""}',
            b"[" * 5000,
        )
        for data in bad:
            self.say(self.alice, data)
        assert self.introducer.drops == {"not understood": len(bad)}
        self.say(self.alice, encode(Find(1, "bob")) + b" " * MAX_MESSAGE)
        assert self.introducer.drops["too long"] == 1
        assert len(self.alice.sent) == known


class CandidateTests(ArrivalCase):
    def setUp(self) -> None:
        super().setUp()
        for peer_id, name in ((ALICE, "alice"), (BOB, "bob"), (CAROL, "carol")):
            self.register(peer_id, name)
        self.alice = self.associate()
        self.bob = self.associate(BOB, B)
        self.carol = self.associate(CAROL, C)
        self.token = self.seek()

    def seek(self) -> str:
        self.say(self.alice, Seek(1, BOB))
        token: str = messages(self.alice)[-1]["token"]
        return token

    def told(self, peer: FakePeer) -> list[Any]:
        """
        The candidates that a peer has been told of.
        """
        said = [each for each in messages(peer) if each["type"] == "candidates"]
        assert all(each["token"] == self.token for each in said)
        return [candidate for each in said for candidate in each["candidates"]]

    def name(self, peer: FakePeer, *spots: Spot, token: str | None = None) -> None:
        self.say(peer, Candidates(token or self.token, list(spots)))

    def test_candidates_are_passed_on_to_the_other_side_only(self) -> None:
        self.name(self.alice, spot("192.0.2.1"), spot("203.0.113.9", kind="relayed"))
        assert self.told(self.bob) == [
            {"kind": "host", "ip": "192.0.2.1", "port": 4000},
            {"kind": "relayed", "ip": "203.0.113.9", "port": 4000},
        ]
        self.name(self.bob, spot("198.51.100.2", kind="mapped"))
        assert self.told(self.alice) == [{"kind": "mapped", "ip": "198.51.100.2", "port": 4000}]
        assert self.told(self.carol) == []

    def test_nobody_else_says_anything_in_a_session(self) -> None:
        self.name(self.carol, spot("203.0.113.3"))
        self.name(self.alice, spot("192.0.2.1"), token="guessed")
        assert self.told(self.alice) == self.told(self.bob) == []
        assert self.introducer.drops == {"unknown token": 2}

    def test_where_a_peer_is_observed_is_the_daemons_word_alone(self) -> None:
        self.name(self.alice, spot("203.0.113.50", kind="observed"))
        assert self.told(self.bob) == []
        assert self.introducer.drops == {"candidate": 1}

    def test_what_may_not_be_dialled_is_left_out(self) -> None:
        bad = [
            *("224.0.0.1", "255.255.255.255", "0.0.0.0", "127.0.0.1", "10.0.0.1", "fe80::1"),
            *("100::1", "::1", "localhost", "bob.example", "010.0.0.1", "😀", ""),
        ]
        self.name(self.alice, *(spot(ip) for ip in bad), spot("192.0.2.1"))
        assert [each["ip"] for each in self.told(self.bob)] == ["192.0.2.1"]
        assert self.introducer.drops == {"candidate": len(bad)}

    def test_private_addresses_are_told_behind_one_nat(self) -> None:
        self.bob = self.associate(BOB, (A[0], 61009))
        self.token = self.seek()
        self.name(self.alice, spot("10.0.0.1"), spot("127.0.0.1"), spot("fd00::1"))
        assert [each["ip"] for each in self.told(self.bob)] == ["10.0.0.1", "127.0.0.1", "fd00::1"]

    def test_sixteen_candidates_of_a_side_and_no_more(self) -> None:
        for number in range(1, 9):
            self.name(self.alice, *(spot(f"192.0.2.{number}", port) for port in (1, 2, 3)))
        assert len(self.told(self.bob)) == 16
        assert self.introducer.drops == {"candidate": 8}
        self.name(self.bob, spot("198.51.100.2"))
        assert len(self.told(self.alice)) == 1

    def test_more_than_sixteen_at_once_are_not_understood(self) -> None:
        self.name(self.alice, *(spot("192.0.2.1", port) for port in range(1, 18)))
        assert self.told(self.bob) == []
        assert self.introducer.drops == {"not understood": 1}

    def test_a_session_lasts_a_minute(self) -> None:
        self.daemon.clock.advance(LIFETIME - 1)
        self.name(self.alice, spot("192.0.2.1"))
        assert len(self.told(self.bob)) == 1
        self.daemon.clock.advance(1)
        self.name(self.alice, spot("192.0.2.2"))
        assert len(self.told(self.bob)) == 1
        assert self.introducer.drops == {"unknown token": 1}

    def test_when_the_other_one_is_away_nobody_is_told(self) -> None:
        self.bob.lose(DisconnectReason.TIMEOUT)
        self.name(self.alice, spot("192.0.2.1"))
        assert self.introducer.drops == {"nobody to tell": 1}
        # It comes back within the session, and hears what is said from then on.
        self.bob = self.associate(BOB, B)
        self.name(self.alice, spot("192.0.2.1"))
        assert len(self.told(self.bob)) == 1

    def test_who_is_seen_elsewhere_is_looked_for_there(self) -> None:
        """
        Its NAT has given it another address in the middle of a session.
        """
        self.associate(ALICE, MOVED)
        assert self.told(self.bob) == [OBSERVED_AT_MOVED]
        assert self.told(self.carol) == []

    def test_who_comes_back_where_it_was_is_not_news(self) -> None:
        self.alice.lose(DisconnectReason.TIMEOUT)
        self.associate()
        assert self.told(self.bob) == []

    def test_where_somebody_is_now_is_told_to_who_comes_back_itself(self) -> None:
        self.bob.lose(DisconnectReason.TIMEOUT)
        self.associate(ALICE, MOVED)
        bob = self.associate(BOB, B)
        assert self.told(bob) == [OBSERVED_AT_MOVED]

    def test_after_the_session_nobody_is_told_of_a_move(self) -> None:
        self.daemon.clock.advance(LIFETIME)
        self.associate(ALICE, MOVED)
        assert self.told(self.bob) == []


@given(st.binary(max_size=200) | st.dictionaries(st.text(), st.text()).map(encode))
def test_whatever_a_peer_says_is_survived(data: bytes) -> None:
    case = CandidateTests()
    case.setUp()
    case.say(case.alice, data)
    assert case.told(case.bob) == []
