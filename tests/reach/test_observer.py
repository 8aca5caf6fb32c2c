"""
Asking where we are seen, and telling others.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.reach.mapping import NatMapping, Observation
from p2pnet.reach.observer import ObservationsMade, Observing, answer_observation
from p2pnet.stun.codec import Class, Message, Method, mark, parse, seal
from p2pnet.stun.header import is_marked_stun
from p2pnet.wire.constants import Address

A1: Address = ("192.0.2.1", 9050)
A2: Address = ("192.0.2.1", 9051)
B2: Address = ("192.0.2.2", 9051)
SEEN: Address = ("203.0.113.1", 4000)
OTHER: Address = ("203.0.113.1", 4001)
SIX: Address = ("2001:db8::1", 4000)
OWN = ["192.168.1.10"]


def observing(*observers: Address) -> Observing:
    return Observing(observers, OWN, random=Random(1).getrandbits, now=100.0)


def asked(machine: Observing, now: float) -> dict[Address, bytes]:
    machine.handle_timeout(now)
    datagrams = machine.datagrams_to_send()
    assert len(dict(datagrams)) == len(datagrams)
    return dict(datagrams)


def answer(request: bytes, seen: Address) -> bytes:
    data = answer_observation(request, seen)
    assert data is not None
    return data


# ------------------------------------------------------------ asking


def test_when_all_have_answered_it_is_told_at_once() -> None:
    machine = observing(A1, A2, B2)
    requests = asked(machine, 100.0)
    assert list(requests) == [A1, A2, B2]
    for observer in (B2, A1, A2):
        assert machine.events() == []
        assert machine.receive(answer(requests[observer], SEEN), observer, 100.04)
    (made,) = machine.events()
    assert made == ObservationsMade(
        tuple(Observation(observer, SEEN) for observer in (A1, A2, B2)),
        NatMapping.ENDPOINT_INDEPENDENT,
    )
    assert machine.next_timeout() is None
    assert asked(machine, 200.0) == {}
    assert machine.events() == []


def test_who_does_not_answer_is_asked_five_times_and_left_out_after_two_seconds() -> None:
    machine = observing(A1, A2)
    first = asked(machine, 100.0)
    machine.receive(answer(first[A1], SEEN), A1, 100.01)
    times = []
    now = 100.01
    while (due := machine.next_timeout()) is not None:
        assert due > now
        now = due
        requests = asked(machine, now)
        if requests:
            assert requests == {A2: first[A2]}
            times.append(round(now - 100.0, 3))
    assert times == [0.1, 0.3, 0.7, 1.5]
    assert now == 102.0
    (made,) = machine.events()
    assert made == ObservationsMade((Observation(A1, SEEN),), NatMapping.UNKNOWN)


def test_an_answer_to_the_last_question_is_in_time() -> None:
    machine = observing(A1)
    request = asked(machine, 100.0)[A1]
    asked(machine, 101.9)
    assert machine.receive(answer(request, SEEN), A1, 101.95)
    assert len(machine.events()) == 1


@pytest.mark.parametrize("observers", [(), (A1,)])
def test_nobody_there_is_told_as_well(observers: tuple[Address, ...]) -> None:
    machine = observing(*observers)
    machine.handle_timeout(100.0)
    if observers:
        assert machine.events() == []
        machine.handle_timeout(102.0)
    assert machine.events() == [ObservationsMade((), NatMapping.UNKNOWN)]
    assert machine.next_timeout() is None


def test_an_observer_that_is_named_twice_is_asked_once() -> None:
    machine = observing(A1, A1)
    requests = asked(machine, 100.0)
    machine.receive(answer(requests[A1], SEEN), A1, 100.0)
    (made,) = machine.events()
    assert made.observations == (Observation(A1, SEEN),)


def test_an_answer_counts_from_who_was_asked_with_the_id_of_the_question() -> None:
    machine = observing(A1, A2)
    requests = asked(machine, 100.0)
    right = answer(requests[A1], SEEN)
    for source in (A2, B2, ("192.0.2.9", 9050)):
        assert not machine.receive(right, source, 100.0)
    guess = answer(mark(Message(Method.BINDING, Class.REQUEST, bytes(12), padding())), OTHER)
    assert not machine.receive(guess, A1, 100.0)
    assert not machine.receive(requests[A1], A1, 100.0)
    assert not machine.receive(b"", A1, 100.0)
    assert machine.drops == 6
    assert machine.receive(right, A1, 100.0)
    # Again, and with something else to say.
    assert machine.receive(right, A1, 100.0)
    assert machine.receive(answer(requests[A1], OTHER), A1, 100.0)
    assert machine.receive(answer(requests[A2], SEEN), A2, 100.0)
    (made,) = machine.events()
    assert made.mapping is NatMapping.PORT_INDEPENDENT


def test_who_refuses_is_not_asked_again() -> None:
    machine = observing(A1)
    id = parse(asked(machine, 100.0)[A1]).transaction_id
    refusal = Message(Method.BINDING, Class.ERROR, id, {"ERROR-CODE": (401, "")})
    assert machine.receive(bytes(refusal), A1, 100.1)
    assert machine.events() == [ObservationsMade((), NatMapping.UNKNOWN)]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"MAPPED-ADDRESS": SEEN},
        {"XOR-MAPPED-ADDRESS": ("0.0.0.0", 4000)},
        {"XOR-MAPPED-ADDRESS": ("224.0.0.1", 4000)},
        {"XOR-MAPPED-ADDRESS": ("203.0.113.1", 0)},
    ],
)
def test_an_answer_that_names_no_place_is_not_taken(attributes: dict[str, object]) -> None:
    machine = observing(A1)
    id = parse(asked(machine, 100.0)[A1]).transaction_id
    machine.receive(bytes(Message(Method.BINDING, Class.RESPONSE, id, attributes)), A1, 100.1)
    assert machine.events() == []
    assert machine.next_timeout() is not None


def test_questions_are_marked_and_their_ids_are_not_the_same() -> None:
    machine = observing(A1, A2, B2)
    requests = asked(machine, 100.0)
    assert all(is_marked_stun(request) for request in requests.values())
    assert len({parse(request).transaction_id for request in requests.values()}) == 3


@given(st.lists(st.tuples(st.binary(max_size=60), st.sampled_from([A1, A2, B2])), max_size=20))
def test_any_bytes_are_dropped(datagrams: list[tuple[bytes, Address]]) -> None:
    machine = observing(A1, A2)
    asked(machine, 100.0)
    for data, address in datagrams:
        assert not machine.receive(data, address, 100.0)
    assert machine.drops == len(datagrams)
    assert machine.events() == []


# ------------------------------------------------------------ telling


def padding(size: int = 24) -> dict[str, object]:
    return {"SOFTWARE": "x" * size}


@pytest.mark.parametrize("seen", [SEEN, SIX])
def test_our_own_question_is_answered_in_no_more_bytes(seen: Address) -> None:
    request = asked(observing(A1), 100.0)[A1]
    data = answer(request, seen)
    assert len(data) <= len(request)
    assert is_marked_stun(data)
    message = parse(data)
    assert message.message_class is Class.RESPONSE
    assert message.transaction_id == parse(request).transaction_id
    assert message.attributes["XOR-MAPPED-ADDRESS"] == seen


@pytest.mark.parametrize(("seen", "size"), [(SEEN, 40), (SIX, 52)])
def test_a_question_shorter_than_its_answer_is_not_answered(seen: Address, size: int) -> None:
    for padded in range(0, 40, 4):
        request = mark(Message(Method.BINDING, Class.REQUEST, bytes(12), padding(padded)))
        data = answer_observation(request, seen)
        assert (data is not None) is (len(request) >= size)
        if data is not None:
            assert len(data) == size


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello" * 20,
        bytes(Message(Method.BINDING, Class.REQUEST, bytes(12), padding(60))),
        mark(Message(Method.BINDING, Class.RESPONSE, bytes(12), padding())),
        mark(Message(Method.BINDING, Class.INDICATION, bytes(12), padding())),
        mark(Message(Method.BINDING, Class.ERROR, bytes(12), padding())),
        mark(Message(Method.ALLOCATE, Class.REQUEST, bytes(12), padding())),
        mark(Message(Method.BINDING, Class.REQUEST, bytes(12), padding() | {"CHANGE-REQUEST": 6})),
        mark(Message(Method.BINDING, Class.REQUEST, bytes(12), padding() | {"USERNAME": "x"})),
        seal(Message(Method.BINDING, Class.REQUEST, bytes(12), padding()), b"key"),
        mark(Message(Method.BINDING, Class.REQUEST, bytes(12), padding()))[:-1] + b"\0",
    ],
    ids=[
        "nothing",
        "no STUN",
        "not marked",
        "response",
        "indication",
        "error",
        "TURN",
        "from another address",
        "a probe",
        "sealed",
        "damaged",
    ],
)
def test_what_asks_for_nothing_or_for_more_is_not_answered(data: bytes) -> None:
    assert answer_observation(data, SEEN) is None


def test_an_answer_is_not_answered_so_two_observers_do_not_talk_for_ever() -> None:
    request = asked(observing(A1), 100.0)[A1]
    assert answer_observation(answer(request, SEEN), A1) is None


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_answered_with_nothing_or_no_more(data: bytes, marked: bool) -> None:
    if marked:
        data = mark(Message(Method.BINDING, Class.REQUEST, bytes(12))) + data
    said = answer_observation(data, SEEN)
    assert said is None or len(said) <= len(data)
