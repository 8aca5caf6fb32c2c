"""
What goes through in one step what would take many: runs of datagrams, runs of messages.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.rudp.transmit import MAX_RUN, MAX_SEGMENTS, MIN_SEGMENT, Transmit, in_runs
from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.packets import Channeled, Fragment, Merged, Unreliable
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, Node

# ---------------------------------------------------------------- datagrams on their way out


def fields(transmit: Transmit) -> tuple[Address, bytes, int | None, bool]:
    return transmit.address, transmit.data, transmit.ttl, transmit.may_fragment


TRANSMITS = st.builds(
    Transmit,
    st.sampled_from([ALICE, BOB, CAROL]),
    st.sampled_from([b"", b"a", bytes(511), bytes(512), b"\1" * 512, bytes(1432), b"\1" * 1432]),
    st.sampled_from([None, None, None, None, 2]),
    st.sampled_from([False, False, False, True]),
)


@given(st.lists(TRANSMITS, max_size=40))
def test_runs_are_the_same_datagrams_in_the_same_order(transmits: list[Transmit]) -> None:
    runs = in_runs(transmits)
    split = [each for run in runs for each in run.split()]
    assert [fields(each) for each in split] == [fields(each) for each in transmits]
    assert sum(run.datagrams for run in runs) == len(transmits)
    for run in runs:
        sizes = [len(each.data) for each in run.split()]
        assert all(size == sizes[0] for size in sizes[:-1])
        assert 0 < sizes[-1] <= sizes[0] or len(sizes) == 1
        assert len(sizes) == 1 or (run.ttl is None and not run.may_fragment)


def test_what_can_be_joined_is() -> None:
    one, two = bytes(1432), bytes(700)
    runs = in_runs([Transmit(BOB, data) for data in (one, one, two, one, one)])
    assert [(run.datagrams, run.segment_size) for run in runs] == [(3, 1432), (2, 1432)]


def test_short_datagrams_are_not_joined() -> None:
    runs = in_runs([Transmit(BOB, bytes(MIN_SEGMENT - 1))] * 3)
    assert [run.datagrams for run in runs] == [1, 1, 1]


@pytest.mark.parametrize(("size", "most"), [(512, MAX_SEGMENTS), (1432, MAX_RUN // 1432)])
def test_a_run_is_no_longer_than_a_kernel_takes(size: int, most: int) -> None:
    runs = in_runs([Transmit(BOB, bytes(size))] * (most + 1))
    assert [run.datagrams for run in runs] == [most, 1]
    assert len(runs[0].data) <= MAX_RUN
    assert runs[1].segment_size == 0


def test_a_window_of_a_large_message_leaves_in_few_runs_and_counts_as_datagrams() -> None:
    cable = Cable(0.001)
    alice, _ = cable.pair()
    cable.run(3.0)
    before = alice.endpoint.statistics.packets_sent
    alice.endpoint.send(alice.connection, bytes(50 * 1422), DeliveryMethod.RELIABLE_ORDERED)
    runs = alice.endpoint.datagrams_to_send(cable.now)
    assert [run.datagrams for run in runs] == [45, 5]
    assert alice.endpoint.statistics.packets_sent == before + 50
    assert alice.connection.statistics.bytes_sent >= 50 * 1432


def test_a_thousand_peers_are_sent_to_a_few_at_a_time_and_none_is_forgotten() -> None:
    cable = Cable(0.001)
    server = cable.node(ALICE)
    addresses = [(f"10.1.0.{i}", 1000) for i in range(100)]
    for address in addresses:
        cable.node(address).connect(ALICE)
    cable.run(0.5)
    assert len(server.connections) == 100
    for connection in server.connections:
        server.endpoint.send(connection, b"to all", DeliveryMethod.RELIABLE_ORDERED)
    calls: list[list[Address]] = []
    while server.endpoint.has_more:
        sent = server.endpoint.datagrams_to_send(cable.now)
        calls.append([transmit.address for transmit in sent])
    assert len(calls) > 2
    assert max(map(len, calls)) < 50
    assert sorted(address for call in calls for address in call) == sorted(addresses)
    assert server.endpoint.datagrams_to_send(cable.now) == []


# ---------------------------------------------------------------- messages on their way in

PLACES = st.tuples(st.integers(0, 6), st.binary(max_size=5))
"""Which sequence, counted from where the channel is, and what."""
PACKETS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([0, 1, 2, 3, 4, 6, 200]), PLACES),
        st.tuples(st.just(-1), PLACES),
        st.tuples(st.just(-2), PLACES),
    ),
    max_size=30,
)


def listener(seed: int) -> tuple[Cable, Node]:
    cable = Cable()
    alice = cable.node(ALICE, seed=seed, channels=4)
    bob = cable.node(BOB, seed=seed, channels=4)
    alice.connect(BOB)
    cable.run(0.5)
    return cable, bob


def heard(bob: Node, cable: Cable, datagrams: list[bytes]) -> tuple[object, ...]:
    for datagram in datagrams:
        bob.endpoint.receive_datagram(datagram, ALICE, cable.now)
    bob.take_events()
    answers = sorted(
        packet
        for run in bob.endpoint.datagrams_to_send(cable.now)
        for each in run.split()
        for packet in (
            Merged.decode(each.data).packets if each.data[0] & 0x1F == 12 else [each.data]
        )
    )
    return bob.messages, answers, bob.endpoint.statistics.dropped


@given(PACKETS)
def test_messages_of_one_datagram_are_taken_as_if_each_had_its_own(
    packets: list[tuple[int, tuple[int, bytes]]],
) -> None:
    """
    Whatever the order, the channels and the kinds: the short way is no other way.
    """
    following: dict[int, int] = {}
    made: list[bytes] = []
    for channel, (ahead, data) in packets:
        if channel == -1:
            made.append(Unreliable(0, data).encode())
        elif channel == -2:
            fragment = Fragment(7, ahead % 2, 2)
            sequence = following[2] = following.get(2, -1) + 1
            made.append(Channeled(0, sequence, 2, data, fragment).encode())
        else:
            # Mostly the next one; now and then one that was, or one too early.
            first = 1 if channel & 1 else 0
            sequence = following.get(channel, first - 1) + 1 if ahead < 4 else ahead
            following[channel] = sequence
            made.append(Channeled(0, sequence, channel, data).encode())
    cable, together = listener(1)
    cable_2, one_by_one = listener(1)
    merged = [Merged(0, tuple(made)).encode()] if made else []
    assert heard(together, cable, merged) == heard(one_by_one, cable_2, made)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_a_long_run_is_acknowledged_as_the_reference_does(count: int) -> None:
    """
    The window of the ack ends with what has come last (WIRE §4.3).
    """
    cable, bob = listener(2)
    packets = tuple(Channeled(0, i, 2, b"%d" % i).encode() for i in range(count))
    bob.endpoint.receive_datagram(Merged(0, packets).encode(), ALICE, cable.now)
    bob.take_events()
    assert bob.messages == [b"%d" % i for i in range(count)]
    (ack,) = [
        each.data
        for run in bob.endpoint.datagrams_to_send(cable.now)
        for each in run.split()
        if each.data[0] & 0x1F == 2
    ]
    start = max(0, count - 64)
    bitmap = sum(1 << i % 64 for i in range(start, count))
    assert int.from_bytes(ack[1:3], "little") == start
    assert int.from_bytes(ack[4:12], "little") == bitmap
