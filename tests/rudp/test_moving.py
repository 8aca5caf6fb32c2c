"""
A connection that goes on at another address (TRAPS T30).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from p2pnet.rudp.errors import NotConnected, RudpError
from p2pnet.rudp.events import ConnectionState, DisconnectReason, LatencyUpdated
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import MTU_LADDER, Address, DeliveryMethod
from p2pnet.wire.control import ConnectAccept, ConnectRequest, Disconnect, MtuProbe, PeerNotFound
from p2pnet.wire.packets import Unreliable
from tests.rudp.cable import ALICE, BOB, CAROL, EPOCH, Cable, Node, Sent, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED
UNORDERED = DeliveryMethod.RELIABLE_UNORDERED
RELAY_OF_BOB: Address = ("203.0.113.1", 50_001)
"""Where Alice reaches Bob."""
RELAY_OF_ALICE: Address = ("203.0.113.1", 50_002)
"""Where Bob reaches Alice."""
BOB_ELSEWHERE: Address = ("10.0.1.2", 9050)
"""Another address of Bob's machine, which still sends from the first."""


class Relay:
    """
    One side of a relay: what comes here leaves the other side for `target`.
    """

    def __init__(self, target: Address) -> None:
        self.other = self
        self._target = target
        self._out: list[Transmit] = []

    def forward(self, data: bytes) -> None:
        self._out.append(Transmit(self._target, data, None, may_fragment=True))

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        self.other.forward(data)

    def handle_timeout(self, now: float) -> None:
        pass

    def datagrams_to_send(self, now: float) -> list[Transmit]:
        out, self._out = self._out, []
        return out

    def next_timeout(self) -> float | None:
        return None


def plug_relay(cable: Cable) -> None:
    to_alice, to_bob = Relay(ALICE), Relay(BOB)
    to_alice.other, to_bob.other = to_bob, to_alice
    cable.plug(RELAY_OF_BOB, to_alice)
    cable.plug(RELAY_OF_ALICE, to_bob)


def relayed_pair(cable: Cable, **options: Any) -> tuple[Node, Node]:
    """
    Alice and Bob, who are connected through a relay.
    """
    alice, bob = cable.node(ALICE, **options), cable.node(BOB, **options)
    plug_relay(cable)
    alice.connect(RELAY_OF_BOB)
    cable.run(0.5)
    assert alice.connection.address == RELAY_OF_BOB
    assert bob.connection.address == RELAY_OF_ALICE
    return alice, bob


def move(cable: Cable, node: Node, address: Address) -> None:
    node.endpoint.move(node.connection, address, cable.now)


def move_both(cable: Cable, alice: Node, bob: Node) -> None:
    move(cable, alice, BOB)
    move(cable, bob, ALICE)


def is_direct(sent: Sent) -> bool:
    return {sent.source, sent.target} == {ALICE, BOB}


class Talk:
    """
    Both send numbered messages all the time, some of several packets.
    """

    def __init__(self, cable: Cable, alice: Node, bob: Node, method: DeliveryMethod) -> None:
        self._cable = cable
        self._nodes = alice, bob
        self._method = method
        self.said: list[bytes] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.01)):
            number = len(self.said)
            message = b"%d " % number + bytes(3000 if number % 10 == 0 else 100)
            self.said.append(message)
            for node in self._nodes:
                node.endpoint.send(node.connection, message, self._method)
            self._cable.run(0.01)

    def check(self) -> None:
        """
        All of it arrives on both sides, once, and in order if that was asked for.
        """
        for node in self._nodes:
            self._cable.run_until(lambda n=node: len(n.messages) >= len(self.said))  # type: ignore[misc]
        self._cable.run(2.0)
        for node in self._nodes:
            heard = node.messages
            if self._method is UNORDERED:
                heard = sorted(heard, key=lambda message: int(message.split()[0]))
            assert heard == self.said
            assert not node.farewells


# ---------------------------------------------------------------- under traffic


