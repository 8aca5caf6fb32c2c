"""
Messages larger than a datagram (BEHAVIOUR §8, PITFALLS B1, TRAPS T18).
"""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge
from p2pnet.rudp.events import ConnectionState, DisconnectReason, MessageDelivered
from p2pnet.rudp.fragments import LimitExceeded, Reassembler, split
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.control import Disconnect, ShutdownOk
from p2pnet.wire.packets import Channeled, Fragment
from tests.rudp.cable import ALICE, BOB, Cable

ORDERED = DeliveryMethod.RELIABLE_ORDERED
UNORDERED = DeliveryMethod.RELIABLE_UNORDERED
CHANNEL_ID = 2


def part(id: int, part: int, total: int, payload: bytes = b"x") -> bytes:
    """
    Fragment header and payload, as `Reassembler.receive` takes them.
    """
    return Channeled(0, 0, 0, payload, Fragment(id, part, total)).encode()[4:]


def reassembler(**options: Any) -> Reassembler:
    return Reassembler(EndpointConfig(**options))


# ---------------------------------------------------------------- splitting


def test_all_parts_but_the_last_are_of_one_size_and_fill_the_datagram() -> None:
    parts = split(bytes(range(256)) * 10, 1024, 7)
    assert [len(p) for p in parts] == [6 + 1014, 6 + 1014, 6 + 2560 - 2028]
    assert [p[:6] for p in parts] == [bytes((7, 0, i, 0, 3, 0)) for i in range(3)]
    assert b"".join(p[6:] for p in parts) == bytes(range(256)) * 10


def test_the_example_of_the_reference() -> None:
    """
    1021 bytes at an MTU of 1024 (WIRE §4.2).
    """
    first, second = split(bytes(1021), 1024, 1)
    assert first == bytes.fromhex("0100 0000 0200") + bytes(1014)
    assert second == bytes.fromhex("0100 0100 0200") + bytes(7)


def test_65535_parts_are_the_most() -> None:
    size = 64 - 10
    assert len(split(bytes(size * 65535), 64, 1)) == 65535
    with pytest.raises(MessageTooLarge, match="65536 parts"):
        split(bytes(size * 65535 + 1), 64, 1)


def test_a_message_too_large_leaves_the_connection_as_it_was() -> None:
    cable = Cable()
    alice, bob = cable.pair(mtu_override=64)
    with pytest.raises(MessageTooLarge):
        alice.endpoint.send(alice.connection, bytes(54 * 65535 + 1), ORDERED)
    assert alice.connection.unacknowledged == 0
    alice.endpoint.send(alice.connection, bytes(100), ORDERED)
    cable.run(1.0)
    assert bob.messages == [bytes(100)]
    ids = {
        packet.fragment.id for _, packet in cable.packets(Channeled, alice, bob) if packet.fragment
    }
    assert ids == {1}


@pytest.mark.parametrize(
    "method",
    [DeliveryMethod.UNRELIABLE, DeliveryMethod.SEQUENCED, DeliveryMethod.RELIABLE_SEQUENCED],
)
def test_only_the_two_reliable_methods_split(method: DeliveryMethod) -> None:
    cable = Cable()
    alice, bob = cable.pair()
    largest = 1023 if method is DeliveryMethod.UNRELIABLE else 1020
    with pytest.raises(MessageTooLarge, match=str(largest + 1)):
        alice.endpoint.send(alice.connection, bytes(largest + 1), method)
    alice.endpoint.send(alice.connection, bytes(largest), method)
    cable.run(1.0)
    assert bob.messages == [bytes(largest)]


def test_a_message_that_fits_one_datagram_is_not_split() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.endpoint.send(alice.connection, bytes(1020), ORDERED)
    alice.endpoint.send(alice.connection, bytes(1021), ORDERED)
    cable.run(1.0)
    shapes = [
        (p.fragment and (p.fragment.id, p.fragment.part, p.fragment.total), len(p.data))
        for _, p in cable.packets(Channeled, alice, bob)
    ]
    assert shapes == [(None, 1020), ((1, 0, 2), 1014), ((1, 1, 2), 7)]
    assert bob.messages == [bytes(1020), bytes(1021)]


# ---------------------------------------------------------------- putting together


@given(st.binary(max_size=3000), st.integers(64, 1432), st.randoms())
def test_parts_in_any_order_make_the_message_once(message: bytes, mtu: int, random: Random) -> None:
    parts = split(message, mtu, 65535)
    random.shuffle(parts)
    receiver = reassembler()
    whole = [receiver.receive(p, CHANNEL_ID) for p in parts]
    assert whole[:-1] == [None] * (len(parts) - 1)
    assert not parts or whole[-1] == message


