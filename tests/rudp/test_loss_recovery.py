"""
What is lost is noticed soon, repeated once, and arrives once (PITFALLS E, RFC 9002 §6).
"""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.build import is_compiled
from p2pnet.rudp.channels import Outgoing
from p2pnet.rudp.reliable import ReliableChannel
from p2pnet.rudp.rtt import NEVER, RttEstimator
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.packets import Ack, Channeled
from tests.rudp.cable import ALICE, BOB, Cable, Node
from tests.rudp.reference_peer import ReferencePeer

ORDERED = DeliveryMethod.RELIABLE_ORDERED
UNORDERED = DeliveryMethod.RELIABLE_UNORDERED
HUGE = 1 << 30

# ---------------------------------------------------------------- overtaken packets


def transmissions(cable: Cable, sequence: int) -> list[float]:
    """
    When Alice sent this sequence to Bob.
    """
    found = cable.packets(Channeled, ALICE, BOB)
    return [at for at, packet in found if packet.sequence == sequence]


def steady(delay: float = 0.05) -> tuple[Cable, Node, Node]:
    """
    A pair whose timers know the path; sequences 0 to 29 are spent.
    """
    cable = Cable(delay)
    alice, bob = cable.pair(mtu_override=1024)
    for _ in range(30):
        alice.endpoint.send(alice.connection, b"warm", ORDERED)
        cable.run(0.02)
    cable.run(0.5)
    return cable, alice, bob


def lose_first(cable: Cable, *sequences: int) -> None:
    """
    Lose the first transmission of these.
    """
    left = set(sequences)

    def loses(packet: Channeled) -> bool:
        if packet.sequence in left:
            left.remove(packet.sequence)
            return True
        return False

    cable.loses_packets(Channeled, loses)


def send_spread(cable: Cable, node: Node, count: int, gap: float = 0.001) -> None:
    for i in range(count):
        node.endpoint.send(node.connection, b"%d" % i, ORDERED)
        cable.run(gap)


def test_what_three_later_packets_have_overtaken_is_sent_again_at_once() -> None:
    cable, alice, bob = steady()
    lose_first(cable, 30)
    start = cable.now
    send_spread(cable, alice, 4)
    cable.run(0.5)
    first, again = transmissions(cable, 30)
    # The ack of the third packet behind it.
    assert again == pytest.approx(start + 0.003 + 2 * cable.delay)
    assert again < first + alice.connection.rtt.resend_delay
    assert bob.messages[30:] == [b"0", b"1", b"2", b"3"]


def test_two_that_overtake_may_be_chance() -> None:
    cable, alice, _ = steady()
    lose_first(cable, 30)
    send_spread(cable, alice, 3)
    delay = alice.connection.rtt.resend_delay
    cable.run(0.5)
    first, again = transmissions(cable, 30)
    assert again - first == pytest.approx(delay, abs=0.01)


def test_it_is_sent_again_once_and_then_the_timer_decides() -> None:
    """
    Acks that come meanwhile were on their way before the repetition could arrive.
    """
    cable, alice, bob = steady()
    lose_first(cable, 30)
    send_spread(cable, alice, 40)
    cable.run(0.5)
    assert len(transmissions(cable, 30)) == 2
    assert alice.connection.statistics.packets_resent == 1
    assert alice.connection.statistics.packets_lost == 1
    assert len(bob.messages) == 70


def test_a_repetition_that_is_lost_too_waits_for_its_timer() -> None:
    cable, alice, bob = steady()
    count = Counter[int]()

    def loses(packet: Channeled) -> bool:
        count[packet.sequence] += 1
        return packet.sequence == 30 and count[30] <= 2

    cable.loses_packets(Channeled, loses)
    send_spread(cable, alice, 40)
    cable.run(1.0)
    times = transmissions(cable, 30)
    assert len(times) == 3
    assert times[2] - times[1] > 2 * cable.delay
    assert len(bob.messages) == 70
    assert alice.connection.statistics.packets_lost == 1
    assert alice.connection.statistics.packets_resent == 2


