"""
The reliable channel, one packet at a time (BEHAVIOUR §6, WIRE §4.2, §4.3).
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.rudp.channels import Outgoing, Receipt
from p2pnet.rudp.reliable import ReliableChannel
from p2pnet.rudp.rtt import NEVER, RttEstimator
from p2pnet.wire.packets import Ack, Channeled
from p2pnet.wire.sequence import distance

HUGE = 1 << 30
RTT = RttEstimator()
DELAY = RTT.resend_delay


def channel(ordered: bool = True, max_in_flight: int = 48, number: int = 0) -> ReliableChannel:
    return ReliableChannel(2 if ordered else 0, number, ordered, max_in_flight)


def queue(sender: ReliableChannel, count: int, first: int = 0) -> None:
    for i in range(first, first + count):
        sender.queue(Outgoing(b"%d" % i, False, None))


def poll(
    side: ReliableChannel, now: float, room: int = HUGE, rtt: RttEstimator = RTT
) -> list[bytes]:
    return side.poll(now, rtt.resend_delay, room)


def data_of(packets: list[bytes]) -> list[Channeled]:
    return [Channeled.decode(packet) for packet in packets if packet[0] & 0x1F == 1]


def ack_of(packets: list[bytes]) -> Ack:
    (ack,) = [Ack.decode(packet) for packet in packets if packet[0] & 0x1F == 2]
    return ack


def sequences(packets: list[bytes]) -> list[int]:
    return [packet.sequence for packet in data_of(packets)]


def ack(sender: ReliableChannel, *arrived: int, now: float = 0.0, start: int = 0) -> list[bytes]:
    """
    What a receiver that has these sequences would say; the bodies that it confirms.
    """
    bitmap = sum(1 << sequence % 64 for sequence in arrived)
    confirmed = sender.acknowledge(start, bitmap, now, DELAY, 0.0)
    return [outgoing.packet[4:] for outgoing in confirmed]


# ---------------------------------------------------------------- sending


def test_the_first_sequence_is_zero_and_the_next_ones_follow() -> None:
    sender = channel(number=3)
    queue(sender, 3)
    packets = poll(sender, 0.0)
    assert packets == [b"\x61\0\0\x020", b"\x61\1\0\x021", b"\x61\2\0\x022"]
    assert poll(sender, 0.0) == []


def test_a_fragment_carries_the_flag_and_takes_a_sequence_as_all_do() -> None:
    sender = channel()
    sender.queue(Outgoing(b"\1\0\0\0\2\0part", True, None))
    queue(sender, 1)
    assert poll(sender, 0.0) == [b"\x81\0\0\x02\1\0\0\0\2\0part", b"\x01\1\0\x020"]


def test_at_most_48_are_under_way() -> None:
    sender = channel()
    queue(sender, 100)
    assert sequences(poll(sender, 0.0)) == [*range(48)]
    assert sender.in_flight == 48
    assert sender.unacknowledged == 100
    assert poll(sender, DELAY / 2) == []


def test_an_ack_makes_room_for_as_many_as_it_frees_at_the_start_of_the_window() -> None:
    sender = channel()
    queue(sender, 100)
    poll(sender, 0.0)
    assert len(ack(sender, *range(20))) == 20
    assert sequences(poll(sender, 0.1)) == [*range(48, 68)]


def test_a_gap_at_the_start_of_the_window_holds_it() -> None:
    """
    The window is 64 sequences wide whatever is acknowledged inside of it.
    """
    sender = channel()
    queue(sender, 200)
    poll(sender, 0.0)
    ack(sender, *range(1, 48))
    assert sender.in_flight == 48
    # Nothing new, but at once what all the others have overtaken.
    assert sequences(poll(sender, 0.0)) == [0]
    assert sequences(poll(sender, DELAY * 0.4)) == []
    assert ack(sender, 0) == [b"0"]
    assert sequences(poll(sender, 0.1)) == [*range(48, 96)]


def test_what_holds_the_window_up_is_sent_again_twice_in_one_delay() -> None:
    sender = channel()
    queue(sender, 200)
    poll(sender, 0.0)
    ack(sender, *range(1, 48))
    assert sequences(poll(sender, 0.0)) == [0]
    assert sequences(poll(sender, DELAY / 2)) == [0]
    assert sequences(poll(sender, DELAY)) == []


def test_what_holds_nothing_up_is_sent_again_once_in_one_delay() -> None:
    sender = channel()
    queue(sender, 40)
    poll(sender, 0.0)
    ack(sender, *range(1, 40))
    assert sequences(poll(sender, 0.0)) == [0]
    assert sequences(poll(sender, DELAY)) == []
    assert sequences(poll(sender, DELAY * 1.5)) == [0]


def test_a_repetition_that_is_lost_is_noticed_by_what_was_sent_after_it() -> None:
    """
    Long before its own time is over.
    """
    sender = channel()
    queue(sender, 30)
    poll(sender, 0.0)
    ack(sender, *range(1, 30), now=0.05)
    assert sequences(poll(sender, 0.05)) == [0]
    queue(sender, 3, 30)
    assert sequences(poll(sender, 0.05)) == [30, 31, 32]
    ack(sender, 30, 31, now=0.1)
    assert sequences(poll(sender, 0.1)) == []
    ack(sender, 32, now=0.1)
    assert sequences(poll(sender, 0.1)) == [0]


def test_silence_is_answered_by_one_new_sequence_at_a_time_out_of_the_reserve() -> None:
    sender = channel()
    queue(sender, 100)
    poll(sender, 0.0)
    seen = 48
    now = 0.0
    probes: list[float] = []
    while now < 10:
        now = sender.next_timeout()
        fresh = [s for s in sequences(poll(sender, now)) if s >= seen]
        assert fresh == ([] if not fresh else [seen])
        if fresh:
            probes.append(now)
            seen += 1
    assert seen == 64, "never one more than the window of the receiver"
    assert probes == pytest.approx([2 * DELAY * (i + 1) for i in range(16)])


def test_an_ack_ends_the_probing_and_48_is_the_limit_again() -> None:
    sender = channel()
    queue(sender, 200)
    poll(sender, 0.0)
    now = 0.0
    for _ in range(10):
        now += 2 * DELAY + 0.001
        poll(sender, now)
    assert sender.in_flight == 58
    ack(sender, *range(5), now=now)
    assert sender.in_flight == 53
    assert sequences([p for p in poll(sender, now) if data_of([p])[0].sequence > 57]) == []
    ack(sender, *range(20), now=now)
    assert [s for s in sequences(poll(sender, now)) if s > 57] == [*range(58, 68)]
    assert sender.in_flight == 48


def test_an_ack_that_frees_nothing_puts_the_next_probe_off() -> None:
    sender = channel()
    queue(sender, 100)
    poll(sender, 0.0)
    ack(sender, now=1.9 * DELAY)
    assert 48 not in sequences(poll(sender, 2 * DELAY))
    assert 48 in sequences(poll(sender, 3.9 * DELAY))


def test_nothing_is_probed_when_nothing_more_is_queued() -> None:
    """
    A probe is a real, new message; there is none to send.
    """
    sender = channel()
    queue(sender, 48)
    poll(sender, 0.0)
    for i in range(100):
        assert all(s < 48 for s in sequences(poll(sender, i * DELAY)))


def test_a_resend_waits_half_as_long_again_each_time_up_to_a_second() -> None:
    sender = channel()
    queue(sender, 1)
    assert sequences(poll(sender, 0.0)) == [0]
    times = [0.0]
    for _ in range(9):
        now = sender.next_timeout()
        assert poll(sender, now - 0.001) == []
        assert sequences(poll(sender, now)) == [0]
        times.append(now)
    waits = [after - before for before, after in pairwise(times)]
    grown = [DELAY * 1.5**i for i in range(9)]
    assert waits == pytest.approx([min(wait, 1.0) for wait in grown])
    assert waits[-1] == pytest.approx(1.0)
    assert sender.resent == 9


def test_a_path_slower_than_a_second_is_not_hurried() -> None:
    sender = channel()
    queue(sender, 1)
    slow = RttEstimator()
    slow.resend_delay = 2.5
    poll(sender, 0.0, rtt=slow)
    assert poll(sender, 2.4, rtt=slow) == []
    assert sequences(poll(sender, 2.5, rtt=slow)) == [0]
    assert poll(sender, 4.9, rtt=slow) == []
    assert sequences(poll(sender, 5.0, rtt=slow)) == [0]


def test_only_what_is_missing_is_sent_again() -> None:
    sender = channel()
    queue(sender, 5)
    poll(sender, 0.0)
    assert ack(sender, 0, 2, 4) == [b"0", b"2", b"4"]
    assert sequences(poll(sender, DELAY)) == [1, 3]
    assert sender.unacknowledged == 2


def test_nothing_is_due_when_all_is_acknowledged() -> None:
    sender = channel()
    queue(sender, 5)
    poll(sender, 0.0)
    ack(sender, *range(5))
    assert sender.next_timeout() == NEVER
    assert sender.in_flight == sender.unacknowledged == 0
    assert poll(sender, 100.0) == []


def test_what_was_acknowledged_is_confirmed_once() -> None:
    sender = channel()
    queue(sender, 3)
    poll(sender, 0.0)
    assert ack(sender, 0, 1) == [b"0", b"1"]
    assert ack(sender, 0, 1) == []
    assert ack(sender, 0, 1, 2) == [b"2"]


def test_receipts_travel_with_what_they_are_for() -> None:
    sender = channel()
    receipt = Receipt("whoever", 1)
    sender.queue(Outgoing(b"x", False, receipt))
    poll(sender, 0.0)
    (confirmed,) = sender.acknowledge(0, 1, 0.0, DELAY, 0.0)
    assert confirmed.receipt is receipt


@pytest.mark.parametrize("start", [1, 20, 64, 16384, 20000, 32704, 32768, 65535])
def test_an_ack_of_what_was_never_sent_changes_nothing(start: int) -> None:
    """
    A receiver's window never starts past our oldest unacknowledged sequence.
    """
    sender = channel()
    queue(sender, 10)
    poll(sender, 0.0)
    assert sender.acknowledge(start, 2**64 - 1, 0.0, DELAY, 0.0) == []
    assert sequences(poll(sender, DELAY)) == [*range(10)]


def test_bits_of_sequences_not_yet_sent_are_no_acks_of_them() -> None:
    sender = channel()
    queue(sender, 3)
    poll(sender, 0.0)
    assert len(sender.acknowledge(0, 2**64 - 1, 0.0, DELAY, 0.0)) == 3
    queue(sender, 2, first=3)
    assert sequences(poll(sender, 0.0)) == [3, 4]
    assert sequences(poll(sender, DELAY)) == [3, 4]


def test_an_old_ack_that_comes_late_does_no_harm() -> None:
    sender, receiver = channel(), channel()
    queue(sender, 100)
    for packet in data_of(poll(sender, 0.0)):
        receiver.receive(packet.sequence, packet.data, False)
    old = ack_of(poll(receiver, 0.0))
    assert old.bitmap is not None
    ack(sender, *range(48))
    for packet in data_of(poll(sender, 0.0)):
        receiver.receive(packet.sequence, packet.data, False)
    assert sender.acknowledge(old.sequence, old.bitmap, 0.0, DELAY, 0.0) == []
    assert sender.in_flight == 48


def test_a_small_room_is_not_overdrawn_and_the_rest_follows() -> None:
    """
    Room is what may go to an address that has not proven itself.
    """
    sender = channel()
    for _ in range(10):
        sender.queue(Outgoing(bytes(94), False, None))
    assert sequences(poll(sender, 0.0, room=350)) == [0, 1, 2]
    assert not sender.idle
    assert sequences(poll(sender, 0.0, room=99)) == []
    assert sequences(poll(sender, 0.0, room=100)) == [3]
    assert sequences(poll(sender, DELAY, room=250)) == [0, 1], "those that were lost come first"
    assert sequences(poll(sender, DELAY, room=HUGE)) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_an_owed_ack_waits_for_room_too() -> None:
    receiver = channel()
    receiver.receive(0, b"", False)
    assert poll(receiver, 0.0, room=14) == []
    assert not receiver.idle
    assert len(poll(receiver, 0.0, room=15)) == 1
    assert receiver.idle


# ---------------------------------------------------------------- acknowledging


def test_acks_have_the_bytes_of_the_reference() -> None:
    """
    The examples of WIRE §4.3: 0, 1 and 3; then 2; then 4 and 68.
    """
    receiver = channel()
    for sequence in (0, 1, 3):
        receiver.receive(sequence, b"", False)
    assert poll(receiver, 0.0) == [bytes.fromhex("02 0000 02 0b00000000000000 00")]
    receiver.receive(2, b"", False)
    assert poll(receiver, 0.0) == [bytes.fromhex("02 0000 02 0f00000000000000 00")]
    for sequence in range(4, 69):
        receiver.receive(sequence, b"", False)
    window = poll(receiver, 0.0)
    assert window == [bytes.fromhex("02 0500 02 ffffffffffffffff 00")]


def test_the_window_moves_to_what_is_newest_and_forgets_what_it_leaves() -> None:
    receiver = channel()
    for sequence in (0, 1, 2, 3, 4):
        receiver.receive(sequence, b"", False)
    receiver.receive(68, b"", False)
    assert poll(receiver, 0.0) == [bytes.fromhex("02 0500 02 1000000000000000 00")]


def test_an_ack_carries_the_connection_number() -> None:
    receiver = channel(number=2)
    receiver.receive(0, b"", False)
    assert poll(receiver, 0.0)[0][0] == 0x42


def test_one_ack_answers_all_that_came_since_the_last() -> None:
    receiver = channel()
    for sequence in range(10):
        receiver.receive(sequence, b"", False)
    assert ack_of(poll(receiver, 0.0)).bitmap == 0x3FF
    assert poll(receiver, 0.0) == []


def test_a_duplicate_is_acknowledged_but_not_delivered() -> None:
    """
    Our first ack may have been lost; the reference keeps silent (PITFALLS D2).
    """
    receiver = channel()
    receiver.receive(0, b"once", False)
    poll(receiver, 0.0)
    assert receiver.receive(0, b"once", False) == []
    assert ack_of(poll(receiver, 0.0)).bitmap == 1


def test_what_is_older_than_the_window_is_neither_delivered_nor_acknowledged() -> None:
    receiver = channel()
    for sequence in range(100):
        receiver.receive(sequence, b"", False)
    poll(receiver, 0.0)
    assert receiver.receive(35, b"", False) == []
    assert poll(receiver, 0.0) == []
    assert receiver.receive(36, b"", False) == []
    assert len(poll(receiver, 0.0)) == 1


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("expected", [0, 10])
def test_a_sequence_64_past_the_expected_one_is_dropped(ordered: bool, expected: int) -> None:
    """
    The reference lets it in, and its channel is dead from then on (PITFALLS D1).
    """
    receiver = channel(ordered)
    for sequence in range(expected):
        receiver.receive(sequence, b"", False)
    poll(receiver, 0.0)
    assert receiver.receive(expected + 64, b"too far", False) == []
    assert poll(receiver, 0.0) == []
    for sequence in range(expected + 1, expected + 64):
        receiver.receive(sequence, b"", False)
    receiver.receive(expected, b"", False)
    assert receiver.receive(expected + 64, b"in its turn", False) == [(b"in its turn", False)]


@pytest.mark.parametrize("sequence", [32768, 32769, 40000, 65535])
def test_an_impossible_sequence_is_dropped(sequence: int) -> None:
    receiver = channel()
    assert receiver.receive(sequence, b"", False) == []
    assert poll(receiver, 0.0) == []


# ---------------------------------------------------------------- order


def test_ordered_messages_wait_for_those_before_them() -> None:
    receiver = channel()
    assert receiver.receive(2, b"c", False) == []
    assert receiver.receive(1, b"b", False) == []
    assert receiver.receive(0, b"a", False) == [(b"a", False), (b"b", False), (b"c", False)]
    assert receiver.receive(3, b"d", False) == [(b"d", False)]


def test_unordered_messages_wait_for_nothing_and_come_once() -> None:
    receiver = channel(ordered=False)
    assert receiver.receive(2, b"c", False) == [(b"c", False)]
    assert receiver.receive(2, b"c", False) == []
    assert receiver.receive(0, b"a", False) == [(b"a", False)]
    assert receiver.receive(1, b"b", False) == [(b"b", False)]
    assert receiver.receive(1, b"b", False) == []
    assert receiver.receive(2, b"c", False) == []
    assert receiver.receive(3, b"d", False) == [(b"d", False)]


def test_a_whole_window_can_come_backwards() -> None:
    for ordered in (True, False):
        receiver = channel(ordered)
        delivered = []
        for sequence in reversed(range(64)):
            delivered += receiver.receive(sequence, b"%d" % sequence, False)
        bodies = [int(body) for body, _ in delivered]
        assert bodies == ([*range(64)] if ordered else [*reversed(range(64))])
        assert ack_of(poll(receiver, 0.0)).bitmap == 2**64 - 1


@pytest.mark.parametrize("ordered", [True, False])
def test_sequences_wrap_and_nothing_is_lost_or_doubled(ordered: bool) -> None:
    """
    33 500 messages over a bad path: past 32768 the numbers begin anew.
    """
    random = Random(7)
    sender, receiver = channel(ordered), channel(ordered)
    count = 33_500
    queue(sender, count)
    delivered: list[int] = []
    now = 0.0
    while sender.unacknowledged:
        now += DELAY
        packets = [p for p in poll(sender, now) if random.random() > 0.02]
        if random.random() < 0.3:
            random.shuffle(packets)
        for packet in data_of(packets):
            for _ in range(2 if random.random() < 0.02 else 1):
                ready = receiver.receive(packet.sequence, packet.data, False)
                delivered += [int(body) for body, _ in ready]
        for answer in poll(receiver, now):
            if random.random() > 0.02:
                said = Ack.decode(answer)
                assert said.bitmap is not None
                sender.acknowledge(said.sequence, said.bitmap, now, DELAY, 0.0)
        assert now < 10_000
    assert len(delivered) == count
    assert delivered == [*range(count)] if ordered else sorted(delivered) == [*range(count)]


# ---------------------------------------------------------------- whatever happens


@given(st.integers(0, 2**32), st.integers(1, 64), st.floats(0, 0.7), st.booleans())
def test_no_sequence_ever_passes_the_window_of_the_receiver(
    seed: int, limit: int, loss: float, hostile: bool
) -> None:
    """
    Whatever is lost and whatever acks are made up, never oldest unacknowledged + 64.
    """
    random = Random(seed)
    sender, receiver = channel(max_in_flight=limit), channel()
    now = 0.0
    unacknowledged: dict[int, None] = {}
    for _ in range(60):
        now += random.choice([0.0, 0.01, DELAY, 1.0])
        queue(sender, random.choice([0, 1, 30, 100]))
        fresh = 0
        for packet in data_of(poll(sender, now)):
            if packet.sequence not in unacknowledged:
                fresh += 1
                unacknowledged[packet.sequence] = None
            oldest = min(unacknowledged, key=lambda s: distance(s, packet.sequence))
            assert distance(packet.sequence, oldest) < 64
            if random.random() >= loss:
                receiver.receive(packet.sequence, packet.data, False)
        assert fresh <= max(limit, 1) or limit >= 48
        if hostile and random.random() < 0.3:
            confirmed = sender.acknowledge(
                random.getrandbits(16), random.getrandbits(64), now, DELAY, 0.0
            )
            for outgoing in confirmed:
                del unacknowledged[data_of([outgoing.packet])[0].sequence]
        for answer in poll(receiver, now):
            said = Ack.decode(answer)
            if random.random() >= loss and said.bitmap is not None:
                for outgoing in sender.acknowledge(said.sequence, said.bitmap, now, DELAY, 0.0):
                    del unacknowledged[data_of([outgoing.packet])[0].sequence]
        assert sender.in_flight <= 64


@given(st.lists(st.tuples(st.integers(0, 65535), st.booleans()), max_size=200), st.booleans())
def test_whatever_sequences_arrive_little_is_held(
    arriving: list[tuple[int, bool]], ordered: bool
) -> None:
    receiver = channel(ordered)
    for sequence, fragmented in arriving:
        receiver.receive(sequence, b"x", fragmented)
        assert sum(held is not None for held in receiver._held) < 64
    for packet in poll(receiver, 0.0):
        assert Ack.decode(packet).sequence < 32768
