"""
What the server says of itself, and how it keeps the many from being too many.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from p2pnet.signaling.api import make_site
from p2pnet.signaling.health import Health
from p2pnet.signaling.policy import Listing, Policy
from p2pnet.signaling.records import Record
from p2pnet.signaling.rest import running
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.rest.running import SHARE
from tests.signaling.asking import GOOD, V1Case, owner
from tests.signaling.daemon import ALICE, LEASE, Daemon

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class ServerTests(V1Case):
    def test_it_says_what_it_is(self) -> None:
        assert self.done(200, "GET", "/v1") == {
            "service": "p2pnet rendezvous",
            "lease": LEASE,
            "listing": "open",
            "host": "127.0.0.1:8000",
        }

    def test_a_browser_gets_a_page_and_a_program_json(self) -> None:
        page = self.ask("GET", "/", headers=BROWSER)
        assert page.header("Content-Type") == "text/html; charset=utf-8"
        assert page.header("Vary") == "Accept"
        for accept in ("*/*", "application/json", ""):
            reply = self.ask("GET", "/", headers={"Accept": accept})
            assert reply.json["service"] == "p2pnet signaling"
            assert reply.header("Vary") == "Accept"

    def test_pages_load_nothing_from_elsewhere(self) -> None:
        for path in ("/", "/docs", "/problems/not-found", "/assets/status.js", "/assets/style.css"):
            page = self.ask("GET", path, headers=BROWSER)
            assert page.code == 200
            policy = page.header("Content-Security-Policy") or ""
            assert policy.startswith("default-src 'none'; script-src 'self'; ")
            assert "unsafe" not in policy
            assert page.header("X-Content-Type-Options") == "nosniff"
            text = page.body.decode()
            assert "<script>" not in text
            assert " style=" not in text
            assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
            assert "https:" not in text

    def test_what_pages_are_made_of_is_not_sent_twice(self) -> None:
        for path in ("/", "/docs", "/assets/status.js"):
            tag = self.ask("GET", path, headers=BROWSER).header("ETag") or ""
            assert tag
            again = self.ask("GET", path, headers=BROWSER | {"If-None-Match": tag})
            assert (again.code, again.body) == (304, b"")

    def test_there_are_no_other_assets(self) -> None:
        for name in ("nothing", "__init__.py", "status.html"):
            self.refused(Kind.NOT_FOUND, "GET", f"/assets/{name}")
        self.problem(404, "GET", "/assets/..%2f..%2fapi.py")
        self.refused(Kind.NOT_FOUND, "GET", "/problems/nothing")

    def test_each_type_of_problem_is_explained_where_it_says(self) -> None:
        for kind in Kind:
            page = self.ask("GET", kind.uri)
            assert page.code == 200
            assert kind.title in page.body.decode()

    def test_it_is_alive_and_ready(self) -> None:
        assert self.done(200, "GET", "/healthz") == {"status": "ok"}
        assert self.done(200, "GET", "/readyz") == {"status": "ready"}

    def test_what_is_wrong_is_told_to_who_watches(self) -> None:
        checks: Any = {"no registry": lambda: succeed(False), "no port": lambda: succeed(True)}
        self.daemon.health._checks = checks
        problem = self.problem(503, "GET", "/readyz")
        assert problem["detail"] == "no registry"
        assert problem["headers"].header("Retry-After") == "5"
        assert self.done(200, "GET", "/healthz") == {"status": "ok"}


class DrainingTests(V1Case):
    def test_nothing_new_is_begun_and_what_there_is_goes_on(self) -> None:
        self.put()
        self.daemon.health.draining = True
        wanted = {"username": "alice", "port": 1}
        reply = self.refused(
            Kind.LEAVING, "PUT", f"/v1/peers/{ALICE}", wanted, by=owner(ALICE)
        )
        assert reply.header("Retry-After") == str(self.daemon.health.retry_after)
        problem = self.problem(503, "POST", "/register", GOOD, secret="x" * 40)
        assert problem["headers"].header("Retry-After")
        for path in ("/introduce", "/v1/probe"):
            self.problem(503, "POST", path, {})
        self.refused(Kind.LEAVING, "POST", "/v1/rooms", {"name": "tea"}, by=("tea", "t" * 40))
        self.problem(503, "GET", "/readyz")
        assert self.done(200, "GET", f"/v1/peers/{ALICE}")["username"] == "alice"
        self.done(204, "DELETE", f"/v1/peers/{ALICE}", by=owner(ALICE))


    def test_connections_are_closed_after_their_answer(self) -> None:
        for path in (b"/v1", b"/docs", b"/nothing", b"/peers"):
            wires = []
            for draining in (False, True):
                self.daemon.health.draining = draining
                protocol = make_site(self.daemon.api, self.daemon.clock).buildProtocol(None)
                wire = StringTransport()
                protocol.makeConnection(wire)
                protocol.dataReceived(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                wires.append(wire)
            assert [wire.disconnecting for wire in wires] == [False, True]
            assert [b"Connection: close" in wire.value() for wire in wires] == [False, True]


class LimitTests(V1Case):
    def ask_often(self, times: int, *args: Any, **more: Any) -> list[int]:
        return [self.ask(*args, **more).code for _ in range(times)]

    def test_a_network_asks_so_often_whatever_it_asks_for(self) -> None:
        self.daemon.limits.requests.burst = 6
        paths = ("/v1", "/peers", "/nothing", "/docs", "/%ff", "/register")
        codes = [self.ask("GET", path).code for path in paths]
        assert codes == [200, 200, 404, 200, 400, 405]
        for path in paths:
            problem = self.problem(429, "GET", path)
            assert problem["headers"].header("Retry-After") == "1"
        self.refused(Kind.TOO_OFTEN, "GET", "/v1/peers")
        assert self.daemon.api.runner.throttled == {"network": 7}
        self.daemon.clock.advance(1 / self.daemon.limits.requests.per_second)
        assert self.ask_often(2, "GET", "/v1") == [200, 429]

    def test_all_together_ask_so_often(self) -> None:
        self.daemon.limits.requests_in_all.burst = 2
        assert self.ask_often(3, "GET", "/v1") == [200, 200, 429]
        assert self.daemon.api.runner.throttled == {"all": 1}

    def test_a_flood_of_strangers_leaves_the_others_their_share(self) -> None:
        self.put()
        self.daemon.limits.requests_in_all.burst = 3
        site = make_site(self.daemon.api, self.daemon.clock)
        codes = []
        for number in range(10):
            address = IPv4Address("TCP", f"198.51.{number}.1", 1)
            protocol = site.buildProtocol(address)
            wire = StringTransport(peerAddress=address)
            protocol.makeConnection(wire)
            protocol.dataReceived(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n")
            codes.append(int(wire.value().split()[1]))
        # Alice's own registration, from another network, was the first request of a stranger.
        assert codes == [200] * 2 + [429] * 8
        # What is hers in any case, and then what those who are known share.
        assert self.ask_often(14, "GET", "/v1") == [200] * (int(SHARE.burst) + 3) + [429]
        self.daemon.clock.advance(1.0)
        assert self.ask_often(5, "GET", "/v1") == [200] * 5

    def test_listings_are_made_one_at_a_time_with_a_rest_between(self) -> None:
        """
        Else forty of ten thousand peers would keep all others waiting for a second.
        """
        clock, listing = self.daemon.clock, self.daemon.registry.listing

        def slow(*args: Any) -> Any:
            clock.rightNow += 0.1
            return listing(*args)

        self.patch(self.daemon.registry, "listing", slow)
        site = make_site(self.daemon.api, clock)
        wires: list[Any] = []
        for _ in range(3):
            protocol = site.buildProtocol(IPv4Address("TCP", "198.51.100.1", 1))
            wires.append(StringTransport())
            wires[-1].protocol = protocol
            protocol.makeConnection(wires[-1])
            protocol.dataReceived(b"GET /peers HTTP/1.1\r\nHost: x\r\n\r\n")
        clock.advance(0)

        def answered() -> list[bool]:
            return [wire.value().startswith(b"HTTP/1.1 200 ") for wire in wires]

        assert answered() == [True, False, False]
        clock.advance(0.19)
        assert answered() == [True, False, False]
        clock.advance(0.02)
        assert answered() == [True, True, False]
        wires[-1].protocol.connectionLost(Failure(ConnectionDone()))
        clock.advance(1)
        self.good("GET", "/peers")

    def test_wrong_credentials_make_nobody_known(self) -> None:
        self.daemon.limits.requests_in_all.burst = 2
        path = f"/v1/peers/{ALICE}"
        self.refused(Kind.BAD_CREDENTIALS, "GET", path, by=(ALICE, "m" * 40))
        self.refused(Kind.BAD_CREDENTIALS, "DELETE", path, by=(ALICE, "m" * 40))
        self.refused(Kind.TOO_OFTEN, "GET", path)

    def test_who_watches_is_not_kept_out_by_its_neighbours(self) -> None:
        self.daemon.limits.requests.burst = 1
        assert self.ask_often(2, "GET", "/v1") == [200, 429]
        assert self.ask_often(3, "GET", "/healthz") == [200, 200, 200]
        assert self.ask_often(3, "GET", "/readyz") == [200, 200, 200]

    def test_an_owner_changes_things_so_often_and_looks_up_more(self) -> None:
        self.daemon.limits.changes.burst = 2
        wanted = {"username": "alice", "port": 1}
        path = f"/v1/peers/{ALICE}"
        assert self.ask_often(2, "PUT", path, wanted, by=owner(ALICE)) == [201, 200]
        self.refused(Kind.TOO_OFTEN, "PUT", path, wanted, by=owner(ALICE))
        assert self.daemon.api.runner.throttled == {"owner": 1}
        assert self.ask_often(5, "GET", path, by=owner(ALICE)) == [200] * 5
        # Who shows another secret does not use up the owner's allowance.
        self.daemon.clock.advance(1 / self.daemon.limits.changes.per_second)
        assert self.ask_often(2, "PUT", path, wanted, by=(ALICE, "m" * 40)) == [403, 403]
        assert self.ask("PUT", path, wanted, by=owner(ALICE)).code == 200

    def test_what_was_asked_before_v1_counts_as_well(self) -> None:
        self.daemon.limits.changes.burst = 2
        codes = self.ask_often(3, "POST", "/register", GOOD, secret="x" * 40)
        assert codes == [200, 200, 429]
        problem = self.problem(429, "POST", "/register", GOOD, secret="x" * 40)
        assert problem["headers"].header("Retry-After") == "1"

    def test_everybody_at_once_is_listed_less_often(self) -> None:
        self.daemon.limits.listings.burst = 2
        assert [self.ask("GET", path).code for path in ("/peers", "/status")] == [200, 200]
        self.problem(429, "GET", "/peers")
        self.problem(429, "GET", "/status")
        assert self.daemon.api.runner.throttled == {"listings": 2}
        assert self.ask_often(5, "GET", "/v1/peers") == [200] * 5
        self.daemon.clock.advance(1 / self.daemon.limits.listings.per_second)
        assert self.ask_often(2, "GET", "/peers") == [200, 429]

    def test_a_program_that_looks_some_times_a_second_goes_on_doing_so(self) -> None:
        for _ in range(200):
            assert [self.ask("GET", path).code for path in ("/peers", "/status")] == [200, 200]
            self.daemon.clock.advance(0.2)

    def test_a_listing_of_thousands_counts_for_several(self) -> None:
        self.daemon = Daemon(limit=90)
        for number in range(90):
            record = Record(f"{number:08}-0000-4000-8000-000000000000", "x" * 20, "::1", 4000)
            self.successResultOf(self.daemon.registry.register(record, None))
        self.patch(running, "LISTING", 30 * 200)
        self.daemon.limits.listings.burst = 4
        codes = self.ask_often(3, "GET", "/peers")
        assert codes == [200, 200, 429]
        self.daemon.clock.advance(4 / self.daemon.limits.listings.per_second)
        assert self.ask("GET", "/peers").code == 200

    def test_limits_change_while_it_runs(self) -> None:
        self.daemon.limits.requests.burst = 1
        assert self.ask_often(2, "GET", "/v1") == [200, 429]
        self.daemon.limits.requests.burst = 10
        assert self.ask_often(2, "GET", "/v1") == [200, 200]

    def test_answers_are_counted_by_what_was_asked_for(self) -> None:
        self.put()
        self.ask("GET", "/nothing")
        self.ask("GET", f"/v1/peers/{ALICE}")
        self.ask("GET", "/v1/peers/x")
        assert self.daemon.api.runner.answers == {
            ("PUT /v1/peers/{peer_id}", 201): 1,
            ("", 404): 1,
            ("GET /v1/peers/{peer_id}", 200): 1,
            ("GET /v1/peers/{peer_id}", 404): 1,
        }
        assert self.daemon.api.desk.registrations == {"new": 1}


class PolicyTests(V1Case):
    def test_it_says_who_is_listed(self) -> None:
        for listing in Listing:
            self.daemon = Daemon(policy=Policy(listing))
            assert self.done(200, "GET", "/v1")["listing"] == listing.value

    def test_health_may_be_asked_without_checks(self) -> None:
        health = Health({}, self.daemon.clock)
        assert self.successResultOf(health.faults()) == []
