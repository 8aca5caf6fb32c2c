"""
Peers that find and reach each other: real clients and engines, on an internet in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from p2pnet.interfaces import IRendezvous, KnownPeer, Reachability
from p2pnet.reach.agent import Role
from p2pnet.reach.outcome import RELAY_NOT_CONFIGURED, Reached
from p2pnet.serialization import NetDataReader
from p2pnet.signaling.directory import Answer
from p2pnet.signaling.records import InvalidField, Listing
from p2pnet.signaling.rest.shapes import Endpoint, Peer, Peers
from p2pnet.signaling.search import LIFETIME, proof
from p2pnet.signaling.shapes import (
    Listings,
    Probed,
    Problem,
    encode,
)
from p2pnet.stun.header import is_marked_stun
from tests.signaling.core import ALICE, BOB, CAROL, WALL
from tests.signaling.standin import DAEMON
from tests.signaling.town import ALICE_AT, BOB_AT, HOSTS, Somebody, TownCase, case


class FindingTests(TownCase):
    def setUp(self) -> None:
        self.town = self.make_town(standin=True)
        self.alice, self.bob = self.pair(self.town)

    def find(self, who: str) -> Deferred[tuple[str, str]]:
        found = self.alice.client.find(who)
        self.town.run(0.2)
        return found

    def test_it_keeps_to_the_interface(self) -> None:
        verifyObject(IRendezvous, self.alice.client)

    def test_a_name_or_an_id_takes_one_round_trip_and_no_http(self) -> None:
        asked = len(self.town.daemon.requests)
        found = self.alice.client.find("bob")
        self.town.run(0.039)
        self.assertNoResult(found)
        self.town.run(0.002)
        self.assertEqual(self.successResultOf(found), (BOB, "bob"))
        self.assertEqual(self.successResultOf(self.find(BOB)), (BOB, "bob"))
        self.assertEqual(len(self.town.daemon.requests), asked)

    def test_why_nobody_is_found_is_told(self) -> None:
        self.assertEqual(self.fails(self.find("eve"), "unknown"), '"eve" is unknown')
        self.fails(self.find("alice"), "self")
        self.town.person("carol")
        self.town.daemon.names[CAROL] = "bob"
        self.fails(self.find("bob"), "ambiguous")

    def test_no_name_is_too_short_or_too_long_to_ask_for(self) -> None:
        self.assertEqual(self.fails(self.find(""), "unknown"), 'nobody is called ""')
        self.fails(self.find("x" * 96), "unknown")
        heard = len(self.town.daemon.heard)
        self.fails(self.find("x" * 97), "unknown")
        self.assertEqual(len(self.town.daemon.heard), heard, "the daemon would not read it")

    def test_a_daemon_that_says_nothing_is_not_waited_for_forever(self) -> None:
        self.town.daemon.mute = True
        found = self.find("bob")
        self.town.run(7.7)
        self.assertNoResult(found)
        self.town.run(0.2)
        self.assertIn("does not answer", self.fails(found, "unavailable"))


class DialTests(TownCase):
    def test_two_peers_meet_within_a_quarter_of_a_second_and_talk(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        peer = self.meet(alice, bob, 0.25)
        self.assertEqual(peer.address, BOB_AT)
        self.talks(town, peer, bob)
        self.assertEqual(bob.callers, [ALICE])
        self.assertEqual(alice.connected, [peer])

    def test_they_meet_in_the_other_direction_too(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        self.talks(town, self.meet(bob, alice), alice)

    def test_two_who_dial_each_other_at_once_meet(self) -> None:
        """
        However the engines settle it, one connection stands, and both hear of it.
        """
        for delay in (0.0, 0.001, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15):
            with case(delay=delay):
                town = self.make_town()
                alice, bob = self.pair(town)
                results: list[Any] = []
                alice.dial(bob).addBoth(results.append)
                town.run(delay)
                bob.dial(alice).addBoth(results.append)
                town.run(2.0)
                self.assertEqual(len(results), 2)
                (ours,) = alice.manager.peers[-1:]
                self.assertEqual(len(alice.manager.peers), 2, "the daemon, and bob")
                self.talks(town, ours, bob)
                for person, other in ((alice, bob), (bob, alice)):
                    self.assertIs(person.outcome(other).result, Reached.DIRECT)
                town.run(LIFETIME + 10)
                self.assertEqual(len(alice.manager.peers), 2)

    def test_they_meet_over_bad_lines(self) -> None:
        """
        A fifth of all datagrams lost, and then two in five of each round trip's.
        """
        for loss, seeds, within in ((0.2, range(10), 6.0), (0.36, range(10), 10.0)):
            late = 0
            for seed in seeds:
                with case(loss=loss, seed=seed):
                    town = self.make_town(seed)
                    alice, bob = self.pair(town)
                    town.network.link(alice.reactor.address, bob.reactor.address, loss=loss)
                    since = town.network.seconds()
                    peer = self.meet(alice, bob, within)
                    late += town.network.seconds() > since + 3.0
                    self.talks(town, peer, bob)
            self.assertLessEqual(late, 1, f"of {len(seeds)} at {loss:.0%} took over 3 s")

    def test_they_meet_if_the_daemon_is_heard_badly(self) -> None:
        for seed in range(5):
            with case(seed=seed):
                town = self.make_town(seed, latency=0.1, jitter=0.05)
                alice, bob = self.pair(town)
                for person in (alice, bob):
                    town.network.link(person.reactor.address, DAEMON[0], loss=0.2)
                self.talks(town, self.meet(alice, bob, 10.0), bob)

    def test_a_dial_of_oneself_or_of_no_id_fails_at_once(self) -> None:
        town = self.make_town()
        alice = town.person("alice")
        self.assertEqual(self.fails(alice.client.dial(ALICE, alice), "self"), "that is you")
        text = self.fails(alice.client.dial("bob\x1b[2J", alice), "unknown")
        self.assertEqual(text, '"bob\\x1b[2J" is no peer id')

    def test_who_is_not_there_is_not_reached_and_the_record_says_why(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        bob.stop()
        town.run(1.0)
        dial = alice.dial(bob)
        town.run(0.1)
        self.fails(dial, "unknown")
        outcome = alice.outcome(bob)
        self.assertIs(outcome.result, Reached.FAILED)
        self.assertEqual(outcome.reason, "unknown")
        self.assertEqual(outcome.tried, ())

    def test_who_is_offline_dials_nobody(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        alice.client.stopService()
        self.assertEqual(self.fails(alice.dial(bob), "unavailable"), "stopped")

    def test_two_dials_of_one_peer_are_one(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        dials = [alice.dial(bob), alice.client.dial(BOB.upper(), alice)]
        town.run(1.0)
        one, other = [self.successResultOf(dial) for dial in dials]
        self.assertIs(one, other)
        self.assertEqual(len(bob.requests), 1)

    def test_a_refusal_is_told_safely(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        bob.client.introduced = lambda data: None  # type: ignore[method-assign]  # wants nobody
        dial = alice.dial(bob)
        town.run(1.0)
        self.assertEqual(self.fails(dial, "rejected"), "bob refused: who are you?")
        outcome = alice.outcome(bob)
        self.assertEqual((outcome.result, outcome.reason), (Reached.FAILED, "rejected"))
        self.assertEqual(outcome.path and outcome.path.remote, BOB_AT)


class CountingTests(TownCase):
    """
    Each side counts each dial once.
    """

    def counted(self, *results: Reached) -> None:
        self.town.run(10.0)
        for person in (self.alice, self.bob):
            counts = person.client._journal.outcomes.counts
            self.assertEqual(
                [(result, count) for (result, _, _), count in counts.items()],
                [(result, 1) for result in results],
                person.name,
            )

    def test_it_does_so(self) -> None:
        self.town = self.make_town()
        self.alice, self.bob = self.pair(self.town)
        self.meet(self.alice, self.bob)
        self.counted(Reached.DIRECT)
        self.alice.manager.disconnect_all()
        self.town.run(40.0)
        self.town.network.partition(HOSTS["alice"], HOSTS["bob"])
        dial = self.alice.dial(self.bob)
        self.town.run(10.0)
        self.fails(dial, "no-path")
        self.counted(Reached.DIRECT, Reached.FAILED)


class NoPathTests(TownCase):
    def test_it_is_told_within_the_time_of_a_dial(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        town.network.partition(alice.reactor.address, bob.reactor.address)
        dial = alice.dial(bob)
        town.run(7.9)
        self.assertNoResult(dial)
        town.run(2.1)
        self.assertEqual(self.fails(dial, "no-path"), "no path to bob")
        for person, other, role in ((alice, bob, Role.CALLER), (bob, alice, Role.CALLEE)):
            outcome = person.outcome(other)
            self.assertIs(outcome.result, Reached.FAILED)
            self.assertIs(outcome.role, role)
            self.assertEqual(outcome.reason, "no-path")
            self.assertEqual(outcome.relay, RELAY_NOT_CONFIGURED)
            (tried,) = outcome.tried
            self.assertGreater(tried.probes, 10)
            self.assertFalse(tried.heard)
            self.assertAlmostEqual(outcome.took, 8.0, places=1)
            self.assertAlmostEqual(outcome.started, WALL + town.network.seconds() - 10, places=0)

    def test_a_later_dial_finds_the_path_that_has_opened(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        hosts = alice.reactor.address, bob.reactor.address
        town.network.partition(*hosts)
        dial = alice.dial(bob)
        town.run(10.0)
        self.fails(dial, "no-path")
        town.network.heal(*hosts)
        self.talks(town, self.meet(alice, bob), bob)
        self.assertIs(alice.outcome(bob).result, Reached.DIRECT)

    def test_a_short_patience_is_kept(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town, dial_timeout=2.0)
        town.network.partition(alice.reactor.address, bob.reactor.address)
        dial = alice.dial(bob)
        town.run(2.0)
        self.fails(dial, "no-path")

    def test_a_path_that_breaks_before_the_connection_stands(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        # The engine's requests, unlike STUN.
        town.network.drop_if(
            lambda source, target, data: (
                source[0] == alice.reactor.address
                and target[0] == bob.reactor.address
                and not is_marked_stun(data)
            )
        )
        dial = alice.dial(bob)
        town.run(10.0)
        self.assertIn("broke", self.fails(dial, "no-path"))
        self.assertIs(alice.outcome(bob).result, Reached.FAILED)

    def test_after_it_nobody_sends_anything_more(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        town.network.partition(alice.reactor.address, bob.reactor.address)
        dial = alice.dial(bob)
        town.run(10.0)
        self.fails(dial, "no-path")
        sent = []
        town.network.tap(lambda now, source, target, data, fate: sent.append((source, target)))
        town.run(30.0)
        self.assertNotIn((ALICE_AT, BOB_AT), sent)
        self.assertNotIn((BOB_AT, ALICE_AT), sent)


class GivingUpTests(TownCase):
    def test_a_dial_can_be_given_up_at_any_moment(self) -> None:
        """
        And another one does as if nothing had been.
        """
        for moment in [0.01 * each for each in range(25)]:
            with case(moment=moment):
                town = self.make_town()
                alice, bob = self.pair(town)
                dial = alice.dial(bob)
                town.run(moment)
                if dial.called:
                    break
                dial.cancel()
                self.failureResultOf(dial, CancelledError)
                known = alice.client.outcome(BOB)
                self.assertTrue(known is None or known.result is Reached.DIRECT)
                town.run(1.0)
                self.talks(town, self.meet(alice, bob, 6.0), bob)
        self.assertGreater(moment, 0.1)

    def test_who_was_given_up_is_probed_no_more(self) -> None:
        town = self.make_town()
        alice, bob = self.pair(town)
        town.network.partition(HOSTS["alice"], HOSTS["bob"])
        dial = alice.dial(bob)
        town.run(1.0)
        dial.cancel()
        self.failureResultOf(dial, CancelledError)
        sent = town.datagrams(ALICE_AT, BOB_AT)
        town.run(10.0)
        self.assertEqual(sent, [])

    def test_one_can_stop_at_any_moment_of_a_dial(self) -> None:
        for moment in [0.01 * each for each in range(25)]:
            for leaving in (0, 1):
                with case(moment=moment, leaving=leaving):
                    town = self.make_town()
                    people = self.pair(town)
                    results: list[Any] = []
                    people[0].dial(people[1]).addBoth(results.append)
                    town.run(moment)
                    gone = people[leaving].stop()
                    town.run(2.0)
                    self.successResultOf(gone)
                    self.assertEqual(list(people[leaving].reactor.getDelayedCalls()), [])
                    town.run(10.0)
                    self.assertEqual(len(results), 1)

    def test_one_can_stop_at_any_moment_of_a_start(self) -> None:
        for moment in [0.01 * each for each in range(20)]:
            with case(moment=moment):
                town = self.make_town()
                alice = Somebody(town, "alice")
                alice.start()
                town.run(moment)
                gone = alice.stop()
                town.run(2.0)
                self.successResultOf(gone)
                self.assertEqual(list(alice.reactor.getDelayedCalls()), [])
                self.assertEqual(alice.client.status, "stopped")


class ProofTests(TownCase):
    def setUp(self) -> None:
        self.town = self.make_town(standin=True)
        self.alice, self.bob = self.pair(self.town)
        self.meet(self.alice, self.bob)
        (self.data,) = self.bob.requests
        self.token = NetDataReader(self.data).get_string()

    def test_it_is_good_for_one_connection(self) -> None:
        """
        Whoever has seen it go by cannot come in with it.
        """
        self.assertIsNone(self.bob.client.introduced(self.data))
        self.town.person("carol")
        carol = self.town.people[-1]
        again = carol.manager.connect(BOB_AT, self.data)
        again.addErrback(lambda _: None)
        self.town.run(1.0)
        self.assertEqual(self.bob.callers, [ALICE, None])

    def test_it_is_of_nobody_else_and_ends(self) -> None:
        token = self.town.daemon.introduce(ALICE, BOB)
        self.town.run(0.1)
        introduced = self.bob.client.introduced
        for wrong in (
            proof(token, CAROL),
            proof(token + "x", ALICE),
            proof("", ALICE),
            b"",
            b"\xff\xff",
            self.data,
        ):
            self.assertIsNone(introduced(wrong))
        self.town.network.partition(HOSTS["alice"], HOSTS["bob"])
        other = self.town.daemon.introduce(ALICE, BOB)
        self.town.run(0.1)
        self.assertEqual(introduced(proof(other, ALICE)), ALICE)
        self.town.run(LIFETIME)
        self.assertIsNone(introduced(proof(other, ALICE)))


class DirectoryTests(TownCase):
    """
    What is asked over HTTP.
    """

    def setUp(self) -> None:
        self.town = self.make_town(standin=True)
        self.alice = self.town.person("alice")

    def answer(self, status: int, body: object) -> None:
        self.town.daemon.answers.append(Answer(status, encode(body)))

    def result(self, asked: Deferred[Any]) -> Any:
        self.town.run(0.1)
        return self.successResultOf(asked)

    def test_listings_no_honest_daemon_makes_are_left_out(self) -> None:
        def entry(peer_id: str, username: str, ip: str = "192.0.2.1") -> Peer:
            return Peer(peer_id, username, "online", endpoint=Endpoint(ip, 1, True))

        bob = entry(BOB, "bob")
        strange = [entry("x", "bob"), entry(CAROL, "\x1b[2J"), entry(CAROL, "carol", "\x1b[2J")]
        self.answer(200, Peers([bob, *strange]))
        listed = self.result(self.alice.client.peers())
        self.assertEqual(listed, [KnownPeer(BOB, "bob", ("192.0.2.1", 1))])

    def test_the_listing_tells_who_is_away_and_who_is_offline(self) -> None:
        away = Peer(BOB, "bob", "away", endpoint=Endpoint("192.0.2.1", 1, True))
        self.answer(200, Peers([away, Peer(CAROL, "carol", "offline")]))
        listed = self.result(self.alice.client.peers())
        there = KnownPeer(BOB, "bob", ("192.0.2.1", 1), away=True)
        self.assertEqual(listed, [there, KnownPeer(CAROL, "carol", None)])

    def test_a_daemon_from_before_v1_can_list_as_well(self) -> None:
        self.answer(404, Problem.of(404, "no such resource"))
        bob = Listing(BOB, "bob", "192.0.2.1", 1, True, 0.0)
        carol = Listing(CAROL, "carol", "192.0.2.2", 1, False, 0.0)
        self.answer(200, Listings([bob, carol], 2))
        listed = self.result(self.alice.client.peers())
        there = KnownPeer(BOB, "bob", ("192.0.2.1", 1))
        self.assertEqual(listed, [there, KnownPeer(CAROL, "carol", None)])

    def test_without_a_daemon_there_is_no_list(self) -> None:
        self.town.daemon.away = True
        self.assertIn("does not answer", self.fails(self.alice.client.peers(), "unavailable"))

    def test_a_peer_can_be_renamed(self) -> None:
        self.result(self.alice.client.rename("al"))
        self.assertEqual(self.alice.client.username, "al")
        self.assertEqual(self.town.daemon.names[ALICE], "al")

    def test_a_name_that_is_none_changes_nothing(self) -> None:
        self.failureResultOf(self.alice.client.rename("a\nb"), InvalidField)
        self.town.daemon.away = True
        self.fails(self.alice.client.rename("al"), "unavailable")
        self.assertEqual(self.alice.client.username, "alice")

    def test_who_leaves_is_renamed_no_more(self) -> None:
        renaming = self.alice.client.rename("al")
        self.alice.client.stopService()
        self.assertEqual(self.fails(renaming, "unavailable"), "we are leaving")

    def test_a_stranger_knocks_for_us(self) -> None:
        self.answer(200, Probed("success", *ALICE_AT, True, "LiteNetLib, protocol 11", 0.012))
        found = self.result(self.alice.client.probe(7))
        self.assertEqual(found, Reachability(ALICE_AT, True, "LiteNetLib, protocol 11", 0.012))
        asked = {"peer_id": ALICE, "port": 7}
        self.assertEqual(self.town.daemon.requests[-1], ("POST", "/v1/probe", asked))
        self.answer(200, Probed("success", *ALICE_AT, False, None, None))
        self.assertFalse(self.result(self.alice.client.probe()).answered)
        self.assertEqual(self.town.daemon.requests[-1][2], {"peer_id": ALICE})

    def test_a_refusal_to_knock_is_told(self) -> None:
        self.answer(429, Problem.of(429, "again in 2 s"))
        asked = self.alice.client.probe()
        self.town.run(0.1)
        self.assertEqual(self.fails(asked, "unavailable"), "again in 2 s")

    def test_who_is_not_registered_is_not_knocked_at(self) -> None:
        self.alice.client.stopService()
        self.assertEqual(self.fails(self.alice.client.probe(), "unavailable"), "stopped")

    def test_bad_parameters_are_named(self) -> None:
        for server in ("localhost:8000", "http://"):
            with self.assertRaises(ValueError) as raised:
                Somebody(self.town, "bob", servers=[server])
            self.assertIn(f"server {server!r} is not a URL", str(raised.exception))