@pytest.mark.parametrize("method", [ORDERED, UNORDERED])
@pytest.mark.parametrize("later", [0.0, 0.03, 0.1, 0.4, 1.5])
@pytest.mark.parametrize("first", [0, 1])
def test_both_move_and_nothing_under_way_is_lost_or_told_twice(
    first: int, later: float, method: DeliveryMethod
) -> None:
    """
    However much later the second one does.
    """
    cable = Cable(delay=0.04)
    pair = relayed_pair(cable)
    talk = Talk(cable, *pair, method)
    talk.run(0.5)
    targets = BOB, ALICE
    move(cable, pair[first], targets[first])
    talk.run(later)
    move(cable, pair[1 - first], targets[1 - first])
    cable.log.clear()
    talk.run(0.5)
    talk.check()
    alice, bob = pair
    assert (alice.connection.address, bob.connection.address) == (BOB, ALICE)
    # Only what the relay still held went through it.
    through = [sent for sent in cable.log if not is_direct(sent) and sent.source in (ALICE, BOB)]
    assert not through


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("method", [ORDERED, UNORDERED])
def test_the_same_on_bad_paths(seed: int, method: DeliveryMethod) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    cable = Cable()
    alice, bob = relayed_pair(cable)
    cable.loses = lambda sent: random.random() < 0.15
    cable.doubles = lambda sent: random.random() < 0.05
    cable.delays = lambda sent: 0.02 + 0.05 * random.random()
    talk = Talk(cable, alice, bob, method)
    for _ in range(3):
        talk.run(random.random())
        moves = [(alice, BOB), (bob, ALICE)]
        random.shuffle(moves)
        for node, address in moves:
            move(cable, node, address)
            talk.run(random.random() / 4)
        talk.run(random.random())
        for node, address in [(bob, RELAY_OF_ALICE), (alice, RELAY_OF_BOB)]:
            move(cable, node, address)
            talk.run(random.random() / 4)
    talk.check()


def test_one_side_moves_and_the_other_notices_nothing() -> None:
    """
    A machine with two addresses is sent to at the second, and goes on to send from the first.
    """
    cable = Cable()
    alice, bob = cable.pair()
    cable.plug(BOB_ELSEWHERE, bob.endpoint)
    talk = Talk(cable, alice, bob, ORDERED)
    talk.run(0.3)
    move(cable, alice, BOB_ELSEWHERE)
    cable.log.clear()
    talk.run(7.0)
    talk.check()
    assert not cable.sent(ALICE, BOB)
    assert cable.sent(ALICE, BOB_ELSEWHERE)
    assert bob.connection.address == ALICE
    assert alice.connection.number == bob.connection.number
    assert alice.endpoint.statistics.dropped == {}


def test_what_was_known_of_the_connection_stays_known() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)
    talk = Talk(cable, alice, bob, ORDERED)
    talk.run(1.0)
    connection = alice.connection
    before = connection.number, connection.connection_time, connection.rtt.smoothed
    in_flight = connection.traffic.in_flight
    assert in_flight > 0
    move_both(cable, alice, bob)
    assert (connection.number, connection.connection_time, connection.rtt.smoothed) == before
    assert connection.traffic.in_flight == in_flight
    assert connection.state is ConnectionState.CONNECTED
    talk.check()


def test_both_moving_early_or_late_is_told_to_nobody() -> None:
    """
    A move is not an event.
    """
    cable = Cable()
    alice, bob = relayed_pair(cable)
    told = len(alice.events), len(bob.events)
    move(cable, bob, ALICE)
    cable.run(0.2)
    move(cable, alice, BOB)
    cable.run(0.7)
    for node, before in zip((alice, bob), told, strict=True):
        assert {type(event) for event in node.events[before:]} <= {LatencyUpdated}


# ---------------------------------------------------------------- who has not followed yet


@pytest.mark.parametrize("late", [0.5, 3.0, 4.5])
def test_who_has_not_followed_yet_does_not_end_the_connection(late: float) -> None:
    """
    It says that it knows nobody at our new address, and would say so again if asked.
    """
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move(cable, alice, BOB)
    alice.endpoint.send(alice.connection, b"too early", ORDERED)
    cable.run(late)
    assert cable.packets(PeerNotFound, BOB, ALICE)
    assert not cable.packets(PeerNotFound, ALICE, BOB)
    assert not bob.messages
    move(cable, bob, ALICE)
    cable.run(2.0)
    assert bob.messages == [b"too early"]
    assert not alice.farewells
    assert not bob.farewells


