"""
One agent, told what the other side would say: who decides, what is followed, when it ends.
"""

from __future__ import annotations

from random import Random

import pytest

from p2pnet.reach.agent import (
    Agent,
    Event,
    NoPathFound,
    PathNominated,
    PathProven,
    Role,
)
from p2pnet.reach.candidates import Candidate, CandidateKind, Path
from p2pnet.reach.probes import Answer, Request, decode, encode_answer, encode_request
from p2pnet.wire.constants import Address
from tests.reach.parties import KEY, TOKEN

NEAR: Address = ("203.0.113.2", 4000)
FAR: Address = ("203.0.113.3", 4000)
INNER: Address = ("192.168.1.2", 4000)
RELAY: Address = ("192.0.2.100", 50000)
US: Address = ("203.0.113.1", 4000)


class Puppet:
    """
    An agent, and a hand that plays the other side.
    """

    def __init__(self, role: Role, **options: float) -> None:
        self.role = role
        self.now = 100.0
        self.agent = Agent(TOKEN, KEY, role, random=Random(1).getrandbits, now=self.now, **options)
        self.events: list[Event] = []
        self.asked: dict[Path, list[Request]] = {}
        """What the agent has asked, and is not answered."""
        self.answers: list[tuple[Path, bytes]] = []
        """Ids that the agent has answered."""
        self.answering: set[Path] = set()
        """Over which all is answered at once."""
        self._ids = 0

    def add(self, kind: CandidateKind, address: Address) -> None:
        assert self.agent.add(Candidate(kind, address), self.now)

    def run(self, duration: float = 0.0) -> None:
        """
        Let time pass, in steps of the agent's own.
        """
        end = self.now + duration
        while True:
            self.agent.handle_timeout(self.now)
            self._collect()
            due = self.agent.next_timeout()
            assert due is None or due > self.now
            if due is None or due > end:
                self.now = end
                return
            self.now = due

    def _collect(self) -> None:
        for probe in self.agent.probes_to_send():
            message = decode(probe.data, KEY)
            if isinstance(message, Answer):
                self.answers.append((probe.path, message.id))
            else:
                assert message.by_caller is (self.role is Role.CALLER)
                self.asked.setdefault(probe.path, []).append(message)
        self.events += self.agent.events()
        for path in self.answering & self.asked.keys():
            self.answer(path)

    def answer(self, path: Path, which: int = -1) -> None:
        """
        Answer one question of the agent, and forget the others of that path.
        """
        request = self.asked.pop(path)[which]
        assert self.agent.receive(encode_answer(Answer(request.id, US), KEY), path, self.now)
        self._collect()

    def ask(self, path: Path, nomination: int = 0) -> bytes:
        """
        Ask as the other side; the id of the request.
        """
        self._ids += 1
        id = self._ids.to_bytes(12, "big")
        request = Request(id, TOKEN, self.role is Role.CALLEE, nomination)
        assert self.agent.receive(encode_request(request, KEY), path, self.now)
        self._collect()
        return id

    def prove(self, path: Path) -> None:
        """
        Let the agent prove this path.
        """
        self.run()
        self.answer(path)

    def told(self) -> list[Event]:
        """
        The events since the last look.
        """
        events, self.events = self.events, []
        return events

    @property
    def nomination(self) -> tuple[Path, int] | None:
        """
        The last number among the questions of the agent, and where it went.
        """
        found = [
            (each.nomination, path)
            for path, requests in self.asked.items()
            for each in requests
            if each.nomination
        ]
        return (max(found)[1], max(found)[0]) if found else None


def direct(address: Address = NEAR) -> Path:
    return Path(address)


# ------------------------------------------------------------ the caller decides


def test_the_caller_nominates_what_it_has_proven_and_uses_what_is_confirmed() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.prove(direct())
    (proven,) = caller.told()
    assert proven == PathProven(direct(), CandidateKind.OBSERVED, 0.0)
    caller.run(0.1)
    assert caller.nomination == (direct(), 1)
    assert caller.told() == []
    caller.now += 0.02
    caller.answer(direct())
    (nominated,) = caller.told()
    assert isinstance(nominated, PathNominated)
    assert nominated.path == direct() == caller.agent.nominated
    assert nominated.round_trip == pytest.approx(0.02)


