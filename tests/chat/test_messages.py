"""
The bytes of a conversation.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.chat.messages import (
    MAX_ENCODED,
    MAX_ID,
    MAX_REASON,
    MAX_TEXT,
    Disconnect,
    Hello,
    MalformedMessage,
    Message,
    Ping,
    Pong,
    Received,
    Text,
    Unknown,
    decode,
    encode,
)
from tests.chat.stage import ALICE

SENDER = str(ALICE)


def raw(kind: object, body: object, **changes: Any) -> bytes:
    envelope = {"type": kind, "from": SENDER, "timestamp": 1.5, "body": body} | changes
    return json.dumps(envelope).encode()


MESSAGES: list[tuple[Message, str, object]] = [
    (Hello(SENDER, 1.5, "alice", "1"), "hello", {"username": "alice", "version": "1"}),
    (
        Hello(SENDER, 1.5, "alice", "2", received=7, resumes=True),
        "hello",
        {"username": "alice", "version": "2", "received": 7, "resumes": True},
    ),
    (Text(SENDER, 1.5, "héllo 🎉"), "message", "héllo 🎉"),
    (Received(SENDER, 1.5, 7), "received", {"id": 7}),
    (Ping(SENDER, 1.5, 7), "ping", {"id": 7}),
    (Pong(SENDER, 1.5, MAX_ID), "pong", {"id": MAX_ID}),
    (Disconnect(SENDER, 1.5, "bye"), "disconnect", "bye"),
]


@pytest.mark.parametrize(("message", "kind", "body"), MESSAGES)
def test_messages_have_the_documented_shape(message: Message, kind: str, body: object) -> None:
    written = json.loads(encode(message))
    assert written == {"type": kind, "from": SENDER, "timestamp": 1.5, "body": body}
    assert decode(raw(kind, body)) == message


def test_the_number_of_a_text_stands_beside_its_body() -> None:
    message = Text(SENDER, 1.5, "hi", 3)
    written = json.loads(encode(message))
    assert written == {"type": "message", "from": SENDER, "timestamp": 1.5, "id": 3, "body": "hi"}
    assert decode(raw("message", "hi", id=3)) == message
    assert decode(raw("message", "hi", id=None)) == Text(SENDER, 1.5, "hi")


def test_the_id_of_another_message_is_for_later_versions() -> None:
    assert decode(raw("dance", None, id="x")) == Unknown(SENDER, 1.5, "dance")
    assert decode(raw("ping", {"id": 7}, id=[])) == Ping(SENDER, 1.5, 7)


def test_the_sender_is_read_in_its_canonical_form() -> None:
    assert decode(raw("disconnect", "", **{"from": SENDER.upper()})).sender == SENDER


def test_unknown_types_are_a_value_of_their_own() -> None:
    assert decode(raw("dance", {"any": ["thing"]})) == Unknown(SENDER, 1.5, "dance")


def test_unknown_members_are_for_later_versions() -> None:
    message = decode(raw("hello", {"username": "a", "version": "9", "mood": 1}, colour="red"))
    assert message == Hello(SENDER, 1.5, "a", "9")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"type":"message"}',
        b"[" * 200_000,
        b'{"type":"x","from":"%s","timestamp":1,"body":' % SENDER.encode() + b"[" * 200_000,
        raw("message", "x") + b" x",
        raw("message", "x", timestamp="1"),
        raw("message", "x", timestamp=True),
        raw("message", "x", **{"from": "nobody"}),
        raw(1, "x"),
        raw("message", ""),
        raw("message", "x" * (MAX_TEXT + 1)),
        raw("message", 5),
        raw("message", None),
        raw("message", "\ud800"),
        raw("hello", "alice"),
        raw("hello", {"username": "alice"}),
        raw("hello", {"username": "a\x1b", "version": "1"}),
        raw("hello", {"username": "x" * 33, "version": "1"}),
        raw("hello", {"username": "alice", "version": "1" * 65}),
        raw("hello", {"username": "alice", "version": "2", "received": -1}),
        raw("hello", {"username": "alice", "version": "2", "received": "1"}),
        raw("hello", {"username": "alice", "version": "2", "received": 1, "resumes": 1}),
        raw("message", "x", id=0),
        raw("message", "x", id="1"),
        raw("message", "x", id=MAX_ID + 1),
        raw("received", 7),
        raw("received", {"id": MAX_ID + 1}),
        raw("ping", {"id": "7"}),
        raw("ping", {"id": -1}),
        raw("ping", {"id": MAX_ID + 1}),
        raw("pong", {}),
        raw("disconnect", None),
        raw("disconnect", "x" * (MAX_REASON + 1)),
        raw("dance", "x" * MAX_ENCODED),
    ],
)
def test_malformed_bytes_are_one_kind_of_exception(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        decode(data)


def test_the_longest_text_fits_however_it_is_written() -> None:
    text = "\U0001f389" * MAX_TEXT
    assert decode(encode(Text(SENDER, 1.5, text))) == Text(SENDER, 1.5, text)
    assert decode(raw("message", text)) == Text(SENDER, 1.5, text)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (Text(SENDER, 0, ""), "text"),
        (Text(SENDER, 0, "x" * (MAX_TEXT + 1)), "text"),
        (Text(SENDER, 0, "\ud800"), "text"),
        (Disconnect(SENDER, 0, "x" * (MAX_REASON + 1)), "reason"),
        (Unknown(SENDER, 0, "dance"), "type"),
    ],
)
def test_what_cannot_be_said_is_told_to_the_caller(message: Message, names: str) -> None:
    with pytest.raises(ValueError, match=f"^{names}: "):
        encode(message)