def test_who_never_follows_is_lost_by_the_usual_time_out() -> None:
    """
    And says so to who asks after that.
    """
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move(cable, alice, BOB)
    cable.run(4.0)
    assert alice.farewells == bob.farewells == []
    cable.run(3.0)
    assert bob.reasons == [DisconnectReason.TIMEOUT]
    assert alice.reasons == [DisconnectReason.REMOTE_CONNECTION_CLOSE]


def test_a_peer_that_restarts_long_after_a_move_is_noticed_at_once() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move_both(cable, alice, bob)
    cable.run(6.0)
    cable.unplug(bob)
    cable.node(BOB, seed=7)
    alice.endpoint.send(alice.connection, b"x", ORDERED)
    cable.run(0.5)
    assert alice.reasons == [DisconnectReason.REMOTE_CONNECTION_CLOSE]


def test_who_still_asks_is_answered_where_it_asks_from() -> None:
    """
    The accept was lost, and who sent it has moved: who dials knows nothing of that.
    """
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    plug_relay(cable)
    cable.loses_packets(ConnectAccept)
    alice.connect(RELAY_OF_BOB)
    cable.run(0.3)
    move(cable, bob, ALICE)
    cable.loses_nothing()
    cable.run(0.5)
    assert alice.connection.state is ConnectionState.CONNECTED
    move(cable, alice, BOB)
    bob.endpoint.send(bob.connection, b"hello", ORDERED)
    cable.run(1.0)
    assert alice.messages == [b"hello"]
    assert len(bob.connections) == 1


# ---------------------------------------------------------------- whose address it is


def test_another_connection_is_not_pushed_aside() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    carol = cable.node(CAROL)
    to_bob = alice.connection
    alice.connect(CAROL)
    cable.run(0.5)
    to_carol = alice.connection
    with pytest.raises(RudpError, match=r"another connection with \('10.0.0.3', 9050\)"):
        alice.endpoint.move(to_bob, CAROL, cable.now)
    assert (to_bob.address, to_carol.address) == (BOB, CAROL)
    alice.endpoint.send(to_carol, b"still there", ORDERED)
    cable.run(0.5)
    assert carol.messages == [b"still there"]


def test_where_another_connection_was_before_is_its_own_until_it_ends() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.plug(BOB_ELSEWHERE, bob.endpoint)
    to_bob = alice.connection
    cable.node(CAROL)
    alice.connect(CAROL)
    cable.run(0.5)
    to_carol = alice.connection
    alice.endpoint.move(to_bob, BOB_ELSEWHERE, cable.now)
    with pytest.raises(RudpError, match="another connection"):
        alice.endpoint.move(to_carol, BOB, cable.now)
    alice.endpoint.disconnect(to_bob, b"", cable.now)
    with pytest.raises(RudpError, match="another connection"):
        alice.endpoint.move(to_carol, BOB, cable.now)
    cable.run(0.5)
    assert to_bob.state is ConnectionState.DISCONNECTED
    alice.endpoint.move(to_carol, BOB, cable.now)
    assert to_carol.address == BOB


def test_where_a_connection_has_ended_another_one_may_go() -> None:
    """
    They have talked before, over the path that they find again.
    """
    cable = Cable()
    alice, bob = cable.pair()
    plug_relay(cable)
    alice.disconnect(alice.connection)
    cable.run(0.5)
    alice.connect(RELAY_OF_BOB)
    cable.run(0.5)
    move_both(cable, alice, bob)
    bob.endpoint.send(bob.connection, b"again", ORDERED)
    cable.run(0.5)
    assert alice.messages == [b"again"]
    cable.run(20.0)
    assert alice.connection.state is ConnectionState.CONNECTED


