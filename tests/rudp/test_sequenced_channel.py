"""
The two sequenced channels, one packet at a time (BEHAVIOUR §7).
"""

from __future__ import annotations

import pytest

from p2pnet.rudp.channels import Outgoing
from p2pnet.rudp.rtt import NEVER, RttEstimator
from p2pnet.rudp.sequenced import SequencedChannel
from p2pnet.wire.packets import Channeled

HUGE = 1 << 30
RTT = RttEstimator()
DELAY = RTT.resend_delay


def channel(reliable: bool, number: int = 0) -> SequencedChannel:
    return SequencedChannel(3 if reliable else 1, number, reliable)


def queue(sender: SequencedChannel, *bodies: bytes) -> None:
    for body in bodies:
        sender.queue(Outgoing(body, False, None))


def poll(side: SequencedChannel, now: float = 0.0, room: int = HUGE) -> list[bytes]:
    return side.poll(now, RTT.resend_delay, room)


def sequences(packets: list[bytes]) -> list[int]:
    return [Channeled.decode(packet).sequence for packet in packets]


@pytest.mark.parametrize("reliable", [True, False])
def test_the_first_sequence_is_one(reliable: bool) -> None:
    sender = channel(reliable, number=1)
    queue(sender, b"a", b"b")
    last = 3 if reliable else 1
    assert poll(sender) == [bytes((0x21, 1, 0, last, 97)), bytes((0x21, 2, 0, last, 98))]


@pytest.mark.parametrize("reliable", [True, False])
def test_what_comes_late_or_twice_is_not_delivered(reliable: bool) -> None:
    receiver = channel(reliable)
    assert receiver.receive(2, b"b", False) == [(b"b", False)]
    assert receiver.receive(2, b"b", False) == []
    assert receiver.receive(1, b"a", False) == []
    assert receiver.receive(0, b"", False) == []
    assert receiver.receive(7, b"g", False) == [(b"g", False)]


@pytest.mark.parametrize("reliable", [True, False])
@pytest.mark.parametrize(("sequence", "is_new"), [(16383, True), (16384, False), (32767, False)])
def test_half_of_all_sequences_are_new(reliable: bool, sequence: int, is_new: bool) -> None:
    assert bool(channel(reliable).receive(sequence, b"", False)) is is_new


@pytest.mark.parametrize("reliable", [True, False])
@pytest.mark.parametrize("sequence", [32768, 65535])
def test_an_impossible_sequence_is_dropped_without_ack(reliable: bool, sequence: int) -> None:
    receiver = channel(reliable)
    assert receiver.receive(sequence, b"", False) == []
    assert poll(receiver) == []


@pytest.mark.parametrize("reliable", [True, False])
def test_a_fragment_is_dropped_without_ack(reliable: bool) -> None:
    receiver = channel(reliable)
    assert receiver.receive(1, b"\1\0\0\0\1\0x", True) == []
    assert poll(receiver) == []


def test_every_packet_is_answered_with_the_last_accepted_sequence() -> None:
    """
    The example of WIRE §4.3; an old one is answered too.
    """
    receiver = channel(reliable=True)
    receiver.receive(3, b"", False)
    assert poll(receiver) == [bytes.fromhex("02 0300 03")]
    assert poll(receiver) == []
    receiver.receive(2, b"", False)
    assert poll(receiver) == [bytes.fromhex("02 0300 03")]


def test_the_unreliable_kind_is_never_acknowledged_nor_repeated() -> None:
    sender, receiver = channel(reliable=False), channel(reliable=False)
    queue(sender, b"a")
    poll(sender)
    receiver.receive(1, b"a", False)
    assert poll(receiver) == []
    assert sender.next_timeout() == NEVER
    assert poll(sender, 100.0) == []
    assert sender.unacknowledged == 0


def test_only_the_last_message_is_repeated_and_ever_less_often() -> None:
    sender = channel(reliable=True)
    queue(sender, b"a", b"b", b"c")
    poll(sender)
    waits = []
    now = 0.0
    for _ in range(8):
        due = sender.next_timeout()
        assert poll(sender, due - 0.001) == []
        assert sequences(poll(sender, due)) == [3]
        waits.append(due - now)
        now = due
    assert waits == pytest.approx([min(DELAY * 1.5**i, 1.0) for i in range(8)])
    assert sender.resent == 8


def test_a_newer_message_takes_the_place_of_the_one_repeated() -> None:
    sender = channel(reliable=True)
    queue(sender, b"a")
    poll(sender)
    queue(sender, b"b")
    assert sequences(poll(sender, DELAY)) == [2]
    assert sequences(poll(sender, 2 * DELAY)) == [2]


def test_the_ack_of_the_last_one_ends_it_and_no_other_does() -> None:
    sender = channel(reliable=True)
    queue(sender, b"a", b"b")
    poll(sender)
    for sequence in (1, 3, 0, 32768, 65535):
        sender.acknowledge(sequence)
        assert sender.unacknowledged == 1
    sender.acknowledge(2)
    assert sender.unacknowledged == 0
    assert sender.next_timeout() == NEVER


@pytest.mark.parametrize("reliable", [True, False])
def test_sequences_wrap_and_every_message_is_still_new(reliable: bool) -> None:
    sender, receiver = channel(reliable), channel(reliable)
    delivered = 0
    for _ in range(33_000):
        queue(sender, b"")
        (packet,) = poll(sender)
        sequence = Channeled.decode(packet).sequence
        assert sequence < 32768
        delivered += len(receiver.receive(sequence, b"", False))
        poll(receiver)
        sender.acknowledge(sequence)
    assert delivered == 33_000


def test_a_small_room_is_not_overdrawn() -> None:
    sender = channel(reliable=True)
    queue(sender, *[bytes(94)] * 4)
    sender.receive(1, b"", False)
    # The ack goes first: a room of 5 takes neither it nor a message.
    assert poll(sender, room=5) == []
    ack, *messages = poll(sender, room=6 + 205)
    assert ack[0] == 2
    assert sequences(messages) == [1, 2]
    assert not sender.idle
    assert sequences(poll(sender, room=100)) == [3]
    assert sequences(poll(sender, room=105)) == [4]
    assert poll(sender, DELAY, room=99) == []
    assert sequences(poll(sender, DELAY, room=100)) == [4]
