"""
How people were reached, and whether strangers can reach us: for a person.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from p2pnet.chat.dialing import MAX_SOUGHT
from p2pnet.chat.paths import Way, way_to
from p2pnet.interfaces import Address, DialFailed, Reachability
from p2pnet.reach.agent import Role
from p2pnet.reach.candidates import CandidateKind, Path
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.outcome import RELAY_NOT_NEEDED, Outcome, Reached, explain
from tests.chat.stage import ALICE, BOB, CAROL, Node, Screen, Stage

HOME: Address = ("192.0.2.2", 9050)
"""Where the town has bob."""
RELAY: Address = ("203.0.113.9", 49160)
HIDDEN: Address = ("100::5", 7)
"""The engine's own name for somebody behind our relay."""

DIRECT = Outcome(
    peer_id=str(BOB),
    username="bob",
    role=Role.CALLER,
    started=1.7e9,
    took=0.3,
    our_mapping=NatMapping.ENDPOINT_INDEPENDENT,
    their_mapping=NatMapping.NONE,
    ours=(),
    theirs=(),
    tried=(),
    relay=RELAY_NOT_NEEDED,
    result=Reached.DIRECT,
    path=Path(HOME),
    kind=CandidateKind.OBSERVED,
    round_trip=0.02,
)
THROUGH_OURS = replace(
    DIRECT,
    result=Reached.RELAYED,
    path=Path(HOME, relayed=True),
    relay="203.0.113.9:49160 at turn.example:3478",
)
THROUGH_THEIRS = replace(
    DIRECT, result=Reached.RELAYED, path=Path(RELAY), kind=CandidateKind.RELAYED
)
FAILED = replace(DIRECT, result=Reached.FAILED, path=None, kind=None, reason="no-path")


@pytest.mark.parametrize(
    ("address", "outcome", "way", "shown"),
    [
        (HOME, None, Way(False, "192.0.2.2:9050"), "192.0.2.2:9050"),
        (HOME, DIRECT, Way(False, "192.0.2.2:9050"), "192.0.2.2:9050"),
        (HOME, FAILED, Way(False, "192.0.2.2:9050"), "192.0.2.2:9050"),
        # They have gone on to a direct path, of which the record came first.
        (HOME, THROUGH_THEIRS, Way(False, "192.0.2.2:9050"), "192.0.2.2:9050"),
        (("2001:db8::1", 5), None, Way(False, "[2001:db8::1]:5"), "[2001:db8::1]:5"),
        (
            RELAY,
            THROUGH_THEIRS,
            Way(True, "203.0.113.9:49160"),
            "relayed through 203.0.113.9:49160",
        ),
        (
            HIDDEN,
            THROUGH_OURS,
            Way(True, "203.0.113.9:49160 at turn.example:3478"),
            "relayed through 203.0.113.9:49160 at turn.example:3478",
        ),
        (HIDDEN, DIRECT, Way(True, "our relay"), "relayed through our relay"),
        (HIDDEN, None, Way(True, "our relay"), "relayed through our relay"),
    ],
)
def test_the_way_to_somebody_is_named(
    address: Address, outcome: Outcome | None, way: Way, shown: str
) -> None:
    assert way_to(address, outcome) == way
    assert str(way) == shown


def pair(**options: Any) -> tuple[Stage, Node, Screen]:
    stage = Stage()
    alice, bob = stage.node(ALICE, "alice", **options), stage.node(BOB, "bob")
    assert bob.chat.running
    return stage, alice, alice.screen()


def test_stats_and_who_tell_relayed_from_direct_and_see_it_change() -> None:
    stage, alice, screen = pair()
    alice.rendezvous.nat = NatMapping.ADDRESS_DEPENDENT
    alice.rendezvous.outcomes[str(BOB)] = THROUGH_OURS
    screen.type("/connect bob")
    stage.wait(0.02)
    stage.town.entries[str(BOB)] = replace(stage.town.entries[str(BOB)], address=HIDDEN)
    stage.wait()
    relayed = "relayed through 203.0.113.9:49160 at turn.example:3478"
    assert f"*** connected to bob ({relayed})" in screen.read()
    screen.type("/who", "/stats")
    shown = screen.read()
    assert f"***   bob (id {BOB}, {relayed}, has the focus)" in shown
    assert "*** our NAT: address-dependent" in shown
    assert shown[-1].startswith(f"*** bob: {relayed}, round trip ")
    alice.rendezvous.outcomes[str(BOB)] = DIRECT
    stage.town.pairs[0][0].move(HOME)
    screen.type("/who", "/stats")
    shown = screen.read()
    assert f"***   bob (id {BOB}, 192.0.2.2:9050, has the focus)" in shown
    assert shown[-1].startswith("*** bob: direct, round trip ")


