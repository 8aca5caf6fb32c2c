"""
Rooms: opened, entered with the password, closed; and who is seen from where.
"""

from __future__ import annotations

from typing import Any

from p2pnet.signaling.policy import Listing, Policy
from p2pnet.signaling.rest.problems import Kind
from tests.signaling.asking import Reply, V1Case, owner
from tests.signaling.daemon import ALICE, BOB, CAROL, Daemon

TEA = ("tea", "t" * 40)
PASSWORD = "milk and sugar"


class RoomCase(V1Case):
    def work(self, *args: Any, **more: Any) -> Reply:
        """
        Ask for what needs another thread.
        """
        begun = self.begin(*args, **more)
        self.daemon.threads.work()
        self.daemon.treq.flush()
        return self.successResultOf(begun)

    def open(self, password: str | None = PASSWORD, by: tuple[str, str] = TEA) -> Reply:
        return self.work("POST", "/v1/rooms", {"name": "tea", "password": password}, by=by)

    def enter(self, peer_id: str, password: str | None = PASSWORD, room: str = "tea") -> Reply:
        wanted = {
            "username": "somebody",
            "port": 1,
            "room": {"name": room, "password": password},
        }
        return self.work("PUT", f"/v1/peers/{peer_id}", wanted, by=owner(peer_id))


class OpeningTests(RoomCase):
    def test_who_opens_a_room_owns_it(self) -> None:
        reply = self.open()
        assert (reply.code, reply.json) == (201, {"name": "tea"})
        assert reply.header("Location") == "/v1/rooms/tea"
        path = "/v1/rooms/tea"
        wrong = self.refused(Kind.BAD_CREDENTIALS, "DELETE", path, by=("tea", "x" * 40))
        self.refused(Kind.BAD_CREDENTIALS, "DELETE", path, by=("milk", TEA[1]))
        self.refused(Kind.BAD_CREDENTIALS, "DELETE", path)
        unknown = self.refused(Kind.BAD_CREDENTIALS, "DELETE", "/v1/rooms/no", by=("no", "x" * 40))
        assert unknown.body == wrong.body
        self.done(204, "DELETE", path, by=TEA)
        self.assert_problem(self.enter(ALICE), Kind.NOT_ADMITTED, "room")

    def test_a_room_is_opened_once(self) -> None:
        self.open()
        self.assert_problem(self.open(by=("tea", "x" * 40)), Kind.EXISTS, "name")

    def test_a_password_may_be_made(self) -> None:
        password = self.open(None).json["password"]
        assert len(password) == 32
        assert self.enter(ALICE, password).code == 201

    def test_its_name_and_its_credentials_are_one(self) -> None:
        self.assert_problem(self.open(by=("milk", "x" * 40)), Kind.BAD_CREDENTIALS)
        self.assert_problem(self.open(by=("tea", "x" * 31)), Kind.INVALID, "Authorization")
        self.assert_problem(self.open("short"), Kind.INVALID, "password")

    def test_a_repeated_request_is_answered_as_the_first_was(self) -> None:
        key = {"Idempotency-Key": "one"}
        body = {"name": "tea"}
        first = self.work("POST", "/v1/rooms", body, by=TEA, headers=key)
        again = self.work("POST", "/v1/rooms", body, by=TEA, headers=key)
        assert (first.code, again.code) == (201, 201)
        assert again.body == first.body
        assert again.header("Location") == first.header("Location")

    def test_a_key_belongs_to_one_request_of_one_owner(self) -> None:
        key: dict[str, str | bytes] = {"Idempotency-Key": "one"}
        self.work("POST", "/v1/rooms", {"name": "tea"}, by=TEA, headers=key)
        other = {"name": "tea", "password": PASSWORD}
        reused = self.work("POST", "/v1/rooms", other, by=TEA, headers=key)
        self.assert_problem(reused, Kind.KEY_REUSED, "Idempotency-Key")
        milk = ("milk", "m" * 40)
        assert self.work("POST", "/v1/rooms", {"name": "milk"}, by=milk, headers=key).code == 201
        long: dict[str, str | bytes] = {"Idempotency-Key": "x" * 129}
        reply = self.work("POST", "/v1/rooms", {"name": "tea"}, by=TEA, headers=long)
        self.assert_problem(reply, Kind.INVALID, "Idempotency-Key")

    def test_while_the_first_is_under_way_the_second_waits_its_turn(self) -> None:
        key = {"Idempotency-Key": "one"}
        first = self.begin("POST", "/v1/rooms", {"name": "tea"}, by=TEA, headers=key)
        second = self.ask("POST", "/v1/rooms", {"name": "tea"}, by=TEA, headers=key)
        self.assert_problem(second, Kind.KEY_IN_USE, "Idempotency-Key")
        self.daemon.threads.work()
        self.daemon.treq.flush()
        assert self.successResultOf(first).code == 201

    def test_who_failed_may_try_again_with_the_same_key(self) -> None:
        self.open()
        key = {"Idempotency-Key": "one"}
        for kind in (Kind.EXISTS, Kind.EXISTS):
            reply = self.work("POST", "/v1/rooms", {"name": "tea"}, by=TEA, headers=key)
            self.assert_problem(reply, kind, "name")
        self.done(204, "DELETE", "/v1/rooms/tea", by=TEA)
        assert self.work("POST", "/v1/rooms", {"name": "tea"}, by=TEA, headers=key).code == 201


