"""
One relay for all who need one, with an engine that opens it when the test says so.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address, IRelay, RelayFailed
from p2pnet.reach.outcome import RELAY_NOT_CONFIGURED, RELAY_NOT_NEEDED
from p2pnet.signaling.relays import IDLE, MAX_SERVERS, SERVER_PATIENCE, Relays
from p2pnet.signaling.shapes import Relay
from tests.signaling.doubles import FakeManager, FakeRelay, Wire


def server(host: str = "203.0.113.7", transport: str = "udp") -> Relay:
    assert transport in ("udp", "tcp")
    return Relay(host, 3478, "udp" if transport == "udp" else "tcp", "name", "word", 0.0)


class RelaysTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.manager = FakeManager(Wire(), ("192.0.2.1", 4000))
        self.opened: list[IRelay] = []
        self.lost = 0
        self.relays = Relays(
            self.manager,
            self.clock,
            receiver=self.receive,
            opened=self.opened.append,
            lost=self.gone,
            resolve=self.resolve,
        )
        self.relays.servers = [server()]

    def receive(self, data: bytes, address: Address) -> bool:
        return True

    def gone(self) -> None:
        self.lost += 1

    def resolve(self, host: str) -> Deferred[str]:
        return fail(DNSLookupError(host)) if host == "lost.example" else succeed("203.0.113.8")

    def open(self, which: int = -1) -> FakeRelay:
        """
        A server lets us in.
        """
        login, receiver, opening = self.manager.relays[which]
        assert receiver == self.receive
        relay = FakeRelay(login)
        opening.callback(relay)
        return relay

    def asked(self) -> list[tuple[str, str]]:
        return [(login.host, login.transport) for login, _, _ in self.manager.relays]

    def refuse(self, why: str) -> None:
        self.manager.relays[-1][2].errback(RelayFailed(why))

    def test_one_is_opened_for_all(self) -> None:
        self.relays.need("one")
        self.relays.need("other")
        assert self.asked() == [("203.0.113.7", "udp")]
        assert self.relays.status_for("one") == "asking 203.0.113.7:3478/udp"
        relay = self.open()
        assert self.opened == [relay]
        assert self.relays.relay is relay
        assert self.relays.status_for("one") == "203.0.113.77:50000 at 203.0.113.7:3478"
        assert self.relays.status_for("somebody else") == RELAY_NOT_NEEDED
        self.relays.need("third")
        assert len(self.manager.relays) == 1

    def test_who_waits_for_it_gets_it(self) -> None:
        self.relays.need("one")
        early = self.relays.ready()
        relay = self.open()
        assert self.successResultOf(early) is relay
        assert self.successResultOf(self.relays.ready()) is relay

    def test_udp_comes_before_tcp_and_one_that_fails_before_the_next(self) -> None:
        self.relays.servers = [
            server("203.0.113.1", "tcp"),
            server("203.0.113.2"),
            server("turn.example"),
        ]
        self.relays.need("one")
        self.refuse("a wrong password")
        assert self.asked()[-1] == ("203.0.113.8", "udp")
        self.clock.advance(SERVER_PATIENCE)
        assert self.manager.cancelled == 1
        assert self.asked()[-1] == ("203.0.113.1", "tcp")
        self.refuse("no room")
        assert self.relays.status_for("one") == (
            "203.0.113.2:3478/udp: a wrong password; turn.example:3478/udp: no answer; "
            "203.0.113.1:3478/tcp: no room"
        )
        assert self.opened == []
        assert self.lost == 0
        assert not self.clock.getDelayedCalls()

    def test_where_udp_leads_nowhere_only_tcp_is_tried(self) -> None:
        self.relays.servers = [server(), server("203.0.113.2", "tcp")]
        self.relays.need("one", tcp_only=True)
        assert self.asked() == [("203.0.113.2", "tcp")]

    def test_without_a_server_it_says_so(self) -> None:
        for servers, tcp_only, status in (
            ([], False, RELAY_NOT_CONFIGURED),
            ([server()], True, "none that speaks TCP"),
            ([server("lost.example")], False, "lost.example:3478/udp: "),
        ):
            self.relays.servers = servers
            self.relays.need("one", tcp_only=tcp_only)
            assert status in self.relays.status_for("one")
            self.failureResultOf(self.relays.ready(), RelayFailed)
        assert self.manager.relays == []

    def test_no_more_than_a_few_servers_are_tried(self) -> None:
        self.relays.servers = [server(f"203.0.113.{each}") for each in range(2 * MAX_SERVERS)]
        self.relays.need("one")
        for _ in range(MAX_SERVERS):
            self.refuse("no")
        assert len(self.manager.relays) == MAX_SERVERS
        self.failureResultOf(self.relays.ready(), RelayFailed)

    def test_after_a_failure_the_next_who_needs_one_asks_again(self) -> None:
        self.relays.need("one")
        waiting = self.relays.ready()
        self.refuse("no room")
        assert "no room" in str(self.failureResultOf(waiting, RelayFailed).value)
        self.relays.need("other")
        relay = self.open()
        assert self.relays.relay is relay

    def test_it_is_closed_when_nobody_has_needed_it_for_a_while(self) -> None:
        self.relays.need("one")
        self.relays.need("other")
        relay = self.open()
        self.relays.release("one")
        self.clock.advance(2 * IDLE)
        assert not relay.closed
        self.relays.release("other")
        self.clock.advance(IDLE - 1)
        self.relays.need("one")
        self.clock.advance(2 * IDLE)
        assert not relay.closed
        self.relays.release("one")
        self.clock.advance(IDLE)
        assert relay.closed
        assert self.relays.relay is None
        assert not self.clock.getDelayedCalls()
        self.relays.need("one")
        assert len(self.manager.relays) == 2

    def test_nobody_may_need_it_any_more_when_it_is_there(self) -> None:
        self.relays.need("one")
        self.relays.release("one")
        relay = self.open()
        self.clock.advance(IDLE)
        assert relay.closed

    def test_one_that_is_lost_is_told_of_and_asked_for_again(self) -> None:
        self.relays.need("one")
        relay = self.open()
        relay.lost.callback("the server is gone")
        assert self.lost == 1
        assert self.relays.relay is None
        assert self.relays.status_for("one") == "lost: the server is gone"
        self.relays.need("other")
        assert len(self.manager.relays) == 2

    def test_one_that_idles_may_be_lost(self) -> None:
        self.relays.need("one")
        relay = self.open()
        self.relays.release("one")
        relay.lost.callback("the server is gone")
        assert not self.clock.getDelayedCalls()

    def test_one_that_was_closed_is_not_lost(self) -> None:
        self.relays.need("one")
        relay = self.open()
        self.relays.stop()
        relay.lost.callback("closed")
        assert self.lost == 0

    def test_stopping_gives_all_back(self) -> None:
        for moment in ("asking", "open", "idle"):
            self.relays.need("one")
            waiting = self.relays.ready()
            if moment != "asking":
                relay = self.open()
            if moment == "idle":
                self.relays.release("one")
            self.relays.stop()
            assert self.relays.relay is None
            assert not self.clock.getDelayedCalls()
            if moment == "asking":
                assert self.manager.cancelled == 1
                self.failureResultOf(waiting, RelayFailed)
            else:
                assert relay.closed

    def test_who_waits_may_give_up(self) -> None:
        self.relays.need("one")
        waiting = self.relays.ready()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.open()
