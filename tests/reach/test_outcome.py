"""
The record of a dial, and what it says to a person.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.reach.agent import Role
from p2pnet.reach.candidates import Candidate, CandidateKind, Path
from p2pnet.reach.checks import Tried
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.outcome import (
    RELAY_NOT_CONFIGURED,
    RELAY_NOT_NEEDED,
    Outcome,
    Outcomes,
    Reached,
    explain,
)
from p2pnet.wire.constants import Address
from tests.reach.parties import Party, Scene

BOB: Address = ("203.0.113.2", 4000)
INNER: Address = ("192.168.1.2", 4000)
RELAY: Address = ("192.0.2.100", 50000)
CONE = NatMapping.ENDPOINT_INDEPENDENT
SYMMETRIC = NatMapping.ADDRESS_AND_PORT_DEPENDENT

FAILED = Outcome(
    peer_id="b0b",
    username="bob",
    role=Role.CALLER,
    started=1_700_000_000.0,
    took=8.0,
    our_mapping=CONE,
    their_mapping=SYMMETRIC,
    ours=(),
    theirs=(Candidate(CandidateKind.OBSERVED, BOB),),
    tried=(Tried(Path(BOB), CandidateKind.OBSERVED, 36, False, None),),
    relay=RELAY_NOT_CONFIGURED,
    result=Reached.FAILED,
    reason="no-path",
)
DIRECT = replace(
    FAILED,
    their_mapping=CONE,
    took=0.31,
    tried=(
        Tried(Path(INNER), CandidateKind.HOST, 4, False, None),
        Tried(Path(BOB), CandidateKind.OBSERVED, 3, True, 0.0234),
    ),
    relay=RELAY_NOT_NEEDED,
    result=Reached.DIRECT,
    path=Path(BOB),
    kind=CandidateKind.OBSERVED,
    round_trip=0.0234,
    reason=None,
)


def test_a_direct_path_is_told_with_what_else_was_tried() -> None:
    assert explain(DIRECT) == [
        "direct, by 203.0.113.2:4000 (where the rendezvous sees them), answered in 23 ms; "
        "found in 0.3 s",
        "answered: 203.0.113.2:4000 in 23 ms",
        "nothing came back for 4 probes: 192.168.1.2:4000",
        "our NAT: shows everybody the same address",
        "their NAT: shows everybody the same address",
    ]


def test_a_symmetric_nat_without_a_relay_is_told_for_what_it_is() -> None:
    assert explain(FAILED) == [
        "no path to them was found (after 8.0 s)",
        "nothing came back for 36 probes: 203.0.113.2:4000",
        "our NAT: shows everybody the same address",
        "their NAT: shows every partner another address (symmetric)",
        "their NAT gives every partner another address, which we cannot know, and our NAT seems to "
        "let in only who we wrote to: that needs a relay, and none is configured",
        "our relay: not configured",
    ]


def test_the_way_through_a_relay_is_told_with_the_reason() -> None:
    relayed = replace(
        FAILED,
        tried=(
            *FAILED.tried,
            Tried(Path(BOB, relayed=True), CandidateKind.OBSERVED, 3, True, 0.05),
        ),
        relay="192.0.2.100:50000 at 192.0.2.100:3478",
        result=Reached.RELAYED,
        path=Path(BOB, relayed=True),
        kind=CandidateKind.OBSERVED,
        round_trip=0.05,
        reason=None,
        took=1.2,
    )
    lines = explain(relayed)
    assert lines[0] == (
        "relayed, by 203.0.113.2:4000 (where the rendezvous sees them) through our relay, "
        "answered in 50 ms; found in 1.2 s"
    )
    assert "answered: 203.0.113.2:4000 through our relay in 50 ms" in lines
    assert lines[-2].startswith("their NAT gives every partner another address")
    assert "needs a relay" not in lines[-2]
    assert lines[-1] == "our relay: 192.0.2.100:50000 at 192.0.2.100:3478"


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (SYMMETRIC, SYMMETRIC, "both NATs give every partner another address"),
        (NatMapping.ADDRESS_DEPENDENT, SYMMETRIC, "both NATs give every partner another address"),
        (CONE, SYMMETRIC, "our NAT seems to let in only who we wrote to"),
        (NatMapping.NONE, SYMMETRIC, "our firewall seems to let in only who we wrote to"),
        (SYMMETRIC, CONE, "their NAT seems to let in only who they wrote to"),
        (SYMMETRIC, NatMapping.NONE, "their firewall seems to let in only who they wrote to"),
        (NatMapping.UNKNOWN, CONE, "not both NATs are known"),
        (CONE, NatMapping.UNKNOWN, "not both NATs are known"),
        (CONE, CONE, "the NATs would allow it"),
        (NatMapping.NONE, NatMapping.NONE, "the NATs would allow it"),
        (CONE, NatMapping.PORT_INDEPENDENT, "the NATs would allow it"),
    ],
)
def test_each_pair_of_nats_has_its_reason(ours: NatMapping, theirs: NatMapping, words: str) -> None:
    lines = explain(replace(FAILED, our_mapping=ours, their_mapping=theirs))
    (cause,) = [line for line in lines if words in line]
    hopeless = not (ours.foreseeable and theirs.foreseeable)
    assert ("that needs a relay, and none is configured" in cause) is hopeless


def test_a_relay_that_failed_is_told_with_its_own_words() -> None:
    lines = explain(replace(FAILED, relay="none to be had: no answer from 192.0.2.100:3478"))
    assert lines[-2].endswith(": that needs a relay")
    assert lines[-1] == "our relay: none to be had: no answer from 192.0.2.100:3478"


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        ((), "no direct path was tried"),
        (
            (Tried(Path(BOB), CandidateKind.OBSERVED, 0, False, None),),
            "no direct path was tried",
        ),
        (
            (Tried(Path(RELAY), CandidateKind.RELAYED, 9, False, None),),
            "no direct path was tried",
        ),
        (
            (Tried(Path(BOB), CandidateKind.OBSERVED, 9, True, None),),
            "their probes came in, but none of ours was answered: one way is blocked or bad",
        ),
        (
            (Tried(Path(BOB), CandidateKind.OBSERVED, 9, True, 0.1),),
            "a direct path has answered, but the two sides have not agreed on it",
        ),
    ],
)
def test_the_nats_are_not_blamed_where_the_record_says_otherwise(
    tried: tuple[Tried, ...], words: str
) -> None:
    assert words in explain(replace(FAILED, tried=tried))


def test_where_nothing_was_tried_that_is_said() -> None:
    assert explain(replace(FAILED, tried=()))[1] == "we know one address of theirs, and tried none"
    nothing = explain(replace(FAILED, tried=(), theirs=()))
    assert nothing[1] == "we were told of no address of theirs that can be tried"


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("unknown", "there is nobody of that name or id (after 8.0 s)"),
        ("offline", "they are offline (after 8.0 s)"),
        ("unavailable", "the rendezvous was of no help (after 8.0 s)"),
        ("self", "that is us (after 8.0 s)"),
        ("ambiguous", "several are called so (after 8.0 s)"),
    ],
)
def test_who_was_not_looked_for_was_not_missed_for_want_of_a_path(reason: str, line: str) -> None:
    assert explain(replace(FAILED, tried=(), reason=reason)) == [line]


def test_a_refusal_over_a_path_does_not_blame_the_path() -> None:
    refused = replace(DIRECT, result=Reached.FAILED, reason="rejected", took=0.5)
    assert explain(refused) == [
        "they refused (after 0.5 s)",
        "answered: 203.0.113.2:4000 in 23 ms",
        "nothing came back for 4 probes: 192.168.1.2:4000",
        "our NAT: shows everybody the same address",
        "their NAT: shows everybody the same address",
    ]


def test_many_addresses_are_not_all_listed() -> None:
    tried = tuple(
        Tried(Path((f"203.0.113.{n}", 9)), CandidateKind.HOST, 1, False, None) for n in range(16)
    )
    (line,) = [line for line in explain(replace(FAILED, tried=tried)) if "came back" in line]
    assert line == (
        "nothing came back for 16 probes: 203.0.113.0:9, 203.0.113.1:9, 203.0.113.2:9, "
        "203.0.113.3:9 and 12 more"
    )


def test_an_ipv6_address_stands_in_brackets() -> None:
    path = Path(("2001:db8::1", 4000))
    assert "[2001:db8::1]:4000" in explain(replace(DIRECT, path=path))[0]


def record(scene: Scene, party: Party, other: Party) -> Outcome:
    """
    What the party would keep of its search.
    """
    assert party.agent is not None
    last = party.nominated
    result = Reached.FAILED
    if last is not None:
        result = Reached.DIRECT if party.is_direct else Reached.RELAYED
    return Outcome(
        peer_id="them",
        username="them",
        role=party.role,
        started=0.0,
        took=scene.internet.now - 1000.5,
        our_mapping=party.mapping,
        their_mapping=other.mapping,
        ours=tuple(party.candidates()),
        theirs=tuple(other.candidates()),
        tried=tuple(party.agent.tried()),
        relay=RELAY_NOT_CONFIGURED,
        result=result,
        path=None if last is None else last.path,
        kind=None if last is None else last.kind,
        round_trip=None if last is None else last.round_trip,
        reason=None if last is not None else "no-path",
    )


def test_real_searches_are_explained_as_they_went() -> None:
    scene = Scene("port", "symmetric")
    scene.begin()
    scene.internet.run(10.0)
    ours = explain(record(scene, scene.caller, scene.callee))
    theirs = explain(record(scene, scene.callee, scene.caller))
    assert any("their NAT gives every partner another address" in line for line in ours)
    assert any("our NAT gives every partner another address" in line for line in theirs)
    scene = Scene("port", "port")
    scene.begin()
    scene.agree()
    lines = explain(record(scene, scene.caller, scene.callee))
    assert lines[0].startswith("direct, by 203.0.113.2:")
    assert not any("partner" in line or "relay" in line for line in lines)


mappings = st.sampled_from(list(NatMapping))
kinds = st.sampled_from(list(CandidateKind))
paths = st.builds(Path, st.sampled_from([BOB, INNER, RELAY, ("::1", 9)]), st.booleans())
trieds = st.builds(
    Tried, paths, kinds, st.integers(0, 99), st.booleans(), st.none() | st.floats(0, 9)
)


@given(
    st.builds(
        Outcome,
        peer_id=st.just("x"),
        username=st.text(),
        role=st.sampled_from(list(Role)),
        started=st.just(0.0),
        took=st.floats(0, 99),
        our_mapping=mappings,
        their_mapping=mappings,
        ours=st.just(()),
        theirs=st.lists(st.just(Candidate(CandidateKind.HOST, BOB)), max_size=2).map(tuple),
        tried=st.lists(trieds, max_size=48).map(tuple),
        relay=st.sampled_from([RELAY_NOT_NEEDED, RELAY_NOT_CONFIGURED, "lost: no answer"]),
        result=st.sampled_from(list(Reached)),
        path=st.none() | paths,
        kind=st.none() | kinds,
        round_trip=st.none() | st.floats(0, 9),
        reason=st.sampled_from([None, "no-path", "rejected", "offline", "something new"]),
    )
)
def test_any_record_is_explained_in_a_few_plain_lines(outcome: Outcome) -> None:
    lines = explain(outcome)
    assert 1 <= len(lines) <= 8
    assert all(line.isascii() and line.isprintable() and len(line) <= 240 for line in lines)


# ------------------------------------------------------------ the journal


def test_the_last_outcome_of_a_peer_is_kept() -> None:
    outcomes = Outcomes(10)
    outcomes.add(FAILED)
    outcomes.add(DIRECT)
    assert outcomes.of("b0b") is DIRECT
    assert outcomes.of("bob") is DIRECT
    assert outcomes.of("alice") is None
    assert len(outcomes) == 1


def test_it_remembers_a_limited_number_of_peers_the_oldest_goes() -> None:
    outcomes = Outcomes(3)
    for number in range(3):
        outcomes.add(replace(FAILED, peer_id=str(number)))
    outcomes.add(replace(FAILED, peer_id="0"))
    outcomes.add(replace(FAILED, peer_id="3"))
    assert len(outcomes) == 3
    assert [outcomes.of(str(number)) is not None for number in range(4)] == [1, 0, 1, 1]


def test_of_namesakes_the_newest_counts_and_an_id_before_a_name() -> None:
    outcomes = Outcomes(10)
    old, new = replace(FAILED, peer_id="1"), replace(FAILED, peer_id="2")
    outcomes.add(new)
    outcomes.add(old)
    outcomes.add(new)
    assert outcomes.of("bob") is new
    called_so = replace(FAILED, peer_id="3", username="1")
    outcomes.add(called_so)
    assert outcomes.of("1") is old
    assert outcomes.of("3") is called_so


def test_every_dial_is_counted_by_result_and_nats() -> None:
    outcomes = Outcomes(1)
    for outcome in (FAILED, FAILED, DIRECT, replace(FAILED, peer_id="2")):
        outcomes.add(outcome)
    assert outcomes.counts == {
        (Reached.FAILED, CONE, SYMMETRIC): 3,
        (Reached.DIRECT, CONE, CONE): 1,
    }


@pytest.mark.parametrize("limit", [0, -1])
def test_a_journal_of_nothing_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match=f"not {limit}"):
        Outcomes(limit)
