"""
What is no request, or not quite one, or a little too much, is refused as documented; and whatever
stands behind it is not taken for another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from secrets import token_hex
from uuid import uuid4

import pytest

from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.site import MAX_BODY
from tests.abuse.house import House, Reply, basic, statuses

ID = str(uuid4())
SECRET = token_hex(16)
GOOD = b'{"username": "mallory", "port": 4000}'
DEEP = 10_000


def put(server: House, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
    who = server.stranger()
    return who.ask("PUT", f"/v1/peers/{ID}", body, by=(ID, SECRET), headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"port=4000",
        GOOD + b"{}",
        GOOD.replace(b"}", b', "port": 4001}'),
        GOOD.replace(b"}", b', "room": {"name": "a", "name": "b"}}'),
        GOOD.replace(b"mallory", b"m\xffllory"),
        GOOD.replace(b"mallory", b"m\xed\xa0\x80llory"),
        GOOD.decode().encode("utf-16"),
        b"[" * DEEP + b"]" * (MAX_BODY - DEEP),
        b'{"room":' * 1000 + b"1" + b"}" * 1000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json(server: House, body: bytes) -> None:
    reply = put(server, body)
    assert reply.status in (400, 422), reply
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json["type"] in (Kind.MALFORMED.uri, Kind.INVALID.uri)
    old = server.stranger().ask("POST", "/register", body)
    assert old.status in (400, 422), old
    assert old.json["type"] == "about:blank"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"port": 1}, "username"),
        ({"username": "m" * 33, "port": 1}, "username"),
        ({"username": "\x1b[2J", "port": 1}, "username"),
        ({"username": "m", "port": 0}, "port"),
        ({"username": "m", "port": 65536}, "port"),
        ({"username": "m", "port": 1.0}, "port"),
        ({"username": "m", "port": True}, "port"),
        ({"username": "m", "port": 10**400}, None),
        ({"username": "m", "port": 1, "admin": True}, "admin"),
        ({"username": "m", "port": 1, "room": {"name": "../etc"}}, "room.name"),
        ({"username": "m", "port": 1, "room": {"name": "m" * 65}}, "room.name"),
        (
            {"username": "m", "port": 1, "room": {"name": "a", "password": "p" * 257}},
            "room.password",
        ),
    ],
    ids=repr,
)
def test_values_out_of_range(server: House, body: object, field: str | None) -> None:
    reply = put(server, json.dumps(body).encode())
    if field is None:
        assert reply.status in (400, 422), reply
    else:
        reply.refused(Kind.INVALID, field)


def test_a_body_of_another_type(server: House) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        put(server, GOOD, {"Content-Type": kind}).refused_plainly(415)


def test_other_methods(server: House) -> None:
    who = server.stranger()
    for method in ("PATCH", "TRACE", "PROPFIND", "CONNECT", "M" * 100):
        reply = who.ask(method, f"/v1/peers/{ID}")
        reply.refused_plainly(405)
        assert reply.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"


def test_names_that_cannot_be(server: House) -> None:
    who = server.stranger()
    for name in ("m" * 10_000, "%00", ID.upper(), "'; DROP TABLE peers; --"):
        who.ask("GET", f"/v1/peers/{name.replace(' ', '%20')}").refused(Kind.NOT_FOUND)
    who.ask("GET", "/v1/peers/..%2f..%2fetc").refused_plainly(404)
    who.ask("GET", "/v1/peers/%ff").refused_plainly(400)
    who.ask("GET", "/v1/peers?limit=1001").refused(Kind.INVALID, "limit")
    who.ask("GET", "/v1/peers?limit=1&limit=2").refused(Kind.INVALID, "limit")
    who.ask("GET", "/v1/peers?after=" + "9" * 100).refused(Kind.INVALID, "after")


def test_bodies_heads_and_paths_beyond_their_limits(server: House) -> None:
    who = server.stranger()
    put(server, b" " * (MAX_BODY + 1)).refused_plainly(413)
    with who.connect() as wire:
        wire.sendall(smuggled(b"Content-Length: " + b"9" * 400))
        assert statuses(wire.recv(65536)) == [413], "before any of it has come"
    who.ask("GET", "/v1/peers?" + "x" * (16 * 1024 + 1)).refused_plainly(414)
    who.ask("GET", "/v1", headers={"X": "x" * (16 * 1024 + 1)}).refused_plainly(431)
    several = {f"X-{number}": "x" * 1000 for number in range(20)}
    who.ask("GET", "/v1", headers=several).refused_plainly(431)
    many = {f"X-{number}": "x" for number in range(501)}
    who.ask("GET", "/v1", headers=many).refused_plainly(431)
    long = who.ask("GET", "/v1/relays", by=(ID, "m" * 513))
    long.refused(Kind.BAD_CREDENTIALS)
    key = {"Idempotency-Key": "k" * 129}
    who.ask("POST", "/v1/rooms", {"name": "a"}, by=("a", SECRET), headers=key).refused(
        Kind.INVALID, "Idempotency-Key"
    )


def test_a_chunked_body_beyond_the_limit_is_cut_off_though_it_never_ends(server: House) -> None:
    head = b"PUT /v1/peers/%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" % ID.encode()
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    with server.stranger().connect() as wire:
        wire.sendall(head + b"\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            wire.sendall(1000 * chunk)


HIDDEN = b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n"


def smuggled(*headers: bytes, body: bytes = HIDDEN) -> bytes:
    credentials = basic(ID, SECRET)["Authorization"].encode()
    head = [
        b"PUT /v1/peers/%b HTTP/1.1" % ID.encode(),
        b"Host: x",
        b"Authorization: " + credentials,
        b"Content-Type: application/json",
        *headers,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "request_",
    [
        smuggled(b"Content-Length: 0", b"Content-Length: %d" % len(HIDDEN)),
        smuggled(b"Content-Length: %d" % len(HIDDEN), b"Content-Length: 0"),
        smuggled(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
        smuggled(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + HIDDEN),
        smuggled(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + HIDDEN),
        smuggled(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n" + HIDDEN),
        smuggled(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + HIDDEN),
        smuggled(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + HIDDEN),
        smuggled(b"Transfer-Encoding: chunked", body=b"0x5\r\nabcde\r\n0\r\n\r\n" + HIDDEN),
        smuggled(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n" + HIDDEN),
        smuggled(b"Content-Length: +0"),
        smuggled(b"Content-Length: -1"),
        smuggled(b"Content-Length: 0x0"),
        smuggled(b"Content-Length: 0, 0"),
        smuggled(b"Content-Length: "),
    ],
    ids=lambda request: repr(request.partition(b"json\r\n")[2][:50]),
)
def test_a_request_whose_end_can_be_read_in_two_ways(server: House, request_: bytes) -> None:
    """
    Whoever stands before the server may read it in the other one.
    """
    answers = server.stranger().say(request_)
    found = statuses(answers)
    assert len(found) == 1, answers
    assert found[0] in (400, 413), answers
    assert b"application/problem+json" in answers


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /v1\r\n\r\n",
        b"GET /v1 HTTP/1.1 HTTP/1.1\r\n\r\n",
        b"GET /v1 HTTP/9.9\r\n\r\n",
        b"GET /v1 HTTP/1.1\r\nNo colon\r\n\r\n",
        b"GET /v1 HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET /v1 HTTP/1.1\r\nX\0: nul\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n",
        bytes(range(256)) * 4 + b"\r\n\r\n",
    ],
    ids=lambda request: repr(request[:24]),
)
def test_what_is_no_http(server: House, request_: bytes) -> None:
    answers = server.stranger().say(request_)
    assert statuses(answers) == [400], answers
    assert b"application/problem+json" in answers
