"""
No more at once than the path can queue, and no slower than the window allows.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from p2pnet.rudp.pacing import Pacer
from p2pnet.rudp.rtt import NEVER
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.packets import Ack, Channeled, Unreliable
from tests.rudp.cable import ALICE, Cable, Node

ORDERED = DeliveryMethod.RELIABLE_ORDERED
BURST = 16
MTU = 1432


def ready(delay: float, **options: Any) -> tuple[Cable, Node, Node]:
    """
    A pair that has found its MTU.
    """
    cable = Cable(delay)
    alice, bob = cable.pair(**options)
    cable.run(5.0)
    assert alice.connection.mtu == MTU
    return cable, alice, bob


def send(
    node: Node, count: int, size: int = 1400, channel: int = 0, method: DeliveryMethod = ORDERED
) -> list[bytes]:
    messages = [b"%d" % i + bytes(size) for i in range(count)]
    for message in messages:
        node.endpoint.send(node.connection, message, method, channel)
    return messages


def bursts(cable: Cable, source: Node, target: Node, since: float) -> Counter[float]:
    """
    How many datagrams left at each moment.
    """
    return Counter(sent.at for sent in cable.sent(source, target) if sent.at >= since)


# ---------------------------------------------------------------- a long path


@pytest.mark.parametrize("delay", [0.01, 0.025, 0.05, 0.2])
def test_no_more_than_sixteen_datagrams_leave_at_once(delay: float) -> None:
    cable, alice, bob = ready(delay)
    start = cable.now
    messages = send(alice, 500)
    cable.run_until(lambda: bob.messages == messages)
    assert max(bursts(cable, alice, bob, start).values()) <= BURST


@pytest.mark.parametrize("delay", [0.01, 0.025, 0.05, 0.2])
def test_and_yet_the_window_is_what_bounds_a_transfer(delay: float) -> None:
    """
    48 packets in each round trip, less at most a tenth.
    """
    cable, alice, bob = ready(delay)
    start = cable.now
    send(alice, 48 * 40)
    last: list[float] = []
    bob.on_event = lambda event: last.append(cable.now)
    cable.run_until(lambda: len(bob.messages) == 48 * 40)
    round_trips = (last[-1] - start - delay) / (2 * delay)
    assert round_trips < 39 * 1.1


def test_the_rest_of_a_window_follows_evenly() -> None:
    """
    48 datagrams in less than a round trip of 100 ms, none of them later than the window allows.
    """
    cable, alice, bob = ready(0.05)
    start = cable.now
    send(alice, 48)
    cable.run(0.099)
    times = sorted(bursts(cable, alice, bob, start).elements())
    assert len(times) == 48
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.006
    assert times[-1] - start < 0.08


def test_a_quiet_moment_earns_a_burst_but_never_more_than_one() -> None:
    cable, alice, bob = ready(0.05)
    for pause in (1.0, 30.0):
        cable.run(pause)
        start = cable.now
        messages = send(alice, 48)
        cable.run(1.0)
        assert bob.messages[-48:] == messages
        counted = bursts(cable, alice, bob, start)
        assert counted[start] == BURST
        assert max(counted.values()) == BURST


def test_small_messages_share_datagrams_as_before() -> None:
    cable, alice, bob = ready(0.05)
    start = cable.now
    messages = send(alice, 48, 20)
    cable.settle()
    assert sum(bursts(cable, alice, bob, start).values()) == 1
    cable.run(0.2)
    assert bob.messages == messages


def test_repetitions_are_paced_too() -> None:
    cable, alice, bob = ready(0.05)
    cable.loses = lambda sent: sent.source == ALICE
    start = cable.now
    send(alice, 48)
    cable.run(1.0)
    assert alice.connection.statistics.packets_resent > 48
    # A doubt about the MTU may add its handful of probes to one burst.
    data = Counter(
        sent.at for sent in cable.sent(alice, bob) if sent.at >= start and sent.data[0] & 0x1F != 9
    )
    assert max(data.values()) <= BURST


def test_several_channels_share_the_pace_of_several_windows() -> None:
    cable, alice, bob = ready(0.05, channels=4)
    start = cable.now
    for channel in range(4):
        send(alice, 480, channel=channel)
    cable.run_until(lambda: len(bob.messages) == 4 * 480)
    # Four windows a round trip.
    assert cable.now - start < 10 * 0.1 * 1.15 + 0.05
    assert max(bursts(cable, alice, bob, start).values()) <= BURST


def test_both_directions_at_once_are_as_fast_as_one() -> None:
    """
    Acks share the pace with data, but there is room for them.
    """
    cable, alice, bob = ready(0.025)
    start = cable.now
    send(alice, 960)
    send(bob, 960)
    cable.run_until(lambda: len(bob.messages) == len(alice.messages) == 960)
    assert cable.now - start < 20 * 0.05 * 1.1 + 0.05


# ---------------------------------------------------------------- what is not paced


@pytest.mark.parametrize("delay", [0.0, 0.0005, 0.002])
def test_a_short_path_is_not_paced(delay: float) -> None:
    cable, alice, bob = ready(delay)
    start = cable.now
    send(alice, 100)
    cable.settle()
    assert bursts(cable, alice, bob, start)[start] >= 48


@pytest.mark.parametrize(
    "method",
    [DeliveryMethod.UNRELIABLE, DeliveryMethod.SEQUENCED, DeliveryMethod.RELIABLE_SEQUENCED],
)
def test_what_no_window_bounds_leaves_at_once(method: DeliveryMethod) -> None:
    """
    The application decides how much of that there is.  Held back it would only become more, and
    older.
    """
    cable, alice, bob = ready(0.05)
    for _ in range(120):
        send(alice, 20, 1000, method=method)
        cable.settle()
        assert not alice.connection.outbox.is_waiting
        cable.run(1 / 60)
    cable.run(0.2)
    assert len(bob.messages) == 120 * 20


def test_a_stream_of_unreliable_messages_does_not_hold_up_reliable_ones() -> None:
    cable, alice, bob = ready(0.05)
    messages = send(alice, 200)
    start = cable.now
    while len([m for m in bob.messages if m in messages]) < 200:
        send(alice, 40, 1000, method=DeliveryMethod.UNRELIABLE)
        cable.run(1 / 60)
        assert cable.now - start < 1.0
    assert len(cable.packets(Unreliable, alice, bob)) > 500


def test_acks_of_a_flood_are_never_held_up() -> None:
    cable, alice, bob = ready(0.05)
    send(alice, 2000)
    cable.run(1.0)
    acks = {at for at, _ in cable.packets(Ack, bob, alice)}
    arrivals = {at + 0.05 for at, _ in cable.packets(Channeled, alice, bob)}
    assert len(arrivals) > 100
    assert {at for at in arrivals if at <= cable.now} <= acks


# ---------------------------------------------------------------- what can be seen


def test_waiting_for_the_window_can_be_seen() -> None:
    """
    Stall time, packets in flight, and what is still queued.
    """
    cable, alice, bob = ready(0.05)
    traffic = alice.connection.traffic
    assert traffic.stalled == 0.0
    send(alice, 40)
    cable.run(0.5)
    assert traffic.stalled == 0.0
    start = cable.now
    send(alice, 480)
    cable.run(0.099)
    assert traffic.in_flight == 64
    assert traffic.queued(2) == 480 - 64
    assert traffic.unacknowledged == 480
    assert traffic.unacknowledged_bytes == sum(len(b"%d" % i) + 1400 for i in range(480))
    cable.run_until(lambda: len(bob.messages) == 520)
    assert 0.1 < traffic.stalled < cable.now - start
    cable.run(0.2)
    assert (traffic.in_flight, traffic.queued(2), traffic.unacknowledged_bytes) == (0, 0, 0)
    stalled = traffic.stalled
    cable.run(5.0)
    assert traffic.stalled == stalled


# ---------------------------------------------------------------- the bucket itself


def test_a_new_pacer_allows_a_burst_and_says_when_there_is_more() -> None:
    pacer = Pacer()
    assert pacer.room(10.0, 0.1, 48, 1000) == 16_000
    pacer.spend(16_000)
    assert pacer.room(10.0, 0.1, 48, 1000) == 0
    soon = pacer.next_at(2000)
    # 48 packets in 50 ms.
    assert soon == pytest.approx(10.0 + 2000 / (48_000 / 0.05))
    assert pacer.room(soon, 0.1, 48, 1000) in (1999, 2000)
    assert pacer.room(1e9, 0.1, 48, 1000) == 16_000


def test_a_path_that_becomes_short_frees_the_pacer_and_a_long_one_binds_it_again() -> None:
    pacer = Pacer()
    pacer.room(0.0, 0.1, 48, 1000)
    pacer.spend(16_000)
    pacer.rest()
    assert pacer.next_at(5000) == NEVER
    pacer.spend(1 << 20)
    assert pacer.room(0.0, 0.1, 48, 1000) == 16_000


def test_a_pacer_that_has_said_when_is_right_whatever_the_rounding() -> None:
    """
    Otherwise a timer would come again and again at one moment.
    """
    pacer = Pacer()
    now = 1_000_000.0
    for i in range(2000):
        room = pacer.room(now, 0.0371 + i / 7000, 48, 1432)
        if room < 1432 + 7:
            now = pacer.next_at(2 * 1432)
            assert pacer.room(now, 0.0371 + i / 7000, 48, 1432) > 1432 + 7
        else:
            pacer.spend(1434)