def test_why_explains_somebody_we_talk_to_by_id_name_and_label() -> None:
    stage, alice, screen = pair()
    stage.node(CAROL, "bob").screen().type("/connect alice")
    screen.type("/connect bob#bbbb")
    stage.wait()
    screen.read()
    alice.rendezvous.outcomes[str(BOB)] = DIRECT
    first, *others = explain(DIRECT)
    for who in (str(BOB), str(BOB).upper(), "bob#bbbb"):
        screen.type(f"/why {who}")
        assert screen.read() == [f"*** {who}: {first}", *(f"***   {line}" for line in others)]
    screen.type("/why bob", "/why bob#cccc")
    ambiguous, nothing = screen.read()
    assert '2 are called "bob"' in ambiguous
    assert nothing == "*** nothing is known of a dial to bob#cccc"


def test_why_explains_somebody_who_was_not_reached() -> None:
    stage, alice, screen = pair()
    stage.town.enter(str(CAROL), "bob")
    alice.rendezvous.refuses = DialFailed("no-path", "no path")
    alice.rendezvous.outcomes[str(BOB)] = FAILED
    alice.rendezvous.outcomes[str(CAROL)] = replace(DIRECT, peer_id=str(CAROL))
    screen.type("/connect bob#bbbb", "/connect bob#cccc")
    stage.wait()
    screen.read()
    failed = explain(FAILED)[0]
    screen.type(f"/why {BOB}", "/why bob#bbbb", "/why bob#cccc", "/why bob", "/why carol")
    shown = [line for line in screen.read() if not line.startswith("***   ")]
    assert shown == [
        f"*** {BOB}: {failed}",
        f"*** bob#bbbb: {failed}",
        f"*** bob#cccc: {explain(DIRECT)[0]}",
        # The newest, as the rendezvous has it.
        f"*** bob: {explain(DIRECT)[0]}",
        "*** nothing is known of a dial to carol",
    ]


def test_people_looked_for_are_forgotten_in_the_end() -> None:
    stage, alice, screen = pair()
    alice.rendezvous.refuses = DialFailed("no-path", "no path")
    for number in range(MAX_SOUGHT + 1):
        peer_id = f"{number:08x}-0000-4000-8000-000000000000"
        stage.town.enter(peer_id, f"peer {number}")
        alice.rendezvous.outcomes[peer_id] = replace(FAILED, peer_id=peer_id, username="-")
        screen.type(f'/connect "peer {number}"')
        stage.wait(0.05)
    screen.read()
    screen.type('/why "peer 0#0000"', '/why "peer 1#0000"')
    shown = screen.read()
    assert shown[0] == "*** nothing is known of a dial to peer 0#0000"
    assert shown[1] == f"*** peer 1#0000: {explain(FAILED)[0]}"


def test_reach_tells_what_a_stranger_finds() -> None:
    _, alice, screen = pair()
    address = ("203.0.113.5", 4000)
    alice.rendezvous.found = Reachability(address, True, "LiteNetLib, protocol 11", 0.0123)
    screen.type("/reach")
    alice.rendezvous.found = Reachability(address, False, None, None)
    screen.type("/reach", "/reach 4000")
    assert screen.read() == [
        "*** 203.0.113.5:4000 is reachable from outside: LiteNetLib, protocol 11 answered in 12 ms",
        "*** nothing came back from 203.0.113.5:4000: a stranger cannot reach you there,"
        " who you dial can",
        "*** nothing came back from 203.0.113.5:4000: a stranger cannot reach you there",
    ]
    assert alice.rendezvous.probes == [None, None, 4000]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "4000.0", "four", "٤", "9" * 5000])
def test_a_bad_port_is_named(port: str) -> None:
    _, alice, screen = pair()
    screen.type(f"/reach {port}")
    assert screen.read() == [f'*** PORT is 1 to 65535, not "{port[:64]}"']
    assert alice.rendezvous.probes == []


def test_reach_says_why_it_cannot_find_out() -> None:
    _, alice, screen = pair()
    alice.rendezvous.unreachable = True
    screen.type("/reach")
    assert screen.read() == ["*** cannot find out: the rendezvous does not answer"]
