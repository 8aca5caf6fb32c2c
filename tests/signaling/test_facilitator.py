"""
Programs that know nothing of us but LiteNetLib's NatPunchModule are introduced.
"""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from p2pnet.interfaces import Address, INatPunchListener, NatAddressType
from p2pnet.signaling.facilitator import LIFETIME, MAX_WAITING, Facilitator
from p2pnet.signaling.limits import Limits
from p2pnet.testing import Network
from tests.net.world import Notebook, make_manager
from tests.signaling.doubles import FakeManager, Wire

A: Address = ("192.0.2.1", 61001)
B: Address = ("198.51.100.2", 61002)
C: Address = ("203.0.113.3", 61003)
A_INSIDE: Address = ("10.0.0.1", 4001)
B_INSIDE: Address = ("10.0.0.2", 4002)
DAEMON: Address = ("203.0.113.1", 9050)
BURST = int(Limits().facilitations.burst)
TOTAL = int(Limits().facilitations_in_all.burst)


class Square:
    """
    A facilitator, and what it has told whom.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        nat = FakeManager(Wire(punching=False), DAEMON).nat
        self.facilitator = Facilitator(nat, clock=self.clock)
        assert nat.listener is self.facilitator
        self.told = nat.introductions
        self.ask = self.facilitator.nat_introduction_request


@pytest.fixture
def square() -> Square:
    return Square()


def test_it_listens(square: Square) -> None:
    verifyObject(INatPunchListener, square.facilitator)
    square.facilitator.nat_introduction_success(A, NatAddressType.EXTERNAL, "t")


def test_two_who_name_one_token_are_introduced(square: Square) -> None:
    square.ask(A_INSIDE, A, "t")
    square.ask(B_INSIDE, B, "u")
    assert square.told == []
    square.ask(B_INSIDE, B, "t")
    assert square.told == [(A, A, B, B, "t")]


def test_behind_one_nat_they_are_told_of_each_others_inside(square: Square) -> None:
    neighbour = (A[0], 61009)
    square.ask(A_INSIDE, A, "t")
    square.ask(B_INSIDE, neighbour, "t")
    assert square.told == [(A_INSIDE, A, B_INSIDE, neighbour, "t")]


def test_nobody_is_made_to_punch_at_a_third_party(square: Square) -> None:
    neighbour = (A[0], 61009)
    square.ask(("8.8.8.8", 53), A, "t")
    square.ask(("224.0.0.1", 53), neighbour, "t")
    assert square.told == [(A, A, neighbour, neighbour, "t")]


def test_who_asks_again_waits_on_and_may_have_moved_inside(square: Square) -> None:
    neighbour = (A[0], 61009)
    for _ in range(3):
        square.ask(("10.0.0.9", 4001), A, "t")
    square.ask(A_INSIDE, A, "t")
    square.ask(B_INSIDE, neighbour, "t")
    assert square.told == [(A_INSIDE, A, B_INSIDE, neighbour, "t")]


def test_a_third_one_waits_for_a_fourth(square: Square) -> None:
    square.ask(A_INSIDE, A, "t")
    square.ask(B_INSIDE, B, "t")
    square.ask(A_INSIDE, C, "t")
    assert len(square.told) == 1
    square.ask(A_INSIDE, A, "t")
    assert square.told[1:] == [(C, C, A, A, "t")]


def test_who_has_missed_the_introduction_gets_another(square: Square) -> None:
    """
    LiteNetLib programs ask until they hear of each other.
    """
    for _ in range(2):
        square.ask(A_INSIDE, A, "t")
        square.ask(B_INSIDE, B, "t")
    assert square.told == [(A, A, B, B, "t")] * 2


def test_a_token_waits_for_half_a_minute(square: Square) -> None:
    square.ask(A_INSIDE, A, "t")
    square.clock.advance(LIFETIME)
    square.ask(B_INSIDE, B, "t")
    assert square.told == []
    square.clock.advance(LIFETIME - 0.1)
    square.ask(A_INSIDE, A, "t")
    assert len(square.told) == 1


def test_without_a_token_nobody_is_introduced(square: Square) -> None:
    square.ask(A_INSIDE, A, "")
    square.ask(B_INSIDE, B, "")
    assert square.told == []
    assert square.facilitator.drops == 2


def test_a_network_that_asks_too_often_is_not_heard_and_others_are(square: Square) -> None:
    """
    It may be somebody who forges the addresses of that network, to have us flood it (TRAPS T8).
    """
    for number in range(1, 201):
        square.ask(A_INSIDE, (f"192.0.2.{number}", 61001), f"t{number}")
    assert square.facilitator.drops == 200 - BURST
    square.ask(B_INSIDE, B, "t1")
    square.ask(B_INSIDE, B, "t200")
    assert [token for *_, token in square.told] == ["t1"]
    square.clock.advance(1)
    square.ask(A_INSIDE, A, "t200")
    assert [token for *_, token in square.told] == ["t1", "t200"]


def test_ipv6_networks_are_counted_by_the_first_half(square: Square) -> None:
    for number in range(1, 101):
        square.ask(A_INSIDE, (f"2001:db8:0:1::{number:x}", 4000), f"t{number}")
    assert square.facilitator.drops == 100 - BURST


def test_all_networks_together_are_limited(square: Square) -> None:
    for number in range(TOTAL + 50):
        square.ask(A_INSIDE, (f"10.{number // 200}.{number % 200}.1", 4000), f"t{number}")
    assert square.facilitator.drops == 50


def test_a_limited_number_of_tokens_waits(square: Square) -> None:
    for number in range(MAX_WAITING + 10):
        square.ask(A_INSIDE, (f"10.{number // 200}.{number % 200}.1", 4000), f"t{number}")
        square.clock.advance(0.003)
    assert square.facilitator.drops == 0
    assert len(square.facilitator._waiting) == MAX_WAITING
    square.ask(B_INSIDE, B, "t10")
    assert len(square.told) == 1
    square.ask(B_INSIDE, B, "t9")
    assert len(square.told) == 1


def test_two_engines_meet_by_it() -> None:
    """
    The datagrams are LiteNetLib's own.
    """
    network = Network(seed=5, latency=0.02)
    daemon = make_manager(network, Notebook(), DAEMON, nat_punch_enabled=True)
    Facilitator(daemon.nat, clock=network.host(DAEMON[0]))
    daemon.startService()
    books = []
    for number, address in enumerate((A, B)):
        book = Notebook()
        manager = make_manager(network, book, address, nat_punch_enabled=True)
        manager.nat.init(book)
        manager.startService()
        manager.nat.send_introduce_request(DAEMON, "our secret", (f"10.0.0.{number + 1}", 4000))
        books.append(book)
    network.run(2.0)
    assert [target for target, _, _ in books[0].punched] == [B]
    assert [target for target, _, _ in books[1].punched] == [A]
