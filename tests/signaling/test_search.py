"""
One search: what proves an introduction, and which connection goes where.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address, ConnectionState, DialFailed, RudpError
from p2pnet.reach.candidates import MAX_CANDIDATES, Candidate, CandidateKind
from p2pnet.reach.mapping import NatMapping
from p2pnet.signaling.search import LIFETIME, Search, candidate_of, proof, spot_of
from p2pnet.signaling.shapes import Spot
from tests.signaling.core import ALICE, BOB
from tests.signaling.doubles import FakeManager, FakePeer, RecordingListener, Wire
from tests.signaling.offers import BOB_AT, nominated, offer, search_for

ROUTE: Address = ("100::1", 61002)


class SearchCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.manager = FakeManager(Wire(), ("192.0.2.1", 4000))
        self.search = search_for(offer(), self.manager)

    def connected(self, address: Address = BOB_AT) -> FakePeer:
        """
        A connection of our engine.
        """
        peer = FakePeer(address, RecordingListener())
        self.manager.peers = [*self.manager.peers, peer]
        return peer


class CandidateTests(SearchCase):
    def add(self, *addresses: Address, near: bool = False) -> list[Address]:
        search = search_for(offer(), self.manager, near=near)
        named = [Candidate(CandidateKind.HOST, address) for address in addresses]
        return [candidate.address for candidate in search.add(named, 0.0)]

    def test_what_may_not_be_dialled_is_not_tried(self) -> None:
        bad = [
            ("127.0.0.1", 1),
            ("10.0.0.1", 1),
            ("192.168.0.1", 1),
            ("169.254.0.1", 1),
            ("224.0.0.1", 1),
            ("255.255.255.255", 1),
            ("0.0.0.0", 1),
            ("100::1", 1),
            ("fe80::1", 1),
            ("198.51.100.9", 0),
        ]
        assert self.add(*bad, BOB_AT) == [BOB_AT]
        assert self.add(*bad, near=True) == bad[:4]

    def test_each_is_tried_once_and_not_too_many(self) -> None:
        assert self.add(BOB_AT, BOB_AT) == [BOB_AT]
        many = [(f"198.51.100.{each}", 1) for each in range(1, 200)]
        assert len(self.add(*many)) == MAX_CANDIDATES

    def test_words_become_candidates_and_back(self) -> None:
        spot = Spot("mapped", "198.51.100.9", 77)
        candidate = candidate_of(spot)
        assert candidate == Candidate(CandidateKind.MAPPED, ("198.51.100.9", 77))
        assert spot_of(candidate) == spot

    def test_one_address_has_one_spelling(self) -> None:
        for written, read in (
            ("::ffff:198.51.100.9", "198.51.100.9"),
            ("2001:DB8:0::1", "2001:db8::1"),
        ):
            candidate = candidate_of(Spot("host", written, 1))
            assert candidate is not None
            assert candidate.address == (read, 1)

    def test_what_is_no_address_is_no_candidate(self) -> None:
        for text in ("", "bob.example", "198.51.100.999", "2001:db8::1%eth0", "\0"):
            assert candidate_of(Spot("host", text, 1)) is None

    def test_a_kind_of_nat_that_we_do_not_know_is_unknown(self) -> None:
        known = search_for(offer(nat="address-dependent"), self.manager)
        assert known.their_mapping is NatMapping.ADDRESS_DEPENDENT
        strange = search_for(offer(nat="weird"), self.manager)
        assert strange.their_mapping is NatMapping.UNKNOWN

    def test_a_token_that_no_probe_can_carry_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            search_for(offer("ü" * 255), self.manager)


class ProofTests(SearchCase):
    def proves(self, data: bytes, now: float = 0.0) -> bool:
        return self.search.is_proof(data, now)

    def test_the_token_and_the_id_prove_it(self) -> None:
        assert self.proves(proof("token1", BOB))
        assert self.proves(proof("token1", BOB)), "a request may be repeated"

    def test_nothing_else_does(self) -> None:
        for data in (
            b"",
            b"\xff",
            b"\xff" * 600,
            proof("token2", BOB),
            proof("token1", ALICE),
            proof("", BOB),
            proof("token1", ""),
            proof("tokén1", BOB),
            proof("token1", BOB)[:-1],
        ):
            assert not self.proves(data), data

    def test_it_ends(self) -> None:
        assert self.proves(proof("token1", BOB), LIFETIME - 0.01)
        assert not self.proves(proof("token1", BOB), LIFETIME)

    def test_it_is_used_up_by_a_connection(self) -> None:
        self.search.use(nominated(), BOB_AT)
        assert self.proves(proof("token1", BOB))
        self.connected()
        assert not self.proves(proof("token1", BOB))

    def test_a_connection_from_before_does_not_use_it_up(self) -> None:
        """
        Who calls again may have lost what still seems to stand to us.
        """
        self.connected()
        search = search_for(offer(), self.manager)
        search.use(nominated(), BOB_AT)
        assert search.is_proof(proof("token1", BOB), 0.0)
        assert search.peer is None


class ConnectionTests(SearchCase):
    def use(self, address: Address) -> None:
        self.search.use(nominated(), address)

    def test_the_first_path_is_told_to_who_waits(self) -> None:
        self.use(ROUTE)
        self.use(BOB_AT)
        assert self.successResultOf(self.search.found) == ROUTE

    def test_the_connection_goes_where_the_path_goes(self) -> None:
        self.use(ROUTE)
        peer = self.connected(ROUTE)
        self.search.settle()
        assert self.search.peer is peer
        assert self.search.is_settled
        self.use(BOB_AT)
        assert peer.address == BOB_AT
        self.use(ROUTE)
        assert peer.address == ROUTE

    def test_the_connection_may_come_when_the_path_has_changed_already(self) -> None:
        self.use(ROUTE)
        self.use(BOB_AT)
        peer = self.connected(ROUTE)
        self.search.settle()
        assert peer.address == BOB_AT

    def test_somebody_else_is_left_alone(self) -> None:
        other = self.connected(("198.51.100.77", 1))
        self.use(BOB_AT)
        assert self.search.peer is None
        assert other.address == ("198.51.100.77", 1)

    def test_a_path_that_another_connection_has_is_left_to_it(self) -> None:
        self.use(ROUTE)
        peer = self.connected(ROUTE)
        self.search.settle()

        def taken(address: Address) -> None:
            raise RudpError("there is another connection")

        peer.move = taken  # type: ignore[method-assign]  # as the engine would
        self.use(BOB_AT)
        assert self.search.is_settled
        assert peer.address == ROUTE

    def test_a_connection_that_is_over_is_not_moved(self) -> None:
        self.use(ROUTE)
        peer = self.connected(ROUTE)
        self.search.settle()
        peer.state = ConnectionState.DISCONNECTED
        self.use(BOB_AT)
        assert peer.address == ROUTE
        assert self.search.is_spent(0.0)

    def test_what_nothing_came_of_is_spent_after_a_while(self) -> None:
        assert not self.search.is_spent(LIFETIME - 0.01)
        assert self.search.is_spent(LIFETIME)
        self.use(BOB_AT)
        self.connected()
        self.search.settle()
        assert not self.search.is_spent(100 * LIFETIME)

    def test_the_end_is_told_to_who_waits_and_leaves_the_connection(self) -> None:
        self.search.end()
        assert self.failureResultOf(self.search.found, DialFailed).value.reason == "no-path"
        self.search.end()
        other: Search = search_for(offer("token2"), self.manager)
        other.use(nominated(), ROUTE)
        peer = self.connected(ROUTE)
        other.settle()
        other.end()
        other.use(nominated(), BOB_AT)
        assert peer.address == ROUTE
        assert peer.state is ConnectionState.CONNECTED

    def test_who_waits_may_have_given_up(self) -> None:
        self.search.found.cancel()
        self.failureResultOf(self.search.found, CancelledError)
        self.use(BOB_AT)
        self.search.end()
