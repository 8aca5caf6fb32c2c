"""
Introductions under ``/v1``, and what the two sides tell each other.
"""

from __future__ import annotations

from typing import Any

from p2pnet.interfaces import Address
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.shapes import MAX_SPOTS
from tests.signaling.arrivals import A, B, messages
from tests.signaling.asking import V1Case, owner
from tests.signaling.daemon import ALICE, BOB, CAROL, KEY

MAPPED = {"kind": "mapped", "ip": "198.51.100.7", "port": 7000}


class SessionTests(V1Case):
    def setUp(self) -> None:
        super().setUp()
        self.daemon.wire.punching = False
        self.alice = self.associate(self.put()["ticket"], A)
        self.bob = self.associate(self.put(BOB, "bob")["ticket"], B)
        self.put(CAROL, "carol")

    def call(self, **more: Any) -> Any:
        return self.done(201, "POST", "/v1/sessions", {"to": BOB}, by=owner(ALICE), **more)

    def seen(self, address: Address) -> dict[str, Any]:
        return {"kind": "observed", "ip": address[0], "port": address[1]}

    def test_both_hear_of_each_other(self) -> None:
        session = self.call()
        token = session["token"]
        assert session == {
            "token": token,
            "peer_id": BOB,
            "username": "bob",
            "key": KEY,
            "role": "caller",
            "observed": self.seen(B),
            "together": False,
            "nat": "unknown",
            "expires_in": 60.0,
        }
        path = f"/v1/sessions/{token}"
        assert self.done(200, "GET", path, by=owner(ALICE)) == session
        self.daemon.clock.advance(10)
        other = self.done(200, "GET", path, by=owner(BOB))
        assert (other["role"], other["peer_id"], other["expires_in"]) == ("callee", ALICE, 50.0)
        offers = [messages(peer)[-1] for peer in (self.alice, self.bob)]
        assert {offer["token"] for offer in offers} == {token}

    def test_no_litenetlib_introduction_is_sent_along(self) -> None:
        self.call()
        assert self.daemon.manager.nat.introductions == []

    def test_what_one_tells_the_other_hears(self) -> None:
        token = self.call()["token"]
        path = f"/v1/sessions/{token}/candidates"
        self.done(202, "POST", path, {"candidates": [MAPPED]}, by=owner(ALICE))
        heard = self.done(200, "GET", path, by=owner(BOB))
        assert heard == {"candidates": [self.seen(A), MAPPED]}
        assert messages(self.bob)[-1]["candidates"] == [MAPPED]
        assert self.done(200, "GET", path, by=owner(ALICE)) == {"candidates": [self.seen(B)]}

    def test_private_addresses_are_not_told_to_strangers(self) -> None:
        path = f"/v1/sessions/{self.call()['token']}/candidates"
        inner = {"kind": "host", "ip": "192.168.1.2", "port": 1}
        loop = {"kind": "mapped", "ip": "127.0.0.1", "port": 1}
        no_ip = {"kind": "mapped", "ip": "example.org", "port": 1}
        spots = [inner, loop, no_ip, MAPPED]
        self.done(202, "POST", path, {"candidates": spots}, by=owner(ALICE))
        heard = self.done(200, "GET", path, by=owner(BOB))
        assert heard["candidates"][1:] == [MAPPED]

    def test_what_is_told_is_bounded(self) -> None:
        path = f"/v1/sessions/{self.call()['token']}/candidates"
        many = {"candidates": [MAPPED | {"port": port} for port in range(1, MAX_SPOTS + 2)]}
        by = owner(ALICE)
        self.refused(Kind.INVALID, "POST", path, many, by=by, field="candidates")
        for start in (0, 10):
            spots = [MAPPED | {"port": start + port} for port in range(1, 11)]
            self.done(202, "POST", path, {"candidates": spots}, by=by)
        assert len(self.done(200, "GET", path, by=owner(BOB))["candidates"]) == 1 + MAX_SPOTS

    def test_what_is_told_is_read_strictly(self) -> None:
        path = f"/v1/sessions/{self.call()['token']}/candidates"
        for spot, field in (
            (MAPPED | {"kind": "observed"}, "candidates[0].kind"),
            (MAPPED | {"port": 0}, "candidates[0].port"),
            (MAPPED | {"more": 1}, "candidates[0].more"),
        ):
            body = {"candidates": [spot]}
            self.refused(Kind.INVALID, "POST", path, body, by=owner(ALICE), field=field)

    def test_nobody_else_is_in_it(self) -> None:
        token = self.call()["token"]
        stranger = owner(CAROL)
        for path in (f"/v1/sessions/{token}", "/v1/sessions/unknown"):
            bodies = {
                self.refused(Kind.NOT_FOUND, "GET", path, by=stranger).body,
                self.refused(Kind.NOT_FOUND, "DELETE", path, by=stranger).body,
                self.refused(Kind.NOT_FOUND, "GET", f"{path}/candidates", by=stranger).body,
                self.refused(
                    Kind.NOT_FOUND,
                    "POST",
                    f"{path}/candidates",
                    {"candidates": [MAPPED]},
                    by=stranger,
                ).body,
            }
            assert len(bodies) == 1
            self.refused(Kind.BAD_CREDENTIALS, "GET", path)
        assert self.done(200, "GET", f"/v1/sessions/{token}", by=owner(BOB))

    def test_either_ends_it(self) -> None:
        path = f"/v1/sessions/{self.call()['token']}"
        self.done(204, "DELETE", path, by=owner(BOB))
        for peer_id in (ALICE, BOB):
            self.refused(Kind.NOT_FOUND, "GET", path, by=owner(peer_id))

    def test_it_ends_by_itself(self) -> None:
        path = f"/v1/sessions/{self.call()['token']}"
        self.daemon.clock.advance(59)
        self.put(status=200)
        self.daemon.clock.advance(1)
        self.refused(Kind.NOT_FOUND, "GET", path, by=owner(ALICE))

    def test_who_cannot_be_introduced_is_told_why(self) -> None:
        ask = "POST", "/v1/sessions"
        by = owner(ALICE)
        self.refused(Kind.INVALID, *ask, {"to": ALICE}, by=by, field="to")
        unknown = "00000000-0000-4000-8000-000000000000"
        self.refused(Kind.NOT_FOUND, *ask, {"to": unknown}, by=by)
        self.refused(Kind.INVALID, *ask, {"to": "bob"}, by=by, field="to")
        self.refused(Kind.OFFLINE, *ask, {"to": CAROL}, by=by, field="to")
        self.refused(Kind.OFFLINE, *ask, {"to": ALICE}, by=owner(CAROL), field="from")
        self.refused(Kind.BAD_CREDENTIALS, *ask, {"to": BOB})
        self.refused(Kind.BAD_CREDENTIALS, *ask, {"to": BOB}, by=(ALICE, "m" * 40))

    def test_nobody_asks_all_the_time(self) -> None:
        for _ in range(10):
            self.call()
        ask = "POST", "/v1/sessions", {"to": BOB}
        assert self.refused(Kind.TOO_OFTEN, *ask, by=owner(ALICE)).header("Retry-After") == "1"

    def test_a_repeated_request_begins_nothing_new(self) -> None:
        key = {"Idempotency-Key": "a6b1"}
        first, again = self.call(headers=key), self.call(headers=key)
        assert again == first
        assert sum(each["type"] == "offer" for each in messages(self.bob)) == 1
        self.daemon.clock.advance(300)
        self.put(status=200)
        self.put(BOB, "bob", 200)
        assert self.call(headers=key)["token"] != first["token"]