def test_an_answer_to_a_probe_that_does_not_nominate_confirms_nothing() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.run(0.06)
    early, late = caller.asked[direct()]
    for request in (early, late):
        caller.agent.receive(encode_answer(Answer(request.id, US), KEY), direct(), caller.now)
    caller.run(0.1)
    assert caller.agent.nominated is None


def test_the_callee_never_nominates() -> None:
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.answering.add(direct())
    callee.run(5.0)
    assert callee.agent.has_direct_path
    assert callee.nomination is None
    assert callee.agent.nominated is None


def test_a_nominated_path_that_dies_makes_room_for_the_next() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.OBSERVED, FAR)
    caller.prove(direct(NEAR))
    caller.run(0.01)
    caller.prove(direct(FAR))
    caller.run(1.0)
    assert caller.nomination == (direct(NEAR), 1)
    caller.asked.clear()
    caller.run(0.7)
    assert caller.nomination == (direct(FAR), 2)
    caller.answer(direct(FAR))
    assert caller.agent.nominated == direct(FAR)


def test_a_late_confirmation_of_a_number_given_up_changes_nothing() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.OBSERVED, FAR)
    caller.prove(direct(NEAR))
    caller.run(0.01)
    caller.prove(direct(FAR))
    caller.run(1.4)
    first = [each for each in caller.asked[direct(NEAR)] if each.nomination][-1]
    caller.run(0.2)
    assert caller.nomination == (direct(FAR), 2)
    caller.agent.receive(encode_answer(Answer(first.id, US), KEY), direct(NEAR), caller.now)
    caller.run()
    assert caller.agent.nominated is None
    caller.answer(direct(FAR))
    assert caller.agent.nominated == direct(FAR)


def test_the_only_proven_path_is_asked_for_until_the_end() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.prove(direct())
    caller.run(7.0)
    assert caller.nomination == (direct(), 1)
    caller.answer(direct())
    assert caller.agent.nominated == direct()


# ------------------------------------------------------------ what is better


def test_a_relayed_path_waits_half_a_second_for_a_direct_one() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.RELAYED, RELAY)
    caller.run(0.01)
    caller.prove(direct(RELAY))
    caller.run(0.45)
    assert caller.nomination is None
    caller.run(0.05)
    assert caller.nomination == (direct(RELAY), 1)


def test_a_relayed_path_waits_for_nothing_where_nothing_direct_is_tried() -> None:
    caller = Puppet(Role.CALLER)
    caller.agent.add(Candidate(CandidateKind.OBSERVED, NEAR), caller.now, direct=False)
    caller.agent.relay_opened(caller.now)
    caller.prove(Path(NEAR, relayed=True))
    caller.run()
    assert caller.nomination == (Path(NEAR, relayed=True), 1)
    assert [tried.path.relayed for tried in caller.agent.tried()] == [True]


def test_a_path_outside_waits_a_moment_for_one_inside() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.HOST, INNER)
    caller.prove(direct(NEAR))
    caller.run(0.02)
    assert caller.nomination is None
    caller.prove(direct(INNER))
    caller.run()
    assert caller.nomination == (direct(INNER), 1)


def test_a_path_outside_waits_for_none_inside_that_had_its_chance() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.HOST, INNER)
    caller.run(0.2)
    caller.prove(direct(NEAR))
    caller.run()
    assert caller.nomination == (direct(NEAR), 1)


def test_of_two_relays_theirs_is_preferred_and_one_to_two() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.RELAYED, RELAY)
    caller.agent.relay_opened(caller.now)
    ways = [Path(RELAY, relayed=True), Path(NEAR, relayed=True), Path(RELAY)]
    caller.run(0.02)
    for way in ways:
        caller.answer(way)
    caller.run(0.6)
    assert caller.nomination == (Path(RELAY), 1)


def test_a_direct_path_overtakes_the_nomination_of_a_relayed_one() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.RELAYED, RELAY)
    caller.run(0.01)
    caller.prove(direct(RELAY))
    caller.run(0.6)
    assert caller.nomination == (direct(RELAY), 1)
    relayed = caller.asked[direct(RELAY)][-1]
    caller.prove(direct(NEAR))
    caller.run()
    assert caller.nomination == (direct(NEAR), 2)
    caller.agent.receive(encode_answer(Answer(relayed.id, US), KEY), direct(RELAY), caller.now)
    assert caller.agent.nominated is None
    caller.answer(direct(NEAR))
    assert caller.agent.nominated == direct(NEAR)


