"""
Searches on one socket, with an engine that writes down what it is told.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address, DialFailed, RelayFailed
from p2pnet.reach.agent import PathNominated
from p2pnet.reach.candidates import Candidate, CandidateKind, Path
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.outcome import RELAY_NOT_NEEDED
from p2pnet.reach.policy import RelayPolicy
from p2pnet.signaling.pathfinder import MAX_SEARCHES, RELAY_NOT_WANTED, Pathfinder
from p2pnet.signaling.relays import IDLE
from p2pnet.signaling.search import LIFETIME, Search, proof
from p2pnet.signaling.shapes import MAX_SPOTS, Candidates, Relay, Spot
from p2pnet.stun.header import is_marked_stun
from tests.signaling.core import BOB
from tests.signaling.doubles import FakeManager, FakePeer, FakeRelay, RecordingListener, Wire
from tests.signaling.offers import BOB_AT, nominated, offer

HERE: Address = ("192.0.2.1", 4000)
ENGINE: Address = ("203.0.113.1", 9050)
TURN = Relay("203.0.113.7", 3478, "udp", "name", "word", 0.0)
TURN_TCP = Relay("203.0.113.8", 3478, "tcp", "name", "word", 0.0)
PATIENCE = 8.0


class PathfinderCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.manager = FakeManager(Wire(), HERE)
        self.own = [Candidate(CandidateKind.HOST, HERE)]
        self.told: list[Candidates] = []
        self.found: list[Search] = []
        self.gave_up: list[Search] = []
        self.draws = 0
        self.finder = self.make()

    def make(self, policy: RelayPolicy = RelayPolicy.FALLBACK) -> Pathfinder:
        finder = Pathfinder(
            self.manager,
            self.clock,
            random=self.draw,
            own=lambda: self.own,
            tell=self.told.append,
            found=self.found.append,
            gave_up=self.gave_up.append,
            resolve=lambda host: succeed("203.0.113.9"),
            policy=policy,
            patience=PATIENCE,
        )
        finder.relays.servers = [TURN, TURN_TCP]
        self.addCleanup(self.close, finder)
        return finder

    def close(self, finder: Pathfinder) -> None:
        finder.stop()
        assert not self.clock.getDelayedCalls()
        assert not finder._searches

    def draw(self, bits: int) -> int:
        self.draws += 1
        return self.draws

    def begin(self, token: str = "token1", at: Address = ENGINE, **changes: Any) -> Search:
        search = self.finder.begin(offer(token, **changes), at)
        search.found.addErrback(lambda _: None)
        return search

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)

    @property
    def probed(self) -> set[Address]:
        """
        Where our socket has sent to.
        """
        return {address for address, _ in self.manager.datagrams}

    def open_relay(self) -> FakeRelay:
        """
        The server that was asked last lets us in.
        """
        login, _, opening = self.manager.relays[-1]
        relay = FakeRelay(login)
        opening.callback(relay)
        return relay


class SearchingTests(PathfinderCase):
    def test_the_observed_address_is_probed_and_ours_is_told(self) -> None:
        self.begin()
        self.clock.advance(0.0)
        ((address, data),) = self.manager.datagrams[:1]
        assert address == BOB_AT
        assert is_marked_stun(data)
        assert self.told == [Candidates("token1", [Spot("host", *HERE)])]

    def test_more_candidates_are_probed_as_they_come(self) -> None:
        self.begin()
        more = [Spot("host", "198.51.100.9", 1), Spot("host", "10.0.0.1", 2)]
        self.finder.heard(Candidates("token1", [*more, Spot("mapped", "nonsense", 3)]))
        self.pass_time(0.1)
        assert self.probed == {BOB_AT, ("198.51.100.9", 1)}

    def test_candidates_of_nobody_are_passed_over(self) -> None:
        self.finder.heard(Candidates("token1", [Spot("host", "198.51.100.9", 1)]))
        self.pass_time(1.0)
        assert self.probed == set()

    def test_a_flood_of_candidates_is_bounded(self) -> None:
        self.begin()
        for each in range(50):
            spots = [Spot("host", f"198.51.{each}.{port}", 1) for port in range(MAX_SPOTS)]
            self.finder.heard(Candidates("token1", spots))
        self.pass_time(0.5)
        assert len(self.probed) == MAX_SPOTS

    def test_no_more_of_ours_are_told_than_are_taken(self) -> None:
        self.own = [Candidate(CandidateKind.HOST, (f"192.0.2.{n}", 1)) for n in range(100)]
        self.begin()
        assert len(self.told[0].candidates) == MAX_SPOTS

    def test_a_peer_on_the_daemons_own_machine_is_at_the_daemons_address(self) -> None:
        self.begin(observed=Spot("observed", "127.0.0.1", 61002))
        self.pass_time(0.1)
        assert self.probed == {(ENGINE[0], 61002)}

    def test_on_one_machine_with_the_daemon_all_is_on_loopback(self) -> None:
        loopback = ("127.0.0.1", 9050)
        self.begin(at=loopback, observed=Spot("observed", "127.0.0.1", 61002), together=True)
        self.pass_time(0.1)
        assert self.probed == {("127.0.0.1", 61002)}

    def test_neighbours_of_a_daemon_in_our_own_network_are_reached_there(self) -> None:
        for number, (daemon, seen, expected) in enumerate(
            (
                ("192.168.0.1", "192.168.0.7", "192.168.0.7"),
                ("127.0.0.1", "192.168.0.8", "192.168.0.8"),
                ("192.168.0.1", "127.0.0.1", "192.168.0.1"),
                ("203.0.113.1", "192.168.0.9", None),
            )
        ):
            self.manager.datagrams.clear()
            search = self.begin(
                f"token{number}", at=(daemon, 9050), observed=Spot("observed", seen, 61002)
            )
            self.clock.advance(0.0)
            assert self.probed == ({(expected, 61002)} if expected else set()), daemon
            self.finder.end(search)

    def test_who_finds_nothing_gives_up_and_leaves_nothing(self) -> None:
        for role in ("caller", "callee"):
            self.begin(role, role=role)
        self.pass_time(PATIENCE - 0.1)
        assert self.gave_up == []
        self.pass_time(0.2)
        assert [search.token for search in self.gave_up] == ["caller", "callee"]
        sent = len(self.manager.datagrams)
        self.pass_time(LIFETIME)
        assert len(self.manager.datagrams) == sent
        assert not self.finder._searches

    def test_a_closed_socket_is_survived(self) -> None:
        self.manager.local_port = 0
        self.begin()
        self.pass_time(PATIENCE + 0.1)
        assert len(self.gave_up) == 1

    def test_what_comes_and_is_no_probe_of_ours_changes_nothing(self) -> None:
        self.begin()
        for data in (b"", b"\0" * 20, self.manager.datagrams[0][1] if self.probed else b"x"):
            self.finder.receive(data, BOB_AT)
        self.pass_time(1.0)
        assert self.found == []

    def test_a_path_is_news_once(self) -> None:
        """
        That it has another name than was thought is none; that a relay is on it is.
        """
        search = self.begin()
        path = Path(BOB_AT)
        for kind in (CandidateKind.SEEN, CandidateKind.OBSERVED, CandidateKind.RELAYED):
            self.finder._happened(search, PathNominated(path, kind, 0.02))
            assert search.nominated is not None
            assert search.nominated.kind is kind
        assert len(self.found) == 2


class OffersTests(PathfinderCase):
    def test_nonsense_is_refused(self) -> None:
        for changes in (
            {"observed": Spot("observed", "bob.example", 1)},
            {"observed": Spot("observed", "", 1)},
            {"token": "ü" * 255},
        ):
            with self.assertRaises(ValueError):
                self.begin(**changes)
        assert not self.finder._searches
        self.begin()
        with self.assertRaises(ValueError):
            self.begin()
        assert len(self.finder._searches) == 1

    def test_a_flood_of_them_is_bounded(self) -> None:
        for number in range(3 * MAX_SEARCHES):
            self.begin(str(number), role="callee")
        assert len(self.finder._searches) == MAX_SEARCHES
        assert self.finder.introduced(proof("0", BOB)) is None
        assert self.finder.introduced(proof(str(3 * MAX_SEARCHES - 1), BOB)) == BOB

    def test_those_that_led_to_connections_do_not_give_way(self) -> None:
        search = self.begin()
        peer = FakePeer(BOB_AT, RecordingListener())
        search.peer = peer
        for number in range(2 * MAX_SEARCHES):
            self.begin(str(number), role="callee")
        assert self.finder._searches["token1"] is search
        for each in self.finder._searches.values():
            each.peer = peer
        with self.assertRaises(ValueError):
            self.begin("one more")


class RelayTests(PathfinderCase):
    def test_it_is_asked_for_when_no_direct_path_opens(self) -> None:
        search = self.begin()
        self.pass_time(0.9)
        assert self.manager.relays == []
        self.pass_time(0.2)
        ((login, _, _),) = self.manager.relays
        assert login.host == TURN.host
        relay = self.open_relay()
        assert relay.permitted == [BOB_AT[0]]
        assert self.told[-1] == Candidates("token1", [Spot("relayed", *relay.relayed)])
        self.pass_time(0.2)
        assert {remote for remote, _ in relay.sent} == {BOB_AT}
        assert self.finder.relay_status(search).startswith("203.0.113.77:50000")

    def test_who_comes_later_is_permitted_too_as_far_as_the_relay_reaches(self) -> None:
        self.begin()
        self.pass_time(1.1)
        relay = self.open_relay()
        spots = [Spot("host", "2001:db8::1", 1), Spot("host", "198.51.100.9", 1)]
        self.finder.heard(Candidates("token1", spots))
        assert relay.permitted == [BOB_AT[0], "198.51.100.9"]

    def test_a_caller_asks_before_a_callee_and_both_before_hopeless_nats(self) -> None:
        symmetric = NatMapping.ADDRESS_AND_PORT_DEPENDENT.value
        for role, nat, least, most in (
            ("caller", "unknown", 0.95, 1.1),
            ("callee", "unknown", 2.4, 2.6),
            ("caller", symmetric, 0.25, 0.4),
            ("callee", symmetric, 1.7, 1.9),
        ):
            finder = self.finder = self.make()
            self.manager.relays.clear()
            self.begin(role=role, nat=nat)
            self.pass_time(least)
            assert self.manager.relays == [], (role, nat)
            self.pass_time(most - least)
            assert len(self.manager.relays) == 1, (role, nat)
            finder.stop()

    def test_never_is_never(self) -> None:
        self.finder = self.make(RelayPolicy.NEVER)
        search = self.begin()
        self.pass_time(PATIENCE)
        assert self.manager.relays == []
        assert self.finder.relay_status(search) == RELAY_NOT_WANTED

    def test_only_is_at_once_and_our_socket_is_silent(self) -> None:
        self.finder = self.make(RelayPolicy.ONLY)
        self.begin()
        self.clock.advance(0.0)
        relay = self.open_relay()
        self.pass_time(1.0)
        assert self.probed == set()
        assert relay.sent
        assert self.told == [Candidates("token1", [Spot("relayed", *relay.relayed)])]

    def test_only_answers_nobody_who_knocks_at_our_socket(self) -> None:
        other = self.make()
        theirs = other.begin(offer(role="callee", observed=Spot("observed", *HERE)), ENGINE)
        self.clock.advance(0.0)
        probe = self.manager.datagrams[-1][1]
        self.manager.datagrams.clear()
        other.end(theirs)
        self.finder = self.make(RelayPolicy.ONLY)
        self.begin()
        self.finder.receive(probe, BOB_AT)
        self.pass_time(0.2)
        assert self.manager.datagrams == []

    def test_a_search_that_ends_needs_it_no_more(self) -> None:
        search = self.begin()
        self.pass_time(1.1)
        relay = self.open_relay()
        self.finder.end(search)
        assert self.finder.relay_status(search) == RELAY_NOT_NEEDED
        self.pass_time(IDLE - 1.0)
        assert not relay.closed
        self.pass_time(2.0)
        assert relay.closed

    def test_who_is_called_back_to_it_needs_it_again(self) -> None:
        search = self.begin(role="callee")
        self.pass_time(2.6)
        self.open_relay()
        for event in (nominated(relayed=True), nominated(), nominated(relayed=True)):
            self.finder._happened(search, event)
        assert self.finder.relays.is_needed_by(search)
        assert [each.token for each in self.found] == ["token1"] * 3

    def test_one_that_opens_too_late_is_nobodys(self) -> None:
        search = self.begin()
        self.pass_time(1.1)
        self.finder.end(search)
        relay = self.open_relay()
        assert relay.permitted == []
        assert len(self.told) == 1

    def test_one_that_is_lost_is_used_no_more(self) -> None:
        self.begin()
        self.pass_time(1.1)
        relay = self.open_relay()
        self.pass_time(0.1)
        relay.lost.callback("gone")
        sent = len(relay.sent)
        self.pass_time(1.0)
        assert len(relay.sent) == sent

    def test_what_is_no_stun_is_left_to_the_engine(self) -> None:
        self.begin()
        self.pass_time(1.1)
        _, receiver, _ = self.manager.relays[-1]
        self.open_relay()
        assert not receiver(b"\x01 a message", BOB_AT)
        assert receiver(self.manager.datagrams[0][1], BOB_AT)


class DetourTests(PathfinderCase):
    def detour(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.finder.detour())

    def test_it_goes_over_tcp_and_everything_else_does_too(self) -> None:
        detour = self.detour()
        ((login, _, _),) = self.manager.relays
        assert login.transport == "tcp"
        relay = self.open_relay()
        assert self.successResultOf(detour) is relay
        self.begin()
        self.pass_time(1.0)
        assert self.probed == set()
        assert {remote for remote, _ in relay.sent} == {BOB_AT}
        self.finder.end_detour()
        self.begin("token2")
        self.pass_time(0.1)
        assert self.probed == {BOB_AT}

    def test_without_a_relay_there_is_none_and_our_socket_is_used(self) -> None:
        detour = self.detour()
        self.manager.relays[-1][2].errback(RelayFailed("no room"))
        assert "no room" in str(self.failureResultOf(detour, RelayFailed).value)
        assert self.finder.direct
        assert not self.finder.relays.is_needed_by(self.finder)

    def test_who_wants_no_relay_has_none(self) -> None:
        self.finder = self.make(RelayPolicy.NEVER)
        self.failureResultOf(self.detour(), RelayFailed)
        assert self.manager.relays == []

    def test_it_can_be_given_up(self) -> None:
        detour = self.detour()
        detour.cancel()
        detour.addErrback(lambda _: None)
        assert not self.finder.relays.is_needed_by(self.finder)
        assert self.finder.direct


class TwinTests(PathfinderCase):
    def test_of_two_searches_with_one_connection_both_sides_keep_the_same(self) -> None:
        for first, second in (("a", "b"), ("b", "a")):
            searches = [self.begin(token, role="callee") for token in (first, second)]
            peer = FakePeer(BOB_AT, RecordingListener())
            for search in searches:
                search.peer = peer
            self.pass_time(1.0)
            assert list(self.finder._searches) == ["a"]
            self.finder.stop()

    def test_the_end_of_a_search_that_is_waited_for_is_told(self) -> None:
        search = self.finder.begin(offer(), ENGINE)
        self.finder.stop()
        assert self.failureResultOf(search.found, DialFailed).value.reason == "no-path"
