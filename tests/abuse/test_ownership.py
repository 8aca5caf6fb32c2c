"""
What is somebody's, nobody else changes, ends, takes or guesses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from p2pnet.signaling.identity import KeyPair, id_of_key, statement
from p2pnet.signaling.rest.problems import Kind
from tests.abuse.guest import Guest
from tests.abuse.house import House, house

INVALID_TICKET = "the ticket is not valid"
WRONG = token_hex(16)
"""A secret of nobody's."""


@pytest.fixture
def alice(server: House) -> Iterator[Guest]:
    with Guest(server) as alice:
        alice.put(username="alice").done(201)
        yield alice


@pytest.fixture
def mallory(server: House) -> Iterator[Guest]:
    with Guest(server) as mallory:
        mallory.put(username="mallory").done(201)
        yield mallory


def seen(guest: Guest) -> Any:
    return guest.ask("GET", f"/v1/peers/{guest.id}").done()


def test_nobody_overwrites_a_registration_of_another(alice: Guest, mallory: Guest) -> None:
    before = seen(alice)
    body = {"username": "owned", "port": 1}
    path = f"/v1/peers/{alice.id}"
    mallory.who.ask("PUT", path, body, by=(alice.id, WRONG)).refused(Kind.NOT_OWNER)
    mallory.ask("PUT", path, body).refused(Kind.BAD_CREDENTIALS)
    mallory.who.ask("PUT", path, body).refused(Kind.BAD_CREDENTIALS)
    old = body | {"peer_id": alice.id}
    mallory.who.ask("POST", "/register", old).refused_plainly(401, "peer_id")
    for secret in (WRONG, mallory.secret):
        mallory.who.ask("POST", "/register", old, bearer=secret).refused_plainly(403, "peer_id")
    assert seen(alice) == before


def test_nobody_ends_a_registration_of_another(alice: Guest, mallory: Guest) -> None:
    for path in (f"/v1/peers/{alice.id}", f"/v1/peers/{'0' * 8}{alice.id[8:]}"):
        name = path.rpartition("/")[2]
        wrong = mallory.who.ask("DELETE", path, by=(name, WRONG))
        wrong.refused(Kind.BAD_CREDENTIALS)
        assert b"not the credentials of a registration" in wrong.body, "it tells who is there"
        mallory.ask("DELETE", path).refused(Kind.BAD_CREDENTIALS)
    mallory.who.ask("DELETE", f"/peer/{alice.id}").refused_plainly(401, "peer_id")
    for secret in (WRONG, mallory.secret):
        wrong = mallory.who.ask("DELETE", f"/peer/{alice.id}", bearer=secret)
        wrong.refused_plainly(403, "peer_id")
    seen(alice)


def test_who_has_squatted_the_id_of_a_key_has_to_give_it_back(server: House) -> None:
    pair = KeyPair(bytes.fromhex(token_hex(32)))
    squatter = Guest(server, id=id_of_key(pair.public))
    squatter.put(username="squatter").done(201)
    owner = Guest(server, id=squatter.id)
    owner.put().refused(Kind.NOT_OWNER)
    owner.put(proof=proof(server, owner, pair)).done(201)
    squatter.put().refused(Kind.NOT_OWNER)
    squatter.ask("DELETE", f"/v1/peers/{squatter.id}").refused(Kind.BAD_CREDENTIALS)
    owner.put().done(200)


def proof(server: House, guest: Guest, pair: KeyPair) -> dict[str, str]:
    said = guest.who.ask("POST", "/v1/challenge", {"peer_id": guest.id}).done(201)["challenge"]
    return signed(server, guest.id, said, pair)


def signed(server: House, id: str, challenge: str, pair: KeyPair) -> dict[str, str]:
    signature = pair.sign(statement(f"127.0.0.1:{server.http}", id, challenge))
    return {"key": pair.public.hex(), "challenge": challenge, "signature": signature.hex()}


def test_a_secret_is_not_guessed_and_its_owner_not_locked_out(
    server: House, alice: Guest
) -> None:
    guesser = server.stranger()
    for number in range(60):
        wrong = guesser.ask("GET", "/v1/relays", by=(alice.id, f"{number:032}"))
        wrong.refused(Kind.BAD_CREDENTIALS)
    unknown = guesser.ask("GET", "/v1/relays", by=("0" * 36, "0" * 32))
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)
    alice.put(username="alice").done(200)


