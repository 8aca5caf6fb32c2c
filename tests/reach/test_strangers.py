"""
Who does not know the key learns nothing, moves nothing and gets little.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.reach.agent import Agent, NoPathFound, Role
from p2pnet.reach.candidates import MAX_CANDIDATES, Candidate, CandidateKind, Path
from p2pnet.reach.probes import Answer, Request, decode, encode_answer, encode_request
from p2pnet.stun.codec import Class, Message, Method, seal
from p2pnet.wire.constants import Address
from tests.reach.nats import PORT, Host, Load, Sent
from tests.reach.parties import KEY, TOKEN, Scene

MALLORY = "198.51.100.66"
ALICE: Address = ("203.0.113.1", PORT)
BOB: Address = ("203.0.113.2", PORT)


def agent(role: Role = Role.CALLER, key: bytes = KEY, token: str = TOKEN) -> Agent:
    return Agent(token, key, role, random=Random(1).getrandbits, now=0.0)


def request(number: int, role: Role, nomination: int = 0) -> bytes:
    """
    What the other side sends.
    """
    by_caller = role is Role.CALLER
    return encode_request(Request(number.to_bytes(12, "big"), TOKEN, by_caller, nomination), KEY)


class Stranger:
    """
    A host that counts what it sends and gets.
    """

    def __init__(self, scene: Scene, host: str = MALLORY) -> None:
        self.host = Host(scene.internet.public, host)
        self.sent = 0
        self.got: list[bytes] = []
        self.host.received = self._received

    def _received(self, load: Load, source: Address) -> None:
        assert isinstance(load, bytes)
        self.got.append(load)

    def send(self, target: Address, data: bytes) -> None:
        self.sent += len(data)
        self.host.send(target, data)


def test_with_the_wrong_key_nobody_is_found() -> None:
    scene = Scene("none", "none")
    scene.observe()
    scene.caller.begin(KEY)
    scene.callee.begin(b"another key")
    scene.caller.told_of(scene.callee)
    scene.callee.told_of(scene.caller)
    scene.internet.run(10.0)
    for party in scene.parties:
        assert [event for _, event in party.events] == [NoPathFound()]
        assert party.agent is not None
        assert party.agent.drops > 20
        assert [tried.heard for tried in party.agent.tried()] == [False]


def test_what_was_caught_on_its_way_proves_nothing_from_elsewhere() -> None:
    """
    Mallory sees everything that the two send, and sends each of it to both of them, later.
    """
    scene = Scene("none", "none")
    stranger = Stranger(scene)

    def overhear(sent: Sent) -> bool:
        if sent.host is not stranger.host:
            scene.internet.later(0.1, lambda: replay(sent.data))
        return False

    def replay(data: bytes) -> None:
        for party in scene.parties:
            stranger.send(party.host.address, data)

    scene.observe()
    scene.internet.drop = overhear
    for party in scene.parties:
        party.begin()
    scene.caller.told_of(scene.callee)
    scene.callee.told_of(scene.caller)
    scene.agree(within=0.3)
    scene.internet.run(10.0)
    assert stranger.sent > 1000
    assert stranger.got == []
    for party in scene.parties:
        assert party.agent is not None
        assert len(party.agent.tried()) == 1


@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_what_never_arrived_proves_nothing_from_elsewhere(delay: float) -> None:
    """
    Mallory sits on the way, keeps everything, and sends it on as her own.
    """
    scene = Scene("none", "none")
    stranger = Stranger(scene)

    def steal(sent: Sent) -> bool:
        if sent.host is stranger.host:
            return False
        for party in scene.parties:
            if party.host.address == sent.target:
                scene.internet.later(delay, lambda: stranger.send(sent.target, sent.data))
        return True

    scene.observe()
    scene.internet.drop = steal
    for party in scene.parties:
        party.begin()
    scene.caller.told_of(scene.callee)
    scene.callee.told_of(scene.caller)
    scene.internet.run(20.0)
    assert stranger.sent > 1000
    # What goes to her is stolen as well, and counted where it leaves.
    to_her = sum(len(sent.data) for sent in scene.internet.sent if sent.target[0] == MALLORY)
    assert 0 < to_her <= 3 * stranger.sent
    for party in scene.parties:
        assert [event for _, event in party.events] == [NoPathFound()]


@pytest.mark.parametrize("size", [1, 40, 400])
def test_many_sources_of_caught_requests_get_three_times_their_bytes_at_most(size: int) -> None:
    """
    Requests that went to where nobody was, each from a source of its own.
    """
    callee = agent(Role.CALLEE)
    gone: dict[Path, int] = {}
    came: dict[Path, int] = {}
    now = 0.0
    for number in range(size):
        path = Path((MALLORY, 1024 + number))
        data = request(number, Role.CALLER)
        came[path] = len(data)
        assert callee.receive(data, path, now)
        for _ in range(3):
            now += 0.005
            callee.handle_timeout(now)
            for probe in callee.probes_to_send():
                gone[probe.path] = gone.get(probe.path, 0) + len(probe.data)
    for _ in range(400):
        now += 0.05
        callee.handle_timeout(now)
        for probe in callee.probes_to_send():
            gone[probe.path] = gone.get(probe.path, 0) + len(probe.data)
    assert all(0 < gone[path] <= 3 * came[path] for path in came)
    assert len(callee.tried()) <= MAX_CANDIDATES
    assert callee.events() == [NoPathFound()]


def test_the_last_512_requests_are_known_again() -> None:
    callee = agent(Role.CALLEE)
    for number in range(513):
        callee.receive(request(number, Role.CALLER), Path(ALICE), 0.0)
    for number in (512, 1, 0):
        callee.receive(request(number, Role.CALLER), Path((MALLORY, 1024 + number)), 0.0)
    assert [tried.path for tried in callee.tried()] == [Path(ALICE), Path((MALLORY, 1024))]
    assert callee.drops == 2


def test_a_flood_of_sources_does_not_keep_the_real_one_out() -> None:
    callee = agent(Role.CALLEE)
    for number in range(200):
        callee.receive(request(number, Role.CALLER), Path((MALLORY, 1024 + number)), 0.0)
    callee.probes_to_send()
    path = Path(ALICE)
    callee.receive(request(1000, Role.CALLER), path, 0.1)
    callee.handle_timeout(0.1)
    (probe,) = [
        each
        for each in callee.probes_to_send()
        if each.path == path and isinstance(decode(each.data, KEY), Request)
    ]
    answer = encode_answer(Answer(decode(probe.data, KEY).id, BOB), KEY)
    assert callee.receive(answer, path, 0.2)
    assert callee.has_direct_path


def test_our_own_request_sent_back_is_not_the_other_sides() -> None:
    """
    Else its answer would prove the address of whoever sends both back.
    """
    caller = agent()
    path = Path(BOB)
    caller.add(Candidate(CandidateKind.OBSERVED, BOB), 0.0)
    caller.handle_timeout(0.0)
    (probe,) = caller.probes_to_send()
    for source in (path, Path((MALLORY, 5))):
        assert caller.receive(probe.data, source, 0.1)
        caller.handle_timeout(0.1)
        assert len(caller.tried()) == 1
        assert not caller.tried()[0].heard
    assert caller.drops == 2
    assert all(sent.path == path for sent in caller.probes_to_send())


def test_an_answer_counts_from_where_the_question_went_and_once() -> None:
    caller = agent()
    path = Path(BOB)
    caller.add(Candidate(CandidateKind.OBSERVED, BOB), 0.0)
    caller.add(Candidate(CandidateKind.HOST, ("198.51.100.9", 9)), 0.0)
    caller.handle_timeout(0.0)
    (probe,) = caller.probes_to_send()
    id = decode(probe.data, KEY).id
    answer = encode_answer(Answer(id, ALICE), KEY)
    elsewhere = [
        Path((MALLORY, 5)),
        Path(("198.51.100.9", 9)),
        Path((BOB[0], BOB[1] + 1)),
        Path(BOB, relayed=True),
    ]
    for source in elsewhere:
        assert not caller.receive(answer, source, 0.1)
    forged = encode_answer(Answer(id, ALICE), b"a guess")
    guessed = encode_answer(Answer(bytes(12), ALICE), KEY)
    assert not caller.receive(forged, path, 0.1)
    assert not caller.receive(guessed, path, 0.1)
    assert not caller.has_direct_path
    assert caller.receive(answer, path, 0.1)
    assert caller.has_direct_path
    assert not caller.receive(answer, path, 0.1)
    assert caller.drops == 7


def test_a_guessed_token_is_another_session() -> None:
    callee = agent(Role.CALLEE)
    guess = encode_request(Request(bytes(12), TOKEN[:-1] + "0", True, 1), KEY)
    assert not callee.receive(guess, Path((MALLORY, 5)), 0.0)
    assert callee.probes_to_send() == []
    assert callee.tried() == []


def test_a_nomination_that_was_caught_does_not_lead_to_who_caught_it() -> None:
    """
    Mallory's copy comes first; the real one counts all the same.
    """
    callee = agent(Role.CALLEE)
    path = Path(ALICE)
    callee.add(Candidate(CandidateKind.OBSERVED, ALICE), 0.0)
    callee.handle_timeout(0.0)
    (probe,) = callee.probes_to_send()
    nomination = request(1, Role.CALLER, nomination=1)
    callee.receive(nomination, Path((MALLORY, 5)), 0.1)
    assert callee.receive(nomination, path, 0.1)
    callee.receive(encode_answer(Answer(decode(probe.data, KEY).id, BOB), KEY), path, 0.1)
    assert callee.nominated == path


def test_a_strangers_room_is_not_that_of_the_named() -> None:
    callee = agent(Role.CALLEE)
    for number in range(100):
        callee.receive(request(number, Role.CALLER), Path((MALLORY, 1024 + number)), 0.0)
    callee.relay_opened(0.0)
    named = [Candidate(CandidateKind.HOST, (f"198.51.100.{n}", 9)) for n in range(100)]
    assert [callee.add(candidate, 0.0) for candidate in named] == [True] * 16 + [False] * 84
    assert callee.add(named[0], 0.0)
    assert len(callee.tried()) == 3 * MAX_CANDIDATES


# ------------------------------------------------------------ any bytes


def in_every_state() -> Iterator[tuple[Agent, float]]:
    """
    Agents to be told lies.
    """
    for role in Role:
        yield agent(role), 1.0
        for caller, callee, relay in [("none", "none", False), ("symmetric", "port", True)]:
            scene = Scene(caller, callee)
            scene.begin()
            for pause in (0.0, 0.05, 0.07, 20.0):
                scene.internet.run(pause)
                if relay and pause == 0.07:
                    scene.open_relay(scene.caller)
                party = scene.caller if role is Role.CALLER else scene.callee
                assert party.agent is not None
                yield party.agent, scene.internet.now


ADDRESSES = st.sampled_from([ALICE, BOB, ("192.168.1.1", 9), ("::1", 9), ("2001:db8::5", 4000)])
PATHS = st.builds(Path, ADDRESSES, st.booleans())
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "USERNAME": st.sampled_from([TOKEN, "", "x" * 600, "\u20ac"]),
        "USE-CANDIDATE": st.none(),
        "ICE-CONTROLLING": st.sampled_from([0, 1, 2**64 - 1]),
        "ICE-CONTROLLED": st.sampled_from([0, 1, 2**64 - 1]),
        "XOR-MAPPED-ADDRESS": ADDRESSES,
        "ERROR-CODE": st.tuples(st.sampled_from([300, 401, 487]), st.text(max_size=5)),
        "SOFTWARE": st.text(max_size=20),
    },
)


@st.composite
def strange(draw: st.DrawFn) -> bytes:
    """
    Messages of every form, under a wrong key, or damaged.
    """
    message = Message(
        draw(st.sampled_from(list(Method))),
        draw(st.sampled_from(list(Class))),
        draw(st.binary(min_size=12, max_size=12)),
        draw(ATTRIBUTES),
    )
    right = draw(st.booleans())
    data = bytearray(seal(message, KEY if right else b"a guess"))
    for _ in range(draw(st.integers(1 if right else 0, 3))):
        # One bit: the seal of a message with the right key is broken for certain.
        at = draw(st.integers(8, 31))
        data[at] ^= 1 << draw(st.integers(0, 7))
        if right:
            break
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@given(st.lists(st.tuples(st.one_of(st.binary(max_size=120), strange()), PATHS), max_size=20))
def test_whatever_comes_without_the_key_changes_nothing(
    datagrams: list[tuple[bytes, Path]],
) -> None:
    for told, now in in_every_state():
        before = told.tried(), told.nominated, told.next_timeout(), told.drops
        for data, path in datagrams:
            assert not told.receive(data, path, now)
        after = told.tried(), told.nominated, told.next_timeout(), told.drops - len(datagrams)
        assert before == after
        assert told.probes_to_send() == []
        assert told.events() == []


@given(
    st.sampled_from(list(Role)),
    st.lists(
        st.tuples(
            ATTRIBUTES,
            st.sampled_from(list(Class)),
            PATHS,
            st.floats(0.0, 2.0),
            st.binary(min_size=12, max_size=12),
        ),
        max_size=60,
    ),
)
def test_a_peer_gone_mad_who_has_the_key_raises_nothing_and_is_bounded(
    role: Role, plan: list[tuple[dict[str, object], Class, Path, float, bytes]]
) -> None:
    told = agent(role)
    told.add(Candidate(CandidateKind.OBSERVED, ALICE), 0.0)
    told.relay_opened(0.0)
    now = 0.0
    for attributes, kind, path, pause, id in plan:
        now += pause
        ids = [id]
        for probe in told.probes_to_send():
            sent = decode(probe.data, KEY)
            if isinstance(sent, Request) and probe.path == path:
                ids.append(sent.id)
        message = Message(Method.BINDING, kind, ids[-1], dict(attributes))
        told.receive(seal(message, KEY), path, now)
        told.handle_timeout(now)
        due = told.next_timeout()
        assert due is None or due > now
        assert len(told.tried()) <= 3 * MAX_CANDIDATES
    told.events()
