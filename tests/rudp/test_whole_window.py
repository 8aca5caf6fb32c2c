"""
How much of the window is used: all of it towards our own kind, which repeats its acks, and less
towards a peer that may be a 0.9.5.2 one, which does not (BEHAVIOUR §6.4).
"""

from __future__ import annotations

import pytest

from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.control import MtuProbe
from tests.rudp.cable import ALICE, Cable, Node

ORDERED = DeliveryMethod.RELIABLE_ORDERED


def under_way(cable: Cable, node: Node) -> int:
    """
    How many of many messages leave before an ack comes.
    """
    for _ in range(200):
        node.endpoint.send(node.connection, b"x", ORDERED)
    node.endpoint.datagrams_to_send(cable.now)
    return node.connection.traffic.in_flight


def talking() -> tuple[Cable, Node, Node]:
    """
    Bob has yet to see what Alice is.
    """
    cable = Cable(0.001)
    alice, bob = cable.pair()
    return cable, alice, bob


def test_at_first_eight_are_kept_back() -> None:
    cable, _, bob = talking()
    assert under_way(cable, bob) == 56


def test_our_own_kind_gets_all_of_it() -> None:
    """
    It is known by the sizes that it asks for after a second, all at once.
    """
    cable, alice, bob = talking()
    cable.run(2.0)
    assert under_way(cable, bob) == 64
    assert under_way(cable, alice) == 64


@pytest.mark.parametrize("seconds", [0.25, 1.0])
def test_who_asks_for_one_size_after_the_other_may_be_the_reference(seconds: float) -> None:
    cable, _, bob = talking()
    for size in (1164, 1392, 1404, 1424, 1432):
        bob.receive(MtuProbe(bob.connection.number, size).encode(), ALICE)
        cable.now += seconds
    assert under_way(cable, bob) == 56


def test_a_probe_that_comes_twice_says_nothing() -> None:
    cable, _, bob = talking()
    for _ in range(3):
        bob.receive(MtuProbe(bob.connection.number, 1164).encode(), ALICE)
    assert under_way(cable, bob) == 56


def test_a_smaller_limit_of_ones_own_holds_until_then() -> None:
    cable = Cable(0.001)
    _, bob = cable.pair(max_in_flight=10)
    assert under_way(cable, bob) == 10
