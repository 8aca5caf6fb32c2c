"""
Two behind NATs of every kind find a path, and mean the same one.
"""

from __future__ import annotations

from itertools import product

import pytest

from p2pnet.reach.agent import NoPathFound, PathNominated, PathProven
from p2pnet.reach.candidates import CandidateKind
from p2pnet.reach.mapping import NatMapping
from tests.reach.nats import Match, Sent
from tests.reach.parties import KINDS, Party, Scene, needs_relay

PAIRS = list(product(KINDS, repeat=2))
DIRECT = [pair for pair in PAIRS if not needs_relay(*pair)]
HARD = [pair for pair in PAIRS if needs_relay(*pair)]
SEEDS = range(20)


def test_the_pairs_without_a_technique_are_three() -> None:
    assert HARD == [("port", "symmetric"), ("symmetric", "port"), ("symmetric", "symmetric")]


@pytest.mark.parametrize(("caller", "callee"), DIRECT)
def test_a_direct_path_is_found_in_three_tenths_of_a_second(caller: str, callee: str) -> None:
    scene = Scene(caller, callee)
    scene.begin()
    assert scene.agree(within=0.3) < 0.3
    assert scene.is_direct()
    for party in scene.parties:
        assert len(party.told(PathNominated)) == 1


@pytest.mark.parametrize(("caller", "callee"), DIRECT)
def test_a_fifth_lost_at_each_router_costs_seconds_at_most(caller: str, callee: str) -> None:
    """
    36 of 100 datagrams are lost on each way: nineteen of twenty are through within three seconds.
    """
    took = []
    for seed in SEEDS:
        scene = Scene(caller, callee, seed=seed, loss=0.2)
        scene.begin()
        took.append(scene.agree(within=10.0))
        assert scene.is_direct(), scene.story()
    assert sorted(took)[18] < 3.0


@pytest.mark.parametrize(("caller", "callee"), HARD)
def test_where_there_is_no_technique_nothing_is_claimed(caller: str, callee: str) -> None:
    scene = Scene(caller, callee)
    scene.begin()
    scene.internet.run(20.0)
    for party in scene.parties:
        assert [event for _, event in party.events] == [NoPathFound()]
        assert party.events[0][0] == pytest.approx(1008.5, abs=0.01)
        assert party.agent is not None
        assert party.agent.is_over(scene.internet.now)
        assert party.agent.next_timeout() is None
        assert all(tried.round_trip is None for tried in party.agent.tried())


@pytest.mark.parametrize("loss", [0.0, 0.2])
@pytest.mark.parametrize("whose", ["caller", "callee", "both"])
@pytest.mark.parametrize(("caller", "callee"), HARD)
def test_one_relay_is_enough_and_two_do_no_harm(
    caller: str, callee: str, whose: str, loss: float
) -> None:
    for seed in range(5):
        scene = Scene(caller, callee, seed=seed, loss=loss)
        scene.begin()
        scene.internet.run(0.3)
        for party in scene.parties:
            if whose in (party.role.value, "both"):
                scene.open_relay(party)
        scene.agree(within=8.0)
        assert not scene.caller.is_direct, scene.story()
        assert not scene.callee.is_direct, scene.story()


def test_a_relay_that_is_there_at_once_does_not_win_over_a_direct_path() -> None:
    scene = Scene("port", "port")
    scene.begin()
    dropped: list[Sent] = []

    def first_direct_ones(sent: Sent) -> bool:
        direct = isinstance(sent.load, bytes)
        if direct and len(dropped) < 12:
            dropped.append(sent)
        return direct and sent in dropped

    scene.internet.drop = first_direct_ones
    scene.open_relay(scene.caller)
    scene.agree(within=1.0)
    assert any(event.path.relayed for event in scene.caller.told(PathProven)), scene.story()
    assert scene.is_direct()
    assert len(scene.caller.told(PathNominated)) == 1


@pytest.mark.parametrize("whose", ["caller", "callee"])
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_a_relayed_session_moves_to_a_direct_path_that_opens_later(whose: str, loss: float) -> None:
    """
    The router that kept strangers out is set to let them in.
    """
    for seed in range(5):
        scene = Scene("symmetric", "port", seed=seed, loss=loss)
        scene.begin()
        scene.internet.run(0.3)
        relaying = scene.caller if whose == "caller" else scene.callee
        scene.open_relay(relaying)
        scene.agree(within=8.0)
        scene.internet.run(60.0)
        assert not scene.caller.is_direct
        for party in scene.parties:
            assert party.agent is not None
            assert not party.agent.is_over(scene.internet.now)
        scene.nats[scene.callee.role].filtering = Match.NOTHING
        assert scene.internet.run_until(scene.is_direct, 60.0 if loss else 12.0), scene.story()
        scene.check()
        assert scene.is_direct(), scene.story()


