"""
How large a datagram the path takes (BEHAVIOUR §9, WIRE §5, PITFALLS D5-D7).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import ConnectionState
from p2pnet.rudp.mtu import MtuDiscovery
from p2pnet.rudp.rtt import NEVER
from p2pnet.wire.constants import MIN_MTU, MTU_LADDER, DeliveryMethod
from p2pnet.wire.control import MtuProbe, Pong
from p2pnet.wire.layers import Crc32cLayer, PacketLayer
from p2pnet.wire.packets import Channeled
from tests.rudp.cable import ALICE, BOB, Cable, Node, request
from tests.rudp.reference_peer import ReferencePeer

ORDERED = DeliveryMethod.RELIABLE_ORDERED
T = 638_000_000_000_000_000


class Padding(PacketLayer):
    """
    What a user might write: a header of its own.
    """

    overhead = 100

    def outbound(self, data: bytes) -> bytes:
        return bytes(self.overhead) + data

    def inbound(self, data: bytes) -> bytes | None:
        return data[self.overhead :] or None


def checks(cable: Cable, source: Node, target: Node) -> list[tuple[float, int]]:
    """
    When which sizes were probed.
    """
    found = cable.packets(MtuProbe, source, target)
    return [(at, probe.size) for at, probe in found if not probe.answer]


def send(node: Node, count: int, size: int = 1400) -> list[bytes]:
    messages = [b"%d" % i + bytes(size) for i in range(count)]
    for message in messages:
        node.endpoint.send(node.connection, message, ORDERED)
    return messages


# ---------------------------------------------------------------- the way up


def test_a_clear_path_is_known_to_take_all_after_a_second() -> None:
    """
    The reference takes five.
    """
    cable = Cable()
    alice, bob = cable.pair()
    assert alice.connection.mtu == bob.connection.mtu == 1024
    cable.run(0.8)
    assert alice.connection.mtu == bob.connection.mtu == 1432


def test_all_larger_sizes_are_probed_at_once() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.run(0.8)
    for source, target in ((alice, bob), (bob, alice)):
        sent = checks(cable, source, target)
        assert [size for _, size in sent] == [1164, 1392, 1404, 1424, 1432]
        assert len({at for at, _ in sent}) == 1


def test_messages_use_the_size_found() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.run(1.0)
    alice.endpoint.send(alice.connection, bytes(1428), ORDERED)
    cable.run(0.2)
    assert max(len(sent.data) for sent in cable.sent(alice, bob)) == 1432
    assert cable.packets(Channeled, alice, bob)[0][1].fragment is None


def test_the_safe_start_is_508_and_climbs_the_same_way() -> None:
    cable = Cable()
    alice, bob = cable.pair(use_safe_mtu=True)
    assert alice.connection.mtu == bob.connection.mtu == 508
    alice.endpoint.send(alice.connection, bytes(3000), ORDERED)
    cable.run(0.1)
    assert max(len(sent.data) for sent in cable.sent(alice, bob)) == 508
    cable.run(0.8)
    assert alice.connection.mtu == bob.connection.mtu == 1432


@pytest.mark.parametrize("mtu", [64, 576, 1432])
def test_a_size_that_is_set_stays_and_is_never_probed(mtu: int) -> None:
    cable = Cable()
    alice, bob = cable.pair(mtu_override=mtu)
    cable.run(20.0)
    assert alice.connection.mtu == bob.connection.mtu == mtu
    assert checks(cable, alice, bob) == checks(cable, bob, alice) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [(508, 508), (1100, 1024), (1200, 1164), (1403, 1392), (1404, 1404), (1431, 1424)],
)
@pytest.mark.parametrize("safe", [True, False])
def test_a_narrow_path_ends_the_climb_where_it_ends(path: int, expected: int, safe: bool) -> None:
    """
    508 is only found from below: what is started with is taken for granted until packets are lost.
    """
    cable = Cable(path=path)
    alice, bob = cable.pair(use_safe_mtu=safe)
    cable.run(12.0)
    expected = expected if safe else max(expected, 1024)
    assert alice.connection.mtu == bob.connection.mtu == expected


def test_what_is_not_answered_is_probed_three_times_in_all() -> None:
    cable = Cable(path=1200)
    alice, bob = cable.pair()
    cable.run(30.0)
    sent = checks(cable, alice, bob)
    assert [size for _, size in sent].count(1164) == 1
    for size in (1392, 1404, 1424, 1432):
        times = [at for at, probed in sent if probed == size]
        assert [round(at - times[0], 6) for at in times] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("seed", range(10))
def test_lost_probes_are_tried_again(seed: int) -> None:
    random = Random(seed)
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses_packets(MtuProbe, lambda probe: random.random() < 0.3)
    cable.run(3.5)
    assert alice.connection.mtu >= 1404
    assert bob.connection.mtu >= 1404


def test_a_path_that_is_wider_one_way_counts_as_the_narrower() -> None:
    """
    An answer is as large as its probe.
    """
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses = lambda sent: sent.source == BOB and len(sent.data) > 1300
    cable.run(12.0)
    assert alice.connection.mtu == bob.connection.mtu == 1164


def test_a_reconnected_pair_climbs_too() -> None:
    """
    The reference stamps its probes with number 0, so theirs never does (PITFALLS D5).
    """
    cable = Cable()
    alice, bob = cable.pair()
    for number in (1, 2, 3):
        alice.disconnect(alice.connection)
        cable.run(0.2)
        alice.connect(BOB)
        cable.run(2.0)
        assert alice.connection.number == bob.connection.number == number
        assert alice.connection.mtu == bob.connection.mtu == 1432


@pytest.mark.parametrize(
    ("make_layer", "overhead"), [(Crc32cLayer, 4), (Padding, 100), (PacketLayer, 0)]
)
@pytest.mark.parametrize("safe", [True, False])
def test_a_packet_layer_does_not_stop_the_climb(
    make_layer: Callable[[], PacketLayer], overhead: int, safe: bool
) -> None:
    """
    The reference compares sizes with and without what the layer adds (PITFALLS D6).
    """
    cable = Cable()
    alice, bob = cable.pair(make_layer, use_safe_mtu=safe)
    assert alice.connection.mtu == (508 if safe else 1024) - overhead
    cable.run(2.0)
    assert alice.connection.mtu == bob.connection.mtu == 1432 - overhead
    send(alice, 20, 3000)
    cable.run(2.0)
    assert len(bob.messages) == 20
    assert max(len(sent.data) for sent in cable.log) == 1432


# ---------------------------------------------------------------- whom to believe


@pytest.mark.parametrize("size", [508, 1000, 1024, 1025, 1163, 1164, 1200, 1432])
def test_an_answer_to_what_was_not_asked_changes_nothing(size: int) -> None:
    cable = Cable()
    alice, _ = cable.pair()
    alice.receive(MtuProbe(0, size, answer=True).encode(), BOB)
    assert alice.connection.mtu == 1024


@pytest.mark.parametrize("size", [1433, 1500, 9000, 65_000])
def test_no_size_past_the_ladder_is_believed_even_after_asking(size: int) -> None:
    cable = Cable(path=1200)
    alice, _ = cable.pair()
    cable.run(2.0)
    alice.receive(MtuProbe(0, size, answer=True).encode(), BOB)
    assert alice.connection.mtu == 1164
    assert alice.endpoint.statistics.dropped["malformed"] == 1


def test_a_size_that_lies_about_itself_is_dropped() -> None:
    cable = Cable(path=1200)
    alice, _ = cable.pair()
    cable.run(2.0)
    honest = bytearray(MtuProbe(0, 1432, answer=True).encode())
    for lie in (bytes(honest[:1200]), bytes(honest[:-1]), bytes(honest[:-4]) + bytes(4)):
        alice.receive(lie, BOB)
    assert alice.connection.mtu == 1164


def test_an_answer_of_another_connection_is_not_believed() -> None:
    cable = Cable(path=1200)
    alice, _ = cable.pair()
    cable.run(2.0)
    alice.receive(MtuProbe(1, 1432, answer=True).encode(), BOB)
    assert alice.connection.mtu == 1164


def test_an_answer_that_comes_twice_or_late_counts_once() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    cable.run(1.0)
    for size in MTU_LADDER:
        alice.receive(MtuProbe(0, size, answer=True).encode(), BOB)
    assert alice.connection.mtu == 1432


def test_an_address_that_has_not_proven_itself_is_not_probed() -> None:
    """
    3515 bytes for a forged request of 40, with the reference (PITFALLS C1).
    """
    cable = Cable()
    bob = cable.node(BOB)
    bob.receive(request(T), ALICE)
    for i in range(40):
        bob.receive(Channeled(0, i, 2, bytes(900)).encode(), ALICE)
        cable.run(0.1)
    assert bob.connection.state is ConnectionState.CONNECTED
    assert cable.packets(MtuProbe, BOB, ALICE) == []


def test_it_is_probed_a_second_after_it_has() -> None:
    cable = Cable()
    bob = cable.node(BOB)
    bob.receive(request(T), ALICE)
    heartbeat = bob.connection.path.heartbeat
    cable.run(2.0)
    bob.receive(Pong(0, heartbeat._sequence, T).encode(), ALICE)
    proven = cable.now
    cable.run(1.5)
    assert cable.packets(MtuProbe, BOB, ALICE)[0][0] == pytest.approx(proven + 1.0)


# ---------------------------------------------------------------- a reference peer


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("path", [None, 1200, 1404])
def test_a_reference_peer_climbs_its_whole_ladder_beside_us(start: int, path: int | None) -> None:
    """
    It gives up after three probes unless it receives some (WIRE §14).
    """
    cable = Cable(path=path)
    stranger = ReferencePeer(start)
    cable.plug(BOB, stranger)
    alice = cable.node(ALICE)
    alice.connect(BOB)
    cable.run(9.0)
    assert stranger.mtu == max(size for size in MTU_LADDER if path is None or size <= path)
    assert alice.connection.mtu == stranger.mtu
    cable.run(30.0)
    assert stranger.finished
    assert alice.connection.state is ConnectionState.CONNECTED


def test_without_our_courtesy_it_would_not() -> None:
    """
    Otherwise the test above shows nothing.
    """
    cable = Cable()
    stranger = ReferencePeer()
    cable.plug(BOB, stranger)
    alice = cable.node(ALICE, mtu_override=1432)
    alice.connect(BOB)
    cable.run(9.0)
    assert stranger.mtu == 1404
    assert stranger.finished


def test_the_courtesy_is_small_and_ends() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    opened = cable.now - 0.5
    cable.run(60.0)
    late = [(at - opened, size) for at, size in checks(cable, alice, bob) if at > opened + 2.0]
    assert {size for _, size in late} == {MIN_MTU}
    assert 5 <= len(late) <= 7
    assert max(at for at, _ in late) < 9.0


# ---------------------------------------------------------------- a black hole


def narrowed(path: int, delay: float = 0.025) -> tuple[Cable, Node, Node, list[bytes]]:
    """
    A pair, and what it is sending when the path becomes narrower without a word.
    """
    cable = Cable(delay)
    alice, bob = cable.pair()
    cable.run(10.0)
    assert alice.connection.mtu == 1432
    messages = send(alice, 300, 1425)
    cable.run(3 * delay)
    assert bob.messages
    cable.path = path
    return cable, alice, bob, messages


@pytest.mark.parametrize("delay", [0.001, 0.025, 0.15])
@pytest.mark.parametrize(("path", "expected"), [(1410, 1404), (1200, 1164), (600, 508)])
def test_a_path_that_becomes_narrower_is_noticed_and_the_transfer_ends_well(
    path: int, expected: int, delay: float
) -> None:
    """
    What was cut for the wider path goes as it is; IP may take it apart.
    """
    cable, alice, bob, messages = narrowed(path, delay)
    cable.run_until(lambda: bob.messages == messages, 20.0)
    assert alice.connection.mtu == expected
    after = cable.now
    more = send(alice, 20, 3000)
    cable.run_until(lambda: bob.messages[300:] == more, 5.0)
    new = [sent for sent in cable.sent(alice, bob) if sent.at >= after]
    assert max(len(sent.data) for sent in new) <= expected
    assert not any(sent.may_fragment for sent in new)


def test_it_takes_a_few_seconds_at_most() -> None:
    cable, alice, _, _ = narrowed(1200)
    start = cable.now
    cable.run_until(lambda: alice.connection.mtu == 1164)
    assert cable.now - start < 2.0


def test_only_what_is_too_large_may_be_taken_apart() -> None:
    cable, alice, bob, messages = narrowed(1200)
    cable.run_until(lambda: bob.messages == messages, 20.0)
    for sent in cable.sent(alice, bob):
        assert not sent.may_fragment or len(sent.data) > 1164


def test_the_wider_path_is_found_again_after_a_minute() -> None:
    cable, alice, bob, messages = narrowed(1200)
    cable.run_until(lambda: bob.messages == messages, 20.0)
    fallen = cable.now
    cable.path = None
    cable.run(50.0)
    assert alice.connection.mtu == 1164
    cable.run(fallen + 62.0 - cable.now)
    assert alice.connection.mtu == 1432


def test_a_path_that_stays_narrow_is_not_asked_for_ever() -> None:
    cable, alice, bob, messages = narrowed(1200)
    cable.run_until(lambda: bob.messages == messages, 20.0)
    cable.run(300.0)
    assert alice.connection.mtu == 1164
    probed = [size for at, size in checks(cable, alice, bob) if at > cable.now - 230.0]
    assert probed == []


@pytest.mark.parametrize("delay", [0.001, 0.025, 0.2])
@pytest.mark.parametrize("seconds", [0.15, 1.0, 3.0])
def test_a_path_that_is_dead_for_a_moment_is_no_black_hole(seconds: float, delay: float) -> None:
    """
    Small datagrams are lost there as well.
    """
    cable = Cable(delay)
    alice, bob = cable.pair()
    cable.run(10.0)
    messages = send(alice, 300)
    cable.run(0.003)
    cable.loses = lambda sent: True
    cable.run(seconds)
    cable.loses_nothing()
    cable.run_until(lambda: bob.messages == messages)
    assert alice.connection.mtu == 1432


def test_a_peer_that_takes_nothing_for_a_while_is_no_black_hole() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.run(10.0)
    bob.endpoint.hold(bob.connection, True)
    messages = send(alice, 300)
    cable.run(8.0)
    assert bob.messages == []
    bob.endpoint.hold(bob.connection, False)
    cable.run_until(lambda: bob.messages == messages)
    assert alice.connection.mtu == 1432


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [0.1, 0.3, 0.5])
def test_much_loss_is_no_black_hole(loss: float, seed: int) -> None:
    random = Random(seed)
    cable = Cable(0.02)
    alice, bob = cable.pair()
    cable.run(10.0)
    cable.loses = lambda sent: random.random() < loss
    messages = send(alice, 100)
    cable.run_until(lambda: bob.messages == messages, 120.0)
    assert alice.connection.mtu == 1432


def test_small_messages_that_pass_do_not_hide_it() -> None:
    """
    A game that sends a little all the time, and a level now and then.
    """
    cable = Cable(0.025)
    alice, bob = cable.pair(channels=2)
    cable.run(10.0)
    cable.path = 1200
    alice.endpoint.send(alice.connection, bytes(50_000), ORDERED, 1)
    for i in range(60):
        alice.endpoint.send(alice.connection, b"%d" % i + bytes(600), ORDERED, 0)
        alice.endpoint.send(alice.connection, b"where I am", DeliveryMethod.RELIABLE_SEQUENCED)
        cable.run(0.05)
    assert alice.connection.mtu == 1164
    cable.run(1.0)
    assert bytes(50_000) in bob.messages


def test_a_start_that_is_too_large_for_the_path_is_noticed() -> None:
    """
    1024 is only an assumption.
    """
    cable = Cable(0.025, path=600)
    alice, bob = cable.pair()
    messages = send(alice, 50)
    cable.run_until(lambda: bob.messages == messages, 20.0)
    assert alice.connection.mtu == 508


def test_a_size_that_is_set_never_falls() -> None:
    cable = Cable(0.025)
    alice, _ = cable.pair(mtu_override=1400)
    cable.path = 1000
    send(alice, 50)
    cable.run(20.0)
    assert alice.connection.mtu == 1400
    assert not any(sent.may_fragment for sent in cable.log)


def test_who_has_not_proven_its_address_is_not_asked_what_its_path_takes() -> None:
    discovery = MtuDiscovery(EndpointConfig(), 0)
    for i in range(100):
        assert discovery.lost(1024, float(i)) == []
    assert discovery.next_at == NEVER


def test_forged_answers_do_not_make_a_black_hole_of_a_path_that_loses_nothing() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.run(10.0)
    messages = send(alice, 200)
    for _ in range(50):
        alice.receive(MtuProbe(0, 508, answer=True).encode(), BOB)
        cable.run(0.01)
    cable.run(2.0)
    assert bob.messages == messages
    assert alice.connection.mtu == 1432


def test_the_size_is_each_connections_own() -> None:
    cable = Cable()
    bob = cable.node(BOB)
    near, far = cable.node(ALICE), cable.node(("10.0.0.3", 9050))
    cable.loses = lambda sent: far.address in (sent.source, sent.target) and len(sent.data) > 1200
    near.connect(BOB)
    far.connect(BOB)
    cable.run(5.0)
    sizes: dict[str, Connection] = {c.address[0]: c for c in bob.connections}
    assert sizes[near.address[0]].mtu == 1432
    assert sizes[far.address[0]].mtu == 1164
