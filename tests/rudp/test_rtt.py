"""
How long an answer takes, and how long to wait for one (BEHAVIOUR §5, RFC 6298).
"""

from __future__ import annotations

import pytest

from p2pnet.rudp.events import LatencyUpdated
from p2pnet.rudp.rtt import MAX_RESEND_DELAY, RttEstimator, backed_off
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.control import ConnectAccept, ConnectRequest, Ping, Pong
from p2pnet.wire.packets import Ack, Channeled
from tests.rudp.cable import ALICE, BOB, Cable, Node
from tests.rudp.reference_peer import ReferencePeer

ORDERED = DeliveryMethod.RELIABLE_ORDERED


def say(cable: Cable, node: Node, count: int, every: float) -> None:
    for i in range(count):
        node.endpoint.send(node.connection, b"%d" % i, ORDERED)
        cable.run(every)


# ---------------------------------------------------------------- where measurements come from


@pytest.mark.parametrize("delay", [0.002, 0.05, 0.2])
def test_who_dialled_knows_the_round_trip_before_the_first_message(delay: float) -> None:
    cable = Cable(delay)
    alice, bob = cable.node(ALICE), cable.node(BOB)
    alice.connect(BOB)
    cable.run_until(lambda: alice.connections)
    assert alice.connection.rtt.smoothed == pytest.approx(2 * delay)
    cable.run(2 * delay)
    # Who accepted has it from the ping that proves the address.
    assert bob.connection.rtt.smoothed == pytest.approx(2 * delay)


def test_nothing_is_repeated_on_a_slow_path_in_the_first_second() -> None:
    """
    The reference sends about six copies of everything there (PITFALLS E).
    """
    cable = Cable(0.2)
    alice, bob = cable.pair()
    say(cable, alice, 20, 0.02)
    say(cable, bob, 20, 0.02)
    cable.run(2.0)
    assert len(bob.messages) == len(alice.messages) == 20
    assert alice.endpoint.statistics.packets_resent == 0
    assert bob.endpoint.statistics.packets_resent == 0


@pytest.mark.parametrize("lost", [ConnectRequest, ConnectAccept])
def test_a_repeated_handshake_measures_nothing(lost: type[object]) -> None:
    """
    It is not known which request was answered (Karn).
    """
    cable = Cable()
    alice, _ = cable.node(ALICE), cable.node(BOB)
    cable.loses_packets(lost, lambda packet: cable.now < 100.3)
    alice.connect(BOB)
    cable.run_until(lambda: alice.connections)
    assert alice.connection.rtt.smoothed == 0.0
    cable.run(1.2)
    # The first ping does.
    assert alice.connection.rtt.smoothed == pytest.approx(0.1)


def test_a_repeated_packet_measures_nothing() -> None:
    """
    Its ack may be for either copy (Karn).
    """
    cable = Cable(0.01)
    alice, bob = cable.pair()
    say(cable, alice, 20, 0.05)
    before = alice.connection.rtt.resend_delay
    cable.loses_packets(Channeled, lambda packet: cable.now < arrives)
    arrives = cable.now + 0.2
    alice.endpoint.send(alice.connection, b"late", ORDERED)
    cable.run(0.9)
    assert bob.messages[-1] == b"late"
    assert alice.connection.rtt.resend_delay == pytest.approx(before, abs=0.001)


def test_acks_that_wait_for_a_tick_are_waited_for() -> None:
    """
    A ping of the same peer is answered at once and says nothing about that.
    """
    cable = Cable(0.01)
    slow = ReferencePeer(tick=0.1)
    cable.plug(BOB, slow)
    alice = cable.node(ALICE)
    alice.connect(BOB)
    cable.run(0.1)
    say(cable, alice, 60, 0.037)
    assert 0.1 < alice.connection.rtt.resend_delay < 0.25
    assert alice.connection.rtt.smoothed == pytest.approx(0.02)
    before = alice.connection.statistics.packets_resent
    say(cable, alice, 60, 0.037)
    assert alice.connection.statistics.packets_resent == before


def test_a_pong_counts_although_a_later_ping_is_on_its_way() -> None:
    """
    On a path slower than pings follow one another no pong answers the latest.
    """
    cable = Cable(0.8)
    alice, bob = cable.node(ALICE), cable.node(BOB)
    alice.connect(BOB)
    cable.run(8.0)
    assert alice.connection.rtt.smoothed == pytest.approx(1.6)
    assert bob.connection.rtt.smoothed == pytest.approx(1.6)
    assert len(alice.told(LatencyUpdated)) >= 4
    say(cable, alice, 20, 0.1)
    cable.run(3.0)
    assert len(bob.messages) == 20
    assert alice.connection.statistics.packets_resent == 0


