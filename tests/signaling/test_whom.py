"""
Who is meant by what somebody typed.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.signaling.records import Record
from p2pnet.signaling.whom import MAX_LISTED, NotFound, meant
from p2pnet.text import visible
from tests.signaling.core import ALICE, BOB, CAROL

DAVE = "dddddddd-dddd-4ddd-8ddd-dddddddddddd"


def record(peer_id: str, username: str, *, online: bool = True) -> Record:
    return Record(peer_id, username, "192.0.2.1", 4000, online=online)


PEOPLE = [
    record(ALICE, "alice"),
    record(BOB, "bob"),
    record(CAROL, "bob"),
    record(DAVE, "dave", online=False),
]


def refusal(who: str, people: list[Record], asker: str = ALICE) -> NotFound:
    with pytest.raises(NotFound) as refused:
        meant(who, people, asker)
    assert str(refused.value).isprintable()
    return refused.value


@pytest.mark.parametrize(
    ("who", "peer_id"),
    [
        (BOB, BOB),
        (BOB.upper(), BOB),
        ("bob#bbbb", BOB),
        ("bob#BBBB", BOB),
        ("bob#c", CAROL),
        (f"bob#{CAROL}", CAROL),
    ],
)
def test_one_person_is_meant(who: str, peer_id: str) -> None:
    assert meant(who, PEOPLE, ALICE).peer_id == peer_id


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("alice", "self"),
        (ALICE, "self"),
        ("alice#aaaa", "self"),
        ("dave", "offline"),
        (DAVE, "offline"),
        ("dave#dd", "offline"),
        ("bob", "ambiguous"),
        ("Bob", "unknown"),
        ("bob#", "unknown"),
        ("bob#x", "unknown"),
        ("#bbbb", "unknown"),
        ("bob#dddd", "unknown"),
        ("", "unknown"),
        ("\x1b[31m", "unknown"),
        ("eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee", "unknown"),
    ],
)
def test_why_nobody_is(who: str, reason: str) -> None:
    assert refusal(who, PEOPLE).reason == reason


def test_the_ids_of_namesakes_are_told_as_far_as_they_fit() -> None:
    assert str(refusal("bob", PEOPLE)) == f'2 are called "bob": {BOB}, {CAROL}'
    many = [record(f"{number:08}-0000-4000-8000-000000000000", "bob") for number in range(9)]
    text = str(refusal("bob", many))
    assert text.startswith('9 are called "bob": ')
    assert text.count("-4000-") == MAX_LISTED
    assert text.endswith(", ...")
    # The asker shows 200 characters.
    assert len(text) <= 200


def test_of_namesakes_only_who_is_online_and_not_oneself_counts() -> None:
    people = [record(ALICE, "bob"), record(BOB, "bob"), record(CAROL, "bob", online=False)]
    assert meant("bob", people, ALICE).peer_id == BOB


def test_nobody_passes_for_another_by_a_name_with_a_hash() -> None:
    people = [record(ALICE, "alice"), record(BOB, "bob"), record(CAROL, "bob#bbbb")]
    assert meant("bob#bbbb", people, ALICE).peer_id == BOB
    assert meant("bob#bbbb#cccc", people, ALICE).peer_id == CAROL
    assert meant("bob#bbbb", people[::2], ALICE).peer_id == CAROL


def test_nobody_passes_for_another_by_being_called_like_an_id() -> None:
    digits = BOB.replace("-", "")
    people = [record(ALICE, "alice"), record(CAROL, digits)]
    assert meant(digits, people, ALICE).peer_id == CAROL


def test_a_name_can_be_typed_as_it_is_shown() -> None:
    people = [record(ALICE, "alice"), record(BOB, "<b>"), record(CAROL, "é\u0301")]
    assert meant(r"\x3cb\x3e", people, ALICE).peer_id == BOB
    assert meant(r"\x3cb\x3e#bbbb", people, ALICE).peer_id == BOB
    assert meant("<b>", people, ALICE).peer_id == BOB


@given(st.text(max_size=96))
def test_whatever_is_typed_is_somebody_or_a_reason_that_can_be_shown(who: str) -> None:
    try:
        found = meant(who, PEOPLE, ALICE).peer_id
    except NotFound as refused:
        found = refused.reason
        text = str(refused)
    else:
        text = ""
    assert found in (BOB, CAROL, "ambiguous", "offline", "self", "unknown")
    assert visible(text) == text
