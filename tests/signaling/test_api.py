"""
The REST API, asked over HTTP as its clients do.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import DeliveryMethod
from p2pnet.reach.knock import PROTOCOL_11, knock
from p2pnet.signaling.api import make_site
from p2pnet.signaling.records import MIN_SECRET
from p2pnet.signaling.shapes import About, encode
from p2pnet.signaling.turn import RelayServer
from tests.logs import log_events
from tests.signaling.arrivals import A, B, messages
from tests.signaling.asking import GOOD, APICase
from tests.signaling.daemon import ALICE, BOB, CAROL, LEASE, NONCE, SERVER, WALL, Daemon


class RegistrationTests(APICase):
    def test_a_registration_says_all_a_peer_needs(self) -> None:
        answer = self.register()
        assert answer == {
            "status": "success",
            "message": "alice is registered",
            "peer_id": ALICE,
            "public_ip": "127.0.0.1",
            "secret": "secret1",
            "lease": LEASE,
            "udp": {"host": "127.0.0.1", "port": 9050},
            "ticket": answer["ticket"],
            "relays": [],
        }
        redeemed = self.daemon.tickets.redeem(answer["ticket"])
        assert self.successResultOf(redeemed) == ALICE

    def test_a_refresh_tells_no_secret_and_gives_a_fresh_ticket(self) -> None:
        first = self.register()
        second = self.register(secret=first["secret"], username="al")
        assert "secret" not in second
        assert second["message"] == "al is refreshed"
        assert second["ticket"] != first["ticket"]
        assert self.good("GET", f"/peer/{ALICE}")["username"] == "al"

    def test_a_registration_is_never_overwritten(self) -> None:
        self.register()
        other = self.register(BOB, "bob")["secret"]
        body = GOOD | {"username": "mallory"}
        self.problem(401, "POST", "/register", body, field="peer_id")
        self.problem(403, "POST", "/register", body, secret=other, field="peer_id")
        for header in ("Basic abc", "Bearer", "Bearer ", b"\xff"):
            headers = {"Authorization": header}
            self.problem(401, "POST", "/register", body, headers=headers, field="peer_id")
        headers = {"Authorization": b"Bearer \xff\xfe"}
        self.problem(403, "POST", "/register", body, headers=headers, field="peer_id")
        assert self.good("GET", f"/peer/{ALICE}")["username"] == "alice"

    def test_a_secret_that_is_brought_is_not_told_and_good_for_asking_again(self) -> None:
        own = "5" * MIN_SECRET
        first, again = self.register(secret=own), self.register(secret=own)
        assert first["message"] == "alice is registered"
        assert again["message"] == "alice is refreshed"
        assert "secret" not in first | again
        self.good("DELETE", f"/peer/{ALICE}", secret=own)

    def test_the_scheme_of_a_secret_is_written_as_one_likes(self) -> None:
        secret = self.register()["secret"]
        self.good("POST", "/register", GOOD, headers={"Authorization": f"bearer  {secret}"})

    def test_fields_it_does_not_know_are_ignored(self) -> None:
        self.good("POST", "/register", GOOD | {"nat_type": "cone", "x": [1, {"y": None}]})

    def test_a_peer_id_is_kept_in_canonical_form(self) -> None:
        answer = self.register(ALICE.upper())
        assert answer["peer_id"] == ALICE
        self.good("GET", f"/peer/{ALICE.upper()}")

    def test_unicode_names_come_back_as_they_were(self) -> None:
        self.register(username="Ünï 名 👍")
        reply = self.ask("GET", f"/peer/{ALICE}")
        assert reply.json["username"] == "Ünï 名 👍"

    def test_when_there_is_no_room_it_says_when_to_come_again(self) -> None:
        for number in range(5):
            self.register(f"{number:08}-0000-4000-8000-000000000000")
        problem = self.problem(503, "POST", "/register", GOOD)
        assert problem["headers"].header("Retry-After") == "60"

    def test_the_udp_host_is_the_one_the_client_used(self) -> None:
        for host, told in (
            ("rendezvous.example:8000", "rendezvous.example"),
            ("203.0.113.5", "203.0.113.5"),
            ("[2001:db8::5]:8000", "2001:db8::5"),
            ("a..b", "127.0.0.1"),
            ("bad host!", "127.0.0.1"),
            ("", "127.0.0.1"),
            (b"\xff\xfe", "127.0.0.1"),
            ("x" * 300, "127.0.0.1"),
        ):
            answer = self.good(
                "POST",
                "/register",
                GOOD | {"peer_id": CAROL},
                headers={"Host": host},
                secret="secret1",
            )
            assert answer["udp"] == {"host": told, "port": 9050}, host

    def test_each_registration_brings_credentials_for_the_relays(self) -> None:
        servers = [RelayServer("turn.example", 3478, "udp"), RelayServer("192.0.2.3", 80, "tcp")]
        self.daemon = Daemon(relays=servers)
        first = self.register()
        expires = WALL + 3600
        udp, tcp = first["relays"]
        assert udp == {
            "host": "turn.example",
            "port": 3478,
            "transport": "udp",
            "username": f"{expires:.0f}:{ALICE}",
            "password": udp["password"],
            "expires": expires,
        }
        assert (tcp["host"], tcp["port"], tcp["transport"]) == ("192.0.2.3", 80, "tcp")
        self.daemon.clock.advance(1800)
        second = self.register(secret=first["secret"])
        assert second["relays"][0]["expires"] == expires + 1800
        # Only who owns a registration is told.
        refused = self.problem(401, "POST", "/register", GOOD, field="peer_id")
        assert "relays" not in refused

    def test_the_udp_host_can_be_configured(self) -> None:
        self.daemon = Daemon(public_host="udp.example")
        assert self.register()["udp"]["host"] == "udp.example"


class LookupTests(APICase):
    def test_until_it_is_observed_a_peer_is_where_it_claims(self) -> None:
        self.register()
        assert self.good("GET", f"/peer/{ALICE}") == {
            "peer_id": ALICE,
            "username": "alice",
            "ip": "127.0.0.1",
            "port": 4000,
            "observed": False,
        }

    def test_once_observed_a_peer_is_where_it_was_seen(self) -> None:
        peer = self.associate(self.register()["ticket"])
        found = self.good("GET", f"/peer/{ALICE}")
        assert (found["ip"], found["port"], found["observed"]) == (*A, True)
        (listed,) = self.good("GET", "/peers")["peers"]
        assert (listed["ip"], listed["port"], listed["observed"]) == (*A, True)
        peer.disconnect()
        assert self.good("GET", f"/peer/{ALICE}")["observed"] is False

    def test_unknown_and_offline_peers_are_not_found(self) -> None:
        self.problem(404, "GET", f"/peer/{BOB}", field="peer_id")
        self.problem(404, "GET", "/peer/bob", field="peer_id")
        self.register()
        self.daemon.clock.advance(LEASE)
        problem = self.problem(404, "GET", f"/peer/{ALICE}", field="peer_id")
        assert problem["detail"] == "the peer is offline"

    def test_the_listing_has_everybody(self) -> None:
        self.register()
        self.daemon.clock.advance(LEASE - 1)
        self.register(BOB, "bob")
        self.daemon.clock.advance(1)
        assert self.good("GET", "/peers") == {
            "peers": [
                {
                    "peer_id": ALICE,
                    "username": "alice",
                    "ip": "127.0.0.1",
                    "port": 4000,
                    "online": False,
                    "last_seen": WALL,
                    "observed": False,
                },
                {
                    "peer_id": BOB,
                    "username": "bob",
                    "ip": "127.0.0.1",
                    "port": 4000,
                    "online": True,
                    "last_seen": WALL + LEASE - 1,
                    "observed": False,
                },
            ],
            "count": 2,
        }

    def test_the_status(self) -> None:
        self.register()
        self.daemon.clock.advance(LEASE)
        self.register(BOB, "bob")
        assert self.good("GET", "/status") == {
            "status": "running",
            "total_peers": 2,
            "online_peers": 1,
            "peer_list": [
                {"peer_id": ALICE, "username": "alice", "online": False},
                {"peer_id": BOB, "username": "bob", "online": True},
            ],
            "nat": {},
        }
        assert self.good("GET", "/") == {
            "service": "p2pnet signaling",
            "status": "running",
            "peers_online": 1,
        }

    def test_the_status_counts_nats(self) -> None:
        peer = self.associate(self.register()["ticket"])
        assert self.good("GET", "/status")["nat"] == {"unknown": 1}
        said = encode(About("endpoint-independent"))
        self.daemon.introducer.attendance.network_receive(
            peer, said, 0, DeliveryMethod.RELIABLE_ORDERED
        )
        assert self.good("GET", "/status")["nat"] == {"endpoint-independent": 1}

    def test_an_empty_daemon_lists_nobody(self) -> None:
        assert self.good("GET", "/peers") == {"peers": [], "count": 0}

    def test_slashes_may_be_too_many(self) -> None:
        self.good("GET", "/peers/")
        self.good("GET", "//peers")


class UnregistrationTests(APICase):
    def test_the_owner_unregisters(self) -> None:
        answer = self.register()
        peer = self.associate(answer["ticket"])
        gone = self.good("DELETE", f"/peer/{ALICE}", secret=answer["secret"])
        assert gone == {"status": "success", "message": f"{ALICE} is unregistered"}
        self.problem(404, "GET", f"/peer/{ALICE}", field="peer_id")
        assert peer.state.name == "DISCONNECTED"

    def test_nobody_else_does(self) -> None:
        self.register()
        other = self.register(BOB, "bob")["secret"]
        self.problem(401, "DELETE", f"/peer/{ALICE}", field="peer_id")
        self.problem(403, "DELETE", f"/peer/{ALICE}", secret=other, field="peer_id")
        self.good("GET", f"/peer/{ALICE}")

    def test_nobody_is_unregistered_twice(self) -> None:
        self.problem(404, "DELETE", f"/peer/{ALICE}", secret="x", field="peer_id")
        self.problem(404, "DELETE", "/peer/alice", field="peer_id")


class IntroductionTests(APICase):
    def setUp(self) -> None:
        super().setUp()
        self.daemon.wire.punching = False
        self.alice = self.register()
        self.bob = self.register(BOB, "bob")
        self.secret = self.alice["secret"]

    def introduce(self, **fields: Any) -> tuple[str, str, dict[str, Any]]:
        return "POST", "/introduce", {"from": ALICE, "to": BOB} | fields

    def test_two_associated_peers_are_introduced(self) -> None:
        self.associate(self.alice["ticket"])
        bob = self.associate(self.bob["ticket"], B)
        answer = self.good(*self.introduce(more="ignored"), secret=self.secret)
        assert answer == {
            "status": "success",
            "token": "token1",
            "peer_id": BOB,
            "username": "bob",
        }
        offer = messages(bob)[-1]
        assert (offer["token"], offer["role"]) == ("token1", "callee")

    def test_it_says_which_side_is_offline(self) -> None:
        self.problem(409, *self.introduce(), secret=self.secret, field="from")
        self.associate(self.alice["ticket"])
        self.problem(409, *self.introduce(), secret=self.secret, field="to")

    def test_unknown_peers(self) -> None:
        self.problem(404, *self.introduce(to=CAROL), secret=self.secret, field="to")
        self.problem(401, *self.introduce(**{"from": CAROL}), secret="x", field="from")

    def test_only_the_caller_may_ask(self) -> None:
        self.problem(401, *self.introduce(), field="from")
        self.problem(403, *self.introduce(), secret=self.bob["secret"], field="from")

    def test_nobody_is_introduced_to_oneself(self) -> None:
        self.problem(422, *self.introduce(to=ALICE), secret=self.secret, field="to")

    def test_bad_ids_are_named(self) -> None:
        self.problem(422, *self.introduce(to="bob"), secret=self.secret, field="to")
        self.problem(422, *self.introduce(**{"from": 5}), secret=self.secret, field="from")
        self.problem(422, "POST", "/introduce", {"from": ALICE}, field="to")

    def test_nobody_asks_without_end(self) -> None:
        self.associate(self.alice["ticket"])
        self.associate(self.bob["ticket"], B)
        for _ in range(10):
            self.good(*self.introduce(), secret=self.secret)
        problem = self.problem(429, *self.introduce(), secret=self.secret)
        assert problem["headers"].header("Retry-After") == "1"
        self.daemon.clock.advance(1)
        self.good(*self.introduce(), secret=self.secret)


class ProbeTests(APICase):
    def setUp(self) -> None:
        super().setUp()
        registered = self.register()
        self.secret = registered["secret"]
        self.ticket = registered["ticket"]

    def probe(self, **fields: Any) -> Any:
        """
        Ask, and leave the answer open.
        """
        return self.daemon.treq.request(
            "POST",
            SERVER + "/v1/probe",
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.secret}",
            },
            data=msgspec.json.encode({"peer_id": ALICE} | fields),
            reactor=self.daemon.clock,
        )

    def answer(self, asked: Any) -> Any:
        self.daemon.treq.flush()
        response = self.successResultOf(asked)
        assert response.code == 200
        return msgspec.json.decode(self.successResultOf(self.daemon.treq.content(response)))

    def test_a_peer_that_strangers_reach_is_told_so(self) -> None:
        self.associate(self.ticket)
        asked = self.probe()
        self.daemon.clock.advance(0)
        (port,) = self.daemon.ports.opened
        assert port.sent == [(knock(NONCE), A)]
        self.daemon.clock.advance(0.05)
        port.hear(b"\x0e\x01" + NONCE.to_bytes(8, "little"), A)
        assert self.answer(asked) == {
            "status": "success",
            "ip": A[0],
            "port": A[1],
            "answered": True,
            "service": PROTOCOL_11,
            "round_trip": 0.05,
        }

    def test_another_port_of_the_same_host_may_be_named_and_silence_is_an_answer(self) -> None:
        self.associate(self.ticket)
        asked = self.probe(port=4040)
        self.daemon.clock.pump([0, 1, 1])
        (port,) = self.daemon.ports.opened
        assert {address for _, address in port.sent} == {(A[0], 4040)}
        assert self.answer(asked) == {
            "status": "success",
            "ip": A[0],
            "port": 4040,
            "answered": False,
            "service": None,
            "round_trip": None,
        }

    def test_no_other_host_is_ever_knocked_at(self) -> None:
        self.associate(self.ticket)
        self.probe(ip="198.51.100.9", host="198.51.100.9", public_ip="198.51.100.9")
        self.daemon.clock.pump([0, 1, 1])
        (port,) = self.daemon.ports.opened
        assert {address for _, address in port.sent} == {A}

    def test_only_the_owner_has_somebody_knock(self) -> None:
        other = self.register(BOB, "bob")["secret"]
        ask = "POST", "/v1/probe", {"peer_id": ALICE}
        self.problem(401, *ask, field="peer_id")
        self.problem(403, *ask, secret=other, field="peer_id")
        self.problem(
            401, "POST", "/v1/probe", {"peer_id": CAROL}, secret=other, field="peer_id"
        )
        assert self.daemon.ports.opened == []

    def test_without_an_association_there_is_nowhere_to_knock(self) -> None:
        ask = "POST", "/v1/probe", {"peer_id": ALICE}
        self.problem(409, *ask, secret=self.secret, field="peer_id")

    def test_a_bad_port_is_named(self) -> None:
        self.associate(self.ticket)
        for port in (0, 65536, -1, "4000", None, True, 1.5):
            body = {"peer_id": ALICE, "port": port}
            self.problem(422, "POST", "/v1/probe", body, secret=self.secret, field="port")
        self.problem(422, "POST", "/v1/probe", {"port": 1}, secret=self.secret, field="peer_id")

    def test_nobody_has_somebody_knock_all_the_time(self) -> None:
        self.associate(self.ticket)
        self.probe()
        ask = "POST", "/v1/probe", {"peer_id": ALICE}
        problem = self.problem(429, *ask, secret=self.secret)
        assert problem["headers"].header("Retry-After") == "2"
        self.daemon.clock.pump([0, 1, 1])
        self.probe()
        assert len(self.daemon.ports.opened) == 2


class BadInputTests(APICase):
    def test_each_bad_field_is_named(self) -> None:
        bad: dict[str, list[Any]] = {
            "peer_id": ["", "alice", None, 5, ALICE + "0", {"a": 1}],
            "username": ["", "x" * 33, "a\n", "\x1b[31m", "\u202ea", "  ", None, 3, ["a"]],
            "port": [0, 65536, -1, "4000", 4000.5, 4000.0, True, None, 10**40],
        }
        for field, values in bad.items():
            for value in values:
                body = GOOD | {field: value}
                problem = self.problem(422, "POST", "/register", body, field=field)
                assert problem["detail"].startswith(f"{field} must")

    def test_each_missing_field_is_named(self) -> None:
        for field in GOOD:
            body = {name: value for name, value in GOOD.items() if name != field}
            problem = self.problem(422, "POST", "/register", body, field=field)
            assert problem["detail"] == f"{field} is missing"

    def test_what_is_no_json_object_is_a_bad_request(self) -> None:
        for body in (
            b"",
            b"{",
            b"[]",
            b"null",
            b'"text"',
            b"\xff\xfe",
            b'{"username": "\xff"}',
            b'{"username": "\\ud800"}',
            b"{'peer_id': 1}",
            b"[" * 16_000,
            b'{"a":' * 3000,
            b'{"port": 1e999}',
            b"NaN",
        ):
            self.problem(400, "POST", "/register", body)

    def test_a_body_must_say_that_it_is_json(self) -> None:
        for kind in ("text/plain", "", "application/x-www-form-urlencoded", "application/jsonx"):
            self.problem(415, "POST", "/register", GOOD, headers={"Content-Type": kind})
        for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;"):
            self.ask("POST", "/register", GOOD, headers={"Content-Type": kind})
        assert len(self.good("GET", "/peers")["peers"]) == 1

    def test_a_body_has_a_limit(self) -> None:
        body = msgspec.json.encode(GOOD)
        self.good("POST", "/register", body + b" " * (16 * 1024 - len(body)))
        self.problem(413, "POST", "/register", body + b" " * (16 * 1024 + 1 - len(body)))

    def test_an_unknown_path_is_not_found(self) -> None:
        for path in ("/nothing", "/peer", "/peer/", "/peers/x", f"/peer/{ALICE}/x", "/%00"):
            self.problem(404, "GET", path)

    def test_a_wrong_method_is_told_the_right_ones(self) -> None:
        for method, path, allowed in (
            ("GET", "/register", "OPTIONS, POST"),
            ("PUT", "/register", "OPTIONS, POST"),
            ("POST", f"/peer/{ALICE}", "DELETE, GET, HEAD, OPTIONS"),
            ("DELETE", "/peers", "GET, HEAD, OPTIONS"),
            ("BREW", "/", "GET, HEAD, OPTIONS"),
        ):
            problem = self.problem(405, method, path)
            assert problem["headers"].header("Allow") == allowed

    def test_options_are_told(self) -> None:
        reply = self.ask("OPTIONS", f"/peer/{ALICE}")
        assert (reply.code, reply.body) == (204, b"")
        assert reply.header("Allow") == "DELETE, GET, HEAD, OPTIONS"
        self.problem(404, "OPTIONS", "/nothing")

    def test_a_head_is_an_answer_without_its_body(self) -> None:
        reply = self.ask("HEAD", "/peers")
        assert (reply.code, reply.body) == (200, b"")
        assert reply.header("Content-Length") == str(len(self.ask("GET", "/peers").body))

    def test_a_path_that_is_not_text_is_a_bad_request(self) -> None:
        self.problem(400, "GET", "/peer/%ff%fe")

    def test_trouble_of_our_own_is_told_as_such_and_logged(self) -> None:
        def broken(*_: object) -> Deferred[Any]:
            return fail(OSError("secret detail"))

        self.patch(self.daemon.registry, "listing", broken)
        problem = self.problem(500, "GET", "/peers")
        assert "secret detail" not in str(problem)
        assert len(self.flushLoggedErrors(OSError)) == 1

    def test_no_client_text_reaches_the_log(self) -> None:
        events = log_events(self)
        self.register(username="forgery")
        self.ask("GET", "/forgery%0aforgery")
        self.ask("POST", "/register", GOOD | {"username": "forgery\n"})
        assert "forgery" not in str(events)


class AddressTests(SynchronousTestCase):
    """
    Over transports that the in-memory agent does not have.
    """

    def public_ip(self, peer: IAddress, host: IAddress) -> tuple[str, str]:
        daemon = Daemon()
        site = make_site(daemon.api, Clock())
        protocol = site.buildProtocol(peer)
        assert protocol is not None
        transport = StringTransport(hostAddress=host, peerAddress=peer)
        protocol.makeConnection(transport)
        body = msgspec.json.encode(GOOD)
        protocol.dataReceived(
            b"POST /register HTTP/1.0\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        answer = msgspec.json.decode(transport.value().partition(b"\r\n\r\n")[2])
        return answer["public_ip"], answer["udp"]["host"]

    def test_addresses_are_told_as_they_are_and_mapped_ones_as_ipv4(self) -> None:
        v4, v6 = IPv4Address("TCP", "192.0.2.1", 1), IPv4Address("TCP", "203.0.113.1", 2)
        assert self.public_ip(v4, v6) == ("192.0.2.1", "203.0.113.1")
        mapped = IPv6Address("TCP", "::ffff:192.0.2.1", 1)
        assert self.public_ip(mapped, mapped) == ("192.0.2.1", "192.0.2.1")
        real = IPv6Address("TCP", "2001:db8::1", 1)
        assert self.public_ip(real, real) == ("2001:db8::1", "2001:db8::1")

    def test_who_comes_over_a_unix_socket_is_on_this_machine(self) -> None:
        path = UNIXAddress("/run/p2pnet")
        assert self.public_ip(path, path) == ("127.0.0.1", "127.0.0.1")


@given(st.binary(max_size=300), st.sampled_from(["/register", "/introduce", "/v1/probe"]))
def test_any_body_gets_an_answer_that_is_a_problem(body: bytes, path: str) -> None:
    case = APICase()
    case.setUp()
    reply = case.ask("POST", path, body)
    assert reply.code in (400, 422)
    assert reply.header("Content-Type") == "application/problem+json"
