"""
What each delivery method promises holds on any network (WIRE §4, BEHAVIOUR §6, §7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pnet.interfaces import DeliveryMethod
from tests.net.world import ALICE, BOB, Node, World


@dataclass(frozen=True)
class Weather:
    """
    Conditions of both directions.
    """

    seed: int
    latency: float
    jitter: float
    loss: float
    duplicate: float
    reorder: float


WEATHER = st.builds(
    Weather,
    seed=st.integers(0, 2**32),
    latency=st.floats(0, 0.15),
    jitter=st.floats(0, 0.1),
    loss=st.floats(0, 0.6),
    duplicate=st.floats(0, 0.4),
    reorder=st.floats(0, 0.5),
)


class Conversation:
    """
    Two that send each other numbered messages of all sizes, some at once and some later.
    """

    def __init__(self, weather: Weather, method: DeliveryMethod, count: int) -> None:
        self.world = World(
            weather.seed,
            latency=weather.latency,
            jitter=weather.jitter,
            loss=weather.loss,
            duplicate=weather.duplicate,
            reorder=weather.reorder,
        )
        options = {"disconnect_timeout": 600.0, "max_connect_attempts": 1000, "channels": 2}
        self.alice = self.world.node(ALICE, **options)
        self.bob = self.world.node(BOB, **options)
        self.alice.connect(BOB)
        self.wait(lambda: self.alice.heard.connected and self.bob.heard.connected)
        random = Random(weather.seed)
        self.sent: dict[str, list[bytes]] = {"alice": [], "bob": []}
        reliable = (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED)
        sizes = [0, 1, 100, 900, 2500] if method in reliable else [0, 1, 100, 900]
        for i in range(count):
            for name, node in (("alice", self.alice), ("bob", self.bob)):
                message = i.to_bytes(4, "big") + bytes(random.choice(sizes))
                self.sent[name].append(message)
                node.heard.connected[0].send(message, method, 1)
            if random.random() < 0.2:
                self.world.run(random.random() * 0.1)

    def wait(self, condition: Callable[[], object]) -> None:
        self.world.network.run_until(condition, timeout=900)

    def settle(self) -> None:
        """
        Until all is acknowledged and nothing is under way any more.
        """
        ends = self.alice.heard.connected[0], self.bob.heard.connected[0]
        self.wait(lambda: not any(peer.unacknowledged for peer in ends))
        self.world.run(1.0)

    def outcomes(self) -> list[tuple[list[bytes], list[bytes]]]:
        """
        Of each direction what was sent and what was heard.
        """
        return [
            (self.sent["alice"], self.heard(self.bob)),
            (self.sent["bob"], self.heard(self.alice)),
        ]

    @staticmethod
    def heard(node: Node) -> list[bytes]:
        return node.heard.messages


def numbers(messages: list[bytes]) -> list[int]:
    return [int.from_bytes(message[:4], "big") for message in messages]


@settings(max_examples=60)
@given(WEATHER)
def test_reliable_ordered_messages_arrive_once_and_in_order(weather: Weather) -> None:
    conversation = Conversation(weather, DeliveryMethod.RELIABLE_ORDERED, 60)
    conversation.settle()
    for sent, heard in conversation.outcomes():
        assert heard == sent


@settings(max_examples=40)
@given(WEATHER)
def test_reliable_unordered_messages_arrive_once(weather: Weather) -> None:
    conversation = Conversation(weather, DeliveryMethod.RELIABLE_UNORDERED, 60)
    conversation.settle()
    for sent, heard in conversation.outcomes():
        assert Counter(heard) == Counter(sent)


@settings(max_examples=40)
@given(WEATHER)
def test_sequenced_messages_never_arrive_late_or_twice(weather: Weather) -> None:
    conversation = Conversation(weather, DeliveryMethod.SEQUENCED, 60)
    conversation.settle()
    for sent, heard in conversation.outcomes():
        assert set(heard) <= set(sent)
        assert numbers(heard) == sorted(set(numbers(heard)))


@settings(max_examples=40)
@given(WEATHER)
def test_of_reliable_sequenced_messages_the_last_arrives(weather: Weather) -> None:
    conversation = Conversation(weather, DeliveryMethod.RELIABLE_SEQUENCED, 60)
    conversation.settle()
    for sent, heard in conversation.outcomes():
        assert set(heard) <= set(sent)
        assert numbers(heard) == sorted(set(numbers(heard)))
        assert heard[-1] == sent[-1]


@settings(max_examples=40)
@given(WEATHER)
def test_unreliable_messages_arrive_whole_or_not_at_all(weather: Weather) -> None:
    conversation = Conversation(weather, DeliveryMethod.UNRELIABLE, 60)
    conversation.settle()
    for sent, heard in conversation.outcomes():
        assert set(heard) <= set(sent)


@pytest.mark.parametrize("method", list(DeliveryMethod))
def test_on_a_good_day_everything_arrives_once_and_in_order(method: DeliveryMethod) -> None:
    conversation = Conversation(Weather(1, 0.02, 0.0, 0.0, 0.0, 0.0), method, 200)
    conversation.settle()
    for sent, heard in conversation.outcomes():
        assert sorted(heard) == sorted(sent)
        if method is not DeliveryMethod.RELIABLE_UNORDERED:
            assert heard == sent


def test_an_hour_of_chatter_on_a_bad_line_passes_in_order() -> None:
    """
    With times of no contact shorter than the timeout, and sequences that wrap.
    """
    world = World(4, latency=0.03, jitter=0.02, loss=0.1, duplicate=0.05)
    alice, bob = world.node(ALICE), world.node(BOB)
    alice.connect(BOB)
    world.network.run_until(lambda: alice.heard.connected and bob.heard.connected)
    sent: list[bytes] = []
    for minute in range(60):
        for _ in range(20):
            message = b"%d" % len(sent)
            sent.append(message)
            alice.heard.connected[0].send(message)
            world.run(2.8)
        if minute % 10 == 0:
            world.network.partition(ALICE[0], BOB[0])
            world.run(3.0)
            world.network.heal(ALICE[0], BOB[0])
        else:
            world.run(3.0)
    world.run(5.0)
    assert bob.heard.messages == sent
    assert alice.heard.ended == bob.heard.ended == []
