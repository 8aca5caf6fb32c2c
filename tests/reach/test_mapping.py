"""
What several observers' words say about a NAT.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from p2pnet.reach.mapping import NatMapping, Observation, classify
from p2pnet.wire.constants import Address

A1: Address = ("192.0.2.1", 9050)
A2: Address = ("192.0.2.1", 9051)
B1: Address = ("192.0.2.2", 9050)
B2: Address = ("192.0.2.2", 9051)
X: Address = ("203.0.113.1", 4000)
Y: Address = ("203.0.113.1", 4001)
Z: Address = ("203.0.113.2", 4000)
OWN = ["192.168.1.10", "2001:db8::10"]


def words(*pairs: tuple[Address, Address]) -> list[Observation]:
    return [Observation(observer, seen) for observer, seen in pairs]


@pytest.mark.parametrize(
    ("observations", "mapping"),
    [
        ([], NatMapping.UNKNOWN),
        (words((A1, X)), NatMapping.UNKNOWN),
        (words((A1, X), (A2, X)), NatMapping.PORT_INDEPENDENT),
        (words((A1, X), (A2, Y)), NatMapping.ADDRESS_AND_PORT_DEPENDENT),
        (words((A1, X), (B1, X)), NatMapping.ENDPOINT_INDEPENDENT),
        (words((A1, X), (B1, Y)), NatMapping.ADDRESS_DEPENDENT),
        (words((A1, X), (B1, Z)), NatMapping.ADDRESS_DEPENDENT),
        (words((A1, X), (A2, X), (B2, X)), NatMapping.ENDPOINT_INDEPENDENT),
        (words((A1, X), (A2, X), (B2, Y)), NatMapping.ADDRESS_DEPENDENT),
        (words((A1, X), (A2, Y), (B2, Z)), NatMapping.ADDRESS_AND_PORT_DEPENDENT),
        (words((A1, X), (B1, Y), (B2, Z)), NatMapping.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
def test_the_kind_is_told_whoever_answers_first(
    observations: list[Observation], mapping: NatMapping
) -> None:
    for order in permutations(observations):
        assert classify(order, OWN) is mapping


def test_one_observer_tells_that_there_is_no_nat() -> None:
    assert classify(words((A1, ("192.168.1.10", 4000))), OWN) is NatMapping.NONE
    assert classify(words((A1, ("192.168.1.11", 4000))), OWN) is NatMapping.UNKNOWN
    assert classify(words((("127.0.0.1", 9050), ("127.0.0.1", 4000))), OWN) is NatMapping.NONE


def test_an_observer_at_home_says_nothing_of_the_router() -> None:
    home = ("192.168.1.2", 9050), ("192.168.1.10", 4000)
    assert classify(words(home, (A1, X)), OWN) is NatMapping.UNKNOWN
    assert classify(words(home, (A1, X), (B1, X)), OWN) is NatMapping.ENDPOINT_INDEPENDENT
    assert classify(words(home, (A1, X), (A2, Y)), OWN) is NatMapping.ADDRESS_AND_PORT_DEPENDENT


def test_the_two_ip_versions_are_not_compared() -> None:
    six = ("2001:db8:1::1", 9050), ("2001:db8:2::9", 4000)
    assert classify(words((A1, X), six), OWN) is NatMapping.UNKNOWN
    assert classify(words((A1, X), six, (B1, X)), OWN) is NatMapping.ENDPOINT_INDEPENDENT
    assert classify(words(six, (A1, X), (A2, Y)), OWN) is NatMapping.UNKNOWN


def test_only_two_kinds_cannot_be_foreseen() -> None:
    unforeseeable = {mapping for mapping in NatMapping if not mapping.foreseeable}
    assert unforeseeable == {NatMapping.ADDRESS_DEPENDENT, NatMapping.ADDRESS_AND_PORT_DEPENDENT}
