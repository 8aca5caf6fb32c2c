"""
Small packets into few datagrams (BEHAVIOUR §10, WIRE §4.4).
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from p2pnet.rudp.merging import Merger
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.packets import Ack, Channeled, Unreliable, split_merged
from tests.rudp.cable import Cable, packets_in

ORDERED = DeliveryMethod.RELIABLE_ORDERED


def merged(mtu: int, *packets: bytes, number: int = 0) -> list[bytes]:
    merger = Merger(mtu, number)
    for packet in packets:
        merger.extend([packet])
    return merger.datagrams()


def unmerged(datagrams: list[bytes]) -> list[bytes]:
    return [
        packet
        for datagram in datagrams
        for packet in (split_merged(datagram) if datagram[0] & 0x1F == 12 else [datagram])
    ]


def test_a_lone_packet_travels_bare() -> None:
    assert merged(1024, b"\x03ab") == [b"\x03ab"]


def test_packets_stand_with_their_lengths_behind_one_header() -> None:
    """
    The example of WIRE §4.4.
    """
    first, second = bytes.fromhex("01000006000000"), bytes.fromhex("01010006010101")
    assert merged(1024, first, second) == [
        bytes.fromhex("0c 0700 01000006000000 0700 01010006010101")
    ]


def test_the_connection_number_is_on_the_merged_datagram_too() -> None:
    assert merged(1024, b"\x61", b"\x61", number=3)[0][0] == 0x6C


def test_nothing_added_is_nothing_sent() -> None:
    merger = Merger(1024, 0)
    assert merger.datagrams() == []
    merger.extend([b"\x03"])
    assert len(merger.datagrams()) == 1
    assert merger.datagrams() == []


def test_a_datagram_of_exactly_the_mtu_is_full() -> None:
    fits = [b"\1" * 509, b"\1" * 510]
    (datagram,) = merged(1024, *fits)
    assert len(datagram) == 1024
    assert merged(1024, b"\1" * 510, b"\1" * 510) == [b"\1" * 510] * 2


def test_a_packet_of_the_size_of_the_mtu_goes_alone_and_in_its_turn() -> None:
    large = b"\1" * 1024
    assert merged(1024, b"\2a", large, b"\2b", b"\2c") == [
        b"\2a",
        large,
        b"\x0c\2\0\2b\2\0\2c",
    ]


@given(st.integers(64, 1432), st.lists(st.binary(min_size=1, max_size=70), max_size=100))
def test_order_is_kept_no_datagram_passes_the_mtu_and_none_is_wasted(
    mtu: int, bodies: list[bytes]
) -> None:
    packets = [b"\1" + body[: mtu - 1] for body in bodies]
    datagrams = merged(mtu, *packets)
    assert unmerged(datagrams) == packets
    assert all(len(datagram) <= mtu for datagram in datagrams)
    for datagram, after in pairwise(datagrams):
        first = unmerged([after])[0]
        whole = len(datagram) + (0 if datagram[0] & 0x1F == 12 else 3)
        assert whole + 2 + len(first) > mtu


def test_what_is_sent_in_one_turn_shares_a_datagram_and_keeps_its_order() -> None:
    cable = Cable()
    alice, bob = cable.pair(channels=2)
    before = len(cable.sent(alice, bob))
    for i in range(5):
        alice.endpoint.send(alice.connection, b"%d" % i, ORDERED)
    alice.endpoint.send(alice.connection, b"other", ORDERED, 1)
    alice.endpoint.send(alice.connection, b"loose", DeliveryMethod.UNRELIABLE)
    cable.settle()
    (sent,) = cable.sent(alice, bob)[before:]
    kinds = [type(packet) for packet in packets_in(sent.data)]
    assert kinds == [Channeled] * 6 + [Unreliable]
    cable.run(1.0)
    assert bob.messages == [b"0", b"1", b"2", b"3", b"4", b"other", b"loose"]


def test_an_ack_travels_with_the_answer() -> None:
    cable = Cable()
    alice, bob = cable.pair()

    def answer(event: object) -> None:
        if bob.messages and len(bob.messages) == 1:
            bob.endpoint.send(bob.connection, b"pong", ORDERED)

    bob.on_event = answer
    alice.endpoint.send(alice.connection, b"ping", ORDERED)
    before = len(cable.sent(bob, alice))
    cable.run(cable.delay)
    (sent,) = cable.sent(bob, alice)[before:]
    assert [type(packet) for packet in packets_in(sent.data)] == [Ack, Channeled]


def test_many_messages_are_acknowledged_by_few_datagrams() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    before = len(cable.sent(bob, alice))
    for i in range(15):
        alice.endpoint.send(alice.connection, bytes(900) + b"%d" % i, ORDERED)
    cable.run(0.2)
    assert len(bob.messages) == 15
    acks = [sent for sent in cable.sent(bob, alice)[before:] if sent.data[0] & 0x1F == 2]
    assert len(acks) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(DeliveryMethod), st.integers(0, 2), st.integers(1, 400)),
        min_size=1,
        max_size=40,
    )
)
def test_messages_leave_in_the_order_in_which_they_were_submitted(
    messages: list[tuple[DeliveryMethod, int, int]],
) -> None:
    """
    Whatever their channels, methods and sizes.
    """
    cable = Cable(0.001)
    alice, bob = cable.pair(channels=3, mtu_override=500)
    before = len(cable.sent(alice, bob))
    for i, (method, channel, size) in enumerate(messages):
        alice.endpoint.send(alice.connection, bytes((i,)) * size, method, channel)
    cable.settle()
    packets = [p for sent in cable.sent(alice, bob)[before:] for p in packets_in(sent.data)]
    submitted = [p.data[0] for p in packets if isinstance(p, Channeled | Unreliable)]
    assert submitted == [*range(len(messages))]
