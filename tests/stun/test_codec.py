"""
The codec on the samples of RFC 5769, and on what is no message.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.stun.codec import (
    Class,
    MalformedStun,
    Message,
    Method,
    address_in,
    mark,
    parse,
    seal,
    unseal,
)

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex(
    "00010058 2112a442 b7e7a701 bc34d686 fa87dfae"
    "80220010 5354554e 20746573 7420636c 69656e74"
    "00240004 6e0001ff 80290008 932ff9b1 51263b36"
    "00060009 6576746a 3a683676 59202020"
    "00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2"
    "80280004 e57a3bcf"
)
"""RFC 5769 §2.1."""
RESPONSE_V4 = bytes.fromhex(
    "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220 00200008 0001a147 e112a643"
    "00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7"
    "80280004 c07d4c96"
)
"""RFC 5769 §2.2."""
RESPONSE_V6 = bytes.fromhex(
    "01010048 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220"
    "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9"
    "00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41"
    "80280004 c8fb0b4c"
)
"""RFC 5769 §2.3."""


def test_the_sample_request_is_read() -> None:
    message = unseal(REQUEST, PASSWORD)
    assert message.message_method is Method.BINDING
    assert message.message_class is Class.REQUEST
    assert message.transaction_id == ID
    assert message.attributes["USERNAME"] == "evtj:h6vY"
    assert message.attributes["SOFTWARE"] == "STUN test client"
    assert message.attributes["PRIORITY"] == 0x6E0001FF
    assert message.attributes["ICE-CONTROLLED"] == 0x932FF9B151263B36
    assert address_in(message, "XOR-MAPPED-ADDRESS") is None


@pytest.mark.parametrize(
    ("data", "host"),
    [(RESPONSE_V4, "192.0.2.1"), (RESPONSE_V6, "2001:db8:1234:5678:11:2233:4455:6677")],
)
def test_the_sample_responses_are_read(data: bytes, host: str) -> None:
    message = unseal(data, PASSWORD)
    assert message.message_class is Class.RESPONSE
    assert address_in(message, "XOR-MAPPED-ADDRESS") == (host, 32853)


def test_another_password_does_not_open_the_samples() -> None:
    for data in (REQUEST, RESPONSE_V4, RESPONSE_V6):
        with pytest.raises(MalformedStun, match="not sealed with this key"):
            unseal(data, PASSWORD[:-1])


def test_what_we_seal_we_open_and_nobody_else() -> None:
    data = seal(Message(Method.BINDING, Class.REQUEST, ID, {"USERNAME": "x"}), b"key")
    assert unseal(data, b"key").attributes["USERNAME"] == "x"
    with pytest.raises(MalformedStun):
        unseal(data, b"kez")


def test_what_we_mark_anybody_could_have_written() -> None:
    data = mark(Message(Method.BINDING, Class.REQUEST, ID, {"SOFTWARE": "x"}))
    assert parse(data).attributes["SOFTWARE"] == "x"
    with pytest.raises(MalformedStun, match="not sealed"):
        unseal(data, b"key")


@pytest.mark.parametrize(
    ("at", "value"),
    [(4, 0x20), (0, 0x40), (0, 0x80), (3, 0x57), (3, 0x5C), (-1, 0xCE)],
    ids=["cookie", "channel data", "DTLS", "length", "longer", "fingerprint"],
)
def test_what_only_looks_like_a_message_is_none(at: int, value: int) -> None:
    data = bytearray(REQUEST)
    data[at] = value
    with pytest.raises(MalformedStun):
        parse(bytes(data))


@given(st.binary(max_size=120))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    whole = b"\0\1" + len(data[: len(data) // 4 * 4]).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + ID
    for each in (data, whole + data[: len(data) // 4 * 4]):
        with suppress(MalformedStun):
            assert parse(each).transaction_id == each[8:20]


@given(st.lists(st.tuples(st.integers(0, 107), st.integers(0, 255)), max_size=4))
def test_damaged_messages_are_read_or_malformed(damage: list[tuple[int, int]]) -> None:
    data = bytearray(REQUEST)
    for at, value in damage:
        data[at] = value
    try:
        unseal(bytes(data), PASSWORD)
    except MalformedStun:
        assert bytes(data) != REQUEST