def test_several_lost_at_once_are_all_sent_again_at_once() -> None:
    cable, alice, bob = steady()
    lose_first(cable, 30, 31, 33, 36)
    start = cable.now
    send_spread(cable, alice, 12)
    cable.run(0.5)
    for sequence in (30, 31, 33, 36):
        times = transmissions(cable, sequence)
        assert len(times) == 2
        assert times[1] < start + 2 * cable.delay + 0.012
    assert bob.messages[30:] == [b"%d" % i for i in range(12)]


def test_a_lost_last_packet_waits_for_the_timer() -> None:
    """
    Nothing overtakes it.
    """
    cable, alice, bob = steady()
    lose_first(cable, 34)
    send_spread(cable, alice, 5)
    delay = alice.connection.rtt.resend_delay
    cable.run(0.5)
    first, again = transmissions(cable, 34)
    assert again - first == pytest.approx(delay, abs=0.01)
    assert len(bob.messages) == 35


def test_a_lost_ack_is_repaired_by_the_next_one() -> None:
    cable, alice, bob = steady()
    cable.loses_packets(Ack, lambda ack: cable.now < until)
    until = cable.now + 0.054
    send_spread(cable, alice, 20)
    cable.run(1.0)
    assert len(bob.messages) == 50
    assert alice.connection.statistics.packets_resent == 0


def test_a_silent_path_is_sent_to_ever_less_often() -> None:
    """
    Half as long again each time, up to a second; the reference sends 132 copies in 4 s.
    """
    cable, alice, _ = steady()
    cable.loses = lambda sent: sent.source == ALICE
    alice.endpoint.send(alice.connection, b"lost", ORDERED)
    cable.run(4.8)
    times = transmissions(cable, 30)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 6 <= len(gaps) <= 10
    for shorter, longer in pairwise(gaps):
        assert longer == pytest.approx(min(1.5 * shorter, 1.0), rel=0.01)


# ---------------------------------------------------------------- how much it gains


class TimerOnly(ReliableChannel):
    """
    As ours, but for what acks say about gaps.
    """

    def _hasten_overtaken(self, latest: int, now: float) -> None:
        pass


def transfer(
    make: type[ReliableChannel],
    count: int,
    way: float,
    loss: float,
    seed: int,
    loses_acks: bool = True,
) -> tuple[float, int]:
    """
    Seconds that `count` messages take from one channel to another, and how many were repeated.

    The receiver acknowledges at once; acks are lost as often as messages, or never.
    """
    random = Random(seed)
    rtt = RttEstimator()
    rtt.sample(2 * way)
    sender = make(2, 0, True, 48)
    receiver = ReliableChannel(2, 0, True, 48)
    for i in range(count):
        sender.queue(Outgoing(b"%d" % i, False, None))
    delivered: list[bytes] = []
    under_way: list[tuple[float, int, bytes]] = []
    sent = 0
    now = 0.0
    while len(delivered) < count:
        for packet in sender.poll(now, rtt.resend_delay, HUGE) + receiver.poll(
            now, rtt.resend_delay, HUGE
        ):
            sent += 1
            is_ack = packet[0] & 0x1F == 2
            if random.random() >= loss or (is_ack and not loses_acks):
                heappush(under_way, (now + way, sent, packet))
        arrival = under_way[0][0] if under_way else NEVER
        now = max(now, min(arrival, sender.next_timeout()))
        assert now < 1000
        while under_way and under_way[0][0] <= now:
            data = heappop(under_way)[2]
            if data[0] & 0x1F == 1:
                packet_in = Channeled.decode(data)
                ready = receiver.receive(packet_in.sequence, packet_in.data, False)
                delivered += [body for body, _ in ready]
                continue
            ack = Ack.decode(data)
            assert ack.bitmap is not None
            confirmed = sender.acknowledge(
                ack.sequence, ack.bitmap, now, rtt.resend_delay, 2 * way
            )
            for outgoing in confirmed:
                if outgoing.sends == 1:
                    rtt.ack_sample(now - outgoing.sent_at)
                    break
    assert delivered == [b"%d" % i for i in range(count)]
    return now, sender.resent