def test_a_relayed_session_that_stays_so_costs_little() -> None:
    scene = Scene("symmetric", "symmetric")
    scene.begin()
    scene.internet.run(0.3)
    scene.open_relay(scene.caller)
    scene.agree()
    scene.internet.run(30.0)
    scene.internet.sent.clear()
    scene.internet.run(600.0)
    # Each probes one or two addresses every ten seconds.
    assert 100 < len(scene.internet.sent) <= 4 * 61


@pytest.mark.parametrize("lost", range(20))
@pytest.mark.parametrize(
    ("caller", "callee"),
    [("none", "none"), ("port", "port"), ("none", "symmetric"), ("symmetric", "addr")],
)
def test_any_one_datagram_may_be_lost(caller: str, callee: str, lost: int) -> None:
    scene = Scene(caller, callee)
    seen: list[Sent] = []

    def the_chosen(sent: Sent) -> bool:
        seen.append(sent)
        return len(seen) == lost + 1

    scene.observe()
    scene.internet.drop = the_chosen
    for party in scene.parties:
        party.begin()
    scene.caller.told_of(scene.callee)
    scene.callee.told_of(scene.caller)
    scene.agree(within=1.0)
    assert scene.is_direct()


@pytest.mark.parametrize("lost", range(20))
def test_any_one_datagram_may_be_lost_on_the_way_to_a_relay(lost: int) -> None:
    scene = Scene("symmetric", "port")
    scene.begin()
    scene.internet.run(0.5)
    seen: list[Sent] = []

    def the_chosen(sent: Sent) -> bool:
        seen.append(sent)
        return len(seen) == lost + 1

    scene.internet.drop = the_chosen
    scene.open_relay(scene.caller)
    scene.agree(within=2.0)


@pytest.mark.parametrize(("caller", "callee"), [("port", "port"), ("symmetric", "none")])
def test_late_doubled_and_lost_datagrams_do_not_part_them(caller: str, callee: str) -> None:
    """
    A relay is open as well, so that there is more than one path to choose.
    """
    for seed in range(30):
        scene = Scene(caller, callee, seed=seed, loss=0.1)
        scene.internet.doubled = 0.3
        scene.internet.jitter = 0.2
        scene.begin()
        scene.open_relay(scene.callee)
        scene.agree(within=10.0)
        scene.internet.run(30.0)
        scene.check()
        assert scene.is_direct(), scene.story()


def test_a_callee_that_begins_two_seconds_later_is_reached() -> None:
    scene = Scene("port", "port")
    scene.observe()
    scene.caller.begin()
    scene.caller.told_of(scene.callee)
    scene.internet.run(2.0)
    scene.callee.begin()
    scene.callee.told_of(scene.caller)
    scene.agree(within=0.5)


def test_candidates_that_come_late_are_tried() -> None:
    scene = Scene("port", "port")
    scene.observe()
    for party in scene.parties:
        party.begin()
    scene.internet.run(3.0)
    scene.caller.told_of(scene.callee)
    scene.internet.run(0.7)
    scene.callee.told_of(scene.caller)
    scene.agree(within=0.5)


@pytest.mark.parametrize(
    ("kind", "mapping"),
    [
        ("none", NatMapping.NONE),
        ("full", NatMapping.ENDPOINT_INDEPENDENT),
        ("port", NatMapping.ENDPOINT_INDEPENDENT),
        ("symmetric", NatMapping.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
def test_each_nat_is_known_for_what_it_does(kind: str, mapping: NatMapping) -> None:
    scene = Scene(kind, "none")
    scene.observe()
    assert scene.caller.mapping is mapping


@pytest.mark.parametrize("partner", ["none", "full", "addr"])
def test_a_nat_that_looks_at_hosts_alone_is_known_and_traversed(partner: str) -> None:
    scene = Scene("port", partner)
    nat = scene.nats[scene.caller.role]
    nat.mapping = nat.filtering = Match.HOST
    scene.begin()
    assert scene.caller.mapping is NatMapping.ADDRESS_DEPENDENT
    scene.agree(within=0.3)
    assert scene.is_direct()


def test_the_same_search_sends_no_more_than_it_has_to() -> None:
    """
    Four probes and their answers each, where the first one gets through.
    """
    scene = Scene("none", "none")
    scene.begin()
    scene.agree(within=0.3)
    scene.internet.run(30.0)
    probes: dict[Party, int] = {
        party: sum(sent.host is party.host for sent in scene.internet.sent)
        for party in scene.parties
    }
    assert all(number <= 10 for number in probes.values()), probes


def test_what_is_in_use_is_told_by_what_it_is() -> None:
    scene = Scene("symmetric", "addr")
    scene.begin()
    scene.agree()
    assert scene.caller.nominated is not None
    assert scene.callee.nominated is not None
    assert scene.caller.nominated.kind is CandidateKind.OBSERVED
    assert scene.callee.nominated.kind is CandidateKind.SEEN
    assert scene.caller.nominated.round_trip == pytest.approx(0.041, abs=0.001)