def test_passwords_of_rooms_are_guessed_ten_times_and_by_nobody_else_s_cost(
    server: House, alice: Guest
) -> None:
    name, password = f"room-{token_hex(4)}", token_hex(8)
    opened = alice.who.ask(
        "POST", "/v1/rooms", {"name": name, "password": password}, by=(name, alice.secret)
    )
    opened.done(201)
    guesser = Guest(server)
    wrong = [guesser.put(room={"name": name, "password": f"{n:08}"}) for n in range(9)]
    wrong.append(guesser.put(room={"name": f"no-{name}", "password": password}))
    for each in wrong:
        each.refused(Kind.NOT_ADMITTED, "room")
    assert {each.body for each in wrong} == {wrong[0].body}, "it tells whether there is a room"
    guesser.put(room={"name": name, "password": password}).refused(Kind.TOO_OFTEN)
    neighbour = Guest(server, guesser.who.neighbour(99))
    neighbour.put(room={"name": name, "password": password}).refused(Kind.TOO_OFTEN)
    alice.put(room={"name": name, "password": password}).done(200)
    guesser.ask("DELETE", f"/v1/rooms/{name}").refused(Kind.BAD_CREDENTIALS)
    guesser.who.ask("DELETE", f"/v1/rooms/{name}", by=(name, WRONG)).refused(
        Kind.BAD_CREDENTIALS
    )
    assert seen(alice)["room"] == name


def test_a_ticket_is_good_once_and_for_its_peer_only(
    server: House, alice: Guest, mallory: Guest, tmp_path: Path
) -> None:
    """
    That it ends after a minute is not waited for here, see tests/signaling/test_tickets.py; to
    write another end into it is of no use.
    """
    used = alice.ticket()
    alice.knock(used)
    alice.hear("welcome")
    before = seen(alice)
    expires, rest = used.split(".", 1)
    own = mallory.ticket()
    mine, _, seal = own.rpartition(".")
    challenge = mallory.who.ask("POST", "/v1/challenge", {"peer_id": alice.id}).done(201)
    with house(tmp_path / "other") as elsewhere:
        foreign = Guest(elsewhere, id=alice.id).ticket()
    for bad in (
        used,
        f"{int(expires) + 60_000}.{rest}",
        f"{mine.replace(mallory.id, alice.id)}.{seal}",
        challenge["challenge"],
        foreign,
    ):
        with Guest(server) as intruder:
            intruder.knock(bad)
            assert intruder.refusal() == INVALID_TICKET
    mallory.knock(own)
    mallory.hear("welcome")
    assert seen(alice) == before, "somebody else has taken the association"
    assert not alice.ended


def test_a_challenge_is_good_once_and_for_one_id_one_host_and_one_key(server: House) -> None:
    pair = KeyPair(bytes.fromhex(token_hex(32)))
    owner = Guest(server, id=id_of_key(pair.public))
    good = proof(server, owner, pair)
    owner.put(proof=good).done(201)
    thief = Guest(server, id=owner.id)
    thief.put(proof=good).refused(Kind.BAD_PROOF, "proof")
    fresh = thief.who.ask("POST", "/v1/challenge", {"peer_id": owner.id}).done(201)["challenge"]
    own = KeyPair(bytes.fromhex(token_hex(32)))
    for bad in (
        good | {"challenge": fresh},
        signed(server, owner.id, owner.ticket(), own),
        signed(server, owner.id, "1." + fresh, own),
        good | {"key": own.public.hex()},
    ):
        thief.put(proof=bad).refused(Kind.BAD_PROOF, "proof")
    # A good proof, of another key.
    thief.put(proof=signed(server, owner.id, fresh, own)).refused(Kind.NOT_OWNER)
    owner.put().done(200)


def test_an_idempotency_key_of_another_brings_nothing(alice: Guest, mallory: Guest) -> None:
    name, key = f"room-{token_hex(4)}", {"Idempotency-Key": "one"}
    asked: Any = {"name": name}
    first = alice.who.ask("POST", "/v1/rooms", asked, by=(name, alice.secret), headers=key)
    assert first.done(201)["password"]
    again = alice.who.ask("POST", "/v1/rooms", asked, by=(name, alice.secret), headers=key)
    assert again.body == first.body
    stolen = mallory.who.ask("POST", "/v1/rooms", asked, by=(name, WRONG), headers=key)
    stolen.refused(Kind.EXISTS, "name")
    mallory.who.ask("POST", "/v1/rooms", asked, headers=key).refused(Kind.BAD_CREDENTIALS)
    other = {"name": name, "password": "12345678"}
    reused = alice.who.ask("POST", "/v1/rooms", other, by=(name, alice.secret), headers=key)
    reused.refused(Kind.KEY_REUSED, "Idempotency-Key")