@pytest.mark.skipif(is_compiled(), reason="no class can be derived from a compiled one")
@pytest.mark.parametrize(
    ("loss", "way", "gain"),
    [
        (0.01, 0.05, 0.9),
        (0.03, 0.05, 0.9),
        (0.05, 0.1, 0.9),
        (0.02, 0.02, 0.8),
        (0.1, 0.05, 0.9),
    ],
)
def test_noticing_gaps_is_faster_than_waiting_for_timers(
    loss: float, way: float, gain: float
) -> None:
    """
    The same messages, the same path, five seeds: seconds of virtual time, as a ratio.
    """
    ours = sum(transfer(ReliableChannel, 1000, way, loss, seed)[0] for seed in range(5))
    timers = sum(transfer(TimerOnly, 1000, way, loss, seed)[0] for seed in range(5))
    print(f"loss {loss:.0%}, {2 * way * 1000:.0f} ms: {ours:.2f} s / {timers:.2f} s")
    assert ours / timers < gain


@pytest.mark.parametrize(("loss", "most"), [(0.0, 1.0), (0.01, 1.5), (0.05, 2.6)])
def test_a_little_loss_costs_a_little_time(loss: float, most: float) -> None:
    """
    Against a path that loses nothing.
    """
    clean, _ = transfer(ReliableChannel, 1000, 0.05, 0.0, 0)
    times = [transfer(ReliableChannel, 1000, 0.05, loss, seed)[0] for seed in range(5)]
    print(f"loss {loss:.0%}: {sum(times) / 5 / clean:.2f} times as long")
    assert sum(times) / 5 <= most * clean


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05, 0.1])
def test_what_was_lost_is_repeated_twice_and_little_more(loss: float) -> None:
    """
    If no acks are: a lost ack looks like the loss of all that it names, until the next one.
    """
    repeated = 0
    for seed in range(5):
        repeated += transfer(ReliableChannel, 1000, 0.05, loss, seed, loses_acks=False)[1]
    print(f"loss {loss:.0%}: {repeated} repetitions of 5000")
    assert repeated <= 2 * 5000 * loss / (1 - loss) * 1.2


# ---------------------------------------------------------------- whatever happens, once


@pytest.mark.parametrize("method", [ORDERED, UNORDERED])
@pytest.mark.parametrize("seed", range(4))
def test_packets_that_only_come_late_are_delivered_once(
    method: DeliveryMethod, seed: int
) -> None:
    """
    Reordering looks like loss; what is repeated for it is a duplicate.
    """
    random = Random(seed)
    cable = Cable(0.03)
    alice, bob = cable.pair()
    cable.delays = lambda sent: random.choice((0.03, 0.03, 0.03, 0.09, 0.2))
    cable.doubles = lambda sent: random.random() < 0.2
    messages = [b"%d" % i for i in range(400)]
    for i in range(0, 400, 10):
        for message in messages[i : i + 10]:
            alice.endpoint.send(alice.connection, message, method)
            cable.settle()
        cable.run(0.005)
    cable.run_until(lambda: len(bob.messages) >= 400)
    cable.run(2.0)
    assert sorted(bob.messages) == sorted(messages)
    assert method is UNORDERED or bob.messages == messages
    assert alice.connection.unacknowledged == 0


PATHS = st.tuples(
    st.floats(0.0, 0.6),
    st.floats(0.0, 0.4),
    st.floats(0.0, 0.15),
    st.integers(0, 2**32),
)


@given(PATHS, st.sampled_from(list(DeliveryMethod)), st.integers(1, 120))
def test_every_method_keeps_its_promise_on_a_bad_path(
    path: tuple[float, float, float, int], method: DeliveryMethod, count: int
) -> None:
    """
    Loss up to 60 % both ways, duplicates, jitter and with it reordering.
    """
    loss, double, jitter, seed = path
    cable = Cable(0.02)
    alice, bob = cable.pair(disconnect_timeout=1e6)
    random = Random(seed)
    cable.loses = lambda sent: random.random() < loss
    cable.doubles = lambda sent: random.random() < double
    cable.delays = lambda sent: 0.02 + random.random() * jitter
    messages = [b"%d" % i for i in range(count)]
    for i, message in enumerate(messages):
        alice.endpoint.send(alice.connection, message, method)
        if i % 7 == 0:
            cable.run(0.01)
    check_promise(cable, alice, bob, method, messages)


