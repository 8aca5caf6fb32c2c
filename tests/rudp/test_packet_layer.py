"""
What stands between the engine and the socket, and what passes it by (WIRE §11, PITFALLS D21).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2s
from random import Random
from typing import Any

import pytest

from p2pnet.rudp.events import (
    ConnectionState,
    NatIntroductionSucceeded,
    UnconnectedReceived,
)
from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.control import Ping
from p2pnet.wire.layers import Crc32cLayer, PacketLayer, XorEncryptLayer
from p2pnet.wire.nat import NatPunch
from p2pnet.wire.packets import Channeled
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, Node, Sent, make_endpoint

ORDERED = DeliveryMethod.RELIABLE_ORDERED
BROADCAST: Address = ("255.255.255.255", 9050)


class Sealed(PacketLayer):
    """
    What a careful user writes: a counter and a keyed checksum, so that every datagram grows.
    """

    overhead = 12

    def __init__(self) -> None:
        self._count = 0

    def outbound(self, data: bytes) -> bytes:
        self._count += 1
        counter = self._count.to_bytes(4, "big")
        return counter + blake2s(counter + data, key=b"k", digest_size=8).digest() + data

    def inbound(self, data: bytes) -> bytes | None:
        counter, seal, packet = data[:4], data[4:12], data[12:]
        expected = blake2s(counter + packet, key=b"k", digest_size=8).digest()
        return packet if seal == expected and packet else None


class Clumsy(PacketLayer):
    """
    What a hasty user writes: it does not expect strangers.
    """

    def inbound(self, data: bytes) -> bytes | None:
        if data.startswith(b"\xff"):
            raise KeyError("no such key id")
        return data


LAYERS: list[Callable[[], PacketLayer]] = [
    Crc32cLayer,
    lambda: XorEncryptLayer("abc"),
    Sealed,
    PacketLayer,
]
NAMES = ["crc32c", "xor", "sealed", "plain"]


@pytest.fixture(params=LAYERS, ids=NAMES)
def make_layer(request: pytest.FixtureRequest) -> Callable[[], PacketLayer]:
    made: Callable[[], PacketLayer] = request.param
    return made


def spoil(cable: Cable, random: Random, share: float) -> None:
    """
    From now on some datagrams arrive with one bit changed.
    """

    def damage(sent: Sent) -> bytes:
        data = bytearray(sent.data)
        if random.random() < share:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(data)

    cable.damages = damage


# ---------------------------------------------------------------- through a layer


@pytest.mark.parametrize("method", list(DeliveryMethod))
def test_every_method_passes_in_both_directions(
    make_layer: Callable[[], PacketLayer], method: DeliveryMethod
) -> None:
    cable = Cable(0.01)
    alice, bob = cable.pair(make_layer)
    messages = [b"%d" % i + bytes(300) for i in range(30)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, method)
        bob.endpoint.send(bob.connection, message, method)
    cable.run(1.0)
    assert alice.messages == bob.messages == messages
    assert alice.endpoint.statistics.dropped == bob.endpoint.statistics.dropped == {}


def test_fragments_fill_datagrams_to_the_brim_and_no_further(
    make_layer: Callable[[], PacketLayer],
) -> None:
    cable = Cable(0.01)
    alice, bob = cable.pair(make_layer)
    alice.endpoint.send(alice.connection, bytes(20_000), ORDERED)
    cable.run(0.2)
    assert bob.messages == [bytes(20_000)]
    assert max(len(sent.data) for sent in cable.sent(alice, bob)) == 1024


def test_a_session_is_opened_kept_and_closed(make_layer: Callable[[], PacketLayer]) -> None:
    cable = Cable(0.01)
    alice, bob = cable.pair(make_layer)
    cable.run(20.0)
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED
    alice.disconnect(alice.connection, b"bye")
    cable.run(0.1)
    assert bob.farewells[0].data == b"bye"
    assert not alice.endpoint.has_goodbyes


def test_without_a_connection_messages_pass_it_too(make_layer: Callable[[], PacketLayer]) -> None:
    cable = Cable(0.01)
    options: dict[str, Any] = {
        "unconnected_messages_enabled": True,
        "broadcast_receive_enabled": True,
    }
    alice = cable.node(ALICE, layer=make_layer(), **options)
    bob = cable.node(BOB, layer=make_layer(), **options)
    alice.endpoint.send_unconnected(BOB, b"hello")
    alice.endpoint.send_broadcast(BROADCAST, b"anybody?")
    cable.run(0.1)
    (call,) = cable.sent(ALICE, BROADCAST)
    bob.receive(call.data, ALICE)
    assert [event.data for event in bob.told(UnconnectedReceived)] == [b"hello", b"anybody?"]


def test_who_has_another_layer_is_not_understood() -> None:
    cable = Cable(0.01)
    alice = cable.node(ALICE, layer=Crc32cLayer())
    bob = cable.node(BOB, layer=Sealed())
    alice.connect(BOB)
    cable.run(8.0)
    assert bob.events == []
    assert bob.endpoint.statistics.dropped == {"packet layer": 11}


def test_every_byte_is_the_layers(make_layer: Callable[[], PacketLayer]) -> None:
    """
    Whatever leaves is what a second object of the kind understands, byte for byte.
    """
    cable = Cable(0.01)
    alice, _ = cable.pair(make_layer)
    cable.run(3.0)
    reader = make_layer()
    for sent in cable.sent(alice, BOB):
        assert reader.inbound(sent.data) is not None


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize("make", [Crc32cLayer, Sealed])
@pytest.mark.parametrize("seed", range(3))
def test_damaged_datagrams_are_dropped_counted_and_repaired(
    make: Callable[[], PacketLayer], seed: int
) -> None:
    cable = Cable(0.01)
    alice, bob = cable.pair(make)
    spoil(cable, Random(seed), 0.3)
    messages = [b"%d" % i + bytes(200) for i in range(300)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, ORDERED)
        bob.endpoint.send(bob.connection, message, ORDERED)
    cable.run_until(lambda: alice.messages == bob.messages == messages)
    for node in (alice, bob):
        assert node.endpoint.statistics.dropped["packet layer"] > 0
        dropped = node.connection.statistics.dropped
        assert dropped == node.endpoint.statistics.dropped
        assert set(dropped) == {"packet layer"}


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x03\x01\x00\x00", bytes(2000)])
def test_what_is_too_short_or_nonsense_is_dropped_and_counted(data: bytes) -> None:
    for layer in (Crc32cLayer(), Sealed()):
        endpoint = make_endpoint(layer=layer)
        endpoint.receive_datagram(data, ALICE, 1.0)
        assert endpoint.statistics.dropped == {"packet layer": 1}
        assert endpoint.datagrams_to_send(1.0) == []


@pytest.mark.parametrize("seed", range(3))
def test_noise_through_a_layer_raises_nothing(
    make_layer: Callable[[], PacketLayer], seed: int
) -> None:
    random = Random(seed)
    cable = Cable(0.01)
    alice, bob = cable.pair(make_layer)
    for _ in range(300):
        bob.receive(random.randbytes(random.randrange(80)), CAROL)
    alice.endpoint.send(alice.connection, b"honest", ORDERED)
    cable.run(0.5)
    assert bob.messages == [b"honest"]


# ---------------------------------------------------------------- past a layer


def introduced(through: bool, layers: bool = True) -> tuple[Cable, Node, Node]:
    """
    Alice and Bob, introduced by Carol, who has no layer unless everything goes through it.
    """
    cable = Cable(0.01)
    options: dict[str, Any] = {"nat_punch_enabled": True, "nat_through_layer": through}

    def layer() -> PacketLayer | None:
        return Crc32cLayer() if layers else None

    alice = cable.node(ALICE, layer=layer(), **options)
    bob = cable.node(BOB, layer=layer(), **options)
    carol = cable.node(CAROL, layer=layer() if through else None, **options)
    for node in (alice, bob):
        node.endpoint.request_introduction(CAROL, "token", node.address, cable.now)
    cable.run(0.1)
    carol.endpoint.introductions.introduce(ALICE, ALICE, BOB, BOB, "token", cable.now)
    cable.run(3.0)
    return cable, alice, bob


def test_introductions_pass_a_layer_by_as_those_of_the_reference_do() -> None:
    """
    And so come to nothing where one is (PITFALLS D21).
    """
    cable, alice, bob = introduced(through=False)
    for node in (alice, bob):
        (first, *_) = cable.sent(node, CAROL)
        assert first.data[0] == 0x10
        assert not node.told(NatIntroductionSucceeded)
        assert node.endpoint.statistics.dropped["packet layer"] > 0


def test_introductions_go_through_a_layer_if_that_is_wanted() -> None:
    cable, alice, bob = introduced(through=True)
    for node in (alice, bob):
        assert node.told(NatIntroductionSucceeded)
        assert "packet layer" not in node.endpoint.statistics.dropped
    for sent in cable.log:
        assert Crc32cLayer().inbound(sent.data) is not None


@pytest.mark.parametrize("through", [True, False])
def test_without_a_layer_that_makes_no_difference(through: bool) -> None:
    _, alice, bob = introduced(through, layers=False)
    assert alice.told(NatIntroductionSucceeded)
    assert bob.told(NatIntroductionSucceeded)


def test_a_punch_that_passed_by_is_no_punch_where_a_layer_is() -> None:
    cable = Cable(0.01)
    bob = cable.node(BOB, layer=Crc32cLayer(), nat_punch_enabled=True)
    bob.endpoint.introductions.expect("token", cable.now)
    bob.receive(NatPunch("token", True).encode(), ALICE)
    assert bob.endpoint.statistics.dropped == {"packet layer": 1}


# ---------------------------------------------------------------- faults of a layer's author


def test_what_a_layer_raises_is_seen_by_who_runs_the_endpoint() -> None:
    """
    Counted as a drop it would be a connection that does not work and nobody knows why.
    """
    cable = Cable(0.01)
    _, bob = cable.pair(Clumsy)
    with pytest.raises(KeyError, match="no such key id"):
        bob.endpoint.receive_datagram(b"\xff hostile", CAROL, cable.now)


def test_after_that_everything_else_goes_on() -> None:
    """
    Twisted's reactor logs what a protocol raises and reads the next datagram.
    """
    cable = Cable(0.01)
    alice, bob = cable.pair(Clumsy)
    messages = [b"%d" % i for i in range(50)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, ORDERED)
        for source in (CAROL, ALICE):
            with pytest.raises(KeyError):
                bob.endpoint.receive_datagram(b"\xff hostile", source, cable.now)
        cable.run(0.01)
    cable.run(3.0)
    assert bob.messages == messages
    assert bob.farewells == []
    assert bob.endpoint.statistics.packets_received > 150


def test_a_layer_that_raises_on_the_way_out_loses_that_datagram_and_no_connection() -> None:
    class Sometimes(PacketLayer):
        def __init__(self) -> None:
            self.broken = False

        def outbound(self, data: bytes) -> bytes:
            if self.broken:
                raise OverflowError("out of nonces")
            return data

    layer = Sometimes()
    cable = Cable(0.01)
    alice, bob = cable.node(ALICE, layer=layer), cable.node(BOB)
    alice.connect(BOB)
    cable.run(0.5)
    layer.broken = True
    alice.endpoint.send(alice.connection, b"first", ORDERED)
    with pytest.raises(OverflowError, match="nonces"):
        alice.endpoint.datagrams_to_send(cable.now)
    layer.broken = False
    alice.endpoint.send(alice.connection, b"second", ORDERED)
    cable.run(1.0)
    assert bob.messages == [b"first", b"second"]


@pytest.mark.parametrize("overhead", [-1, 257, 508, 5000])
def test_a_layer_that_leaves_no_room_is_refused(overhead: int) -> None:
    layer = PacketLayer()
    layer.overhead = overhead
    with pytest.raises(ValueError, match=r"layer\.overhead must be in 0\.\.256"):
        make_endpoint(layer=layer)


def test_the_largest_overhead_works_down_to_the_smallest_mtu() -> None:
    class Fat(PacketLayer):
        overhead = 256

        def outbound(self, data: bytes) -> bytes:
            return bytes(256) + data

        def inbound(self, data: bytes) -> bytes | None:
            return data[256:] or None

    cable = Cable(0.01)
    alice, bob = cable.pair(Fat, use_safe_mtu=True)
    alice.endpoint.send(alice.connection, bytes(5000), ORDERED)
    cable.run(0.3)
    assert bob.messages == [bytes(5000)]
    assert max(len(sent.data) for sent in cable.log) == 508
    assert cable.packets(Channeled, alice, bob)
    alice.receive(bytes(256) + Ping(0, 9).encode(), BOB)
    assert cable.sent(alice, bob)[-1].data[256] == 0x04