def relayed_caller() -> Puppet:
    """
    A caller on a relayed path.
    """
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.add(CandidateKind.RELAYED, RELAY)
    caller.run(0.02)
    caller.answer(direct(RELAY))
    caller.run(0.6)
    caller.answer(direct(RELAY))
    assert caller.agent.nominated == direct(RELAY)
    caller.told()
    return caller


def test_an_improvement_that_is_not_confirmed_is_called_off() -> None:
    """
    The callee may have followed, and our not having heard that must not part us.
    """
    caller = relayed_caller()
    caller.run(20.0)
    caller.answer(direct(NEAR))
    caller.run(0.5)
    assert caller.nomination == (direct(NEAR), 2)
    caller.asked.clear()
    caller.run(1.1)
    assert caller.nomination == (direct(RELAY), 3)
    caller.answer(direct(RELAY))
    caller.run(1.0)
    assert caller.agent.nominated == direct(RELAY)
    assert [event for event in caller.told() if isinstance(event, PathNominated)] == []
    assert caller.asked.keys() == {direct(NEAR)}


def test_calling_off_over_a_path_that_is_dead_as_well_comes_to_an_end() -> None:
    caller = relayed_caller()
    caller.run(20.0)
    caller.answer(direct(NEAR))
    caller.run(5.0)
    caller.asked.clear()
    caller.run(600.0)
    assert caller.nomination is None
    assert len(caller.asked[direct(NEAR)]) <= 61


def test_one_direct_path_is_not_left_for_another() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.prove(direct(NEAR))
    caller.run()
    caller.answer(direct(NEAR))
    caller.add(CandidateKind.HOST, INNER)
    caller.ask(direct(INNER))
    caller.run(20.0)
    assert caller.agent.nominated == direct(NEAR)
    assert caller.asked == {}
    assert caller.agent.next_timeout() is None


# ------------------------------------------------------------ the callee follows


def test_the_callee_confirms_when_it_has_proven_the_path_itself() -> None:
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.run()
    id = callee.ask(direct(), nomination=1)
    again = callee.ask(direct(), nomination=1)
    assert callee.answers == []
    assert callee.agent.nominated is None
    callee.run()
    callee.answer(direct())
    assert callee.agent.nominated == direct()
    assert callee.answers == [(direct(), again)]
    assert id != again


def test_a_path_that_is_proven_is_followed_at_once_and_told_once() -> None:
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.prove(direct())
    ids = [callee.ask(direct(), nomination=1) for _ in range(3)]
    assert callee.answers == [(direct(), id) for id in ids]
    assert [type(event) for event in callee.told()] == [PathProven, PathNominated]


def test_the_callee_proves_what_is_nominated_though_it_has_a_path() -> None:
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.add(CandidateKind.OBSERVED, FAR)
    callee.prove(direct(NEAR))
    callee.ask(direct(NEAR), nomination=1)
    callee.asked.clear()
    callee.run(30.0)
    assert callee.asked == {}
    callee.ask(direct(FAR), nomination=2)
    callee.run()
    assert len(callee.asked[direct(FAR)]) == 1
    callee.answer(direct(FAR))
    assert callee.agent.nominated == direct(FAR)


def test_an_old_nomination_does_not_lead_back() -> None:
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.add(CandidateKind.RELAYED, RELAY)
    callee.run(0.02)
    callee.answer(direct(NEAR))
    callee.answer(direct(RELAY))
    callee.ask(direct(RELAY), nomination=1)
    callee.ask(direct(NEAR), nomination=2)
    callee.ask(direct(RELAY), nomination=1)
    assert callee.agent.nominated == direct(NEAR)
    callee.ask(direct(RELAY), nomination=3)
    assert callee.agent.nominated == direct(RELAY)


def test_of_two_nominations_that_wait_for_proof_the_newer_one_stands() -> None:
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.add(CandidateKind.OBSERVED, FAR)
    callee.run(0.02)
    callee.ask(direct(FAR), nomination=2)
    callee.ask(direct(NEAR), nomination=1)
    callee.answer(direct(FAR))
    callee.run()
    callee.answer(direct(NEAR))
    assert callee.agent.nominated == direct(FAR)


