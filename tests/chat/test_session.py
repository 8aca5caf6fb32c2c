"""
One conversation, with plain numbers for time.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.chat.events import (
    Cause,
    ClosingBegun,
    PeerRenamed,
    PongReceived,
    SessionClosed,
    SessionEvent,
    SessionOpened,
    TextReceived,
)
from p2pnet.chat.identity import make_identity
from p2pnet.chat.ledger import Ledger
from p2pnet.chat.messages import (
    CHAT_VERSION,
    MAX_ID,
    MAX_TEXT,
    Disconnect,
    Hello,
    Message,
    Ping,
    Pong,
    Received,
    Text,
    decode,
    encode,
)
from p2pnet.chat.session import (
    CLOSE_GRACE,
    HEARTBEAT,
    HELLO_TIMEOUT,
    MAX_PINGS,
    RETRY_AFTER,
    Session,
)
from p2pnet.chat.states import MOVES, SessionState, Step
from tests.chat.doubles import NOON
from tests.chat.stage import ALICE, BOB, CAROL

US, THEM = make_identity("alice", ALICE), make_identity("bob", BOB)
HELLO = encode(Hello(THEM.peer_id, 0, "bob"))


def greeting(**options: Any) -> Session:
    return Session(US, now=0.0, epoch=NOON, **options)


def opened(**options: Any) -> Session:
    session = greeting(**options)
    session.receive_message(HELLO, 0.0)
    session.messages_to_send()
    session.events()
    return session


def said(session: Session) -> list[Message]:
    return [decode(data) for data in session.messages_to_send()]


def closing_reason(session: Session) -> str:
    (goodbye,) = said(session)
    assert isinstance(goodbye, Disconnect)
    return goodbye.reason


def from_them(text: str, sender: str = THEM.peer_id) -> bytes:
    return encode(Text(sender, 0, text))


def test_both_say_hello_first() -> None:
    session = greeting()
    assert said(session) == [Hello(US.peer_id, NOON, "alice", received=0)]
    assert session.events() == []
    session.receive_message(HELLO, 0.1)
    assert session.events() == [SessionOpened(THEM.peer_id, "bob", CHAT_VERSION)]
    assert session.state is SessionState.OPEN


def test_messages_are_dated_by_the_wall_clock() -> None:
    session = opened()
    session.say("hi", 12.5)
    assert said(session) == [Text(US.peer_id, NOON + 12.5, "hi", 1)]


def test_two_sessions_understand_each_other() -> None:
    a, b = greeting(expected=THEM.peer_id), Session(THEM, now=0.0, epoch=NOON)
    a.say("hello", 0.0)
    a.ping(0.0)
    told: list[SessionEvent] = []
    for step in range(4):
        for near, far in ((a, b), (b, a)):
            for data in near.messages_to_send():
                far.receive_message(data, 0.1 * step)
        told += a.events() + b.events()
    assert TextReceived("hello", NOON) in told
    (pong,) = [event for event in told if isinstance(event, PongReceived)]
    assert pong.requested
    assert (a.counts.sent, b.counts.received) == (1, 1)


@pytest.mark.parametrize(
    "data", [from_them("early"), encode(Ping(THEM.peer_id, 0, 1)), encode(Pong(THEM.peer_id, 0, 1))]
)
def test_talk_before_hello_is_refused(data: bytes) -> None:
    session = greeting()
    session.messages_to_send()
    session.receive_message(data, 1.0)
    assert "before hello" in closing_reason(session)
    assert session.counts.malformed == 1
    assert session.state is SessionState.REFUSING


def test_no_hello_in_time_is_refused() -> None:
    session = greeting()
    session.messages_to_send()
    assert session.next_timeout() == HELLO_TIMEOUT
    session.handle_timeout(HELLO_TIMEOUT - 0.001)
    assert session.messages_to_send() == []
    session.handle_timeout(HELLO_TIMEOUT)
    assert "no hello" in closing_reason(session)


def test_a_hello_of_somebody_else_is_refused() -> None:
    session = greeting(expected=str(CAROL))
    session.messages_to_send()
    session.receive_message(HELLO, 0.0)
    assert "introduced" in closing_reason(session)
    assert not any(isinstance(event, SessionOpened) for event in session.events())


def test_our_own_hello_is_refused() -> None:
    session = greeting()
    session.messages_to_send()
    session.receive_message(encode(Hello(US.peer_id, 0, "alice")), 0.0)
    assert "own id" in closing_reason(session)


@pytest.mark.parametrize(
    "data", [from_them("x", str(CAROL)), encode(Hello(str(CAROL), 0, "carol")), b"garbage"]
)
def test_who_breaks_the_rules_is_told_why_and_not_heard_any_more(data: bytes) -> None:
    session = opened()
    session.receive_message(data, 1.0)
    assert closing_reason(session)
    session.receive_message(from_them("more"), 1.1)
    session.receive_message(data, 1.2)
    (begun,) = session.events()
    assert isinstance(begun, ClosingBegun)
    assert begun.cause is Cause.TROUBLE
    assert session.counts.malformed == 1
    assert session.messages_to_send() == []
    session.handle_timeout(1.0 + CLOSE_GRACE)
    assert session.state is SessionState.CLOSED


def test_what_is_unknown_is_ignored_even_before_hello() -> None:
    session = greeting()
    session.messages_to_send()
    unknown = {"type": "dance", "from": str(CAROL), "timestamp": 0, "body": [1]}
    session.receive_message(json.dumps(unknown).encode(), 0.0)
    session.receive_message(HELLO, 0.0)
    session.receive_message(encode(Pong(THEM.peer_id, 0, 99)), 0.0)
    assert session.state is SessionState.OPEN
    assert session.counts.ignored == 2
    assert session.messages_to_send() == []


def test_a_second_hello_renames() -> None:
    session = opened()
    session.receive_message(HELLO, 1.0)
    assert session.events() == []
    session.receive_message(encode(Hello(THEM.peer_id, 0, "robert")), 2.0)
    assert session.events() == [PeerRenamed("robert")]


def test_our_new_name_is_told_by_a_second_hello() -> None:
    session = opened()
    session.rename(US.renamed("al"), 3.0)
    assert said(session) == [Hello(US.peer_id, NOON + 3.0, "al", received=0)]


def test_pings_are_answered() -> None:
    session = opened()
    session.receive_message(encode(Ping(THEM.peer_id, 0, 42)), 1.0)
    assert said(session) == [Pong(US.peer_id, NOON + 1.0, 42)]


def test_a_heartbeat_goes_out_now_and_then() -> None:
    session = opened(heartbeat=5.0)
    for beat in range(1, 100):
        now = session.next_timeout()
        assert now == 5.0 * beat
        session.handle_timeout(now)
        (ping,) = said(session)
        assert isinstance(ping, Ping)
        session.receive_message(encode(Pong(THEM.peer_id, 0, ping.id)), now + 0.25)
        assert session.events() == [PongReceived(0.25, requested=False)]


def test_two_unanswered_heartbeats_end_it() -> None:
    session = opened(heartbeat=5.0)
    for now in (5.0, 10.0):
        session.handle_timeout(now)
        assert [type(message) for message in said(session)] == [Ping]
    session.handle_timeout(15.0)
    assert "heartbeats" in closing_reason(session)
    session.handle_timeout(15.0 + CLOSE_GRACE)
    closed = session.events()[-1]
    assert isinstance(closed, SessionClosed)
    assert closed.cause is Cause.TROUBLE


def test_a_late_timer_does_not_send_a_burst_of_heartbeats() -> None:
    """
    As after the machine has slept for an hour.
    """
    session = opened(heartbeat=5.0)
    session.handle_timeout(3600.0)
    assert len(said(session)) == 1
    assert session.next_timeout() == 3605.0


def test_pings_that_are_never_answered_are_forgotten() -> None:
    session = opened()
    for _ in range(MAX_PINGS + 1):
        session.ping(0.0)
    pings = said(session)
    for ping in pings:
        assert isinstance(ping, Ping)
        session.receive_message(encode(Pong(THEM.peer_id, 0, ping.id)), 1.0)
    assert len(session.events()) == MAX_PINGS
    assert session.counts.ignored == 1


def test_our_goodbye_waits_for_them_to_close_and_hears_them_meanwhile() -> None:
    session = opened()
    session.close("hung up", 1.0)
    assert said(session) == [Disconnect(US.peer_id, NOON + 1.0, "hung up")]
    session.receive_message(from_them("one more thing"), 1.1)
    assert session.events() == [
        ClosingBegun("hung up", Cause.US),
        TextReceived("one more thing", 0),
    ]
    assert session.next_timeout() == 1.0 + CLOSE_GRACE
    session.lost("closed the connection")
    assert session.events() == [SessionClosed("hung up", Cause.US, linger=0.0)]
    assert session.next_timeout() is None


def test_our_goodbye_does_not_wait_for_ever() -> None:
    session = opened()
    session.close("hung up", 1.0)
    session.handle_timeout(1.0 + CLOSE_GRACE)
    assert session.state is SessionState.CLOSED
    with pytest.raises(ValueError, match="closing"):
        session.say("too late", 3.0)


def test_their_goodbye_is_the_end() -> None:
    session = opened()
    session.receive_message(encode(Disconnect(THEM.peer_id, 0, "lunch")), 1.0)
    assert session.messages_to_send() == []
    assert session.events() == [
        ClosingBegun("lunch", Cause.THEM),
        SessionClosed("lunch", Cause.THEM, linger=CLOSE_GRACE),
    ]


def test_a_lost_connection_is_nobodys_wish() -> None:
    session = opened()
    session.lost("time-out")
    session.lost("again")
    assert session.events() == [
        ClosingBegun("time-out", Cause.LOST),
        SessionClosed("time-out", Cause.LOST, linger=0.0),
    ]


@pytest.mark.parametrize("text", ["", "x" * (MAX_TEXT + 1), "\ud800"])
def test_what_cannot_be_said_is_the_callers_error(text: str) -> None:
    session = opened()
    with pytest.raises(ValueError, match=r"^text: "):
        session.say(text, 0.0)
    assert session.messages_to_send() == []
    assert session.counts.sent == 0


def test_every_state_knows_its_end() -> None:
    for state in SessionState:
        if state is not SessionState.CLOSED:
            assert MOVES[state, Step.END] is SessionState.CLOSED
        else:
            assert not [move for move in MOVES if move[0] is state]


# ------------------------------------------------------------ numbers


def hello(received: int | None = 0, *, resumes: bool = False) -> bytes:
    return encode(Hello(THEM.peer_id, 0, "bob", received=received, resumes=resumes))


def texts(session: Session) -> list[tuple[int | None, str]]:
    return [(each.id, each.text) for each in said(session) if isinstance(each, Text)]


def test_what_is_said_before_their_hello_waits_for_it() -> None:
    session = greeting()
    session.say("early", 0.0)
    assert texts(session) == []
    session.receive_message(hello(), 3.0)
    assert said(session) == [Text(US.peer_id, NOON, "early", 1)]


def test_the_next_connection_brings_what_the_last_one_did_not() -> None:
    ledger = Ledger()
    first = greeting(ledger=ledger)
    first.receive_message(hello(), 0.0)
    for text in ("one", "two", "three"):
        first.say(text, 1.0)
    first.receive_message(encode(Received(THEM.peer_id, 0, 1)), 1.1)
    first.lost("time-out")
    ledger.add("four", NOON + 9.0)
    second = Session(US, now=10.0, epoch=NOON, ledger=ledger, resumes=True)
    second.receive_message(hello(received=2, resumes=True), 10.0)
    greeted, *rest = said(second)
    assert isinstance(greeted, Hello)
    assert greeted.resumes
    assert rest == [
        Text(US.peer_id, NOON + 1.0, "three", 3),
        Text(US.peer_id, NOON + 9.0, "four", 4),
    ]
    assert (first.counts.sent, second.counts.sent) == (3, 1)


def test_what_comes_twice_is_heard_once_and_confirmed_twice() -> None:
    ledger = Ledger()
    session = greeting(ledger=ledger)
    session.receive_message(hello(), 0.0)
    for number, text in ((1, "one"), (1, "one"), (2, "two")):
        session.receive_message(encode(Text(THEM.peer_id, 0, text, number)), 1.0)
    heard = [event.text for event in session.events() if isinstance(event, TextReceived)]
    assert heard == ["one", "two"]
    confirmed = [each.id for each in said(session) if isinstance(each, Received)]
    assert confirmed == [1, 1, 2]
    assert (session.counts.received, session.counts.ignored) == (2, 1)
    greeted = said(Session(US, now=2.0, epoch=NOON, ledger=ledger))[0]
    assert isinstance(greeted, Hello)
    assert greeted.received == 2


def test_who_does_not_count_hears_nothing_twice_and_no_confirmations() -> None:
    """
    A chat of version 1.
    """
    ledger = Ledger()
    first = greeting(ledger=ledger)
    first.receive_message(hello(received=None), 0.0)
    first.say("one", 1.0)
    first.say("two", 1.0)
    assert texts(first) == [(1, "one"), (2, "two")]
    # The engine's queue was full.
    first.taken(1 + 1, 1.0)
    first.receive_message(from_them("hi"), 1.0)
    assert said(first) == []
    first.lost("time-out")
    second = Session(US, now=10.0, epoch=NOON, ledger=ledger, resumes=True)
    second.receive_message(hello(received=None), 10.0)
    assert texts(second) == [(2, "two")]
    second.taken(2, 10.0)
    assert len(ledger) == 0


def test_what_the_engine_refuses_is_offered_again_in_order() -> None:
    session = greeting()
    session.receive_message(hello(), 0.0)
    session.messages_to_send()
    for text in ("one", "two", "three"):
        session.say(text, 1.0)
    assert len(session.messages_to_send()) == 3
    session.taken(1, 1.0)
    assert session.next_timeout() == 1.0 + RETRY_AFTER
    session.say("four", 1.1)
    assert texts(session) == [(2, "two"), (3, "three"), (4, "four")]
    session.taken(0, 1.1)
    session.handle_timeout(1.0 + RETRY_AFTER)
    assert texts(session) == []
    session.handle_timeout(1.1 + RETRY_AFTER)
    assert texts(session) == [(2, "two"), (3, "three"), (4, "four")]
    session.taken(3, 2.0)
    assert session.next_timeout() == HEARTBEAT
    assert session.counts.sent == 4


def test_confirmations_that_were_refused_are_made_up_for() -> None:
    session = greeting()
    session.receive_message(hello(), 0.0)
    session.messages_to_send()
    session.receive_message(encode(Text(THEM.peer_id, 0, "hi", 5)), 1.0)
    session.messages_to_send()
    session.taken(0, 1.0)
    session.handle_timeout(1.0 + RETRY_AFTER)
    assert said(session) == [Received(US.peer_id, NOON + 1.0 + RETRY_AFTER, 5)]


def test_what_they_confirm_after_their_goodbye_has_arrived() -> None:
    ledger = Ledger()
    session = greeting(ledger=ledger)
    session.receive_message(hello(), 0.0)
    session.say("one", 1.0)
    session.receive_message(encode(Disconnect(THEM.peer_id, 0, "lunch")), 1.1)
    session.receive_message(encode(Received(str(CAROL), 0, 1)), 1.2)
    session.receive_message(b"garbage", 1.2)
    assert len(ledger) == 1
    session.receive_message(encode(Received(THEM.peer_id, 0, 1)), 1.2)
    assert len(ledger) == 0
    assert session.state is SessionState.CLOSED


def test_a_confirmation_of_what_was_never_said_does_no_harm() -> None:
    session = greeting()
    session.receive_message(hello(received=MAX_ID - 1), 0.0)
    session.receive_message(encode(Received(THEM.peer_id, 0, MAX_ID)), 0.1)
    session.messages_to_send()
    session.say("one", 1.0)
    assert texts(session) == [(MAX_ID, "one")]


SENDERS = st.sampled_from([THEM.peer_id, US.peer_id, str(CAROL)])
HOSTILE = st.one_of(
    st.binary(max_size=30),
    st.builds(
        Hello,
        SENDERS,
        st.just(0.0),
        st.sampled_from(["bob", "x"]),
        received=st.none() | st.integers(0, 9),
        resumes=st.booleans(),
    ).map(encode),
    st.builds(
        Text,
        SENDERS,
        st.just(0.0),
        st.text(min_size=1).filter(str.isprintable),
        st.none() | st.integers(1, 9),
    ).map(encode),
    st.builds(Received, SENDERS, st.just(0.0), st.integers(0, 9)).map(encode),
    st.builds(Ping, SENDERS, st.just(0.0), st.integers(0, 5)).map(encode),
    st.builds(Pong, SENDERS, st.just(0.0), st.integers(0, 5)).map(encode),
    st.builds(Disconnect, SENDERS, st.just(0.0), st.just("x")).map(encode),
    st.sampled_from(["ping", "say", "close", "rename", "wait"]),
)


@given(st.lists(HOSTILE, max_size=30))
def test_whatever_comes_a_session_opens_and_closes_once(inputs: list[bytes | str]) -> None:
    session, now = greeting(heartbeat=3.0), 0.0
    told: list[SessionEvent] = []
    for each in inputs:
        now += 0.5
        if isinstance(each, bytes):
            session.receive_message(each, now)
        elif each == "wait":
            now = max(now, session.next_timeout() or now)
            session.handle_timeout(now)
        elif each == "close":
            session.close("enough", now)
        elif each == "rename":
            session.rename(US, now)
        elif session.state in (SessionState.GREETING, SessionState.OPEN):
            session.say("x", now) if each == "say" else session.ping(now)
        told += session.events()
    session.lost("over")
    told += session.events()
    kinds = [type(event) for event in told]
    assert kinds.count(SessionOpened) <= 1
    assert kinds.count(ClosingBegun) == 1
    assert kinds.count(SessionClosed) == 1
    assert kinds[-1] is SessionClosed
    assert session.next_timeout() is None
