from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.signaling.offers import LIFETIME, LIMIT, MAX_TARGETS, Offers, proof
from tests.signaling.daemon import ALICE, BOB
from tests.signaling.doubles import FakeNat, Wire

TARGET = ("192.0.2.1", 61001)


class OffersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.nat = FakeNat(Wire(), ("192.0.2.9", 1))
        self.offers = Offers(self.nat, self.clock.seconds)

    def test_an_expected_peer_is_introduced(self) -> None:
        self.offers.expect("token", ALICE)
        assert self.nat.expected == ["token"]
        assert self.offers.introduced(proof("token", ALICE)) == ALICE

    def test_a_repeated_request_is_introduced_again(self) -> None:
        self.offers.expect("token", ALICE)
        for _ in range(5):
            assert self.offers.introduced(proof("token", ALICE)) == ALICE

    def test_a_token_introduces_nobody_else(self) -> None:
        self.offers.expect("token", ALICE)
        for data in (proof("token", BOB), proof("tokem", ALICE), proof("", ""), b""):
            assert self.offers.introduced(data) is None

    def test_the_first_word_about_a_token_counts(self) -> None:
        self.offers.expect("token", ALICE)
        self.offers.expect("token", BOB)
        assert self.nat.expected == ["token"]
        assert self.offers.introduced(proof("token", ALICE)) == ALICE
        assert self.offers.introduced(proof("token", BOB)) is None

    def test_an_introduction_is_good_for_its_lifetime(self) -> None:
        self.offers.expect("token", ALICE)
        self.clock.advance(LIFETIME - 0.1)
        assert self.offers.introduced(proof("token", ALICE)) == ALICE
        self.clock.advance(0.1)
        assert self.offers.introduced(proof("token", ALICE)) is None
        assert self.nat.forgotten == ["token"]

    def test_memory_is_bounded(self) -> None:
        for number in range(LIMIT + 10):
            self.offers.expect(f"token{number}", ALICE)
        assert len(self.offers._expected) == LIMIT
        assert self.nat.forgotten == [f"token{number}" for number in range(10)]
        assert self.offers.introduced(proof("token0", ALICE)) is None
        assert self.offers.introduced(proof("token10", ALICE)) == ALICE

    def test_a_punch_that_came_before_anybody_waited_is_kept(self) -> None:
        expected = self.offers.expect("token", ALICE)
        self.offers.punched(TARGET, "token")
        assert self.successResultOf(expected.targets.get()) == TARGET

    def test_punches_are_bounded_and_those_of_strangers_ignored(self) -> None:
        expected = self.offers.expect("token", ALICE)
        for port in range(1, 100):
            self.offers.punched(("192.0.2.1", port), "token")
            self.offers.punched(("192.0.2.1", port), "another")
        assert len(expected.targets.pending) == MAX_TARGETS

    def test_all_can_be_forgotten(self) -> None:
        self.offers.expect("one", ALICE)
        self.offers.expect("two", BOB)
        self.offers.clear()
        self.offers.forget("three")
        assert self.nat.forgotten == ["one", "two"]


@given(st.binary(max_size=700))
def test_any_connection_data_is_survived(data: bytes) -> None:
    offers = Offers(FakeNat(Wire(), ("192.0.2.9", 1)), Clock().seconds)
    offers.expect("token", ALICE)
    assert offers.introduced(data) is None
