from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from p2pnet.signaling.backends.memory import MemoryRegistry, Terms
from p2pnet.signaling.tickets import MAX_TICKET, BadTicket, TicketOffice
from tests.signaling.core import ALICE, BOB
from tests.signaling.doubles import counting


class Office:
    """
    Tickets of a registry in memory, whose answers come at once.
    """

    def __init__(self, clock: Clock, key: bytes = b"key", purpose: str = "ticket") -> None:
        registry = MemoryRegistry(clock, clock.seconds, Terms(counting("secret"), key))
        self._office = TicketOffice(
            registry, purpose, wall=clock.seconds, nonce=counting("nonce"), lifetime=60.0
        )
        self.issue = self._office.issue

    def redeem(self, ticket: str) -> str:
        results: list[str] = []
        errors: list[BaseException] = []
        self._office.redeem(ticket).addCallbacks(
            results.append, lambda failure: errors.append(failure.value)
        )
        for error in errors:
            raise error
        return results[0]


def office(clock: Clock, key: bytes = b"key", purpose: str = "ticket") -> Office:
    return Office(clock, key, purpose)


def test_a_ticket_tells_whose_it_is() -> None:
    tickets = office(Clock())
    ticket = tickets.issue(ALICE)
    assert ticket.isascii()
    assert ticket.isprintable()
    assert len(ticket) < MAX_TICKET
    assert tickets.redeem(ticket) == ALICE


def test_a_ticket_is_good_once() -> None:
    tickets = office(Clock())
    ticket = tickets.issue(ALICE)
    tickets.redeem(ticket)
    with pytest.raises(BadTicket):
        tickets.redeem(ticket)


def test_a_ticket_is_good_for_its_lifetime() -> None:
    clock = Clock()
    tickets = office(clock)
    early, late = tickets.issue(ALICE), tickets.issue(ALICE)
    clock.advance(59.9)
    tickets.redeem(early)
    clock.advance(0.1)
    with pytest.raises(BadTicket):
        tickets.redeem(late)


def test_a_used_ticket_stays_used_for_all_its_life() -> None:
    clock = Clock()
    tickets = office(clock)
    ticket = tickets.issue(ALICE)
    tickets.redeem(ticket)
    for _ in range(200):
        clock.advance(1)
        with pytest.raises(BadTicket):
            tickets.redeem(ticket)


def test_a_ticket_for_another_purpose_is_not_good() -> None:
    clock = Clock()
    with pytest.raises(BadTicket):
        office(clock).redeem(office(clock, purpose="challenge").issue(ALICE))


def test_a_ticket_from_far_in_the_future_is_not_good() -> None:
    """
    It would outlive the memory of its use.
    """
    clock, ahead = Clock(), Clock()
    ahead.advance(61)
    with pytest.raises(BadTicket):
        office(clock).redeem(office(ahead).issue(ALICE))


def test_a_foreign_ticket_is_not_good() -> None:
    clock = Clock()
    with pytest.raises(BadTicket):
        office(clock).redeem(office(clock, key=b"another").issue(ALICE))


def test_all_errors_say_the_same() -> None:
    """
    A stranger learns nothing by trying (TRAPS T7).
    """
    clock = Clock()
    tickets = office(clock)
    used, expired = tickets.issue(ALICE), tickets.issue(ALICE)
    tickets.redeem(used)
    said = set()
    for ticket in (used, "", "x", office(clock, b"another").issue(ALICE)):
        with pytest.raises(BadTicket) as raised:
            tickets.redeem(ticket)
        said.add(str(raised.value))
    clock.advance(61)
    with pytest.raises(BadTicket) as raised:
        tickets.redeem(expired)
    assert said == {str(raised.value)}


def test_no_part_of_a_ticket_can_be_changed() -> None:
    tickets = office(Clock())
    ticket = tickets.issue(ALICE)
    with pytest.raises(BadTicket):
        tickets.redeem(ticket.replace(ALICE, BOB))
    for position, character in enumerate(ticket):
        changed = ticket[:position] + chr(ord(character) ^ 1) + ticket[position + 1 :]
        with pytest.raises(BadTicket):
            tickets.redeem(changed)
    assert tickets.redeem(ticket) == ALICE


@given(st.text())
def test_garbage_is_a_bad_ticket(text: str) -> None:
    with pytest.raises(BadTicket):
        office(Clock()).redeem(text)
