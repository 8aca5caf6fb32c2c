"""
Behind NATs, and through a relay: real clients and engines, on an internet in memory.
"""

from __future__ import annotations

from typing import Any

from p2pnet.reach.candidates import CandidateKind
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.outcome import RELAY_NOT_NEEDED, Reached
from p2pnet.reach.policy import RelayPolicy
from p2pnet.signaling.pathfinder import RELAY_NOT_WANTED
from p2pnet.signaling.relays import IDLE
from p2pnet.signaling.shapes import (
    Relay,
)
from tests.net.turn_host import TURN, TurnHost
from tests.signaling.core import ALICE, WALL
from tests.signaling.homes import INSIDE
from tests.signaling.standin import DAEMON, OBSERVER
from tests.signaling.town import ALICE_AT, BOB_AT, Somebody, TownCase, case
from tests.turn.server import PASSWORD, RELAYED, USER

PEER_NOT_FOUND = b"\x0e"
"""What an engine answers to whom it does not know (WIRE §2)."""
RELAY = Relay(*TURN, "udp", USER, PASSWORD, WALL + 3600)


class NatTests(TownCase):
    def test_what_our_nat_does_is_found_out_and_told(self) -> None:
        for symmetric, second, mapping in (
            (False, False, NatMapping.UNKNOWN),
            (False, True, NatMapping.ENDPOINT_INDEPENDENT),
            (True, True, NatMapping.ADDRESS_DEPENDENT),
        ):
            with case(symmetric=symmetric, second=second):
                town = self.make_town()
                if not second:
                    town.daemon.observers.clear()
                home = town.home("alice", symmetric=symmetric)
                alice = town.person("alice", home=home)
                self.assertIs(alice.client.nat, mapping)
                self.assertEqual(alice.client.external, home.public[0])
                told = town.daemon.introducer.attendance.mappings()
                self.assertEqual(told, {mapping.value: 1})

    def test_who_is_away_is_seen_so_until_it_is_back(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)

        def seen() -> dict[str, bool]:
            town.run(0.1)
            listed = self.successResultOf(bob.client.peers())
            return {each.username: each.away for each in listed}

        self.assertEqual(seen(), {"alice": False, "bob": False})
        alice.client.set_away(True)
        self.assertEqual(seen(), {"alice": True, "bob": False})
        # It associates anew, and may say nothing of its NAT.
        town.daemon.introducer.attendance.find(ALICE).peer.disconnect()
        town.run(3.0)
        self.assertTrue(alice.client.online)
        self.assertEqual(seen(), {"alice": True, "bob": False})
        alice.client.set_away(False)
        self.assertEqual(seen(), {"alice": False, "bob": False})

    def test_who_was_away_before_it_was_online_is_seen_so(self) -> None:
        town = self.make_town()
        bob = town.person("bob")
        alice = Somebody(town, "alice")
        town.people.append(alice)
        alice.client.set_away(True)
        alice.start()
        town.run(1.0)
        (listed,) = [
            each
            for each in self.successResultOf(bob.client.peers())
            if each.username == "alice"
        ]
        self.assertTrue(listed.away)

    def test_two_behind_nats_meet(self) -> None:
        town = self.make_town()
        alice = town.person("alice", home=town.home("alice"))
        bob = town.person("bob", home=town.home("bob"))
        self.talks(town, self.meet(alice, bob, 0.5), bob)
        outcome = alice.outcome(bob)
        self.assertIs(outcome.result, Reached.DIRECT)
        self.assertIs(outcome.kind, CandidateKind.OBSERVED)
        self.assertIs(outcome.our_mapping, NatMapping.ENDPOINT_INDEPENDENT)
        self.assertIs(outcome.their_mapping, NatMapping.ENDPOINT_INDEPENDENT)
        self.assertEqual(outcome.relay, RELAY_NOT_NEEDED)
        ours = {each.kind: each.address for each in outcome.ours}
        self.assertEqual(ours[CandidateKind.HOST], (INSIDE, 5000))
        self.assertEqual(ours[CandidateKind.OBSERVED], alice.client.external)

    def test_a_private_address_of_a_strangers_network_is_not_tried(self) -> None:
        town = self.make_town()
        alice = town.person("alice", home=town.home("alice"))
        bob = town.person("bob", home=town.home("bob"))
        sent = []
        town.network.tap(lambda now, source, target, data, fate: sent.append(target[0]))
        self.meet(alice, bob)
        self.assertNotIn(INSIDE, sent)
        self.assertEqual(
            [each.kind for each in alice.outcome(bob).theirs], [CandidateKind.OBSERVED]
        )

    def test_one_behind_a_symmetric_nat_meets_one_without_any(self) -> None:
        for caller in (0, 1):
            with case(caller=caller):
                town = self.make_town()
                alice = town.person("alice", home=town.home("alice", symmetric=True))
                bob = town.person("bob")
                people = (alice, bob)
                self.talks(
                    town, self.meet(people[caller], people[1 - caller], 0.5), people[1 - caller]
                )

    def test_two_behind_symmetric_nats_are_told_that_there_is_no_path(self) -> None:
        town = self.make_town()
        alice = town.person("alice", home=town.home("alice", symmetric=True))
        bob = town.person("bob", home=town.home("bob", symmetric=True))
        dial = alice.dial(bob)
        town.run(10.0)
        self.fails(dial, "no-path")
        self.assertIs(alice.outcome(bob).their_mapping, NatMapping.ADDRESS_DEPENDENT)

    def test_a_router_that_restarts_is_noticed_and_the_daemon_sees_us_again(self) -> None:
        """
        Before a time-out would tell, even if the daemon's engine does not tell us that it knows
        nobody at our new address.
        """
        town = self.make_town()
        town.network.drop_if(lambda source, target, data: data == PEER_NOT_FOUND)
        home = town.home("alice")
        alice = town.person("alice", home=home)
        bob = town.person("bob")
        was = alice.client.external
        home.restart()
        town.run(5.0)
        self.assertTrue(alice.client.online)
        self.assertEqual(alice.disconnected, [])
        self.assertNotEqual(alice.client.external, was)
        self.assertEqual(alice.client.external, home.public[0])
        self.talks(town, self.meet(bob, alice), alice)

    def test_a_lost_association_comes_back_and_dials_work_again(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        for host in (DAEMON[0], OBSERVER[0]):
            town.network.partition(alice.reactor.address, host)
        town.run(10.0)
        self.assertFalse(alice.client.online)
        self.assertIsNone(alice.client.external)
        self.assertIn("trying again", alice.client.status)
        self.assertIs(alice.client.nat, NatMapping.NONE, "nobody has said otherwise")
        self.fails(alice.dial(bob), "unavailable")
        for host in (DAEMON[0], OBSERVER[0]):
            town.network.heal(alice.reactor.address, host)
        town.network.run_until(lambda: alice.client.online, 40.0)
        self.talks(town, self.meet(alice, bob), bob)

    def test_who_is_being_dialled_may_lose_its_association_meanwhile(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        dial = alice.dial(bob)
        town.run(0.05)
        for person in (alice, bob):
            town.network.partition(person.reactor.address, DAEMON[0])
        town.run(1.0)
        self.talks(town, self.successResultOf(dial), bob)


class RelayTests(TownCase):
    """
    A relay, of which Alice alone is told.
    """

    def set_up(self, *, nats: bool = True, policy: RelayPolicy = RelayPolicy.FALLBACK) -> None:
        self.town = self.make_town(standin=True)
        self.town.daemon.add_observer()
        self.turn = TurnHost(self.town.network)
        self.town.daemon.relays[ALICE] = [RELAY]
        self.alice = self.settle("alice", nats, policy=policy)
        self.bob = self.settle("bob", nats)

    def settle(self, name: str, nats: bool, **options: Any) -> Somebody:
        home = self.town.home(name, symmetric=True) if nats else None
        return self.town.person(name, home=home, **options)

    def test_where_no_direct_path_opens_the_relay_is_used(self) -> None:
        for caller in (0, 1):
            with case(caller=caller):
                self.set_up()
                people = self.alice, self.bob
                one, other = people[caller], people[1 - caller]
                peer = self.meet(one, other, 4.0)
                self.talks(self.town, peer, other)
                for person, partner in ((one, other), (other, one)):
                    self.assertIs(person.outcome(partner).result, Reached.RELAYED)
                host, port = RELAYED
                self.assertIn(f"{host}:{port}", self.alice.outcome(self.bob).relay)
                self.assertEqual(self.bob.outcome(self.alice).relay, RELAY_NOT_NEEDED)

    def test_where_a_direct_path_opens_no_relay_is_asked_for(self) -> None:
        self.set_up(nats=False)
        self.talks(self.town, self.meet(self.alice, self.bob), self.bob)
        self.town.run(5.0)
        self.assertIsNone(self.turn.client)
        self.assertEqual(self.alice.outcome(self.bob).relay, RELAY_NOT_NEEDED)

    def test_a_direct_path_that_opens_later_is_taken_and_nothing_is_lost(self) -> None:
        for caller in (0, 1):
            with case(caller=caller):
                self.set_up(nats=False)
                town, people = self.town, (self.alice, self.bob)
                hosts = self.alice.reactor.address, self.bob.reactor.address
                town.network.partition(*hosts)
                one, other = people[caller], people[1 - caller]
                peer = self.meet(one, other, 4.0)
                self.assertIs(one.outcome(other).result, Reached.RELAYED)
                count = 0
                for moment in range(300):
                    if moment == 50:
                        town.network.heal(*hosts)
                    peer.send(str(count).encode())
                    count += 1
                    town.run(0.1)
                town.run(1.0)
                self.assertEqual(other.received, [str(each).encode() for each in range(count)])
                for person, partner in ((one, other), (other, one)):
                    self.assertIs(person.outcome(partner).result, Reached.DIRECT)
                self.assertEqual(peer.address, (other.reactor.address, 5000))
                (at_other,) = [each for each in other.manager.peers if each.address[1] == 5000]
                self.assertEqual(at_other.address, (one.reactor.address, 5000))
                self.assertEqual(one.disconnected + other.disconnected, [])

    def test_two_who_dial_each_other_at_once_leave_the_relay_together(self) -> None:
        """
        Two searches have one connection, or two: none is moved to and fro.
        """
        for delay in (0.0, 0.02, 0.05, 0.3, 1.0, 1.3):
            with case(delay=delay):
                self.set_up(nats=False)
                town, people = self.town, (self.alice, self.bob)
                hosts = self.alice.reactor.address, self.bob.reactor.address
                town.network.partition(*hosts)
                results: list[Any] = []
                self.alice.dial(self.bob).addBoth(results.append)
                town.run(delay)
                self.bob.dial(self.alice).addBoth(results.append)
                town.run(6.0)
                self.assertEqual(len(results), 2)
                town.network.heal(*hosts)
                town.run(30.0)
                before = [[peer.address for peer in person.manager.peers] for person in people]
                town.run(30.0)
                after = [[peer.address for peer in person.manager.peers] for person in people]
                self.assertEqual(before, after)
                self.assertIn(BOB_AT, after[0])
                self.assertIn(ALICE_AT, after[1])
                (peer,) = [each for each in self.alice.manager.peers if each.address == BOB_AT]
                self.talks(town, peer, self.bob)

    def test_it_is_kept_a_while_for_the_next_dial_and_then_given_back(self) -> None:
        self.set_up()
        peer = self.meet(self.alice, self.bob, 4.0)
        peer.disconnect()
        self.town.run(IDLE - 1.0)
        self.assertIsNotNone(self.turn.server.allocated)
        self.town.run(10.0)
        self.assertIsNone(self.turn.server.allocated)

    def test_it_is_given_back_when_we_stop(self) -> None:
        self.set_up()
        self.meet(self.alice, self.bob, 4.0)
        gone = self.alice.stop()
        self.town.run(2.0)
        self.successResultOf(gone)
        self.assertIsNone(self.turn.server.allocated)

    def test_as_long_as_it_is_in_use_it_is_kept(self) -> None:
        for caller in (0, 1):
            with case(caller=caller):
                self.set_up()
                people = self.alice, self.bob
                one, other = people[caller], people[1 - caller]
                peer = self.meet(one, other, 4.0)
                self.town.run(3 * IDLE)
                self.talks(self.town, peer, other)

    def test_who_wants_none_asks_for_none(self) -> None:
        self.set_up(policy=RelayPolicy.NEVER)
        dial = self.alice.dial(self.bob)
        self.town.run(10.0)
        self.fails(dial, "no-path")
        self.assertIsNone(self.turn.client)
        self.assertEqual(self.alice.outcome(self.bob).relay, RELAY_NOT_WANTED)

    def test_who_wants_nothing_else_sends_nothing_directly(self) -> None:
        for caller in (0, 1):
            with case(caller=caller):
                self.set_up(nats=False, policy=RelayPolicy.ONLY)
                direct = self.town.datagrams(ALICE_AT, BOB_AT)
                people = self.alice, self.bob
                one, other = people[caller], people[1 - caller]
                peer = self.meet(one, other, 3.0)
                self.talks(self.town, peer, other)
                self.town.run(20.0)
                self.assertEqual(direct, [])
                self.assertIs(self.alice.outcome(self.bob).result, Reached.RELAYED)
                self.assertEqual(
                    [each.kind for each in self.alice.outcome(self.bob).ours],
                    [CandidateKind.RELAYED, CandidateKind.OBSERVED],
                )

    def test_a_relay_that_does_not_answer_is_told_of(self) -> None:
        self.set_up()
        self.turn.is_up = False
        dial = self.alice.dial(self.bob)
        self.town.run(10.0)
        self.fails(dial, "no-path")
        self.assertIn("no answer", self.alice.outcome(self.bob).relay)

    def test_a_relay_that_dies_ends_what_went_over_it_and_the_next_dial_asks_again(self) -> None:
        self.set_up()
        self.meet(self.alice, self.bob, 4.0)
        self.turn.is_up = False
        self.town.run(30.0)
        self.assertEqual(len(self.alice.disconnected), 1)
        self.assertEqual(len(self.bob.disconnected), 1)
        self.turn.is_up = True
        self.town.run(1200.0)
        self.talks(self.town, self.meet(self.alice, self.bob, 6.0), self.bob)
