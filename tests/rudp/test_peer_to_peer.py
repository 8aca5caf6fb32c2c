"""
Two that dial each other at once end with one connection (BEHAVIOUR §3.3, WIRE §10, PITFALLS C3).
"""

from __future__ import annotations

from random import Random

import pytest

from p2pnet.rudp.events import (
    ConnectionRequested,
    ConnectionState,
    DisconnectReason,
    PeerDisconnected,
)
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.wire.constants import Address, DeliveryMethod
from tests.rudp.cable import ALICE, BOB, Cable, Node, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED


def talk(cable: Cable, alice: Node, bob: Node) -> None:
    """
    The two have one connection, and it works both ways.
    """
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED
    assert alice.connection.connection_time == bob.connection.connection_time
    assert alice.connection.number == bob.connection.number
    alice.endpoint.send(alice.connection, b"from alice", ORDERED)
    bob.endpoint.send(bob.connection, b"from bob", ORDERED)
    cable.run(2.0)
    assert (alice.messages[-1], bob.messages[-1]) == (b"from bob", b"from alice")


def dial(cable: Cable, alice: Node, bob: Node) -> None:
    alice.connect(bob.address, b"from alice", peer_to_peer=True)
    bob.connect(alice.address, b"from bob", peer_to_peer=True)


@pytest.mark.parametrize("seed", range(10))
def test_the_earlier_attempt_wins_and_the_later_one_gives_way(seed: int) -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE, seed=seed), cable.node(BOB, seed=seed + 100)
    dial(cable, alice, bob)
    cable.run(1.0)
    loser = alice if alice.farewells else bob
    winner = bob if loser is alice else alice
    assert loser.reasons == [DisconnectReason.PEER_TO_PEER_CONNECTION]
    assert winner.farewells == []
    assert winner.told(ConnectionRequested) == []
    lost = loser.told(PeerDisconnected)[0].connection
    assert winner.connection.connection_time < lost.connection_time
    talk(cable, alice, bob)


@pytest.mark.parametrize("seed", range(20))
def test_a_bad_path_makes_one_connection_all_the_same(seed: int) -> None:
    random = Random(seed)
    cable = Cable()
    alice, bob = cable.node(ALICE, seed=seed), cable.node(BOB, seed=seed + 100)
    cable.loses = lambda sent: random.random() < 0.3
    dial(cable, alice, bob)
    cable.run(6.0)
    cable.loses_nothing()
    cable.run(1.0)
    talk(cable, alice, bob)


@pytest.mark.parametrize(
    ("a", "b", "losers"),
    [
        # Who sees a byte of the other's address below its own gives way.
        (("10.0.0.1", 9050), ("10.0.0.2", 9050), {"bob"}),
        (("10.0.0.2", 9050), ("10.0.0.1", 9050), {"alice"}),
        (("10.0.0.1", 9050), ("10.0.0.1", 9051), {"bob"}),
        (("10.0.0.1", 9051), ("10.0.0.2", 9050), {"alice", "bob"}),
        (("10.9.0.1", 9050), ("10.0.0.2", 9050), {"alice", "bob"}),
        (("2001:db8::1", 9050), ("2001:db8::2", 9050), {"bob"}),
    ],
)
def test_at_equal_times_the_addresses_decide(a: Address, b: Address, losers: set[str]) -> None:
    cable = Cable()
    alice, bob = cable.node(a, seed=5), cable.node(b, seed=5)
    dial(cable, alice, bob)
    cable.run(1.0)
    assert {name for name, node in (("alice", alice), ("bob", bob)) if node.farewells} == losers
    talk(cable, alice, bob)


def outgoing(peer_to_peer: bool = False) -> tuple[Cable, Node, list[IncomingRequest]]:
    """
    Alice, dialling Bob and undecided about whoever dials her.
    """
    cable = Cable()
    alice = cable.node(ALICE)
    asked: list[IncomingRequest] = []
    alice.on_request = asked.append
    alice.connect(BOB, peer_to_peer=peer_to_peer)
    return cable, alice, asked


def time_of(alice: Node) -> int:
    return alice.connect(BOB).connection_time


def test_a_later_request_is_ignored() -> None:
    _, alice, asked = outgoing(peer_to_peer=True)
    alice.receive(request(time_of(alice) + 1, target=ALICE), BOB)
    assert asked == []


@pytest.mark.parametrize("earlier", [1, 10**17])
def test_who_did_not_ask_for_peer_to_peer_ignores_every_request(earlier: int) -> None:
    """
    One forged datagram must not end an attempt (PITFALLS C3).
    """
    cable, alice, asked = outgoing()
    alice.receive(request(time_of(alice) - earlier, target=ALICE), BOB)
    alice.receive(request(time_of(alice), target=("255.255.255.255", 65535)), BOB)
    assert asked == []
    assert alice.events == []
    cable.node(BOB)
    cable.run(1.0)
    assert alice.connection.state is ConnectionState.CONNECTED


def test_the_attempt_goes_on_until_the_other_one_is_accepted() -> None:
    cable, alice, asked = outgoing(peer_to_peer=True)
    alice.receive(request(0, b"forged", target=ALICE), BOB)
    assert len(asked) == 1
    assert alice.farewells == []
    cable.node(BOB)
    cable.run(1.0)
    assert alice.connection.connection_time != 0
    assert alice.connection.state is ConnectionState.CONNECTED
    assert alice.farewells == []


@pytest.mark.parametrize("how", ["reject", "reject_force"])
def test_rejecting_the_other_one_leaves_the_attempt_alone(how: str) -> None:
    cable, alice, asked = outgoing(peer_to_peer=True)
    alice.receive(request(0, b"forged", target=ALICE), BOB)
    if how == "reject":
        alice.endpoint.reject(asked[0], b"no", cable.now)
    else:
        alice.endpoint.reject_force(asked[0], b"no")
    cable.node(BOB)
    cable.run(1.0)
    assert alice.connection.state is ConnectionState.CONNECTED
    assert alice.farewells == []


def test_the_winners_number_is_used() -> None:
    cable, alice, asked = outgoing(peer_to_peer=True)
    alice.receive(request(time_of(alice) - 1, number=2, target=ALICE), BOB)
    alice.accept(asked[0])
    cable.settle()
    assert alice.connection.number == 2


@pytest.mark.parametrize(
    ("target", "gives_way"),
    [
        # Bob is 10.0.0.2:9050; what his request calls us is compared with that, byte by byte.
        (("10.0.0.2", 9050), False),
        (("10.0.0.1", 9049), False),
        (("10.0.0.3", 9050), True),
        (("11.0.0.1", 9050), True),
        (("10.0.0.1", 9051), True),
    ],
)
def test_every_byte_counts_at_equal_times(target: Address, gives_way: bool) -> None:
    _, alice, asked = outgoing(peer_to_peer=True)
    alice.receive(request(time_of(alice), target=target), BOB)
    assert bool(asked) is gives_way


def test_an_address_of_the_other_kind_at_equal_times_is_no_problem() -> None:
    """
    The reference indexes out of range (PITFALLS D12).
    """
    _, alice, asked = outgoing(peer_to_peer=True)
    alice.receive(request(time_of(alice), target=("::", 0)), BOB)
    assert len(asked) <= 1
    assert alice.endpoint.statistics.dropped.get("malformed", 0) == 0
