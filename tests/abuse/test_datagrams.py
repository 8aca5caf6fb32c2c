"""
Over UDP anybody may speak in anybody's name: the server gives little, and never more than it got.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from random import Random

import pytest

from p2pnet.signaling.rest.problems import Kind
from p2pnet.stun.codec import Class, Message, Method, mark
from p2pnet.wire.nat import NatIntroduceRequest, NatIntroduceResponse, NatPunch
from tests.abuse.flood import connect_request, question
from tests.abuse.guest import Guest
from tests.abuse.house import HOME, House, Stranger, house

QUIET = 0.3
"""Seconds without an answer after which none comes any more."""
SEED = 7
TIMES = count(1)


@pytest.fixture
def pair(server: House) -> Iterator[tuple[Guest, Guest]]:
    """
    Two who are associated.
    """
    with Guest(server) as alice, Guest(server) as bob:
        for each in (alice, bob):
            each.associate()
        yield alice, bob


def exchange(
    server: House, who: list[Stranger], datagrams: list[bytes], port: int | None = None
) -> tuple[int, list[bytes]]:
    """
    Send them from each in turn; how many bytes that was, and what came back.
    """
    answers: list[bytes] = []
    with ExitStack() as stack:
        wires = [stack.enter_context(each.datagrams()) for each in who]
        for wire in wires:
            wire.setblocking(False)
        for number, data in enumerate(datagrams):
            wires[number % len(wires)].sendto(data, (HOME, port or server.udp))
            if number % 50 == 49:
                answers += taken(wires, 0)
        while more := taken(wires, QUIET):
            answers += more
    return sum(map(len, datagrams)), answers


def taken(wires: list[socket.socket], patience: float) -> list[bytes]:
    """
    What has come, and what comes within ``patience`` seconds.
    """
    found: list[bytes] = []
    for wire in wires:
        wire.settimeout(patience or 0.0)
        try:
            while True:
                found.append(wire.recv(2048))
                wire.settimeout(0.0)
        except (BlockingIOError, TimeoutError):
            pass
        patience = 0 if found else patience / 2
    return found


def test_stun_answers_are_no_larger_than_their_questions_and_few(server: House) -> None:
    random = Random(SEED)
    print(f"seed {SEED}")
    short = mark(Message(Method.BINDING, Class.REQUEST, bytes(12)))
    for port in (server.udp, server.observer):
        before = server.figure("silences_total", port="observer")
        who = server.stranger()
        questions = [question(random) for _ in range(1000)]
        sent, answers = exchange(server, [who, who.neighbour(9)], questions, port)
        assert sum(map(len, answers)) <= sent
        stun = [each for each in answers if len(each) > 1]
        # 100 at once and 50 a second, and the machine may be slow.
        assert 100 <= len(stun) < 300
        assert all(len(each) <= len(question(random)) for each in stun)
        # An answer to this one would be larger.
        assert not [each for each in exchange(server, [who], [short], port)[1] if len(each) > 1]
        assert server.figure("silences_total", port="observer") >= before + 700
        # It is used up for all of the network, and for nobody else.
        assert exchange(server, [server.stranger()], [question(random)], port)[1]


def test_requests_without_a_ticket_get_less_than_they_are_and_take_no_place(
    tmp_path: Path,
) -> None:
    """
    Undecided ones would fill the engine's list, and for 12 seconds nobody else got in.
    """
    with house(tmp_path / "server") as server:
        who = server.stranger()
        sent, answers = exchange(server, [who], [request() for _ in range(200)])
        assert 0 < sum(map(len, answers)) <= sent
        for number in range(1200):
            with who.neighbour(1 + number % 250).datagrams() as wire:
                wire.sendto(request(), (HOME, server.udp))
                if number % 50 == 49:
                    # So that none is lost.
                    server.stranger().ask("GET", "/healthz").done()
        assert server.figure("association_refusals_total", reason="too often") >= 900
        assert server.figure("engine_drops_total", reason="too many requests") == 0
        with Guest(server) as honest:
            honest.associate()


def request() -> bytes:
    number = next(TIMES)
    return connect_request(number, f"{number:0200}")


def test_tokens_of_the_facilitator_bring_nothing_to_who_floods_with_them(server: House) -> None:
    random, who = Random(SEED), server.stranger()
    flood = [
        NatIntroduceRequest(("10.0.0.1", 1), f"{random.getrandbits(128):032x}").encode()
        for _ in range(1000)
    ]
    before = server.figure("silences_total", port="facilitator")
    _, answers = exchange(server, [who], flood)
    assert answers == []
    assert server.figure("silences_total", port="facilitator") > before + 900
    # Others are introduced all the same, each for what it has sent.
    one, other = server.stranger(), server.stranger()
    asked = NatIntroduceRequest(("10.0.0.1", 1), "a token of two").encode()
    sent, answers = exchange(server, [one, other], [asked, asked])
    assert len(answers) >= 2
    assert sum(map(len, answers)) <= 3 * sent, "the address is not proven (TRAPS T8)"


def test_forged_introductions_are_not_followed(server: House, pair: tuple[Guest, Guest]) -> None:
    alice, bob = pair
    victim = server.stranger()
    alice.say({"type": "seek", "id": 1, "to": bob.id})
    offer = alice.hear("offer")
    with victim.datagrams() as wire:
        target = wire.getsockname()
        forged = [
            packet.encode()
            for token in (offer["token"], "a token of nobody")
            for packet in (
                NatIntroduceResponse(target, target, token),
                NatPunch(token, True),
                NatPunch(token, False),
            )
        ]
        _, answers = exchange(server, [server.stranger()], forged * 20)
        assert answers == []
        wire.settimeout(QUIET)
        with pytest.raises(TimeoutError):
            wire.recv(2048)


def test_an_association_is_not_taken_over(server: House, pair: tuple[Guest, Guest]) -> None:
    alice, bob = pair
    before = bob.ask("GET", f"/v1/peers/{alice.id}").done()
    assert before["endpoint"]["observed"]
    used = alice.ticket()
    with Guest(server) as mallory, Guest(server) as again:
        mallory.associate()
        again.knock(f"{used[:-1]}{'A' if used[-1] != 'A' else 'B'}")
        assert again.refusal() == "the ticket is not valid"
    bob.say({"type": "seek", "id": 2, "to": alice.id})
    assert bob.hear("offer")["observed"]["ip"] == alice.who.host
    alice.hear("offer")
    assert bob.ask("GET", f"/v1/peers/{alice.id}").done() == before


def test_candidates_lead_nobody_to_the_server_nor_into_a_network_of_others(
    server: House, pair: tuple[Guest, Guest]
) -> None:
    alice, bob = pair
    alice.say({"type": "seek", "id": 3, "to": bob.id})
    offer, _ = alice.hear("offer"), bob.hear("offer")
    assert not offer.get("together")
    bad = [HOME, "10.0.0.1", "192.168.1.1", "169.254.169.254", "224.0.0.1", "255.255.255.255"]
    bad += ["0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1", "no address"]
    spots = [{"kind": "host", "ip": ip, "port": 80} for ip in bad]
    good = {"kind": "mapped", "ip": "8.8.8.8", "port": 53}
    path = f"/v1/sessions/{offer['token']}/candidates"
    alice.ask("POST", path, {"candidates": [*spots, good]}).done(202)
    assert bob.hear("candidates")["candidates"] == [good]
    alice.say({"type": "candidates", "token": offer["token"], "candidates": [*spots, good]})
    assert bob.hear("candidates")["candidates"] == [good]
    seen = {"kind": "observed", "ip": alice.who.host}
    heard = bob.ask("GET", path).done()["candidates"]
    assert [each for each in heard if each["kind"] != "observed"] == [good, good]
    assert [each["ip"] for each in heard if each["kind"] == "observed"] == [seen["ip"]]
    many = {"candidates": [good] * 17}
    alice.ask("POST", path, many).refused(Kind.INVALID, "candidates")
    observed = {"candidates": [seen | {"port": 1}]}
    alice.ask("POST", path, observed).refused(Kind.INVALID, "candidates[0].kind")
    # Who is in no session of it may neither tell nor hear.
    with Guest(server) as mallory:
        mallory.put().done(201)
        mallory.ask("GET", path).refused(Kind.NOT_FOUND)
        mallory.ask("POST", path, {"candidates": [good]}).refused(Kind.NOT_FOUND)
        mallory.ask("DELETE", path.rpartition("/")[0]).refused(Kind.NOT_FOUND)
