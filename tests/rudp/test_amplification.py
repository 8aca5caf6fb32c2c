"""
Who may not be there gets at most three times what came in his name (PITFALLS C1, TRAPS T8).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import NotConnected
from p2pnet.rudp.events import ConnectionState
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.control import (
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    MtuProbe,
    PeerNotFound,
    Ping,
    Pong,
    ShutdownOk,
)
from p2pnet.wire.packets import Ack, Channeled, Unreliable
from tests.rudp.cable import ALICE, BOB, Cable, Node, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED
VICTIM = ALICE
T = 638_000_000_000_000_000


class Spoofed:
    """
    Bob, and somebody who sends him datagrams in the name of a victim that never answers.
    """

    def __init__(self, **options: Any) -> None:
        self.cable = Cable()
        self.bob: Node = self.cable.node(BOB, **options)
        self.spent = 0

    def send(self, data: bytes) -> None:
        self.spent += len(data)
        self.bob.receive(data, VICTIM)
        self.check()

    def run(self, seconds: float) -> None:
        self.cable.run(seconds)
        self.check()

    @property
    def suffered(self) -> int:
        return sum(len(sent.data) for sent in self.cable.sent(BOB, VICTIM))

    def check(self) -> None:
        assert self.suffered <= 3 * self.spent, f"{self.suffered} bytes for {self.spent}"


def test_what_the_application_sends_waits_until_the_address_is_proven() -> None:
    attack = Spoofed()
    attack.send(request(T))
    bob = attack.bob
    for _ in range(100):
        bob.endpoint.send(bob.connection, bytes(1000), ORDERED)
        bob.endpoint.send(bob.connection, bytes(1000), DeliveryMethod.UNRELIABLE)
    attack.run(20.0)
    assert attack.suffered <= 3 * 30
    assert bob.connection.state is ConnectionState.DISCONNECTED


def test_a_large_rejection_of_a_small_request_waits_for_more_requests() -> None:
    attack = Spoofed()
    bob = attack.bob
    bob.on_request = lambda asked: bob.endpoint.reject(asked, bytes(1000), attack.cable.now)
    attack.send(request(T))
    attack.run(1.0)
    assert attack.suffered == 0
    for _ in range(40):
        attack.send(request(T))
    assert 1009 <= attack.suffered <= 3 * attack.spent


def test_a_large_forced_rejection_of_a_small_request_is_not_sent() -> None:
    attack = Spoofed()
    bob = attack.bob
    bob.on_request = lambda asked: bob.endpoint.reject_force(asked, bytes(498))
    attack.send(request(T))
    assert attack.suffered == 0
    dropped = bob.endpoint.statistics.dropped
    assert dropped == {"forced reject over the amplification limit": 1}


def test_requests_that_came_while_undecided_count() -> None:
    attack = Spoofed()
    asked: list[IncomingRequest] = []
    attack.bob.on_request = asked.append
    for _ in range(10):
        attack.send(request(T))
    attack.bob.endpoint.reject(asked[0], bytes(800), attack.cable.now)
    attack.cable.settle()
    assert attack.suffered == 809


def test_a_real_peer_gets_everything_once_it_has_answered_a_ping() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    messages = [b"%d" % i + bytes(900) for i in range(200)]

    def welcome(event: object) -> None:
        if len(bob.events) == 2:
            for message in messages:
                bob.endpoint.send(bob.connection, message, ORDERED)

    bob.on_event = welcome
    alice.connect(BOB)
    cable.run(2 * cable.delay - 0.001)
    assert sum(len(sent.data) for sent in cable.sent(bob, alice)) <= 90
    cable.run(2.0)
    assert alice.messages == messages


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_a_real_peer_proves_itself_over_any_path(delay: float, lost: float) -> None:
    """
    Far away, or losing much: what waits for the proof arrives all the same.
    """
    random = Random(2)
    cable = Cable(delay)
    alice, bob = cable.node(ALICE), cable.node(BOB)
    cable.loses = lambda sent: random.random() < lost
    alice.connect(BOB)
    cable.run_until(lambda: bob.connections and alice.connections, limit=6.0)
    for _ in range(20):
        bob.endpoint.send(bob.connection, bytes(1000), ORDERED)
    cable.run_until(lambda: len(alice.messages) == 20, limit=20.0)


def test_the_first_ping_goes_with_the_accept_and_cannot_be_guessed() -> None:
    """
    Within what a fresh reference peer answers: 1..16383.
    """
    firsts = set()
    for seed in range(50):
        cable = Cable()
        bob = cable.node(BOB, seed=seed)
        bob.receive(request(T), ALICE)
        assert [sent.data[0] for sent in cable.log] == [6, 3]
        ((_, ping),) = cable.packets(Ping, BOB, ALICE)
        assert 1 <= ping.sequence <= 16383
        firsts.add(ping.sequence)
    assert len(firsts) > 45


def test_pings_are_hurried_until_one_is_answered() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    cable.loses_packets(Pong)
    alice.connect(BOB)
    cable.run(1.0)
    hurried = len(cable.packets(Ping, bob, alice))
    assert 4 <= hurried <= 6
    cable.loses_nothing()
    cable.run(0.5)
    before = len(cable.packets(Ping, bob, alice))
    cable.run(5.0)
    assert len(cable.packets(Ping, bob, alice)) - before == 5


def test_a_wrong_pong_proves_nothing() -> None:
    attack = Spoofed()
    attack.send(request(T))
    ((_, ping),) = attack.cable.packets(Ping, BOB, VICTIM)
    bob = attack.bob
    bob.endpoint.send(bob.connection, bytes(1000), ORDERED)
    for wrong in (0, ping.sequence + 1, ping.sequence - 1, 65535, ping.sequence + 32768):
        attack.send(Pong(0, wrong, 0).encode())
    attack.run(20.0)


def test_the_right_pong_frees_what_waits_at_once() -> None:
    attack = Spoofed()
    attack.send(request(T))
    bob = attack.bob
    bob.endpoint.send(bob.connection, bytes(1000), ORDERED)
    bob.endpoint.send(bob.connection, b"loose", DeliveryMethod.UNRELIABLE)
    attack.cable.settle()
    ((_, ping),) = attack.cable.packets(Ping, BOB, VICTIM)
    bob.receive(Pong(0, ping.sequence, 0).encode(), VICTIM)
    sent = [
        type(p)
        for kind in (Channeled, Unreliable)
        for _, p in attack.cable.packets(kind, BOB, VICTIM)
    ]
    assert sent == [Channeled, Unreliable]


def test_one_byte_does_not_draw_ten() -> None:
    attack = Spoofed()
    attack.send(request(T))
    for _ in range(100):
        attack.send(PeerNotFound().encode())


def test_the_limit_can_be_lifted() -> None:
    cable = Cable()
    bob = cable.node(BOB, amplification_limit=0)
    bob.receive(request(T), ALICE)
    bob.endpoint.send(bob.connection, bytes(1000), ORDERED)
    cable.settle()
    assert [len(sent.data) for sent in cable.log] == [11, 1004]


def test_who_we_dial_is_no_stranger() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    alice.receive(ConnectAccept(connection.connection_time, 0).encode(), BOB)
    for _ in range(10):
        alice.endpoint.send(connection, bytes(1000), ORDERED)
    cable.settle()
    assert sum(len(sent.data) for sent in cable.log) > 10_000


# ---------------------------------------------------------------- whatever happens


@dataclass(frozen=True)
class Act:
    name: str
    size: int
    wait: float


ACTS = st.builds(
    Act,
    st.sampled_from(
        [
            "request",
            "newer request",
            "same request",
            "ping",
            "pong",
            "ack",
            "data",
            "disconnect",
            "shutdown ok",
            "peer not found",
            "peer not found, asking",
            "mtu",
            "noise",
            "send reliable",
            "send unreliable",
            "send small",
            "app disconnects",
            "app decides",
            "nothing",
        ]
    ),
    st.integers(0, 1500),
    st.sampled_from([0.0, 0.0, 0.01, 0.3, 1.0, 6.0]),
)
DECISIONS = st.sampled_from(["accept", "reject", "reject_force", "wait"])


class Attack(Spoofed):
    def __init__(self, decision: str, answer: int) -> None:
        super().__init__(channels=2)
        self.time = T
        self.sequence = 0
        self.decision = decision
        self.answer = bytes(answer)
        self.waiting: list[IncomingRequest] = []
        self.bob.on_request = self.decide

    def decide(self, asked: IncomingRequest) -> None:
        endpoint = self.bob.endpoint
        if self.decision == "accept":
            self.bob.accept(asked)
        elif self.decision == "reject":
            endpoint.reject(asked, self.answer, self.cable.now)
        elif self.decision == "reject_force":
            endpoint.reject_force(asked, self.answer[:498])
        else:
            self.waiting.append(asked)

    def act(self, act: Act) -> None:
        bob, size = self.bob, act.size
        number = bob.connection.number if bob.connections else 0
        self.sequence += 1
        match act.name:
            case "request" | "same request":
                self.send(request(self.time, bytes(size)))
            case "newer request":
                self.time += 1
                self.send(request(self.time, bytes(size // 50)))
            case "ping":
                self.send(Ping(number, self.sequence).encode())
            case "pong":
                self.send(Pong(number, 0, 0).encode())
            case "ack":
                self.send(Ack(number, 0, 2, size).encode())
            case "data":
                self.send(Channeled(number, size % 64, size % 8, b"").encode())
            case "disconnect":
                self.send(Disconnect(number, self.time).encode())
            case "shutdown ok":
                self.send(ShutdownOk().encode())
            case "peer not found":
                self.send(PeerNotFound().encode())
            case "peer not found, asking":
                self.send(PeerNotFound(self.time).encode())
            case "mtu":
                self.send(MtuProbe(number, max(508, min(size, 1432))).encode())
            case "noise":
                self.send(bytes((size & 0xFF,)) * (size // 10))
            case "app disconnects" if bob.connections:
                bob.disconnect(bob.connection, self.answer[:1000])
            case "app decides":
                waiting, self.waiting = self.waiting, []
                for asked in waiting:
                    if bob.endpoint.is_pending(asked):
                        bob.accept(asked)
            case "send reliable" | "send unreliable" | "send small" if bob.connections:
                self.speak(act.name, size)
        self.run(act.wait)

    def speak(self, name: str, size: int) -> None:
        bob = self.bob
        try:
            for _ in range(20):
                if name == "send reliable":
                    bob.endpoint.send(bob.connection, bytes(size * 3), ORDERED, size % 2)
                elif name == "send unreliable":
                    bob.endpoint.send(
                        bob.connection, bytes(min(size, 1000)), DeliveryMethod.UNRELIABLE
                    )
                else:
                    bob.endpoint.send(bob.connection, bytes(size % 40), ORDERED)
        except NotConnected:
            pass


@settings(max_examples=200)
@given(DECISIONS, st.integers(0, 1014), st.lists(ACTS, min_size=5, max_size=40))
def test_never_more_than_three_times_over_a_whole_life(
    decision: str, answer: int, acts: list[Act]
) -> None:
    """
    Whatever is asked, answered, sent and repeated, and whenever.
    """
    attack = Attack(decision, answer)
    for act in [Act("request", answer % 100, 0.0), *acts]:
        attack.act(act)
    attack.run(30.0)


@pytest.mark.parametrize("size", range(1, 80))
def test_merged_messages_do_not_pass_the_limit_by_their_headers(size: int) -> None:
    """
    Every datagram has a byte of its own, and a large request makes room for several.
    """
    attack = Spoofed(amplification_limit=3)
    attack.send(request(T, bytes(1300)))
    bob = attack.bob
    for _ in range(400):
        bob.endpoint.send(bob.connection, bytes(size), DeliveryMethod.UNRELIABLE)
    for _ in range(60):
        attack.run(0.1)


def test_a_limit_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="amplification_limit"):
        EndpointConfig(amplification_limit=-1)


def test_the_request_itself_is_small_enough_to_be_answered() -> None:
    """
    The smallest one pays for an accept, a ping and a few more.
    """
    smallest = ConnectRequest(0, T, bytes(16)).encode()
    assert len(smallest) * 3 >= 11 + 5 * 3
