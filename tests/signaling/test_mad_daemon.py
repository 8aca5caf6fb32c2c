"""
A daemon gone mad, and peers that must bear it.
"""

from __future__ import annotations

from typing import Any

from p2pnet.interfaces import Address
from p2pnet.signaling.shapes import (
    Candidates,
    Found,
    Spot,
    UdpEndpoint,
    Welcome,
)
from tests.signaling.core import ALICE, BOB, CAROL
from tests.signaling.standin import DAEMON
from tests.signaling.town import ALICE_AT, TownCase


class MadDaemonTests(TownCase):
    """
    A daemon may say what it likes: nobody is harmed by it, and what makes sense works afterwards.
    """

    def setUp(self) -> None:
        self.town = self.make_town(standin=True)
        self.daemon = self.town.daemon
        self.alice, self.bob = self.pair(self.town)
        self.sent: list[tuple[Address, Address]] = []
        self.town.network.tap(
            lambda now, source, target, data, fate: self.sent.append((source, target))
        )

    def offer(self, token: str = "mad", **changes: Any) -> None:
        self.daemon.say(ALICE, self.daemon.offer(ALICE, BOB, token, **changes))

    def probed(self) -> set[Address]:
        """
        Whom Alice has sent to, without the daemon.
        """
        self.town.run(1.0)
        return {target for source, target in self.sent if source == ALICE_AT} - {DAEMON}

    def test_offers_that_make_no_sense_come_to_nothing(self) -> None:
        for changes in (
            {"peer_id": ALICE},
            {"peer_id": ALICE.upper()},
            {"peer_id": "bob"},
            {"username": ""},
            {"username": "x" * 33},
            {"username": "\x1b[2J"},
            {"key": "5" * 31},
            {"key": "Z" * 32},
            {"role": "boss"},
            {"role": "caller"},
            {"observed": Spot("observed", "not an address", 1)},
            {"token": ""},
            {"token": "x" * 257},
            {"id": 12345},
        ):
            self.offer(**changes)
        self.assertEqual(self.probed(), set())
        self.talks(self.town, self.meet(self.alice, self.bob), self.bob)

    def test_nobody_is_probed_who_may_not_be_dialled(self) -> None:
        for number, host in enumerate(
            ("127.0.0.1", "10.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "100::1", "::1")
        ):
            self.offer(f"mad{number}", observed=Spot("observed", host, 7))
            self.daemon.say(ALICE, Candidates(f"mad{number}", [Spot("host", host, 8)]))
        # But one who is on loopback to the daemon is on its machine.
        self.assertEqual(self.probed(), {(DAEMON[0], 7)})

    def test_a_flood_of_offers_to_probe_somebody_is_bounded(self) -> None:
        victim = ("203.0.113.66", 53)
        for number in range(1000):
            self.offer(f"mad{number}", observed=Spot("observed", *victim))
        self.town.run(60.0)
        probes = self.sent.count((ALICE_AT, victim))
        self.assertGreater(probes, 0)
        self.assertLess(probes, 1000 * 10)
        before = len(self.sent)
        self.town.run(10.0)
        self.assertNotIn((ALICE_AT, victim), self.sent[before:])
        self.talks(self.town, self.meet(self.alice, self.bob), self.bob)

    def test_an_answer_that_leads_to_somebody_else_is_none(self) -> None:
        for changes in ({"peer_id": CAROL}, {"role": "callee"}, {"username": "\0"}):
            self.daemon.mute = True
            dial = self.alice.dial(self.bob)
            self.town.run(0.1)
            question = self.daemon.heard[-1]
            fields = {"role": "caller", "id": question.id} | changes
            self.offer(f"mad{question.id}", **fields)
            self.town.run(0.1)
            self.assertIn("nonsense", self.fails(dial, "unavailable"))
            self.assertEqual(self.alice.outcome(self.bob).reason, "unavailable")
        self.assertEqual(self.probed(), set())

    def test_who_is_found_must_be_somebody(self) -> None:
        for peer_id, username in (("bob", "bob"), (BOB, "\x1b[2J"), (BOB, "")):
            self.daemon.mute = True
            found = self.alice.client.find("bob")
            self.town.run(0.1)
            self.daemon.say(ALICE, Found(self.daemon.heard[-1].id, peer_id, username))
            self.town.run(0.1)
            self.assertIn("nonsense", self.fails(found, "unavailable"))

    def test_observers_that_cannot_be_are_not_asked(self) -> None:
        hosts = ("224.0.0.1", "255.255.255.255", "observer.example", "::", "192.0.2.77", "\0")
        observers = [UdpEndpoint(9, host) for host in hosts]
        self.daemon.say(ALICE, Welcome(*ALICE_AT, observers))
        self.assertEqual(self.probed(), {("192.0.2.77", 9)})
        self.assertTrue(self.alice.client.online)

    def test_a_flood_of_welcomes_asks_no_flood_of_observers(self) -> None:
        self.town.run(3.0)
        self.sent.clear()
        for number in range(200):
            observer = UdpEndpoint(9, f"192.0.2.{number + 1}")
            self.daemon.say(ALICE, Welcome(*ALICE_AT, [observer]))
        self.assertLess(len(self.probed()), 3)
