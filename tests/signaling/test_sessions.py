"""
Who may tell whom where to be found.
"""

from __future__ import annotations

from twisted.internet.task import Clock

from p2pnet.signaling.sessions import LIFETIME, MAX_SESSIONS_OF_PEER, Sessions, Side
from tests.signaling.core import ALICE, BOB, CAROL

SEEN = ("192.0.2.1", 4000)


def begin(sessions: Sessions, token: str, one: str = ALICE, other: str = BOB) -> None:
    sessions.begin(token, Side(one, SEEN), Side(other, SEEN))


def test_a_session_has_two_sides_and_is_nobody_elses() -> None:
    sessions = Sessions(Clock().seconds)
    begin(sessions, "t")
    for own, opposite in ((ALICE, BOB), (BOB, ALICE)):
        session = sessions.find("t", own)
        assert session is not None
        assert [side.peer_id for side in session.sides(own)] == [own, opposite]
    assert sessions.find("t", CAROL) is None
    assert sessions.find("u", ALICE) is None


def test_a_session_is_over_after_a_minute_or_when_it_is_ended() -> None:
    clock = Clock()
    sessions = Sessions(clock.seconds)
    begin(sessions, "t")
    begin(sessions, "u")
    sessions.end("u")
    sessions.end("u")
    clock.advance(LIFETIME - 0.1)
    assert [session.token for session in sessions.of(BOB)] == ["t"]
    clock.advance(0.1)
    assert sessions.of(BOB) == []
    assert len(sessions) == 0
    assert not sessions._by_peer


def test_a_peer_is_in_a_limited_number_of_sessions() -> None:
    sessions = Sessions(Clock().seconds)
    begin(sessions, "another", CAROL, BOB)
    for number in range(MAX_SESSIONS_OF_PEER + 5):
        begin(sessions, str(number), ALICE, f"peer {number}")
    assert len(sessions.of(ALICE)) == MAX_SESSIONS_OF_PEER
    assert sessions.find("4", ALICE) is None
    assert sessions.find("5", ALICE) is not None
    assert sessions.find("another", BOB) is not None


def test_who_is_sought_by_many_is_in_a_limited_number_too() -> None:
    sessions = Sessions(Clock().seconds)
    for number in range(MAX_SESSIONS_OF_PEER + 5):
        begin(sessions, str(number), f"peer {number}", BOB)
    assert len(sessions.of(BOB)) == MAX_SESSIONS_OF_PEER == len(sessions)


def test_there_is_a_limit_in_all() -> None:
    sessions = Sessions(Clock().seconds, limit=3)
    for number in range(10):
        begin(sessions, str(number), f"a {number}", f"b {number}")
    assert len(sessions) == 3
    assert sessions.find("6", "a 6") is None
    assert sessions.find("7", "a 7") is not None
    assert len(sessions._by_peer) == 6