@pytest.mark.parametrize("end", ["disconnect", "disconnect_force", "silence"])
def test_a_connection_that_is_over_does_not_move(end: str) -> None:
    cable = Cable()
    alice, bob = cable.pair()
    match end:
        case "disconnect":
            alice.disconnect(alice.connection)
        case "disconnect_force":
            alice.endpoint.disconnect_force(alice.connection, cable.now)
        case _:
            cable.unplug(bob)
            cable.run(6.0)
    with pytest.raises(NotConnected, match=r"connection with \('10.0.0.2', 9050\)"):
        move(cable, alice, CAROL)
    assert alice.connection.address == BOB


def test_a_connection_that_is_not_open_yet_does_not_move() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    with pytest.raises(NotConnected, match="OUTGOING"):
        alice.endpoint.move(connection, CAROL, cable.now)


@pytest.mark.parametrize("address", [("bob.example", 9050), ("10.0.0.9", -1), ("10.0.0.9", 65_536)])
def test_an_address_must_be_one(address: Address) -> None:
    cable = Cable()
    alice, _ = cable.pair()
    with pytest.raises(ValueError, match=r"."):
        move(cable, alice, address)


def test_a_move_to_where_it_is_changes_nothing() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    cable.run(1.0)
    assert alice.connection.mtu == 1432
    move(cable, alice, BOB)
    assert alice.connection.former == []
    assert alice.connection.mtu == 1432


def test_the_oldest_of_nine_former_addresses_is_forgotten() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    places: list[Address] = [("10.0.2.1", 9000 + i) for i in range(9)]
    for place in places:
        move(cable, alice, place)
    late = Unreliable(alice.connection.number, b"late").encode()
    for place in [BOB, *places]:
        alice.receive(late, place)
    assert len(alice.messages) == 9
    assert alice.endpoint.statistics.dropped == {"no connection": 1}
    assert bob.connection.former == []


def test_going_back_and_forth_takes_no_room() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.plug(BOB_ELSEWHERE, bob.endpoint)
    for _ in range(50):
        move(cable, alice, BOB_ELSEWHERE)
        move(cable, alice, BOB)
    assert alice.connection.former == [BOB_ELSEWHERE]
    alice.endpoint.disconnect_force(alice.connection, cable.now)
    cable.run(20.0)
    assert not alice.endpoint._roster.former
    assert not alice.endpoint._roster.here


def test_who_comes_to_a_former_address_after_the_end_hears_nothing_of_it() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move_both(cable, alice, bob)
    cable.run(0.5)
    ended = alice.connection
    alice.disconnect(ended)
    alice.endpoint.send_unconnected(CAROL, b"something else is going on")
    cable.run(0.5)
    late = Unreliable(ended.number, b"late").encode()
    told = len(alice.events)
    before = len(cable.sent(ALICE, RELAY_OF_BOB))
    alice.receive(late, RELAY_OF_BOB)
    assert alice.endpoint.statistics.dropped["not connected"] == 1
    assert len(cable.sent(ALICE, RELAY_OF_BOB)) == before
    cable.run(20.0)
    alice.receive(late, RELAY_OF_BOB)
    assert len(alice.events) == told
    # By now it is a stranger's, and answered as such.
    assert alice.endpoint.statistics.dropped["no connection"] == 1
    assert cable.sent(ALICE, RELAY_OF_BOB)[before:][0].data == PeerNotFound().encode()


def test_dialling_a_former_address_gives_the_connection_that_was_there() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move_both(cable, alice, bob)
    assert alice.connect(RELAY_OF_BOB) is alice.connection
    assert alice.connect(BOB) is alice.connection
    alice.endpoint.disconnect_force(alice.connection, cable.now)
    again = alice.connect(RELAY_OF_BOB)
    assert again is not alice.connection
    # Late packets of the one before are not taken for its own.
    assert again.number == 1


# ---------------------------------------------------------------- requests


def test_a_request_from_a_former_address_is_not_heard_while_the_peer_answers() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move_both(cable, alice, bob)
    cable.run(0.5)
    forged = request(EPOCH + 10**12)
    alice.receive(forged, RELAY_OF_BOB)
    cable.run(6.0)
    assert alice.connection.state is ConnectionState.CONNECTED
    assert len(alice.connections) == 1
    assert not alice.farewells


