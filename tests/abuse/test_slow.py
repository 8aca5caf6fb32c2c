"""
Who is slow, or only sits there, is shown out, and keeps nobody from being served.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.abuse.guest import Guest
from tests.abuse.house import HOME, PATIENCE, House, clock, heard, house, soon, statuses

REQUEST_TIME = 0.8
IDLE_TIME = 1.2
DRAIN_TIME = 1.0
CONNECTIONS = 20
IN_ALL = 60
SMALL = 4096
"""Bytes that a slow reader has room for."""
HELLO = b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """
    A server with little patience and little room.
    """
    with house(
        tmp_path_factory.mktemp("slow") / "server",
        f"--limit-request-time={REQUEST_TIME}",
        f"--limit-idle-time={IDLE_TIME}",
        f"--limit-drain-time={DRAIN_TIME}",
        f"--limit-connections={CONNECTIONS}",
        f"--limit-connections-in-all={IN_ALL}",
        "--limit-changes=10000/10000",
        "--limit-requests=10000/10000",
        "--limit-requests-in-all=10000/10000",
    ) as server:
        yield server


def dribbled(server: House, begin: bytes, drop: bytes) -> tuple[bytes, float]:
    """
    The answer to a request that comes drop by drop, and how long it took.
    """
    with server.stranger().connect() as wire:
        began = clock()
        wire.sendall(begin)
        wire.settimeout(0.1)
        while True:
            assert clock() < began + PATIENCE, "it listens for ever"
            try:
                answer = wire.recv(65536)
                return answer, clock() - began
            except TimeoutError:
                wire.sendall(drop)


def test_a_head_that_does_not_end(brisk: House) -> None:
    answer, took = dribbled(brisk, b"GET /v1 HTTP/1.1\r\n", b"X: y\r\n")
    assert statuses(answer) == [408]
    assert b"application/problem+json" in answer
    assert took >= REQUEST_TIME


def test_a_body_that_does_not_end(brisk: House) -> None:
    head = b"PUT /v1/peers/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    answer, took = dribbled(brisk, head, b" ")
    assert statuses(answer) == [408]
    assert took >= REQUEST_TIME


def test_a_connection_that_says_nothing_or_nothing_more(brisk: House) -> None:
    with brisk.stranger().connect() as mute, brisk.stranger().connect() as done:
        began = clock()
        done.sendall(HELLO)
        assert statuses(heard(done)) == [200]
        assert heard(mute) == b""
        assert IDLE_TIME <= clock() - began < PATIENCE


def test_a_network_takes_so_many_connections_and_no_more(brisk: House) -> None:
    with ExitStack() as stack:
        who = brisk.stranger()
        for number in range(CONNECTIONS):
            wire = stack.enter_context(who.neighbour(1 + number).connect())
            wire.sendall(HELLO)
            assert statuses(wire.recv(65536)) == [200]
        assert who.neighbour(200).say(HELLO) == b"", "one more is closed without a word"
        brisk.stranger().ask("GET", "/v1").done()


def test_silent_connections_give_way_when_the_house_is_full(brisk: House) -> None:
    with ExitStack() as stack:
        first = [stack.enter_context(brisk.stranger().connect()) for _ in range(5)]
        for _ in range(IN_ALL):
            stack.enter_context(brisk.stranger().connect())
            brisk.stranger().ask("GET", "/v1").done()
        assert [heard(wire) for wire in first] == [b""] * 5
        assert brisk.figure("http_turned_away_total") > 0


def slow_reader(server: House, request: bytes) -> socket.socket:
    """
    Somebody who asks for much and takes none of it.
    """
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    # Else the system of the server would take megabytes for us.
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    wire.settimeout(PATIENCE)
    wire.bind((server.stranger().host, 0))
    wire.connect((HOME, server.http))
    wire.sendall(request)
    return wire


def test_who_does_not_take_events_is_cut_off(brisk: House) -> None:
    """
    Nothing is lost to who does take them.
    """
    guests = [Guest(brisk) for _ in range(2)]
    for guest in guests:
        guest.put().done(201)
    with slow_reader(brisk, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"):
        soon(lambda: brisk.figure("event_listeners") == 1, "it listens")
        before = brisk.resident()
        deadline = clock() + 3 * PATIENCE
        number = 0
        while not brisk.figure("event_listeners_dropped_total"):
            assert clock() < deadline, "it is told for ever"
            guests[number % 2].put_often(f"{number}-{each:028}" for each in range(100))
            number += 1
        soon(lambda: brisk.figure("event_listeners") == 0, "it is gone")
        assert brisk.resident() - before < 16 * 1024 * 1024


def test_who_does_not_take_large_answers_is_cut_off(brisk: House) -> None:
    page = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    before = brisk.resident()
    wires = [slow_reader(brisk, page * 150) for _ in range(5)]
    try:
        # The page of metrics is asked for over another site.
        soon(lambda: brisk.figure("http_connections") == 0, "they are cut")
        assert brisk.resident() - before < 16 * 1024 * 1024
    finally:
        for wire in wires:
            wire.close()
