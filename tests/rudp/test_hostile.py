"""
Whatever arrives: nothing is raised, little is held, and honest peers are served beside it.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pnet.rudp.connection import Connection
from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.events import ConnectionState, NatIntroductionRequested
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.reliable import ReliableChannel
from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.control import (
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    InvalidProtocol,
    MtuProbe,
    PeerNotFound,
    Ping,
    Pong,
    ShutdownOk,
)
from p2pnet.wire.nat import NatIntroduceRequest, NatIntroduceResponse, NatPunch
from p2pnet.wire.packets import (
    Ack,
    Broadcast,
    Channeled,
    Empty,
    Fragment,
    Merged,
    UnconnectedMessage,
    Unreliable,
)
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, Node, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED
T = 638_000_000_000_000_000
MALLORY: Address = ("10.0.0.66", 6666)
OPTIONS: dict[str, Any] = {
    "channels": 2,
    "unconnected_messages_enabled": True,
    "broadcast_receive_enabled": True,
    "nat_punch_enabled": True,
    "max_pending_requests": 20,
    "max_pending_requests_per_host": 10,
    "max_closing": 20,
    "max_incomplete_messages": 8,
    "max_incomplete_bytes": 100_000,
    "max_nat_tokens": 8,
}

# ---------------------------------------------------------------- what may arrive

TIMES = st.sampled_from([T, T, T, T + 1, T - 1, 0, -1, 2**63 - 1, -(2**63)])
NUMBERS = st.sampled_from([0, 0, 0, 1, 3])
SEQUENCES = st.one_of(st.integers(0, 70), st.integers(0, 65535))
CHANNEL_IDS = st.one_of(st.integers(0, 8), st.integers(0, 255))
PAYLOADS = st.binary(max_size=40)
SMALL = st.integers(0, 10)
TOKENS = st.sampled_from(["", "token", "x" * 256])
ADDRESSES = st.sampled_from([ALICE, ("127.0.0.1", 1), ("224.0.0.1", 7), ("::1", 65535)])
FRAGMENTS = st.builds(
    Fragment,
    st.one_of(SMALL, st.integers(0, 65535)),
    st.one_of(SMALL, st.integers(0, 65535)),
    st.one_of(SMALL, st.integers(0, 65535)),
)
BLOBS = st.sampled_from([bytes(16), bytes(28), bytes(range(16)), b"\xff" * 28])
BITMAPS = st.sampled_from([0, 1, 2**64 - 1, 0x5555555555555555])

PACKETS: st.SearchStrategy[bytes] = st.one_of(
    [
        strategy.map(lambda packet: packet.encode())
        for strategy in (
            st.builds(Unreliable, NUMBERS, PAYLOADS),
            st.builds(Channeled, NUMBERS, SEQUENCES, CHANNEL_IDS, PAYLOADS),
            st.builds(Channeled, NUMBERS, SEQUENCES, CHANNEL_IDS, PAYLOADS, FRAGMENTS),
            st.builds(Ack, NUMBERS, SEQUENCES, CHANNEL_IDS, BITMAPS),
            st.builds(Ack, NUMBERS, SEQUENCES, CHANNEL_IDS, st.none()),
            st.builds(Ping, NUMBERS, SEQUENCES),
            st.builds(Pong, NUMBERS, SEQUENCES, TIMES),
            st.builds(ConnectRequest, NUMBERS, TIMES, BLOBS, PAYLOADS, st.sampled_from([11, 10])),
            st.builds(ConnectAccept, TIMES, st.integers(0, 255), st.booleans()),
            st.builds(Disconnect, NUMBERS, TIMES, PAYLOADS),
            st.builds(UnconnectedMessage, PAYLOADS),
            st.builds(MtuProbe, NUMBERS, st.integers(9, 1500), st.booleans()),
            st.builds(Broadcast, PAYLOADS),
            st.builds(ShutdownOk),
            st.builds(PeerNotFound, st.one_of(st.none(), TIMES), st.booleans()),
            st.builds(InvalidProtocol),
            st.builds(Empty),
            st.builds(NatIntroduceRequest, ADDRESSES, TOKENS),
            st.builds(NatIntroduceResponse, ADDRESSES, ADDRESSES, TOKENS),
            st.builds(NatPunch, TOKENS, st.booleans()),
        )
    ]
)
NESTED = st.recursive(
    PACKETS,
    lambda inner: st.builds(
        lambda number, packets: Merged(number, tuple(packets)).encode(),
        NUMBERS,
        st.lists(inner, max_size=5),
    ),
    max_leaves=12,
)


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    """
    A valid datagram, or one that was once.
    """
    data = bytearray(draw(NESTED))
    match draw(st.sampled_from(["whole", "whole", "cut", "longer", "changed", "noise"])):
        case "cut":
            del data[draw(st.integers(0, len(data))) :]
        case "longer":
            data += draw(PAYLOADS)
        case "changed" if data:
            for _ in range(draw(st.integers(1, 4))):
                data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        case "noise":
            return draw(st.binary(max_size=60))
    return bytes(data)


WAITS = st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.4, 2.0])

# ---------------------------------------------------------------- what may be held


def held_for(connection: Connection) -> int:
    """
    Packets, fragments and requests kept on behalf of a remote.
    """
    traffic = connection.traffic
    reassembler = connection.inbox._reassembler
    incomplete = reassembler._incomplete.values() if reassembler is not None else ()
    parts = sum(a._next + len(a._early) for a in incomplete)
    early = sum(
        sum(slot is not None for slot in channel._held)
        for channel in traffic.channels.values()
        if isinstance(channel, ReliableChannel)
    )
    return parts + early + len(connection.path.control) + len(traffic.channels)


def held(endpoint: Endpoint) -> int:
    nat = endpoint._introductions
    return (
        sum(held_for(connection) for connection in endpoint._roster.here.values())
        + len(endpoint._roster.here)
        + len(endpoint._roster._closed)
        + len(endpoint._admission.requests)
        + len(endpoint._output.transmits)
        + len(endpoint._output.events)
        + len(endpoint._roster.dirty)
        + len(endpoint._roster.deadlines._heap)
        + len(nat._expected)
        + len(nat._early)
        + len(nat._punching)
        + len(nat._introducing)
    )


MOST = 3000
"""Two channels of 64 packets and some, for a handful of addresses."""


class World:
    """
    Alice and Bob in an honest conversation, and whoever comes in between.
    """

    def __init__(self) -> None:
        self.cable = Cable(0.01)
        self.alice, self.bob = self.cable.pair(**OPTIONS)
        self.said = 0

    def still_talk(self) -> None:
        """
        Alice and Bob can still talk both ways.
        """
        self._says(self.alice, self.bob)
        self._says(self.bob, self.alice)

    def _says(self, speaker: Node, hearer: Node) -> None:
        self.said += 1
        words = b"honest words %d" % self.said
        speaker.endpoint.send(speaker.connections[0], words, ORDERED)
        self.cable.run_until(lambda: words in hearer.messages)

    def attack(self, data: bytes, source: Address, wait: float) -> None:
        self.bob.receive(data, source)
        self.cable.run(wait)
        assert held(self.bob.endpoint) < MOST


def decide(node: Node, cable: Cable, how: str) -> None:
    """
    Decide requests in one way from now on.
    """
    endpoint = node.endpoint

    def undecided(asked: IncomingRequest) -> None:
        """
        Leave it.
        """

    node.on_request = {
        "accept": node.accept,
        "reject": lambda asked: endpoint.reject(asked, b"no", cable.now),
        "reject_force": lambda asked: endpoint.reject_force(asked, b"no"),
        "wait": undecided,
    }[how]


DECISIONS = st.sampled_from(["accept", "reject", "reject_force", "wait"])


@settings(max_examples=150)
@given(
    DECISIONS,
    st.lists(st.tuples(datagrams(), st.integers(0, 5), WAITS), max_size=40),
)
def test_strangers_can_send_what_they_like(
    decision: str, attacks: list[tuple[bytes, int, float]]
) -> None:
    world = World()
    decide(world.bob, world.cable, decision)
    for data, port, wait in attacks:
        world.attack(data, (MALLORY[0], 1000 + port), wait)
    world.still_talk()
    assert world.bob.farewells == [] or len(world.bob.connections) > 1
    world.cable.run(15.0)
    assert len(world.bob.endpoint._admission.requests) == 0


@settings(max_examples=150)
@given(st.lists(st.tuples(datagrams(), WAITS), max_size=60), st.booleans())
def test_a_connected_peer_can_send_what_it_likes(
    attacks: list[tuple[bytes, float]], spoken_to: bool
) -> None:
    world = World()
    world.bob.receive(request(T), MALLORY)
    mallory = world.bob.connection
    for data, wait in attacks:
        if spoken_to and mallory.state is ConnectionState.CONNECTED:
            for method in DeliveryMethod:
                world.bob.endpoint.send(mallory, b"to mallory", method)
            world.bob.endpoint.send(mallory, bytes(3000), ORDERED, 1)
        world.attack(data, MALLORY, wait)
    world.still_talk()


@settings(max_examples=100)
@given(st.lists(st.tuples(datagrams(), WAITS), max_size=40), st.booleans())
def test_who_we_dial_can_answer_what_he_likes(
    attacks: list[tuple[bytes, float]], peer_to_peer: bool
) -> None:
    world = World()
    world.bob.connect(MALLORY, peer_to_peer=peer_to_peer)
    for data, wait in attacks:
        world.attack(data, MALLORY, wait)
    world.still_talk()
    world.cable.run(20.0)


@settings(max_examples=100)
@given(st.lists(st.tuples(datagrams(), WAITS), max_size=40))
def test_a_facilitator_can_say_what_it_likes(attacks: list[tuple[bytes, float]]) -> None:
    world = World()
    introductions = world.bob.endpoint.introductions
    introductions.trust(MALLORY)
    for data, wait in attacks:
        introductions.expect("token", world.cable.now)
        world.attack(data, MALLORY, wait)
    world.still_talk()


@settings(max_examples=100)
@given(st.lists(st.tuples(datagrams(), WAITS), max_size=30))
def test_what_comes_in_the_name_of_the_honest_peer_raises_nothing(
    attacks: list[tuple[bytes, float]],
) -> None:
    """
    It may end their connection (PITFALLS C5), but nobody else's.
    """
    world = World()
    carol = world.cable.node(CAROL)
    carol.connect(BOB)
    world.cable.run(0.5)
    for data, wait in attacks:
        world.attack(data, ALICE, wait)
    before = len(world.bob.messages)
    carol.endpoint.send(carol.connection, b"still here", ORDERED)
    world.cable.run_until(lambda: b"still here" in world.bob.messages[before:])


# ---------------------------------------------------------------- floods


def flood(world: World, datagram: Any, count: int = 3000) -> None:
    random = Random(11)
    for i in range(count):
        source = (f"10.9.{random.randrange(256)}.{random.randrange(256)}", 1024 + i % 60_000)
        world.bob.endpoint.receive_datagram(datagram(i), source, world.cable.now)
        if i % 100 == 0:
            world.cable.run(0.001)
            assert held(world.bob.endpoint) < MOST
    world.cable.settle()
    assert held(world.bob.endpoint) < MOST


@pytest.mark.parametrize("decision", ["reject", "reject_force", "wait"])
def test_a_flood_of_requests_fills_nothing_up(decision: str) -> None:
    world = World()
    decide(world.bob, world.cable, decision)
    flood(world, lambda i: request(T + i))
    world.still_talk()


def test_a_flood_of_stray_data_fills_nothing_up() -> None:
    world = World()
    flood(world, lambda i: Channeled(0, i % 100, 2, bytes(500)).encode())
    world.still_talk()


def test_a_flood_of_goodbyes_fills_nothing_up() -> None:
    world = World()
    flood(world, lambda i: Disconnect(0, i).encode())
    world.still_talk()


def test_a_flood_of_nat_messages_fills_nothing_up() -> None:
    world = World()
    flood(world, lambda i: NatIntroduceRequest(ALICE, f"token {i}").encode())
    flood(world, lambda i: NatIntroduceResponse(ALICE, BOB, f"token {i}").encode())
    flood(world, lambda i: NatPunch(f"token {i}", True).encode())
    assert len(world.bob.told(NatIntroductionRequested)) == 3000
    world.still_talk()


def test_one_address_that_connects_again_and_again_fills_nothing_up() -> None:
    world = World()
    for i in range(2000):
        world.bob.receive(request(T + i), MALLORY)
        assert held(world.bob.endpoint) < MOST
    world.still_talk()


def test_a_flood_of_messages_out_of_order_is_held_up_to_a_window() -> None:
    world = World()
    world.bob.receive(request(T), MALLORY)
    for sequence in range(1, 2000):
        for channel_id in (0, 2, 4, 6):
            world.bob.receive(Channeled(0, sequence, channel_id, bytes(500)).encode(), MALLORY)
    assert held_for(world.bob.connection) < 300
    world.still_talk()


def test_a_flood_of_fragments_ends_the_connection_and_frees_what_it_took() -> None:
    world = World()
    world.bob.receive(request(T), MALLORY)
    mallory = world.bob.connection
    for id in range(2000):
        fragment = Fragment(id, 0, 65535)
        world.bob.receive(Channeled(0, id, 0, bytes(500), fragment).encode(), MALLORY)
    assert mallory.state is not ConnectionState.CONNECTED
    world.cable.run(10.0)
    assert held(world.bob.endpoint) < 50
    assert mallory not in world.bob.endpoint._roster.here.values()
    world.still_talk()


def test_a_datagram_full_of_pings_is_answered_with_no_more_than_came() -> None:
    """
    Each is answered once, and the address has to be proven for more than three times the bytes.
    """
    world = World()
    world.bob.receive(request(T), MALLORY)
    pings = Merged(0, tuple(Ping(0, i).encode() for i in range(1, 200))).encode()
    before = sum(len(sent.data) for sent in world.cable.sent(BOB, MALLORY))
    for _ in range(20):
        world.bob.receive(pings, MALLORY)
    after = sum(len(sent.data) for sent in world.cable.sent(BOB, MALLORY))
    assert after - before <= 3 * (20 * len(pings) + 30)