def test_a_single_part_is_a_message() -> None:
    assert reassembler().receive(part(1, 0, 1, b"all"), CHANNEL_ID) == b"all"


def test_parts_of_several_messages_may_be_mixed() -> None:
    receiver = reassembler()
    assert receiver.receive(part(1, 0, 2, b"a"), CHANNEL_ID) is None
    assert receiver.receive(part(2, 1, 2, b"d"), CHANNEL_ID) is None
    assert receiver.receive(part(2, 0, 2, b"c"), CHANNEL_ID) == b"cd"
    assert receiver.receive(part(1, 1, 2, b"b"), CHANNEL_ID) == b"ab"


def test_parts_may_differ_in_size() -> None:
    receiver = reassembler()
    receiver.receive(part(1, 0, 3, b"a"), CHANNEL_ID)
    receiver.receive(part(1, 1, 3, b"bbb"), CHANNEL_ID)
    assert receiver.receive(part(1, 2, 3, b""), CHANNEL_ID) == b"abbb"


@pytest.mark.parametrize(
    ("bad", "channel_id"),
    [
        (part(1, 0, 0), CHANNEL_ID),
        (part(2, 0, 0), CHANNEL_ID),
        (part(1, 3, 3), CHANNEL_ID),
        (part(1, 65535, 3), CHANNEL_ID),
        (part(1, 0, 3, b"again"), CHANNEL_ID),
        (part(1, 1, 4), CHANNEL_ID),
        (part(1, 1, 2), CHANNEL_ID),
        (part(1, 1, 3, b"other channel"), CHANNEL_ID + 4),
    ],
    ids=[
        "no parts at all",
        "no parts at all, first",
        "part past the last",
        "part far past the last",
        "the same part twice",
        "more parts than before",
        "fewer parts than before",
        "another channel",
    ],
)
def test_a_part_that_contradicts_is_rejected_and_the_message_still_made(
    bad: bytes, channel_id: int
) -> None:
    receiver = reassembler()
    receiver.receive(part(1, 0, 3, b"a"), CHANNEL_ID)
    assert receiver.receive(bad, channel_id) is None
    assert receiver.rejected == 1
    receiver.receive(part(1, 1, 3, b"b"), CHANNEL_ID)
    assert receiver.receive(part(1, 2, 3, b"c"), CHANNEL_ID) == b"abc"


def test_an_id_may_be_used_again_for_a_message_that_is_complete() -> None:
    receiver = reassembler()
    assert receiver.receive(part(1, 0, 1, b"a"), CHANNEL_ID) == b"a"
    assert receiver.receive(part(1, 0, 1, b"b"), CHANNEL_ID) == b"b"


# ---------------------------------------------------------------- bounds


def test_as_many_incomplete_messages_as_allowed_and_no_more() -> None:
    receiver = reassembler(max_incomplete_messages=3)
    for id in range(3):
        receiver.receive(part(id, 0, 2), CHANNEL_ID)
    with pytest.raises(LimitExceeded, match="3 incomplete messages"):
        receiver.receive(part(3, 0, 2), CHANNEL_ID)
    assert receiver.receive(part(0, 1, 2), CHANNEL_ID) == b"xx"
    receiver.receive(part(3, 0, 2), CHANNEL_ID)


def test_what_is_announced_counts_before_it_has_come() -> None:
    receiver = reassembler(max_incomplete_bytes=10_000)
    receiver.receive(part(1, 0, 5, bytes(1000)), CHANNEL_ID)
    receiver.receive(part(2, 0, 5, bytes(1000)), CHANNEL_ID)
    with pytest.raises(LimitExceeded, match="10000 bytes"):
        receiver.receive(part(3, 0, 2, bytes(1000)), CHANNEL_ID)


def test_a_small_first_part_does_not_hide_large_ones() -> None:
    receiver = reassembler(max_incomplete_bytes=10_000)
    receiver.receive(part(1, 0, 50, b""), CHANNEL_ID)
    with pytest.raises(LimitExceeded):
        receiver.receive(part(1, 1, 50, bytes(201)), CHANNEL_ID)


def test_a_complete_message_counts_no_more() -> None:
    receiver = reassembler(max_incomplete_bytes=10_000)
    for id in range(100):
        receiver.receive(part(id, 0, 2, bytes(4000)), CHANNEL_ID)
        assert receiver.receive(part(id, 1, 2, bytes(4000)), CHANNEL_ID) == bytes(8000)


def test_empty_parts_are_not_free() -> None:
    """
    Each takes a place in memory, whatever it holds.
    """
    receiver = reassembler(max_incomplete_bytes=100_000)
    receiver.receive(part(1, 0, 500, b""), CHANNEL_ID)
    receiver.receive(part(2, 0, 500, b""), CHANNEL_ID)
    with pytest.raises(LimitExceeded):
        receiver.receive(part(3, 0, 500, b""), CHANNEL_ID)