def test_a_peer_that_has_restarted_is_back_at_its_former_address() -> None:
    """
    Its NAT has forgotten the direct path.
    """
    cable = Cable()
    alice, bob = relayed_pair(cable)
    first = bob.connection
    move_both(cable, alice, bob)
    cable.run(6.0)
    cable.unplug(alice)
    cable.loses = is_direct
    restarted = cable.node(ALICE, seed=9)
    restarted.connect(RELAY_OF_BOB)
    cable.run(3.0)
    assert bob.reasons == [DisconnectReason.RECONNECT]
    assert bob.connection is not first
    assert bob.connection.address == RELAY_OF_ALICE
    bob.endpoint.send(bob.connection, b"welcome back", ORDERED)
    cable.run(0.5)
    assert restarted.messages == [b"welcome back"]
    # What is late for the one before does not reach the new one.
    assert bob.connection.number != first.number
    cable.run(20.0)
    assert bob.connection.state is ConnectionState.CONNECTED


def test_a_request_that_waits_at_the_new_address_is_the_peers_own() -> None:
    """
    Accepted after the move it would end the connection for one that nobody wants.
    """
    cable = Cable()
    alice, bob = relayed_pair(cable)
    asked: list[IncomingRequest] = []
    bob.on_request = asked.append
    bob.receive(request(EPOCH + 10**11), ALICE)
    (waiting,) = asked
    move_both(cable, alice, bob)
    assert not bob.endpoint.is_pending(waiting)
    with pytest.raises(RudpError, match="expired or is decided"):
        bob.accept(waiting)
    cable.run(1.0)
    assert bob.connection.state is ConnectionState.CONNECTED


# ---------------------------------------------------------------- everything else


def test_the_new_address_counts_as_proven() -> None:
    """
    Who moves us there has seen an answer from there.
    """
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    plug_relay(cable)
    alice.connect(RELAY_OF_BOB)
    cable.run_until(lambda: bob.connections)
    large = bytes(20_000)
    bob.endpoint.send(bob.connection, large, ORDERED)
    cable.settle()
    assert sum(len(sent.data) for sent in cable.sent(BOB, RELAY_OF_ALICE)) < 200
    move(cable, bob, ALICE)
    bob.endpoint.send(bob.connection, b"more", ORDERED)
    cable.settle()
    assert sum(len(sent.data) for sent in cable.sent(BOB, ALICE)) > 10_000
    cable.run(0.1)
    move(cable, alice, BOB)
    cable.run(1.0)
    assert alice.messages == [large, b"more"]
    cable.run(20.0)
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED


def test_only_the_present_address_can_be_unreachable() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable, disconnect_on_unreachable=True)
    move_both(cable, alice, bob)
    alice.endpoint.unreachable(RELAY_OF_BOB, cable.now, network=False)
    assert alice.connection.state is ConnectionState.CONNECTED
    alice.endpoint.unreachable(BOB, cable.now, network=False)
    cable.settle()
    assert alice.reasons == [DisconnectReason.HOST_UNREACHABLE]


def test_datagrams_from_before_and_after_count_for_one_connection() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)

    def not_of_the_connection() -> list[tuple[int, int]]:
        return [
            (
                node.endpoint.statistics.packets_received
                - node.connection.statistics.packets_received,
                node.endpoint.statistics.bytes_sent - node.connection.statistics.bytes_sent,
            )
            for node in (alice, bob)
        ]

    before = not_of_the_connection()
    talk = Talk(cable, alice, bob, ORDERED)
    talk.run(0.5)
    move_both(cable, alice, bob)
    talk.run(0.5)
    talk.check()
    assert not_of_the_connection() == before
    assert alice.endpoint.statistics.dropped == bob.endpoint.statistics.dropped == {}


def test_a_goodbye_goes_to_the_new_address_and_is_confirmed_to_where_it_came_from() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move(cable, bob, ALICE)
    alice.disconnect(alice.connection, b"bye")
    cable.run(1.0)
    assert [info.data for info in bob.farewells] == [b"bye"]
    # Confirmed, or it would have been repeated.
    assert len(cable.packets(Disconnect, ALICE, RELAY_OF_BOB)) == 1
    assert not alice.endpoint.has_goodbyes
    assert bob.connection.statistics.packets_sent == bob.endpoint.statistics.packets_sent


