"""
Counters that agree with somebody who listens on the wire (PITFALLS D34).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from p2pnet.rudp.events import ConnectionState
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.control import ConnectRequest, Disconnect, Ping, ShutdownOk
from p2pnet.wire.layers import Crc32cLayer, PacketLayer
from p2pnet.wire.packets import Ack, Channeled, Merged, UnconnectedMessage
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, Node, Sent, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED
T = 638_000_000_000_000_000
MALLORY: Address = ("10.0.0.66", 6666)


def totals(datagrams: list[Sent]) -> tuple[int, int]:
    return len(datagrams), sum(len(sent.data) for sent in datagrams)


def outbound(statistics: NetStatistics) -> tuple[int, int]:
    return statistics.packets_sent, statistics.bytes_sent


def inbound(statistics: NetStatistics) -> tuple[int, int]:
    return statistics.packets_received, statistics.bytes_received


def assert_true(cable: Cable, *nodes: Node) -> None:
    """
    What each node counts for itself and for its newest connection is what the tap saw.

    A connection begins when it is accepted, so its request came before it.
    """
    for node in nodes:
        total = node.endpoint.statistics
        here = node.address
        assert outbound(total) == totals([sent for sent in cable.log if sent.source == here])
        assert inbound(total) == totals([sent for sent in cable.arrived if sent.target == here])
        own = node.connection.statistics
        there = node.connection.address
        assert outbound(own) == totals(cable.sent(here, there))
        arrived = [
            sent
            for sent in cable.arrived
            if (sent.source, sent.target) == (there, here)
            and not cable.holds(ConnectRequest, sent)
        ]
        assert inbound(own) == totals(arrived)


def chat(cable: Cable, *nodes: Node) -> None:
    for i in range(40):
        for node in nodes:
            for method in DeliveryMethod:
                node.endpoint.send(node.connection, b"%d" % i, method)
            node.endpoint.send(node.connection, bytes(3000), ORDERED)
        cable.run(0.03)


def no_layer() -> PacketLayer | None:
    return None


# ---------------------------------------------------------------- datagrams and bytes


@pytest.mark.parametrize("loss", [0.0, 0.2])
@pytest.mark.parametrize("make_layer", [no_layer, Crc32cLayer])
def test_both_sides_count_what_is_on_the_wire(
    make_layer: Callable[[], PacketLayer | None], loss: float
) -> None:
    """
    The reference never counts what a peer received (PITFALLS D34), nor a layer's bytes for it.
    """
    random = Random(1)
    cable = Cable(0.02)
    alice, bob = cable.pair(make_layer)
    cable.loses = lambda sent: random.random() < loss
    cable.doubles = lambda sent: random.random() < loss
    chat(cable, alice, bob)
    cable.run(5.0)
    assert_true(cable, alice, bob)


def test_an_idle_connection_counts_its_pings_and_probes() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    cable.run(30.0)
    assert_true(cable, alice, bob)
    # A ping and a pong a second.
    assert alice.endpoint.statistics.packets_sent > 60


def test_the_end_of_a_connection_is_counted_too() -> None:
    """
    Goodbye and its confirmation.
    """
    cable = Cable(0.02)
    alice, bob = cable.pair()
    alice.disconnect(alice.connection, b"bye")
    cable.run(0.2)
    assert cable.sent(bob, alice)[-1].data == ShutdownOk().encode()
    assert_true(cable, alice, bob)


def test_each_connection_counts_its_own() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    carol = cable.node(CAROL)
    carol.connect(BOB)
    cable.run(0.5)
    chat(cable, alice)
    cable.run(1.0)
    assert_true(cable, alice, bob, carol)
    first, second = bob.connections
    assert first.statistics.bytes_received > 5 * second.statistics.bytes_received
    total = bob.endpoint.statistics
    assert total.packets_sent == first.statistics.packets_sent + second.statistics.packets_sent


def test_datagrams_without_a_connection_count_for_the_endpoint_alone() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    before = outbound(alice.connection.statistics)
    alice.endpoint.send_unconnected(CAROL, b"hello")
    cable.settle()
    assert outbound(alice.connection.statistics) == before
    bob.receive(b"\x1f", MALLORY)
    assert_true(cable, alice)


def test_a_new_connection_counts_from_nothing() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    chat(cable, alice, bob)
    old = alice.connection.statistics.packets_sent
    alice.disconnect(alice.connection)
    cable.run(0.2)
    alice.connect(BOB)
    cable.run(0.2)
    assert 0 < alice.connection.statistics.packets_sent < 5 < old
    assert alice.endpoint.statistics.packets_sent > old


# ---------------------------------------------------------------- resent and lost


def test_what_is_resent_and_lost_is_what_the_tap_sees_twice() -> None:
    random = Random(5)
    cable = Cable(0.02)
    alice, bob = cable.pair()
    cable.loses = lambda sent: sent.source == ALICE and random.random() < 0.2
    for i in range(200):
        alice.endpoint.send(alice.connection, b"%d" % i, ORDERED)
        cable.run(0.01)
    cable.loses_nothing()
    cable.run(3.0)
    sequences = [packet.sequence for _, packet in cable.packets(Channeled, alice, bob)]
    statistics = alice.connection.statistics
    assert statistics.packets_resent == len(sequences) - len(set(sequences)) > 0
    assert statistics.packets_lost == sum(sequences.count(s) > 1 for s in set(sequences))
    assert alice.endpoint.statistics.packets_resent == statistics.packets_resent
    assert alice.endpoint.statistics.packets_lost == statistics.packets_lost
    assert statistics.packet_loss_percent == pytest.approx(
        100 * statistics.packets_lost / statistics.packets_sent
    )
    assert bob.connection.statistics.packets_resent == 0


@pytest.mark.parametrize("method", [DeliveryMethod.SEQUENCED, DeliveryMethod.RELIABLE_SEQUENCED])
def test_gaps_in_a_sequence_are_lost_packets_of_theirs(method: DeliveryMethod) -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    cable.loses_packets(Channeled, lambda packet: packet.sequence in (3, 4, 7))
    for i in range(1, 11):
        alice.endpoint.send(alice.connection, b"%d" % i, method)
        cable.run(0.005)
    cable.run(0.3)
    assert len(bob.messages) == 7
    assert bob.connection.statistics.packets_lost == 3
    assert bob.endpoint.statistics.packets_lost == 3


def test_a_clean_path_loses_nothing_and_resends_nothing() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    chat(cable, alice, bob)
    cable.run(3.0)
    for node in (alice, bob):
        assert node.endpoint.statistics.packets_resent == 0
        assert node.endpoint.statistics.packets_lost == 0
        assert node.endpoint.statistics.packet_loss_percent == 0.0
        assert node.endpoint.statistics.dropped == {}


def test_nothing_sent_is_nothing_lost() -> None:
    assert NetStatistics().packet_loss_percent == 0.0


# ---------------------------------------------------------------- dropped, by reason


def hang_up(node: Node, cable: Cable) -> None:
    node.disconnect(node.connection)
    cable.loses = lambda sent: True


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "malformed"),
        (b"\x1f", "malformed"),
        (b"\x01\x00", "malformed"),
        (Ping(1, 5).encode(), "connection number"),
        (Merged(0, (Ping(2, 5).encode(),)).encode(), "connection number"),
        (Channeled(0, 0, 200, b"").encode(), "no such channel"),
        (Ack(0, 0, 2, 0).encode(), "ack of nothing"),
        (b"\x02\x00\x00\x02\x00\x00", "ack of nothing"),
        (Disconnect(0, 1).encode(), "disconnect of another connection"),
        (request(1), "superseded request"),
    ],
)
def test_each_reason_is_counted_by_connection_and_by_endpoint(data: bytes, reason: str) -> None:
    cable = Cable(0.02)
    alice, _ = cable.pair()
    alice.receive(data, BOB)
    assert alice.endpoint.statistics.dropped == {reason: 1}
    assert alice.connection.statistics.dropped == {reason: 1}
    assert alice.connection.state is ConnectionState.CONNECTED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (UnconnectedMessage(b"x").encode(), "unconnected messages disabled"),
        (b"\x0bx", "broadcasts disabled"),
        (b"\x10x", "NAT punch disabled"),
    ],
)
def test_what_needs_no_connection_counts_for_the_endpoint_whoever_sent_it(
    data: bytes, reason: str
) -> None:
    cable = Cable(0.02)
    alice, _ = cable.pair()
    alice.receive(data, BOB)
    assert alice.endpoint.statistics.dropped == {reason: 1}
    assert alice.connection.statistics.dropped == {}


def test_what_comes_after_our_own_goodbye_is_counted() -> None:
    cable = Cable(0.02)
    alice, _ = cable.pair()
    connection = alice.connection
    hang_up(alice, cable)
    for sequence in range(5):
        alice.receive(Channeled(0, sequence, 2, b"late").encode(), BOB)
    assert connection.statistics.dropped == {"not connected": 5}
    assert alice.endpoint.statistics.dropped == {"not connected": 5}


def test_drops_of_strangers_count_for_the_endpoint_alone() -> None:
    cable = Cable(0.02)
    alice, _ = cable.pair()
    for data in (b"\x1f", Ping(0, 1).encode(), b"\x03"):
        alice.receive(data, MALLORY)
    assert alice.endpoint.statistics.dropped == {"malformed": 2, "no connection": 1}
    assert alice.connection.statistics.dropped == {}


def test_drops_of_all_connections_add_up() -> None:
    cable = Cable(0.02)
    _, bob = cable.pair()
    carol = cable.node(CAROL)
    carol.connect(BOB)
    cable.run(0.2)
    for source, times in ((ALICE, 3), (CAROL, 4), (MALLORY, 5)):
        for _ in range(times):
            bob.receive(b"\x1f", source)
    first, second = bob.connections
    assert first.statistics.dropped == {"malformed": 3}
    assert second.statistics.dropped == {"malformed": 4}
    assert bob.endpoint.statistics.dropped == {"malformed": 12}


def test_reasons_stay_few_whatever_arrives() -> None:
    """
    A counter for each is no way to fill the memory.
    """
    random = Random(3)
    cable = Cable(0.02)
    alice, bob = cable.pair()
    for _ in range(2000):
        size = random.randrange(30)
        alice.receive(random.randbytes(size), random.choice((BOB, MALLORY)))
    assert len(alice.endpoint.statistics.dropped) < 20
    assert bob.endpoint.statistics.packets_received > 0
