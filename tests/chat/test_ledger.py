"""
What waits for its arrival, and what is new.
"""

from __future__ import annotations

import pytest

from p2pnet.chat.ledger import MAX_KEPT, MAX_KEPT_BYTES, MAX_LEDGERS, Ledger, Ledgers
from p2pnet.chat.messages import MAX_TEXT


def holding(*texts: str) -> Ledger:
    ledger = Ledger()
    for text in texts:
        ledger.add(text, 1.5)
    return ledger


def test_texts_are_numbered_when_they_are_first_sent() -> None:
    ledger = holding("one", "two")
    assert ledger.sent_after(0) == []
    assert ledger.number() == 2
    ledger.add("three", 2.5)
    assert ledger.number() == 1
    assert [(each.number, each.text) for each in ledger.sent_after(0)] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    assert [each.text for each in ledger.sent_after(2)] == ["three"]
    assert ledger.sent_after(3) == []


def test_what_has_arrived_is_forgotten() -> None:
    ledger = holding("one", "two", "three")
    ledger.number()
    ledger.confirm(2)
    assert [each.text for each in ledger.sent_after(0)] == ["three"]
    ledger.confirm(1)
    ledger.confirm(99)
    assert len(ledger) == 0


def test_what_was_never_sent_cannot_have_arrived() -> None:
    ledger = holding("one")
    ledger.confirm(99)
    assert ledger.abandon() == ["one"]


def test_who_has_forgotten_the_numbers_goes_on_with_new_ones() -> None:
    """
    Texts with numbers that the other side has had would be taken for old ones.
    """
    ledger = holding("said before their hello came")
    ledger.resume(7)
    ledger.number()
    assert [each.number for each in ledger.sent_after(0)] == [8]


def test_each_number_is_taken_once() -> None:
    ledger = Ledger()
    assert [ledger.take(number) for number in (1, 2, 2, 1, 5, 4, 6)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert ledger.received == 6


def test_a_text_too_many_is_refused_until_another_has_arrived() -> None:
    ledger = holding(*["x"] * MAX_KEPT)
    with pytest.raises(ValueError, match=f"^{MAX_KEPT} lines wait"):
        ledger.add("x", 1.5)
    ledger.number()
    with pytest.raises(ValueError, match="lines wait"):
        ledger.add("x", 1.5)
    ledger.confirm(1)
    ledger.add("x", 1.5)
    assert len(ledger) == MAX_KEPT


def test_bytes_too_many_are_refused_until_others_have_arrived() -> None:
    longest = "ü" * MAX_TEXT
    ledger = holding(*[longest] * (MAX_KEPT_BYTES // (2 * MAX_TEXT)))
    with pytest.raises(ValueError, match=f"^lines of {MAX_KEPT_BYTES} bytes wait"):
        ledger.add("x", 1.5)
    ledger.number()
    ledger.confirm(1)
    ledger.add(longest, 1.5)
    assert len(ledger.abandon()) == MAX_KEPT_BYTES // (2 * MAX_TEXT)
    ledger.add(longest, 1.5)


@pytest.mark.parametrize("text", ["", "x" * (MAX_TEXT + 1), "\ud800"])
def test_what_cannot_be_said_is_not_kept(text: str) -> None:
    ledger = Ledger()
    with pytest.raises(ValueError, match=r"^text: "):
        ledger.add(text, 1.5)
    assert len(ledger) == 0


def test_those_met_last_are_remembered() -> None:
    ledgers = Ledgers()
    first, second = ledgers.of("first"), ledgers.of("second")
    for number in range(MAX_LEDGERS - 2):
        ledgers.of(str(number))
    assert ledgers.of("first") is first
    ledgers.of("one too many")
    assert len(ledgers) == MAX_LEDGERS
    assert ledgers.of("first") is first
    assert ledgers.of("second") is not second