# ---------------------------------------------------------------- the size of datagrams


def takes(size: int, is_there: Callable[[Sent], bool]) -> Callable[[Sent], bool]:
    """
    What loses datagrams over ``size`` bytes on one path, unless IP may take them apart.
    """
    return lambda sent: is_there(sent) and len(sent.data) > size and not sent.may_fragment


@pytest.mark.parametrize("size", [600, 1023, 1200])
def test_large_messages_survive_a_move_to_a_narrower_path(size: int) -> None:
    """
    What was cut for the wider one is on its way, and waits in the queue.
    """
    cable = Cable(delay=0.02)
    alice, bob = relayed_pair(cable)
    cable.run(3.0)
    assert alice.connection.mtu == 1432
    cable.loses = takes(size, is_direct)
    messages = [b"%d" % i + bytes(100_000) for i in range(4)]
    for message in messages[:2]:
        alice.endpoint.send(alice.connection, message, ORDERED)
        bob.endpoint.send(bob.connection, message, ORDERED)
    cable.run(0.1)
    assert alice.connection.unacknowledged > 20
    move_both(cable, alice, bob)
    for message in messages[2:]:
        alice.endpoint.send(alice.connection, message, ORDERED)
        bob.endpoint.send(bob.connection, message, ORDERED)
    cable.run_until(lambda: len(bob.messages) == len(alice.messages) == 4)
    assert bob.messages == alice.messages == messages
    cable.run(5.0)
    largest = max(step for step in MTU_LADDER if step <= size)
    assert alice.connection.mtu == bob.connection.mtu == largest


def test_a_wider_path_is_used_to_the_full() -> None:
    cable = Cable()
    cable.loses = takes(1100, lambda sent: not is_direct(sent))
    alice, bob = relayed_pair(cable)
    cable.run(12.0)
    assert alice.connection.mtu == bob.connection.mtu == 1024
    move_both(cable, alice, bob)
    cable.run(1.5)
    assert alice.connection.mtu == bob.connection.mtu == 1432


def test_probes_wait_until_the_other_side_has_had_the_time_to_follow() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable, ping_interval=60.0, disconnect_timeout=200.0)
    # Nothing else is due when they are.
    cable.run(12.0)
    at = cable.now
    move(cable, alice, BOB)
    assert alice.connection.mtu == 1024
    cable.run(0.5)
    move(cable, bob, ALICE)
    cable.run(2.0)
    first = min(sent_at for sent_at, probe in cable.packets(MtuProbe, ALICE, BOB))
    assert first - at == pytest.approx(1.0)
    assert alice.connection.mtu == bob.connection.mtu == 1432


def test_an_answer_from_the_path_before_says_nothing_of_the_new_one() -> None:
    """
    The probes were on their way when we moved.
    """
    cable = Cable(delay=0.1)
    alice, _ = relayed_pair(cable)
    cable.run_until(lambda: cable.packets(MtuProbe, ALICE, RELAY_OF_BOB))
    cable.loses = takes(1100, is_direct)
    assert alice.connection.mtu == 1024
    move(cable, alice, BOB)
    answers = len(cable.packets(MtuProbe, RELAY_OF_BOB, ALICE))
    cable.run(0.9)
    assert len(cable.packets(MtuProbe, RELAY_OF_BOB, ALICE)) > answers
    assert alice.connection.mtu == 1024


def test_a_size_that_is_set_stays() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable, mtu_override=700)
    move_both(cable, alice, bob)
    assert alice.connection.mtu == 700
    cable.run(5.0)
    assert alice.connection.mtu == bob.connection.mtu == 700
    assert not cable.packets(MtuProbe, ALICE, BOB)


# ---------------------------------------------------------------- many at once


def test_the_requests_of_others_are_heard_as_ever() -> None:
    cable = Cable()
    alice, bob = relayed_pair(cable)
    move_both(cable, alice, bob)
    carol = cable.node(CAROL)
    carol.connect(BOB)
    cable.run(0.5)
    assert len(bob.connections) == 2
    assert cable.packets(ConnectRequest, CAROL, BOB)
    assert carol.connection.state is ConnectionState.CONNECTED
