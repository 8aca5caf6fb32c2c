from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from p2pnet.signaling.tickets import MAX_TICKET, BadTicket, TicketOffice
from tests.signaling.daemon import ALICE, BOB
from tests.signaling.doubles import counting


def office(clock: Clock, key: bytes = b"key", limit: int = 100) -> TicketOffice:
    return TicketOffice(key, clock.seconds, counting("nonce"), lifetime=60.0, limit=limit)


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
    assert not tickets._used
    assert not tickets._forgettable


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


def test_memory_of_used_tickets_is_bounded_and_none_is_used_twice_for_it() -> None:
    clock = Clock()
    tickets = office(clock, limit=10)
    redeemed = [tickets.issue(ALICE) for _ in range(10)]
    for ticket in redeemed:
        tickets.redeem(ticket)
    for ticket in (tickets.issue(ALICE), *redeemed):
        with pytest.raises(BadTicket):
            tickets.redeem(ticket)
    assert len(tickets._used) == 10
    clock.advance(60)
    tickets.redeem(tickets.issue(ALICE))
