"""
Peers under ``/v1``: registered by whoever owns them, seen by whoever may.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from p2pnet.signaling.identity import KeyPair, id_of_key, statement
from p2pnet.signaling.policy import Listing, Policy
from p2pnet.signaling.records import RegistryUnavailable
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.turn import RelayServer
from tests.signaling.arrivals import A
from tests.signaling.asking import Reply, V1Case, owner
from tests.signaling.daemon import ALICE, BOB, CAROL, LEASE, Daemon

HOST = "127.0.0.1:8000"
WANTED = {"username": "alice", "port": 4000}
PATH = f"/v1/peers/{ALICE}"


class RegisteringTests(V1Case):
    def test_an_answer_says_all_a_peer_needs_and_no_secret(self) -> None:
        answer = self.put()
        assert answer == {
            "peer": {
                "peer_id": ALICE,
                "username": "alice",
                "status": "away",
                "endpoint": {"ip": "127.0.0.1", "port": 4000, "observed": False},
            },
            "lease": LEASE,
            "udp": {"port": 9050, "host": "127.0.0.1"},
            "ticket": answer["ticket"],
            "relays": [],
        }
        redeemed = self.daemon.tickets.redeem(answer["ticket"])
        assert self.successResultOf(redeemed) == ALICE

    def test_to_repeat_it_changes_nothing_but_the_lease(self) -> None:
        first = self.put()
        self.daemon.clock.advance(LEASE - 1)
        assert self.put(status=200)["peer"] == first["peer"]
        self.daemon.clock.advance(LEASE - 1)
        assert self.done(200, "GET", PATH)["status"] == "away"
        self.daemon.clock.advance(1)
        assert self.done(200, "GET", PATH) == {
            "peer_id": ALICE,
            "username": "alice",
            "status": "offline",
        }

    def test_it_says_where_it_is(self) -> None:
        reply = self.ask("PUT", PATH, WANTED, by=owner(ALICE))
        assert reply.header("Location") == PATH
        assert reply.header("ETag") == self.ask("GET", PATH).header("ETag")
        assert reply.header("Cache-Control") == "no-store"

    def test_nobody_takes_what_is_anothers(self) -> None:
        self.put()
        stolen = WANTED | {"username": "mallory"}
        self.refused(Kind.NOT_OWNER, "PUT", PATH, stolen, by=(ALICE, "m" * 40))
        self.refused(Kind.BAD_CREDENTIALS, "PUT", PATH, stolen, by=owner(BOB))
        self.refused(Kind.BAD_CREDENTIALS, "PUT", PATH, stolen)
        self.refused(Kind.BAD_CREDENTIALS, "PUT", PATH, stolen, secret=ALICE[0] * 40)
        assert self.done(200, "GET", PATH)["username"] == "alice"

    def test_credentials_that_are_none_are_no_credentials(self) -> None:
        for header in ("Basic", "Basic ", "Basic ???", "Basic YWJj", "Basic /////w==", b"\xff"):
            headers = {"Authorization": header}
            self.refused(Kind.BAD_CREDENTIALS, "PUT", PATH, WANTED, headers=headers)
        self.refused(Kind.BAD_CREDENTIALS, "PUT", PATH, WANTED, by=(ALICE, "x" * 600))

    def test_a_short_secret_will_not_do(self) -> None:
        short = (ALICE, "x" * 31)
        self.refused(Kind.INVALID, "PUT", PATH, WANTED, by=short, field="Authorization")

    def test_what_is_not_understood_is_refused_and_named(self) -> None:
        for body, field in (
            ({"port": 1}, "username"),
            (WANTED | {"port": 4000.0}, "port"),
            (WANTED | {"port": True}, "port"),
            (WANTED | {"port": "4000"}, "port"),
            (WANTED | {"port": 0}, "port"),
            (WANTED | {"username": "\u202ex"}, "username"),
            (WANTED | {"username": "x" * 33}, "username"),
            (WANTED | {"color": "red"}, "color"),
            (WANTED | {"room": {"name": "Tea"}}, "room.name"),
            (WANTED | {"room": {"name": "tea", "size": 3}}, "room.size"),
            (WANTED | {"room": "tea"}, "room"),
            (WANTED | {"proof": {"key": "00"}}, "proof.key"),
            ([], None),
        ):
            self.refused(Kind.INVALID, "PUT", PATH, body, by=owner(ALICE), field=field)

    def test_what_is_no_json_or_says_a_thing_twice_is_refused(self) -> None:
        for body in (b"", b"{", b"\xff", b'{"username":"\\ud800","port":1}', b"NaN"):
            self.refused(Kind.MALFORMED, "PUT", PATH, body, by=owner(ALICE))
        twice = b'{"username":"alice","port":1,"port":2}'
        self.refused(Kind.MALFORMED, "PUT", PATH, twice, by=owner(ALICE), field="port")
        inside = b'{"username":"a","port":1,"room":{"name":"a","name":"b"}}'
        self.refused(Kind.MALFORMED, "PUT", PATH, inside, by=owner(ALICE), field="name")

    def test_other_errors_are_what_their_status_says(self) -> None:
        text = {"Content-Type": "text/plain"}
        self.problem(415, "PUT", PATH, b"{}", by=owner(ALICE), headers=text)
        self.problem(413, "PUT", PATH, b" " * 16_385, by=owner(ALICE))
        problem = self.problem(405, "POST", PATH, WANTED)
        assert problem["headers"].header("Allow") == "DELETE, GET, HEAD, OPTIONS, PUT"

    def test_parameters_that_are_not_understood_are_refused(self) -> None:
        self.refused(Kind.INVALID, "PUT", PATH + "?force=1", WANTED, by=owner(ALICE), field="force")
        self.refused(Kind.INVALID, "GET", "/v1/peers?limit=1&limit=2", field="limit")
        self.refused(Kind.INVALID, "GET", "/v1/peers?after=%ff")

    def test_conditions_are_kept(self) -> None:
        new = {"If-None-Match": "*"}
        assert self.ask("PUT", PATH, WANTED, by=owner(ALICE), headers=new).code == 201
        tag = self.ask("GET", PATH).header("ETag") or ""
        again = self.ask("PUT", PATH, WANTED, by=owner(ALICE), headers=new)
        self.assert_problem(again, Kind.PRECONDITION, "If-None-Match")
        same = {"If-Match": f'"other", {tag}'}
        renamed = WANTED | {"username": "al"}
        assert self.ask("PUT", PATH, renamed, by=owner(ALICE), headers=same).code == 200
        for old in (tag, f"W/{tag}", '"x"'):
            headers = {"If-Match": old}
            for method, body in (("PUT", WANTED), ("DELETE", None)):
                late = self.ask(method, PATH, body, by=owner(ALICE), headers=headers)
                self.assert_problem(late, Kind.PRECONDITION, "If-Match")
        headers = {"If-Match": "*"}
        missing = self.ask("PUT", f"/v1/peers/{BOB}", WANTED, by=owner(BOB), headers=headers)
        self.assert_problem(missing, Kind.PRECONDITION, "If-Match")

    def test_conditions_tell_a_stranger_nothing(self) -> None:
        self.put()
        for headers in ({"If-None-Match": "*"}, {"If-Match": "*"}, {}):
            reply = self.ask("PUT", PATH, WANTED, by=(ALICE, "m" * 40), headers=headers)
            self.assert_problem(reply, Kind.NOT_OWNER)

    def test_somebody_may_be_away(self) -> None:
        answer = self.put()
        peer = self.associate(answer["ticket"])
        assert self.done(200, "GET", PATH)["status"] == "online"
        assert self.put(status=200, away=True)["peer"]["status"] == "away"
        assert self.put(status=200)["peer"]["status"] == "online"
        peer.disconnect()
        assert self.done(200, "GET", PATH)["status"] == "away"

    def test_when_there_is_no_room_it_says_when_to_come_again(self) -> None:
        for number in range(5):
            self.put(f"{number:08}-0000-4000-8000-000000000000")
        self.refused(Kind.FULL, "PUT", PATH, WANTED, by=owner(ALICE))

    def test_who_owns_it_unregisters(self) -> None:
        self.put()
        self.refused(Kind.BAD_CREDENTIALS, "DELETE", PATH)
        self.refused(Kind.BAD_CREDENTIALS, "DELETE", PATH, by=owner(BOB))
        wrong = self.refused(Kind.BAD_CREDENTIALS, "DELETE", PATH, by=(ALICE, "m" * 40))
        self.done(204, "DELETE", PATH, by=owner(ALICE))
        gone = self.refused(Kind.BAD_CREDENTIALS, "DELETE", PATH, by=owner(ALICE))
        assert gone.body == wrong.body
        self.refused(Kind.NOT_FOUND, "GET", PATH)

    def test_relays_are_for_the_registered(self) -> None:
        self.daemon = Daemon(relays=[RelayServer("turn.example", 3478, "udp")])
        answer = self.put()
        self.daemon.clock.advance(10)
        (relay,) = self.done(200, "GET", "/v1/relays", by=owner(ALICE))["relays"]
        assert relay["expires"] == answer["relays"][0]["expires"] + 10
        self.refused(Kind.BAD_CREDENTIALS, "GET", "/v1/relays")
        self.refused(Kind.BAD_CREDENTIALS, "GET", "/v1/relays", by=owner(BOB))

    def test_an_outage_of_the_registry_is_told_as_such(self) -> None:
        def cut_off(*_: object) -> Deferred[Any]:
            return fail(RegistryUnavailable("the way is cut", 3.5))

        self.patch(self.daemon.registry, "owned", cut_off)
        reply = self.refused(Kind.UNAVAILABLE, "PUT", PATH, WANTED, by=owner(ALICE))
        assert reply.header("Retry-After") == "4"
        self.patch(self.daemon.registry, "listing", cut_off)
        problem = self.problem(503, "GET", "/peers")
        assert problem["headers"].header("Retry-After") == "4"
        assert self.flushLoggedErrors() == []


class ProofTests(V1Case):
    def setUp(self) -> None:
        super().setUp()
        self.pair = KeyPair(bytes(range(32)))
        self.peer_id = id_of_key(self.pair.public)
        self.path = f"/v1/peers/{self.peer_id}"

    def proof(self, pair: KeyPair | None = None, host: str = HOST, **more: Any) -> dict[str, Any]:
        pair = pair or self.pair
        wanted = {"peer_id": more.get("peer_id", self.peer_id)}
        challenge = self.done(201, "POST", "/v1/challenge", wanted)["challenge"]
        said = statement(host, self.peer_id, challenge)
        return {
            "key": pair.public.hex(),
            "challenge": challenge,
            "signature": pair.sign(said).hex(),
        }

    def ask_with(self, proof: dict[str, Any], secret: str = "1" * 40) -> Reply:
        return self.ask("PUT", self.path, WANTED | {"proof": proof}, by=(self.peer_id, secret))

    def test_who_holds_the_key_owns_the_id_whatever_became_of_the_secret(self) -> None:
        assert self.ask_with(self.proof()).code == 201
        assert self.done(200, "GET", self.path)["key"] == self.pair.public.hex()
        assert self.ask_with(self.proof(), "2" * 40).code == 200
        self.refused(Kind.NOT_OWNER, "PUT", self.path, WANTED, by=(self.peer_id, "1" * 40))
        self.done(200, "PUT", self.path, WANTED, by=(self.peer_id, "2" * 40))

    def test_a_proof_is_good_once(self) -> None:
        proof = self.proof()
        assert self.ask_with(proof).code == 201
        self.assert_problem(self.ask_with(proof), Kind.BAD_PROOF, "proof")

    def test_a_proof_is_good_for_a_minute(self) -> None:
        proof = self.proof()
        self.daemon.clock.advance(60)
        self.assert_problem(self.ask_with(proof), Kind.BAD_PROOF, "proof")

    def test_a_proof_is_good_for_this_server_and_this_peer(self) -> None:
        self.assert_problem(self.ask_with(self.proof(host="evil:8000")), Kind.BAD_PROOF, "proof")
        self.assert_problem(self.ask_with(self.proof(peer_id=BOB)), Kind.BAD_PROOF, "proof")

    def test_a_made_up_challenge_will_not_do(self) -> None:
        said = statement(HOST, self.peer_id, "1.2.3")
        signature = self.pair.sign(said).hex()
        proof = {"key": self.pair.public.hex(), "challenge": "1.2.3", "signature": signature}
        self.assert_problem(self.ask_with(proof), Kind.BAD_PROOF, "proof")

    def test_anothers_key_opens_nothing(self) -> None:
        assert self.ask_with(self.proof()).code == 201
        other = KeyPair(bytes(32))
        reply = self.ask_with(self.proof(other), "3" * 40)
        self.assert_problem(reply, Kind.NOT_OWNER)
        proof = self.proof() | {"key": other.public.hex()}
        self.assert_problem(self.ask_with(proof, "3" * 40), Kind.BAD_PROOF, "proof")


class SeeingTests(V1Case):
    def test_nobody_and_nothing_look_alike(self) -> None:
        self.put(BOB, "bob")
        unknown = self.refused(Kind.NOT_FOUND, "GET", PATH)
        self.refused(Kind.NOT_FOUND, "GET", "/v1/peers/bob")
        self.refused(Kind.NOT_FOUND, "GET", f"/v1/peers/{BOB.upper()}")
        self.daemon.policy = Policy(Listing.ROOMS)
        self.daemon = Daemon(policy=Policy(Listing.ROOMS))
        self.put()
        assert self.refused(Kind.NOT_FOUND, "GET", PATH).body == unknown.body
        assert self.done(200, "GET", PATH, by=owner(ALICE))["username"] == "alice"

    def test_a_listing_comes_in_pages(self) -> None:
        self.daemon = Daemon(limit=100)
        ids = [f"{number:08}-0000-4000-8000-000000000000" for number in range(5)]
        for peer_id in ids:
            self.put(peer_id)
        seen, path = [], "/v1/peers?limit=2"
        for size in (2, 2, 1):
            page = self.done(200, "GET", path)
            assert len(page["peers"]) == size
            seen += [peer["peer_id"] for peer in page["peers"]]
            path = f"/v1/peers?limit=2&after={page.get('next')}"
        assert seen == ids
        assert path.endswith("None")

    def test_a_page_that_ends_with_the_last_peer_is_the_last(self) -> None:
        self.put()
        self.put(BOB, "bob")
        assert "next" not in self.done(200, "GET", "/v1/peers?limit=2")

    def test_the_size_of_a_page_has_limits(self) -> None:
        for bad in ("0", "1001", "x", "1.5", ""):
            self.refused(Kind.INVALID, "GET", f"/v1/peers?limit={bad}", field="limit")
        for bad in ("x", "-1", "9" * 19, ""):
            self.refused(Kind.INVALID, "GET", f"/v1/peers?after={bad}", field="after")

    def test_who_knows_the_state_is_not_told_again(self) -> None:
        for path in (PATH, "/v1/peers"):
            self.setUp()
            self.put()
            first = self.ask("GET", path)
            assert first.header("Cache-Control") == "private, no-cache"
            tag = first.header("ETag") or ""
            for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
                again = self.ask("GET", path, headers={"If-None-Match": known})
                assert (again.code, again.body) == (304, b"")
                assert again.header("ETag") == tag
            # A lease that is renewed is no news.
            self.daemon.clock.advance(1)
            self.put(status=200)
            assert self.ask("GET", path, headers={"If-None-Match": tag}).code == 304
            self.put(status=200, username="al")
            assert self.ask("GET", path, headers={"If-None-Match": tag}).code == 200

    def test_where_nobody_is_listed_that_is_said(self) -> None:
        for listing in (Listing.ROOMS, Listing.OFF):
            self.daemon = Daemon(policy=Policy(listing))
            self.put()
            self.refused(Kind.NOT_LISTED, "GET", "/v1/peers")
            self.refused(Kind.NOT_LISTED, "GET", "/v1/peers", by=owner(ALICE))
            assert self.good("GET", "/peers") == {"peers": [], "count": 0}
            assert self.good("GET", "/status")["peer_list"] == []

    def test_credentials_have_to_be_good_where_they_are_not_needed(self) -> None:
        self.put()
        for path in ("/v1/peers", PATH, "/v1/events", "/events"):
            self.refused(Kind.BAD_CREDENTIALS, "GET", path, by=(ALICE, "m" * 40))
            self.refused(Kind.BAD_CREDENTIALS, "GET", path, by=owner(CAROL))
            self.refused(Kind.BAD_CREDENTIALS, "GET", path, secret="x")

    def test_an_observed_address_is_told_as_such(self) -> None:
        self.associate(self.put()["ticket"])
        endpoint = self.done(200, "GET", PATH)["endpoint"]
        assert endpoint == {"ip": A[0], "port": A[1], "observed": True}
