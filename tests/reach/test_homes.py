"""
Two in one home, behind two NATs in a row, or with a namesake next door.
"""

from __future__ import annotations

import pytest

from p2pnet.reach.agent import NoPathFound, PathNominated
from p2pnet.reach.candidates import CandidateKind
from p2pnet.reach.mapping import NatMapping
from p2pnet.wire.constants import Address
from tests.reach.nats import Host, Internet, Load, Match, Nat, Net
from tests.reach.parties import Scene


def one_home(*, hairpin: bool) -> Scene:
    """
    Both behind one router.
    """

    def hosts(internet: Internet) -> tuple[Host, Host]:
        home = Net(internet)
        Nat(home, internet.public, "203.0.113.1", hairpin=hairpin)
        return Host(home, "192.168.1.10"), Host(home, "192.168.1.11")

    return Scene(hosts=hosts)


def two_homes_of_one_provider(*, hairpin: bool) -> Scene:
    """
    Each behind a router of their own, and all of them behind the provider's.
    """

    def hosts(internet: Internet) -> tuple[Host, Host]:
        provider = Net(internet)
        Nat(provider, internet.public, "203.0.113.1", hairpin=hairpin)
        homes = []
        for number in (1, 2):
            home = Net(internet)
            Nat(home, provider, f"100.64.0.{number}")
            # The same numbers in both homes.
            homes.append(Host(home, "192.168.1.10"))
        return homes[0], homes[1]

    return Scene(hosts=hosts)


@pytest.mark.parametrize("hairpin", [True, False])
def test_in_one_home_the_way_within_it_wins(hairpin: bool) -> None:
    scene = one_home(hairpin=hairpin)
    scene.begin()
    assert scene.agree(within=0.3) < 0.1
    for party, other in (scene.parties, scene.parties[::-1]):
        assert party.nominated is not None
        assert party.nominated.kind is CandidateKind.HOST
        assert party.nominated.path.remote == other.host.address
        assert len(party.told(PathNominated)) == 1


def test_in_one_home_the_way_within_it_wins_though_its_first_probe_is_lost() -> None:
    """
    The router turns ours round in a millisecond; it is worth thirty to stay inside.
    """
    scene = one_home(hairpin=True)
    lost: list[Address] = []

    def first_inside(target: Address) -> bool:
        if target[0].startswith("192.168.") and len(lost) < 1:
            lost.append(target)
            return True
        return False

    scene.observe()
    scene.internet.drop = lambda sent: first_inside(sent.target)
    for party in scene.parties:
        party.begin()
    scene.caller.told_of(scene.callee)
    scene.callee.told_of(scene.caller)
    scene.agree(within=0.3)
    assert scene.caller.nominated is not None
    assert scene.caller.nominated.kind is CandidateKind.HOST


def test_a_router_that_turns_round_joins_those_who_do_not_know_their_own_addresses() -> None:
    scene = one_home(hairpin=True)
    scene.observe()
    for party, other in (scene.parties, scene.parties[::-1]):
        party.begin()
        party.told_of(other, other.candidates()[:1])
    scene.agree(within=0.3)


def test_without_their_own_addresses_and_without_that_there_is_no_way() -> None:
    scene = one_home(hairpin=False)
    scene.observe()
    for party, other in (scene.parties, scene.parties[::-1]):
        party.begin()
        party.told_of(other, other.candidates()[:1])
    scene.internet.run(10.0)
    assert [party.told(NoPathFound) for party in scene.parties] == [[NoPathFound()]] * 2


def test_two_nats_in_a_row_on_both_sides_are_crossed() -> None:
    def hosts(internet: Internet) -> tuple[Host, Host]:
        found = []
        for number in (1, 2):
            provider, home = Net(internet), Net(internet)
            Nat(provider, internet.public, f"203.0.113.{number}", filtering=Match.HOST)
            Nat(home, provider, "100.64.0.7")
            found.append(Host(home, "192.168.1.10"))
        return found[0], found[1]

    scene = Scene(hosts=hosts)
    scene.begin()
    assert scene.caller.mapping is NatMapping.ENDPOINT_INDEPENDENT
    scene.agree(within=0.3)


def test_behind_one_provider_its_router_has_to_turn_round() -> None:
    """
    They are seen at one public address, so each tries the other's numbers at home, and asks itself.
    """
    scene = two_homes_of_one_provider(hairpin=True)
    scene.begin()
    scene.agree(within=0.3)
    assert scene.caller.nominated is not None
    assert scene.caller.nominated.path.remote == scene.callee.observed
    assert scene.caller.agent is not None
    assert scene.caller.agent.drops > 0
    scene = two_homes_of_one_provider(hairpin=False)
    scene.begin()
    scene.internet.run(0.5)
    scene.open_relay(scene.caller)
    scene.agree()
    assert not scene.callee.is_direct


def test_a_namesake_in_the_own_home_is_not_taken_for_the_other_one() -> None:
    """
    At the address that the callee has at home there is somebody else in the caller's home, and
    sends everything back.
    """
    echoed = []

    def hosts(internet: Internet) -> tuple[Host, Host]:
        homes = [Net(internet), Net(internet)]
        # Hosts of one public address, but not in one network: a provider's, say.
        outer = Net(internet)
        Nat(outer, internet.public, "203.0.113.1", hairpin=True)
        for number, home in enumerate(homes):
            Nat(home, outer, f"100.64.0.{number}")
        namesake = Host(homes[0], "192.168.1.20")

        def echo(load: Load, source: Address) -> None:
            echoed.append(load)
            namesake.send(source, load)

        namesake.received = echo
        return Host(homes[0], "192.168.1.10"), Host(homes[1], "192.168.1.20")

    scene = Scene(hosts=hosts)
    scene.begin()
    scene.agree(within=0.3)
    assert echoed
    assert scene.caller.nominated is not None
    assert scene.caller.nominated.path.remote == scene.callee.observed


def test_those_who_are_apart_do_not_try_private_addresses() -> None:
    scene = Scene("port", "port")
    scene.begin()
    scene.agree()
    for party in scene.parties:
        assert party.agent is not None
        assert [tried.path.remote[0][:8] for tried in party.agent.tried()] == ["203.0.11"]
