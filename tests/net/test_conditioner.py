"""
A bad network, simulated on a good one.
"""

from __future__ import annotations

from random import Random

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address
from p2pnet.net.conditioner import Conditioner, Fate
from p2pnet.net.conditions import Conditions
from p2pnet.net.manager import NetManager
from p2pnet.testing import Network
from tests.net.world import ALICE, BOB, Notebook

SEED = 20
STRANGER: Address = ("192.0.2.1", 9050)


def conditioner(conditions: Conditions, seed: int = SEED) -> Conditioner:
    print(f"seed {seed}")
    return Conditioner(conditions, Random(seed).getrandbits)


def test_nothing_happens_unless_it_is_asked_for() -> None:
    asked = conditioner(Conditions())
    assert {asked.receive(b"x", STRANGER, 0.0) for _ in range(1000)} == {Fate.ARRIVED}
    assert asked.due(1e9) == []
    assert asked.next_timeout() is None


def test_one_in_ten_is_lost_unless_it_is_said_otherwise() -> None:
    asked = conditioner(Conditions(packet_loss=True))
    fates = [asked.receive(b"x", STRANGER, 0.0) for _ in range(10_000)]
    assert 900 < fates.count(Fate.LOST) < 1100
    assert fates.count(Fate.LATE) == 0


@pytest.mark.parametrize(("chance", "fate"), [(0, Fate.ARRIVED), (100, Fate.LOST)])
def test_never_is_never_and_always_is_always(chance: int, fate: Fate) -> None:
    asked = conditioner(Conditions(packet_loss=True, packet_loss_chance=chance))
    assert {asked.receive(b"x", STRANGER, 0.0) for _ in range(1000)} == {fate}


def test_the_same_seed_loses_the_same_datagrams() -> None:
    def fates(seed: int) -> list[Fate]:
        asked = conditioner(Conditions(packet_loss=True, packet_loss_chance=50), seed)
        return [asked.receive(b"x", STRANGER, 0.0) for _ in range(100)]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)


def test_what_is_late_comes_between_thirty_and_a_hundred_milliseconds_later() -> None:
    asked = conditioner(Conditions(latency=True))
    sent = [b"%d" % i for i in range(1000)]
    for data in sent:
        assert asked.receive(data, STRANGER, 5.0) is Fate.LATE
    assert asked.due(5.03) == []
    arrived: list[bytes] = []
    times = []
    while (time := asked.next_timeout()) is not None:
        times.append(time)
        arrived += [data for data, _ in asked.due(time)]
    assert 5.03 <= min(times) < 5.031
    assert 5.099 < max(times) <= 5.1
    assert sorted(arrived) == sorted(sent)
    assert arrived != sent, "some overtake others"


def test_it_comes_from_where_it_came_from() -> None:
    asked = conditioner(Conditions(latency=True, min_latency=0.5, max_latency=0.5))
    asked.receive(b"x", STRANGER, 1.0)
    assert asked.due(1.4) == []
    assert asked.due(1.5) == [(b"x", STRANGER)]
    assert asked.due(1.5) == []


def test_a_flood_is_not_held_back_without_end() -> None:
    asked = conditioner(Conditions(latency=True))
    fates = [asked.receive(b"x", STRANGER, 0.0) for _ in range(20_000)]
    assert fates.count(Fate.LATE) == len(asked.due(1.0)) == 16384
    assert fates[-1] is Fate.LOST
    assert asked.receive(b"x", STRANGER, 1.0) is Fate.LATE


def test_what_is_late_still_comes_when_the_network_gets_better() -> None:
    asked = conditioner(Conditions(latency=True))
    asked.receive(b"late", STRANGER, 0.0)
    asked.conditions = Conditions()
    assert asked.receive(b"now", STRANGER, 0.0) is Fate.ARRIVED
    assert [data for data, _ in asked.due(0.1)] == [b"late"]


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ("packet_loss_chance", -1.0),
        ("packet_loss_chance", 100.5),
        ("min_latency", -0.1),
        ("min_latency", 0.2),
        ("max_latency", 0.02),
        ("max_latency", float("inf")),
        ("max_latency", float("nan")),
    ],
)
def test_conditions_that_cannot_be_are_refused(wrong: str, value: float) -> None:
    with pytest.raises(ValueError, match=wrong):
        Conditions(**{wrong: value})  # type: ignore[arg-type]  # all of these are numbers


class ManagerTests(SynchronousTestCase):
    """
    A NetManager that thinks its network is bad.
    """

    def manager(
        self, network: Network, address: Address, conditions: Conditions | None
    ) -> tuple[NetManager, Notebook]:
        host = network.host(address[0])
        heard = Notebook()
        manager = NetManager(
            heard,
            reactor=host,
            port=address[1],
            conditions=conditions,
            clock=host.seconds,
            random=Random(SEED).getrandbits,
        )
        manager.startService()
        return manager, heard

    def test_everything_arrives_all_the_same(self) -> None:
        network = Network(SEED)
        bad = Conditions(packet_loss=True, packet_loss_chance=20, latency=True)
        alice, _ = self.manager(network, ALICE, bad)
        bob, at_bob = self.manager(network, BOB, bad)
        connected = alice.connect(BOB)
        network.run_until(lambda: connected.called)
        messages = [b"%d" % i for i in range(300)]
        for message in messages:
            alice.peers[0].send(message)
        network.run_until(lambda: len(at_bob.messages) == len(messages))
        self.assertEqual(at_bob.messages, messages)
        self.assertGreater(bob.statistics.dropped["simulated loss"], 0)

    def test_a_round_trip_takes_as_long_as_it_is_told_to(self) -> None:
        network = Network(SEED)
        slow = Conditions(latency=True, min_latency=0.1, max_latency=0.1)
        alice, at_alice = self.manager(network, ALICE, slow)
        self.manager(network, BOB, None)
        alice.connect(BOB)
        network.run(3.0)
        self.assertAlmostEqual(alice.peers[0].round_trip_time, 0.1)
        for latency in at_alice.latencies:
            self.assertAlmostEqual(latency, 0.05)

    def test_the_network_can_break_and_heal_while_we_watch(self) -> None:
        network = Network(SEED)
        alice, at_alice = self.manager(network, ALICE, None)
        self.manager(network, BOB, None)
        alice.connect(BOB)
        network.run(1.0)
        alice.conditions = Conditions(packet_loss=True, packet_loss_chance=100)
        network.run(3.0)
        self.assertEqual(at_alice.ended, [])
        alice.conditions = Conditions()
        network.run(10.0)
        self.assertEqual(at_alice.ended, [])

    def test_what_is_late_does_not_outlive_the_manager(self) -> None:
        network = Network(SEED)
        late = Conditions(latency=True, min_latency=5.0, max_latency=5.0)
        alice, _ = self.manager(network, ALICE, None)
        bob, at_bob = self.manager(network, BOB, late)
        failed = alice.connect(BOB)
        network.run(1.0)
        bob.stopService()
        network.run(1.0)
        bob.startService()
        network.run(2.0)
        self.assertEqual(at_bob.requests, [])
        failed.addErrback(lambda _: None)