# ------------------------------------------------------------ paths that are seen first


@pytest.mark.parametrize("kind", [CandidateKind.SEEN, CandidateKind.OBSERVED])
def test_a_path_in_use_turns_out_to_be_a_relays_and_the_search_goes_on(
    kind: CandidateKind,
) -> None:
    """
    Probes through their relay are faster than the word of it; and whose UDP is blocked is seen
    there by the rendezvous, too.
    """
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    if kind is CandidateKind.OBSERVED:
        callee.add(kind, RELAY)
    callee.ask(direct(RELAY))
    callee.prove(direct(RELAY))
    callee.ask(direct(RELAY), nomination=1)
    (*_, event) = callee.told()
    assert isinstance(event, PathNominated)
    assert event.kind is kind
    callee.asked.clear()
    callee.run(1.0)
    assert callee.asked == {}
    callee.add(CandidateKind.RELAYED, RELAY)
    callee.run()
    (event,) = callee.told()
    assert event == PathNominated(direct(RELAY), CandidateKind.RELAYED, 0.0)
    assert not callee.agent.is_over(callee.now + 1000)
    assert not callee.agent.has_direct_path
    callee.asked.clear()
    callee.run(20.0)
    assert callee.asked.keys() == {direct(NEAR)}
    callee.add(CandidateKind.RELAYED, RELAY)
    assert callee.told() == []


def test_a_seen_path_that_is_named_later_is_no_strangers_any_more() -> None:
    callee = Puppet(Role.CALLEE)
    callee.ask(direct())
    callee.run(4.0)
    assert len(callee.asked[direct()]) <= 3
    callee.add(CandidateKind.MAPPED, NEAR)
    callee.run(2.0)
    assert len(callee.asked[direct()]) > 6
    assert [tried.kind for tried in callee.agent.tried()] == [CandidateKind.MAPPED]


def test_both_sides_reach_each_other_where_one_address_is_seen_only() -> None:
    """
    Who has proven it goes on to ask, so that the other one may send enough to prove it, too.
    """
    callee = Puppet(Role.CALLEE)
    callee.ask(direct())
    callee.run(3.0)
    asked = len(callee.asked[direct()])
    for _ in range(5):
        callee.ask(direct())
        callee.run(0.3)
    assert len(callee.asked[direct()]) > asked + 5


# ------------------------------------------------------------ our relay


def test_a_lost_relay_ends_what_went_through_it_and_is_on_the_record() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.agent.relay_opened(caller.now)
    caller.agent.relay_opened(caller.now)
    way = Path(NEAR, relayed=True)
    caller.run(0.01)
    caller.answer(way)
    caller.run(0.6)
    assert caller.nomination == (way, 1)
    caller.agent.relay_lost()
    caller.asked.clear()
    caller.run(1.0)
    assert caller.asked.keys() == {direct()}
    assert [tried.path for tried in caller.agent.tried()] == [way, direct()]
    assert [tried.heard for tried in caller.agent.tried()] == [True, False]
    caller.answer(direct())
    caller.run()
    assert caller.nomination == (direct(), 2)


def test_another_proven_path_is_nominated_when_the_relay_is_lost() -> None:
    caller = Puppet(Role.CALLER)
    caller.agent.add(Candidate(CandidateKind.OBSERVED, NEAR), caller.now, direct=False)
    caller.add(CandidateKind.RELAYED, RELAY)
    caller.agent.relay_opened(caller.now)
    caller.run(0.02)
    caller.answer(Path(NEAR, relayed=True))
    caller.run()
    assert caller.nomination == (Path(NEAR, relayed=True), 1)
    caller.answer(direct(RELAY))
    caller.agent.relay_lost()
    caller.run()
    assert caller.nomination == (direct(RELAY), 2)


def test_a_relay_that_comes_back_is_tried_anew() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.agent.relay_opened(caller.now)
    caller.run(1.0)
    caller.agent.relay_lost()
    caller.asked.clear()
    caller.agent.relay_opened(caller.now)
    caller.run(0.2)
    assert len(caller.asked[Path(NEAR, relayed=True)]) >= 4


# ------------------------------------------------------------ time