class EnteringTests(RoomCase):
    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_a_wrong_password_and_no_room_look_alike(self) -> None:
        wrong = self.enter(ALICE, "milk without sugar")
        self.assert_problem(wrong, Kind.NOT_ADMITTED, "room")
        assert self.enter(ALICE, None).body == wrong.body
        assert self.enter(ALICE, room="coffee").body == wrong.body
        self.refused(Kind.NOT_FOUND, "GET", f"/v1/peers/{ALICE}")

    def test_who_is_in_needs_no_password_to_stay(self) -> None:
        assert self.enter(ALICE).json["peer"]["room"] == "tea"
        stay = {"username": "al", "port": 2, "room": {"name": "tea"}}
        peer = self.done(200, "PUT", f"/v1/peers/{ALICE}", stay, by=owner(ALICE))["peer"]
        assert (peer["username"], peer["room"]) == ("al", "tea")

    def test_who_does_not_name_it_leaves_it(self) -> None:
        self.enter(ALICE)
        assert "room" not in self.put(status=200)["peer"]
        assert self.done(200, "GET", f"/v1/peers/{ALICE}")["username"] == "alice"

    def test_members_see_each_other_and_others_do_not_see_them(self) -> None:
        self.enter(ALICE)
        self.enter(BOB)
        self.put(CAROL, "carol")
        for asker, seen in (((ALICE), {ALICE, BOB}), (CAROL, {CAROL}), (None, {CAROL})):
            by = owner(asker) if asker else None
            page = self.done(200, "GET", "/v1/peers", by=by)
            assert {peer["peer_id"] for peer in page["peers"]} == seen
            for peer_id in (ALICE, BOB, CAROL):
                found = self.ask("GET", f"/v1/peers/{peer_id}", by=by).code
                assert found == (200 if peer_id in seen else 404)
        assert [peer["peer_id"] for peer in self.good("GET", "/peers")["peers"]] == [CAROL]
        assert [peer["peer_id"] for peer in self.good("GET", "/status")["peer_list"]] == [CAROL]
        self.problem(404, "GET", f"/peer/{ALICE}", field="peer_id")

    def test_members_only_may_be_listed(self) -> None:
        self.daemon = Daemon(policy=Policy(Listing.ROOMS))
        self.open()
        self.enter(ALICE)
        page = self.done(200, "GET", "/v1/peers", by=owner(ALICE))
        assert [peer["peer_id"] for peer in page["peers"]] == [ALICE]

    def test_guessing_ends_soon_and_to_be_right_once_makes_up_for_nothing(self) -> None:
        burst = int(self.daemon.limits.guesses.burst)
        for _ in range(burst - 1):
            self.assert_problem(self.enter(ALICE, "wrong one"), Kind.NOT_ADMITTED, "room")
        assert self.enter(BOB).code == 201
        self.assert_problem(self.enter(ALICE, "wrong one"), Kind.NOT_ADMITTED, "room")
        for password in ("wrong one", PASSWORD):
            self.assert_problem(self.enter(ALICE, password), Kind.TOO_OFTEN)
        self.daemon.clock.advance(1 / self.daemon.limits.guesses.per_second)
        assert self.enter(ALICE).code == 201

    def test_too_many_passwords_at_once_are_sent_away(self) -> None:
        self.daemon.limits.guesses.burst = 1000
        self.daemon.limits.changes.burst = 1000
        wanted = {"username": "a", "port": 1, "room": {"name": "tea", "password": PASSWORD}}
        begun = [
            self.begin("PUT", f"/v1/peers/{ALICE}", wanted, by=owner(ALICE)) for _ in range(50)
        ]
        self.daemon.threads.work()
        self.daemon.treq.flush()
        codes = [self.successResultOf(each).code for each in begun]
        assert set(codes) == {200, 201, 429}
        assert codes.count(429) < 20