def check_promise(
    cable: Cable, alice: Node, bob: Node, method: DeliveryMethod, messages: list[bytes]
) -> None:
    match method:
        case DeliveryMethod.RELIABLE_ORDERED:
            cable.run_until(lambda: bob.messages == messages, 600.0)
        case DeliveryMethod.RELIABLE_UNORDERED:
            cable.run_until(lambda: sorted(bob.messages) == sorted(messages), 600.0)
        case DeliveryMethod.RELIABLE_SEQUENCED:
            cable.run_until(lambda: bob.messages[-1:] == messages[-1:], 600.0)
    cable.loses_nothing()
    cable.run_until(lambda: alice.connection.unacknowledged == 0)
    cable.run(1.0)
    told = [messages.index(each) for each in bob.messages]
    if method is not DeliveryMethod.UNRELIABLE:
        assert len(set(told)) == len(told)
    if method not in (DeliveryMethod.UNRELIABLE, UNORDERED):
        assert told == sorted(told)


@pytest.mark.parametrize("first", [32_740, 32_767, 16_383])
def test_gaps_are_noticed_across_the_wrap_of_sequences(first: int) -> None:
    rtt = RttEstimator()
    sender = ReliableChannel(2, 0, True, 48)
    sender._start = sender._next = first
    for i in range(40):
        sender.queue(Outgoing(b"%d" % i, False, None))
    sender.poll(0.0, rtt.resend_delay, HUGE)
    arrived = [(first + i) % 32_768 for i in range(40) if i != 20]
    bitmap = sum(1 << sequence % 64 for sequence in arrived)
    confirmed = sender.acknowledge((first - 24) % 32_768, bitmap, 0.1, rtt.resend_delay, 0.0)
    # An ack whose window began before ours still names all that lie in it.
    assert len(confirmed) == 39
    again = [Channeled.decode(packet) for packet in sender.poll(0.1, rtt.resend_delay, HUGE)]
    assert [packet.sequence for packet in again] == [(first + 20) % 32_768]


# ---------------------------------------------------------------- towards a reference peer


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", [0.0, 0.02, 0.1])
def test_a_reference_peer_gets_everything_with_few_repetitions(loss: float, seed: int) -> None:
    """
    It acknowledges on its tick, and never a duplicate.
    """
    random = Random(seed)
    cable = Cable(0.03)
    stranger = ReferencePeer()
    cable.plug(BOB, stranger)
    alice = cable.node(ALICE)
    alice.connect(BOB)
    cable.run(1.0)
    cable.loses = lambda sent: random.random() < loss
    messages = [b"%d" % i for i in range(600)]
    for i in range(0, 600, 20):
        for message in messages[i : i + 20]:
            alice.endpoint.send(alice.connection, message + bytes(500), ORDERED)
        cable.run(0.02)
    cable.run_until(lambda: len(stranger.delivered) == 600, 60.0)
    assert [each[:-500] for each in stranger.delivered] == messages
    resent = alice.connection.statistics.packets_resent
    assert resent <= 600 * loss * 5


def test_a_whole_window_behind_a_gap_is_delivered_when_the_gap_closes() -> None:
    """
    Ordered messages wait for the repetition, not for its timer.
    """
    cable, alice, bob = steady()
    lose_first(cable, 30)
    start = cable.now
    send_spread(cable, alice, 40)
    cable.run_until(lambda: len(bob.messages) > 30)
    assert bob.messages[30:] == [b"%d" % i for i in range(40)]
    assert cable.now - start < 3 * cable.delay + 0.003 + 0.05


def test_counters_tell_what_was_lost_and_repeated() -> None:
    cable, alice, bob = steady()
    before = alice.connection.statistics.packets_resent
    cable.loses = lambda sent: sent.source == ALICE
    alice.endpoint.send(alice.connection, b"x", ORDERED)
    cable.run(1.0)
    times = transmissions(cable, 30)
    cable.loses_nothing()
    cable.run(1.5)
    statistics = alice.connection.statistics
    assert statistics.packets_lost == 1
    assert statistics.packets_resent - before == len(transmissions(cable, 30)) - 1
    assert len(transmissions(cable, 30)) == len(times) + 1
    assert bob.messages[-1] == b"x"
