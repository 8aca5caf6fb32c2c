"""
Whatever arrives: nothing is raised, little is held, and the allocation works on.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pnet.stun.codec import Class, Message, Method, parse, seal
from p2pnet.turn.channel_data import encode_channel_data
from p2pnet.turn.credentials import long_term_key
from p2pnet.turn.events import DataReceived, Event, Permitted
from tests.turn.link import BOB, CAROL, Link
from tests.turn.server import MAPPED, PASSWORD, REALM, RELAYED, USER, indication

METHODS = st.sampled_from(list(Method))
CLASSES = st.sampled_from(list(Class))
ADDRESSES = st.sampled_from([BOB, CAROL, RELAYED, ("::1", 9), ("224.0.0.1", 0)])
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "XOR-PEER-ADDRESS": ADDRESSES,
        "XOR-RELAYED-ADDRESS": ADDRESSES,
        "XOR-MAPPED-ADDRESS": ADDRESSES,
        "DATA": st.binary(max_size=40),
        "LIFETIME": st.sampled_from([0, 1, 600, 2**32 - 1]),
        "ERROR-CODE": st.tuples(
            st.sampled_from([300, 400, 401, 403, 437, 438, 441, 486, 500, 508, 0, 25_599]),
            st.text(max_size=8),
        ),
        "REALM": st.text(max_size=12),
        "NONCE": st.binary(max_size=1000),
        "CHANNEL-NUMBER": st.integers(0, 65535),
        "MESSAGE-INTEGRITY": st.binary(max_size=30),
        "USERNAME": st.text(max_size=10),
    },
)
KEYS = st.sampled_from([b"guess", long_term_key(USER, "elsewhere", PASSWORD), None])


@st.composite
def strange(draw: st.DrawFn) -> bytes:
    """
    A message that is well formed and not the server's, or was once.
    """
    message = Message(draw(METHODS), draw(CLASSES), draw(st.binary(min_size=12, max_size=12)))
    message.attributes = draw(ATTRIBUTES)
    key = draw(KEYS)
    data = bytearray(bytes(message) if key is None else seal(message, key))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


CHANNEL_DATA = st.builds(
    lambda number, data, cut: encode_channel_data(number, data, padded=True)[: cut or None],
    st.integers(0x4000, 0x4FFF),
    st.binary(max_size=20),
    st.integers(0, 20),
)
ANYTHING = st.one_of(st.binary(max_size=100), strange(), CHANNEL_DATA)


def in_every_state() -> dict[str, Link]:
    """
    Clients to be told lies.
    """
    new = Link()
    asking = Link()
    asking.client.start(asking.now)
    asking.settle()
    known = Link()
    known.client.start(known.now)
    known.run(2.5 * known.delay)
    busy = Link()
    busy.allocate()
    busy.send(BOB, b"x")
    busy.run(1.0)
    busy.send(CAROL, b"waits")
    closing = Link()
    closing.allocate()
    closing.client.close(closing.now)
    closing.settle()
    over = Link()
    over.allocate()
    over.client.close(over.now)
    over.run(1.0)
    states = {"new": new, "asking": asking, "known": known, "busy": busy}
    states |= {"closing": closing, "over": over}
    for link in states.values():
        link.events.clear()
    return states


@given(st.lists(ANYTHING, max_size=30))
def test_strange_bytes_change_nothing_in_any_state(datagrams: list[bytes]) -> None:
    """
    They can only forge data, and that only of a permitted IP: TURN does not seal it.
    """
    for state, link in in_every_state().items():
        due = link.client.next_timeout()
        for data in datagrams:
            link.client.receive(data, link.now)
        events = link.client.events()
        forged = [event for event in events if isinstance(event, DataReceived)]
        assert events == forged, state
        # A permission is for an IP, whatever the port.
        permitted = {BOB[0], CAROL[0]} if state == "busy" else set()
        assert {event.peer[0] for event in forged} <= permitted, state
        assert link.client.dropped.total() == len(datagrams) - len(forged)
        assert link.client.next_timeout() == due, state
        assert link.client.datagrams_to_send() == [], state


@given(st.lists(ANYTHING, max_size=30))
def test_an_allocation_works_amid_strange_bytes(datagrams: list[bytes]) -> None:
    link = Link()
    link.client.start(link.now)
    for data in datagrams:
        link.hand(data)
        link.run(0.01)
    link.run(1.0)
    link.send(BOB, b"through")
    for data in datagrams:
        link.hand(data)
        link.run(0.01)
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"through"]
    assert link.server.breaches == []
    told: list[Event] = [event for event in link.events if not isinstance(event, DataReceived)]
    assert told[1:] == [Permitted(BOB[0])]
    link.run(3600.0)
    assert link.server.allocated is not None


@given(ATTRIBUTES, CLASSES, st.booleans())
def test_a_server_gone_mad_makes_us_raise_nothing(
    attributes: dict[str, object], kind: Class, sealed: bool
) -> None:
    """
    It knows our key, and answers each question with nonsense.
    """
    key = long_term_key(USER, REALM, PASSWORD)
    attributes = {name: value for name, value in attributes.items() if name != "MESSAGE-INTEGRITY"}
    for link in in_every_state().values():
        for data in {data for _, data in link.sent[-3:]}:
            if data[0] >= 0x40:
                continue
            asked = parse(data)
            answer = Message(asked.message_method, kind, asked.transaction_id, dict(attributes))
            link.hand(seal(answer, key) if sealed else bytes(answer))
        link.run(30.0)
        link.client.close(link.now)
        link.run(30.0)
        assert link.client.next_timeout() is None


@given(st.binary(max_size=60), st.integers(0, 70))
def test_channel_data_of_a_wrong_length_is_dropped(data: bytes, claimed: int) -> None:
    link = Link()
    link.allocate()
    link.send(BOB, b"x")
    link.run(1.0)
    assert link.server.allocated is not None
    (number,) = link.server.allocated.channels
    link.events.clear()
    link.hand(number.to_bytes(2, "big") + claimed.to_bytes(2, "big") + data)
    if claimed <= len(data) <= claimed + 3:
        assert link.events == [DataReceived(BOB, data[:claimed])]
    else:
        assert link.events == []
        assert link.client.dropped == {"malformed": 1}


def test_what_a_server_does_not_say_is_counted_by_reason() -> None:
    link = Link()
    link.hand(indication(BOB, b"x"))
    link.allocate()
    link.hand(b"")
    link.hand(b"\x40")
    link.hand(b"\x4f\xff\x00\x00")
    link.hand(b"\x80\x00\x00\x00")
    link.hand(indication(BOB, b"x"))
    link.hand(bytes(Message(Method.BINDING, Class.REQUEST, bytes(12))))
    link.hand(bytes(Message(Method.BINDING, Class.RESPONSE, bytes(12))))
    assert link.client.dropped == {
        "nothing allocated": 1,
        "malformed": 3,
        "unbound channel": 1,
        "peer not permitted": 1,
        "not expected": 1,
        "unknown transaction": 1,
    }
    assert link.events == []


def test_mapped_and_relayed_addresses_are_not_confused() -> None:
    link = Link()
    link.client.start(link.now)
    link.run(1.0)
    (allocated,) = link.events
    assert (getattr(allocated, "relayed", None), getattr(allocated, "mapped", None)) == (
        RELAYED,
        MAPPED,
    )