def test_each_pong_counts_once_and_only_a_few_pings_are_remembered() -> None:
    cable = Cable()
    alice, _ = cable.pair(ping_interval=0.1)
    cable.loses_packets(Pong)
    cable.run(3.0)
    pings = [ping.sequence for _, ping in cable.packets(Ping, alice, BOB)]
    before = len(alice.told(LatencyUpdated))
    for sequence in pings:
        for _ in range(2):
            alice.receive(Pong(0, sequence, 0).encode(), BOB)
    assert len(alice.told(LatencyUpdated)) - before == 8


# ---------------------------------------------------------------- what follows from them


@pytest.mark.parametrize("tick", [0.015, 0.016])
@pytest.mark.parametrize("delay", [0.0005, 0.01, 0.05, 0.15])
@pytest.mark.parametrize("every", [0.0, 0.004, 0.0151, 0.05])
def test_the_tick_of_a_reference_peer_makes_us_repeat_nothing(
    every: float, delay: float, tick: float
) -> None:
    for phase in (0.0, 0.004, 0.008, 0.012):
        cable = Cable(delay)
        stranger = ReferencePeer(tick=tick, phase=phase)
        cable.plug(BOB, stranger)
        alice = cable.node(ALICE)
        alice.connect(BOB)
        cable.run(2 * delay + 0.02)
        say(cable, alice, 60, every)
        cable.run(1.0)
        assert len(stranger.delivered) == 60
        assert alice.connection.statistics.packets_resent == 0


@pytest.mark.parametrize("delay", [0.0005, 0.05])
def test_a_tick_just_missed_after_many_just_caught_makes_us_repeat_nothing(delay: float) -> None:
    """
    All acks took no time at all, and the next takes a whole tick.
    """
    tick = 0.016
    cable = Cable(delay)
    stranger = ReferencePeer(tick=tick)
    cable.plug(BOB, stranger)
    alice = cable.node(ALICE)
    alice.connect(BOB)
    cable.run(3 * delay + 0.02)

    def arrive(before_tick: float) -> None:
        upcoming = stranger.next_timeout()
        assert upcoming is not None
        leave = upcoming - before_tick - delay
        while leave <= cable.now:
            leave += tick
        cable.run(leave - cable.now)
        alice.endpoint.send(alice.connection, b"x", ORDERED)

    for _ in range(5):
        for _ in range(60):
            arrive(0.0002)
        cable.run(0.1)
        arrive(-0.0001)
        cable.run(0.1)
    assert alice.connection.statistics.packets_resent == 0


def test_a_path_that_becomes_slower_is_learnt() -> None:
    """
    Every ack comes after the repetition of its packet and measures nothing; pings still do.
    """
    cable = Cable(0.025)
    alice, bob = cable.pair()
    say(cable, alice, 60, 0.05)
    assert alice.connection.rtt.resend_delay < 0.1
    cable.delay = 0.2
    say(cable, alice, 60, 0.05)
    repeated = alice.connection.statistics.packets_resent
    say(cable, alice, 200, 0.05)
    assert alice.connection.statistics.packets_resent == repeated
    assert 0.4 < alice.connection.rtt.resend_delay < 0.6
    cable.run(1.0)
    assert len(bob.messages) == 320


def test_a_path_that_becomes_faster_is_learnt() -> None:
    cable = Cable(0.2)
    alice, _ = cable.pair()
    say(cable, alice, 40, 0.05)
    cable.delay = 0.01
    say(cable, alice, 100, 0.05)
    assert alice.connection.rtt.resend_delay < 0.08


def test_the_delay_before_any_measurement_is_short_and_grows() -> None:
    estimator = RttEstimator()
    assert estimator.smoothed == 0.0
    assert 0.1 <= estimator.resend_delay <= 0.2
    waits = [backed_off(estimator.resend_delay, sends) for sends in range(1, 12)]
    assert waits == sorted(waits)
    assert waits[1] == pytest.approx(1.5 * waits[0])
    assert waits[-1] == MAX_RESEND_DELAY


def test_the_back_off_never_shortens_a_long_delay_nor_overflows() -> None:
    assert backed_off(1.7, 1) == backed_off(1.7, 5) == 1.7
    assert backed_off(0.05, 10**9) == MAX_RESEND_DELAY


def test_a_delay_is_never_shorter_than_a_tick_of_the_other_side() -> None:
    estimator = RttEstimator()
    for _ in range(1000):
        estimator.sample(0.0)
        estimator.ack_sample(0.0)
    assert estimator.resend_delay > 0.016


def test_acks_of_acks_measure_nothing() -> None:
    """
    An Ack that names nothing of ours is no round trip.
    """
    cable = Cable()
    alice, _ = cable.pair()
    before = alice.connection.rtt.resend_delay
    for start in (0, 1, 63, 32767):
        alice.receive(Ack(0, start, 2, 2**64 - 1).encode(), BOB)
    assert alice.connection.rtt.resend_delay == before
