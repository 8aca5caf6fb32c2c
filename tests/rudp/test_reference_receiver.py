"""
Towards a peer that never acknowledges a duplicate, every transfer still ends (BEHAVIOUR §6.4).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from p2pnet.rudp.channels import Outgoing
from p2pnet.rudp.reliable import ReliableChannel
from p2pnet.rudp.rtt import RttEstimator
from p2pnet.wire.packets import Ack, Channeled
from tests.rudp.reference import TICK, ReferenceReceiver

HUGE = 1 << 30
Loses = Callable[[int, float], bool]
"""Whether the n-th datagram, sent at that time, is lost."""


def nothing(n: int, now: float) -> bool:
    return False


class Transfer:
    """
    Messages from our sender to the reference's receiver over a path of 20 ms.
    """

    def __init__(self, count: int, max_in_flight: int = 56, ordered: bool = True) -> None:
        self.expected = [b"%d" % i for i in range(count)]
        channel_id = 2 if ordered else 0
        self.sender = ReliableChannel(channel_id, 0, ordered, max_in_flight)
        self.receiver = ReferenceReceiver(channel_id, ordered)
        self.acks = 0
        self.now = 0.0
        for body in self.expected:
            self.sender.queue(Outgoing(body, False, None))

    def run(self, seconds: float, loses_data: Loses = nothing, loses_ack: Loses = nothing) -> None:
        rtt = RttEstimator()
        rtt.sample(0.02)
        sent = 0
        way = 0.01
        data: list[tuple[float, bytes]] = []
        acks: list[tuple[float, bytes]] = []
        end = self.now + seconds
        step = 0.005
        next_tick = self.now + TICK
        while self.now < end and self.sender.unacknowledged:
            self.now += step
            while acks and acks[0][0] <= self.now:
                ack = Ack.decode(acks.pop(0)[1])
                assert ack.bitmap is not None
                self.sender.acknowledge(ack.sequence, ack.bitmap, self.now, rtt.resend_delay, 0.0)
            for packet in self.sender.poll(self.now, rtt.resend_delay, HUGE):
                sent += 1
                if not loses_data(sent, self.now):
                    data.append((self.now + way, packet))
            while data and data[0][0] <= self.now:
                arrived = Channeled.decode(data.pop(0)[1])
                self.receiver.receive(arrived.sequence, arrived.data)
            if self.now >= next_tick:
                next_tick += TICK
                answer = self.receiver.tick()
                if answer is not None:
                    self.acks += 1
                    if not loses_ack(self.acks, self.now):
                        acks.append((self.now + way, answer))

    @property
    def complete(self) -> bool:
        return not self.sender.unacknowledged and self.receiver.delivered == self.expected


def test_the_simulated_receiver_has_the_defect() -> None:
    """
    With the whole window in flight, one lost ack of all of it is the end: as seen with two
    reference peers.
    """
    transfer = Transfer(400, max_in_flight=64)
    transfer.run(30.0, loses_ack=lambda n, now: n == 3)
    assert not transfer.complete
    assert len(transfer.receiver.delivered) == 192


@pytest.mark.parametrize("lost", range(1, 8))
def test_one_lost_ack_at_a_full_window_is_overcome(lost: int) -> None:
    transfer = Transfer(400)
    transfer.run(5.0, loses_ack=lambda n, now: n == lost)
    assert transfer.complete


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_lost_both_ways_is_overcome(seed: int, ordered: bool) -> None:
    random = Random(seed)
    transfer = Transfer(1000, ordered=ordered)
    transfer.run(
        60.0,
        loses_data=lambda n, now: random.random() < 0.2,
        loses_ack=lambda n, now: random.random() < 0.2,
    )
    delivered = transfer.receiver.delivered
    assert sorted(delivered) == sorted(transfer.expected)
    assert not ordered or delivered == transfer.expected


@pytest.mark.parametrize("silence", [0.2, 0.5, 0.9])
def test_a_time_without_any_ack_is_overcome(silence: float) -> None:
    """
    Eight probes in reserve, each two resend delays after the one before.
    """
    transfer = Transfer(1000)
    transfer.run(30.0, loses_ack=lambda n, now: 0.1 < now < 0.1 + silence)
    assert transfer.complete


def test_the_tail_is_repeated_ever_less_often_to_who_never_confirms_it() -> None:
    """
    Nothing new is left to coax an ack out with: the data is there, and little is wasted.
    """
    transfer = Transfer(10)
    transfer.run(20.0, loses_ack=lambda n, now: True)
    assert transfer.receiver.delivered == transfer.expected
    assert transfer.sender.resent < 10 * 27