def test_probes_come_often_at_first_and_then_four_times_a_second() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.run(1.0)
    assert len(caller.asked[direct()]) == 9
    caller.run(6.9)
    assert len(caller.asked[direct()]) == 9 + 27


def test_a_path_that_opens_is_probed_at_once_but_no_faster_than_that() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.run(3.1)
    caller.asked.clear()
    caller.ask(direct())
    caller.run()
    assert len(caller.asked[direct()]) == 1
    for _ in range(100):
        caller.ask(direct())
        caller.run(0.001)
    assert len(caller.asked[direct()]) <= 3


def test_it_gives_up_after_its_patience_and_is_silent_then() -> None:
    callee = Puppet(Role.CALLEE, patience=3.0)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.run(2.99)
    assert callee.told() == []
    assert not callee.agent.is_over(callee.now)
    callee.run(0.01)
    assert callee.told() == [NoPathFound()]
    assert callee.agent.is_over(callee.now)
    asked = callee.asked[direct()][-1]
    callee.asked.clear()
    callee.ask(direct())
    callee.ask(direct(), nomination=1)
    answer = encode_answer(Answer(asked.id, US), KEY)
    assert not callee.agent.receive(answer, direct(), callee.now)
    callee.add(CandidateKind.OBSERVED, FAR)
    callee.run(100.0)
    assert (callee.asked, callee.answers, callee.told()) == ({}, [], [])
    assert callee.agent.next_timeout() is None


def test_a_path_proven_at_the_last_moment_gets_its_time_but_not_for_ever() -> None:
    callee = Puppet(Role.CALLEE, patience=3.0)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.run(2.9)
    callee.answer(direct())
    callee.run(1.9)
    assert [type(event) for event in callee.told()] == [PathProven]
    callee.run(0.2)
    assert callee.told() == [NoPathFound()]


def test_many_such_paths_get_twice_the_patience_at_most() -> None:
    callee = Puppet(Role.CALLEE, patience=3.0)
    paths = [direct((f"203.0.113.{number}", 9)) for number in range(16)]
    for path in paths:
        callee.add(CandidateKind.OBSERVED, path.remote)
    for path in paths[:11]:
        callee.run(0.5)
        callee.answer(path)
        assert NoPathFound() not in callee.events
    callee.run(0.5)
    assert callee.now == 106.0
    assert callee.told()[-1] == NoPathFound()


def test_who_has_a_direct_path_answers_for_ten_seconds_more() -> None:
    callee = Puppet(Role.CALLEE)
    callee.add(CandidateKind.OBSERVED, NEAR)
    callee.prove(direct())
    assert not callee.agent.is_over(callee.now + 1000)
    callee.ask(direct(), nomination=1)
    assert not callee.agent.is_over(callee.now + 9.9)
    assert callee.agent.is_over(callee.now + 10.0)
    callee.run(5.0)
    id = callee.ask(direct(), nomination=1)
    assert callee.answers[-1] == (direct(), id)


def test_the_answer_to_a_probe_of_long_ago_is_not_waited_for() -> None:
    caller = Puppet(Role.CALLER)
    caller.add(CandidateKind.OBSERVED, NEAR)
    caller.run(7.9)
    requests = caller.asked[direct()]
    assert len(requests) == 36
    answers = [encode_answer(Answer(each.id, US), KEY) for each in requests]
    assert not caller.agent.receive(answers[3], direct(), caller.now)
    assert not caller.agent.has_direct_path
    assert caller.agent.receive(answers[4], direct(), caller.now)
    assert caller.agent.has_direct_path


def test_paths_are_not_all_probed_at_one_moment() -> None:
    caller = Puppet(Role.CALLER)
    for number in range(16):
        caller.add(CandidateKind.OBSERVED, (f"203.0.113.{number}", 9))
    caller.run()
    assert len(caller.asked) == 1
    caller.run(0.075)
    assert len(caller.asked) == 16


@pytest.mark.parametrize(
    ("token", "key", "words"),
    [("", KEY, "1 to 508 bytes, not 0"), ("€" * 170, KEY, "not 510"), (TOKEN, b"", "empty key")],
)
def test_what_can_prove_nothing_is_refused(token: str, key: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Agent(token, key, Role.CALLER, random=Random(1).getrandbits, now=0.0)
    Agent("€" * 169, KEY, Role.CALLER, random=Random(1).getrandbits, now=0.0)