def test_nothing_is_set_aside_for_parts_that_have_not_come() -> None:
    """
    Eleven bytes made the reference allocate half a megabyte.
    """
    receiver = reassembler()
    tracemalloc.start()
    try:
        for id in range(10):
            receiver.receive(part(id, 0, 65535, b""), CHANNEL_ID)
        assert tracemalloc.get_traced_memory()[1] < 10 * 2000
    finally:
        tracemalloc.stop()


def test_a_message_takes_no_more_memory_than_itself_while_it_comes() -> None:
    """
    In order, but for a window of parts; what the parts are made of is not the receiver's.
    """
    receiver = reassembler()
    parts = [part(1, i, 2000, bytes(1422)) for i in range(2000)]
    for i in range(0, 2000, 50):
        parts[i : i + 50] = reversed(parts[i : i + 50])
    tracemalloc.start()
    try:
        messages = [receiver.receive(each, CHANNEL_ID) for each in parts]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = messages[-1]
    assert message == bytes(1422 * 2000)
    # A byte string that grows takes an eighth more than is in it, which nobody touches.
    assert most < 1.125 * len(message) + 50 * 1600 + 20_000


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_incomplete_messages": 4}, "over 4 incomplete messages"),
        ({"max_incomplete_bytes": 4000}, "over 4000 bytes of incomplete messages"),
    ],
)
def test_a_peer_that_passes_a_bound_is_disconnected_and_told(
    options: dict[str, Any], text: str
) -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB, **options)
    connection = alice.connect(BOB)
    cable.run(0.5)
    for sequence in range(5):
        fragment = Fragment(sequence, 0, 9)
        bob.receive(Channeled(0, sequence, CHANNEL_ID, bytes(100), fragment).encode(), ALICE)
    assert bob.reasons == [DisconnectReason.LIMIT_EXCEEDED]
    assert bob.farewells[0].detail == text
    cable.run(0.5)
    assert alice.reasons == [DisconnectReason.REMOTE_CONNECTION_CLOSE]
    assert connection.state is ConnectionState.DISCONNECTED
    assert len(cable.packets(Disconnect, bob, alice)) == 1
    assert len(cable.packets(ShutdownOk, alice, bob)) == 1


# ---------------------------------------------------------------- over a connection


@pytest.mark.parametrize("method", [ORDERED, UNORDERED])
def test_large_messages_cross_a_bad_path_whole(method: DeliveryMethod) -> None:
    random = Random(5)
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses = lambda sent: random.random() < 0.2
    messages = [random.randbytes(size) for size in (50_000, 1021, 3, 20_000, 100_000)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, method, user_data=len(message))
    cable.run_until(lambda: alice.connection.unacknowledged == 0)
    assert sorted(bob.messages) == sorted(messages)
    if method is ORDERED:
        assert bob.messages == messages
    delivered = [event.user_data for event in alice.told(MessageDelivered)]
    assert sorted(delivered) == sorted(len(message) for message in messages)


def test_a_message_is_reported_delivered_once_all_of_it_has_arrived() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses_packets(Channeled, lambda p: p.fragment and p.fragment.part == 2)
    alice.endpoint.send(alice.connection, bytes(5000), UNORDERED, user_data="large")
    cable.run(1.0)
    assert alice.told(MessageDelivered) == []
    assert bob.messages == []
    cable.loses_nothing()
    cable.run(2.0)
    assert [event.user_data for event in alice.told(MessageDelivered)] == ["large"]
    assert bob.messages == [bytes(5000)]


def test_fragment_ids_begin_at_one_and_are_shared_by_all_channels() -> None:
    cable = Cable()
    alice, bob = cable.pair(channels=2)
    for channel, method in ((0, ORDERED), (1, UNORDERED), (0, UNORDERED)):
        alice.endpoint.send(alice.connection, bytes(1100), method, channel)
    cable.run(1.0)
    seen = [
        (p.fragment.id, p.channel_id)
        for _, p in cable.packets(Channeled, alice, bob)
        if p.fragment and p.fragment.part == 0
    ]
    assert seen == [(1, 2), (2, 4), (3, 0)]


def test_a_fragment_on_a_sequenced_channel_is_dropped_without_ack() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    before = len(cable.sent(bob, alice))
    for channel_id in (1, 3):
        bob.receive(Channeled(0, 1, channel_id, b"x", Fragment(1, 0, 1)).encode(), ALICE)
    assert bob.messages == []
    assert len(cable.sent(bob, alice)) == before
