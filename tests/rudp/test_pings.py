"""
Pings, pongs and what they measure (WIRE §5, BEHAVIOUR §5, PITFALLS D4).
"""

from __future__ import annotations

import pytest

from p2pnet.rudp.events import LatencyUpdated
from p2pnet.rudp.heartbeat import Heartbeat
from p2pnet.rudp.rtt import RttEstimator
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.control import MtuProbe, Ping, Pong
from tests.rudp.cable import BOB, EPOCH, Cable


def test_who_dialled_pings_every_second_beginning_with_two() -> None:
    """
    The number that LiteNetLib begins with.
    """
    cable = Cable()
    alice, bob = cable.pair()
    opened = next(sent.at for sent in cable.sent(bob, alice)) + cable.delay
    cable.run(3.7)
    pings = cable.packets(Ping, alice, bob)
    assert [ping.sequence for _, ping in pings] == [2, 3, 4, 5]
    assert [at - opened for at, _ in pings] == pytest.approx([1.0, 2.0, 3.0, 4.0])


def test_the_interval_can_be_set() -> None:
    cable = Cable()
    alice, bob = cable.pair(ping_interval=0.2)
    cable.run(0.1)
    before = len(cable.packets(Ping, alice, bob))
    cable.run(2.0)
    assert len(cable.packets(Ping, alice, bob)) - before == 10


def test_a_ping_is_answered_at_once_with_the_time() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    alice.receive(Ping(0, 9).encode(), BOB)
    at, pong = cable.packets(Pong, alice, BOB)[-1]
    assert at == cable.now
    assert pong == Pong(0, 9, EPOCH + int(cable.now * 10_000_000))


def test_a_ping_that_comes_twice_is_answered_once() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    before = len(cable.packets(Pong, alice, BOB))
    for sequence in (9, 9, 10, 10, 9):
        alice.receive(Ping(0, sequence).encode(), BOB)
    answers = [pong.sequence for _, pong in cable.packets(Pong, alice, BOB)[before:]]
    assert answers == [9, 10, 9]


@pytest.mark.parametrize("sequence", [0, 1, 16383, 16384, 32767, 32768, 40000, 65535])
def test_any_other_sequence_is_answered_far_or_near(sequence: int) -> None:
    """
    The reference falls silent for nine hours after 65535.
    """
    cable = Cable()
    alice, _ = cable.pair()
    alice.receive(Ping(0, 65534).encode(), BOB)
    alice.receive(Ping(0, sequence).encode(), BOB)
    assert cable.packets(Pong, alice, BOB)[-1][1].sequence == sequence


def test_our_sequences_go_round_at_32768() -> None:
    heartbeat = Heartbeat(1.0, 2)
    sequences = [heartbeat.ping(float(i)) for i in range(32_800)]
    assert sequences[:3] == [2, 3, 4]
    assert sequences[32_764:32_769] == [32766, 32767, 0, 1, 2]
    assert max(sequences) == 32767


def test_a_day_and_more_of_pings_keeps_being_answered() -> None:
    """
    Past 65536 pings, on a fast path.
    """
    cable = Cable(0.001)
    alice, bob = cable.pair(ping_interval=5.0, disconnect_timeout=12.0)
    heartbeat = alice.connection.path.heartbeat
    heartbeat._sequence = 32_750
    cable.run(200.0)
    before = len(alice.told(LatencyUpdated))
    cable.run(100.0)
    assert len(alice.told(LatencyUpdated)) - before == 20
    assert alice.farewells == bob.farewells == []


def test_each_answered_ping_tells_the_latency() -> None:
    cable = Cable(0.04)
    alice, _ = cable.pair()
    cable.run(5.0)
    told = alice.told(LatencyUpdated)
    assert len(told) == 5
    assert [event.latency for event in told] == pytest.approx([0.04] * 5)
    assert alice.connection.rtt.smoothed == pytest.approx(0.08)


def test_the_handshake_is_the_first_measurement() -> None:
    cable = Cable(0.2)
    alice, _ = cable.pair()
    assert alice.told(LatencyUpdated) == []
    assert alice.connection.rtt.smoothed == pytest.approx(0.4)


def test_a_handshake_that_had_to_be_repeated_measures_nothing() -> None:
    """
    It is not known which of the requests was answered (Karn).
    """
    cable = Cable(0.05)
    alice, _ = cable.node(("10.0.0.1", 9050)), cable.node(BOB)
    cable.loses = lambda sent: cable.now < 100.1
    alice.connect(BOB)
    cable.run(0.7)
    assert alice.connections
    assert alice.connection.rtt.smoothed == 0.0
    cable.run(1.0)
    assert alice.connection.rtt.smoothed == pytest.approx(0.1)


def test_lost_pongs_do_not_look_like_a_slow_path() -> None:
    """
    The reference takes an unanswered ping for a round trip of a second.
    """
    cable = Cable(0.03)
    alice, bob = cable.pair()
    cable.loses_packets(Pong)
    cable.run(4.0)
    cable.loses_nothing()
    cable.run(3.0)
    assert alice.connection.rtt.smoothed == pytest.approx(0.06)
    assert alice.farewells == bob.farewells == []


@pytest.mark.parametrize("wrong", [1, -1, 32768])
def test_a_pong_that_answers_no_ping_measures_nothing(wrong: int) -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses_packets(Pong)
    cable.run(1.1)
    told = len(alice.told(LatencyUpdated))
    sequence = cable.packets(Ping, alice, bob)[-1][1].sequence
    alice.receive(Pong(0, (sequence + wrong) % 65536, 0).encode(), BOB)
    assert len(alice.told(LatencyUpdated)) == told
    alice.receive(Pong(0, sequence, 0).encode(), BOB)
    alice.receive(Pong(0, sequence, 0).encode(), BOB)
    assert len(alice.told(LatencyUpdated)) == told + 1


def test_packets_of_another_number_are_not_answered() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    before = len(cable.log)
    alice.receive(Ping(1, 9).encode(), BOB)
    assert len(cable.log) == before


@pytest.mark.parametrize("size", [508, 600, 1024, 1432])
def test_an_mtu_probe_of_any_size_is_echoed_with_zeros_inside(size: int) -> None:
    """
    The reference sends whatever was in its buffer (PITFALLS A1).
    """
    cable = Cable()
    alice, _ = cable.pair()
    probe = bytearray(MtuProbe(0, size).encode())
    probe[5 : size - 4] = b"\xaa" * (size - 9)
    alice.receive(bytes(probe), BOB)
    answer = cable.sent(alice, BOB)[-1].data
    assert answer == MtuProbe(0, size, answer=True).encode()
    assert set(answer[5 : size - 4]) == {0}


@pytest.mark.parametrize("size", [507, 1433, 2000])
def test_an_mtu_probe_that_cannot_be_is_not_echoed(size: int) -> None:
    cable = Cable()
    alice, _ = cable.pair()
    before = len(cable.log)
    body = size.to_bytes(4, "little")
    alice.receive(b"\x09" + body + bytes(size - 9) + body, BOB)
    alice.receive(MtuProbe(0, 600).encode()[:-1], BOB)
    assert len(cable.log) == before
    assert alice.endpoint.statistics.dropped == {"malformed": 2}


def test_a_slow_path_makes_resends_wait_longer_than_a_fast_one() -> None:
    fast, slow = RttEstimator(), RttEstimator()
    for _ in range(20):
        fast.sample(0.001)
        slow.sample(0.3)
    assert fast.resend_delay < 0.05
    assert 0.3 < slow.resend_delay < 0.4


def test_an_unsteady_path_makes_resends_wait_longer_than_a_steady_one() -> None:
    steady, unsteady = RttEstimator(), RttEstimator()
    for i in range(40):
        steady.sample(0.1)
        unsteady.sample(0.1 + (0.08 if i % 2 else -0.08))
    assert steady.resend_delay < 0.15
    assert unsteady.resend_delay > 0.3


def test_on_a_clean_path_nothing_is_sent_twice() -> None:
    for delay in (0.0, 0.005, 0.05, 0.2):
        cable = Cable(delay)
        alice, bob = cable.pair()
        for i in range(200):
            alice.endpoint.send(alice.connection, b"%d" % i, DeliveryMethod.RELIABLE_ORDERED)
            cable.run(0.01)
        cable.run(2.0)
        assert len(bob.messages) == 200
        assert alice.endpoint.statistics.packets_resent == 0
