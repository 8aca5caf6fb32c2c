"""
Probes and their answers, byte for byte.
"""

from __future__ import annotations

import hmac
from struct import pack
from zlib import crc32

import pytest

from p2pnet.reach.probes import (
    Answer,
    Request,
    decode,
    encode_answer,
    encode_request,
    token_of,
)
from p2pnet.stun.codec import Class, MalformedStun, Message, Method, mark, parse, seal
from p2pnet.stun.header import FINGERPRINT_SIZE, is_marked_stun

KEY = b"a key of this session"
ID = bytes(range(12))
TOKEN = "abcde"


def sealed(kind: int, attributes: bytes) -> bytes:
    """
    A message put together without the codec (RFC 8489 §5, §14.5, §14.7).
    """
    head = pack("!HHI", kind, len(attributes) + 24, 0x2112A442) + ID
    seal = hmac.digest(KEY, head + attributes, "sha1")
    body = attributes + pack("!HH", 0x0008, 20) + seal
    head = pack("!HHI", kind, len(body) + 8, 0x2112A442) + ID
    return head + body + pack("!HHI", 0x8028, 4, crc32(head + body) ^ 0x5354554E)


USERNAME = pack("!HH", 0x0006, 5) + b"abcde\0\0\0"
CASES: list[tuple[Request | Answer, bytes]] = [
    (
        Request(ID, TOKEN, by_caller=True),
        sealed(0x0001, USERNAME + pack("!HHQ", 0x802A, 8, 0)),
    ),
    (
        Request(ID, TOKEN, by_caller=False),
        sealed(0x0001, USERNAME + pack("!HHQ", 0x8029, 8, 0)),
    ),
    (
        Request(ID, TOKEN, by_caller=True, nomination=3),
        sealed(0x0001, USERNAME + pack("!HH", 0x0025, 0) + pack("!HHQ", 0x802A, 8, 3)),
    ),
    (
        Answer(ID, ("192.0.2.1", 32853)),
        sealed(0x0101, bytes.fromhex("0020 0008 0001 a147 e112a643")),
    ),
    (
        Answer(ID, ("2001:db8::1", 32853)),
        sealed(
            0x0101,
            bytes.fromhex("0020 0014 0002 a147")
            + bytes(
                one ^ other
                for one, other in zip(
                    bytes.fromhex("20010db8000000000000000000000001"),
                    bytes.fromhex("2112a442") + ID,
                    strict=True,
                )
            ),
        ),
    ),
]


@pytest.mark.parametrize(("message", "data"), CASES)
def test_each_message_is_these_bytes_and_back(message: Request | Answer, data: bytes) -> None:
    if isinstance(message, Request):
        assert encode_request(message, KEY) == data
    else:
        assert encode_answer(message, KEY) == data
    assert decode(data, KEY) == message
    assert is_marked_stun(data)


def test_one_request_as_it_is_on_the_wire() -> None:
    """
    Its seal is what ``openssl dgst -sha1 -hmac`` says of all before it, with the length 0x34.
    """
    assert encode_request(Request(ID, TOKEN, True, 3), KEY) == bytes.fromhex(
        "0001003c 2112a442 00010203 04050607 08090a0b"
        "00060005 61626364 65000000 00250000 802a0008 00000000 00000003"
        "00080014 c5abc424 d13b6035 390dfccd 2d233863 f5493448"
        "80280004 f857a6d3"
    )


def test_an_answer_is_not_longer_than_a_request_with_a_token_of_eight_bytes() -> None:
    request = encode_request(Request(ID, "12345678", True), KEY)
    for seen in [("192.0.2.1", 1), ("2001:db8::1", 1)]:
        assert len(encode_answer(Answer(ID, seen), KEY)) <= len(request)


def test_no_bit_under_the_seal_nor_of_it_can_be_changed() -> None:
    data = encode_request(Request(ID, TOKEN, True, 3), KEY)
    for bit in range(8 * (len(data) - FINGERPRINT_SIZE)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MalformedStun):
            decode(bytes(damaged), KEY)


def test_another_key_is_another_session() -> None:
    data = encode_request(Request(ID, TOKEN, True), KEY)
    with pytest.raises(MalformedStun, match="not sealed with this key"):
        decode(data, KEY + b"!")


def test_what_stands_behind_the_seal_does_not_count() -> None:
    """
    Anybody could have written it there.
    """
    message = Message(Method.BINDING, Class.REQUEST, ID, {"USERNAME": TOKEN, "ICE-CONTROLLED": 0})
    message.add_message_integrity(KEY)
    del message.attributes["FINGERPRINT"]
    message.attributes |= {"ICE-CONTROLLING": 7, "USE-CANDIDATE": None}
    assert decode(mark(message), KEY) == Request(ID, TOKEN, by_caller=False)


@pytest.mark.parametrize(
    "message",
    [
        Message(Method.BINDING, Class.REQUEST, ID, {"USERNAME": TOKEN}),
        Message(Method.BINDING, Class.REQUEST, ID, {"ICE-CONTROLLING": 0}),
        Message(Method.BINDING, Class.RESPONSE, ID, {"USERNAME": TOKEN}),
        Message(Method.BINDING, Class.ERROR, ID, {"ERROR-CODE": (487, "Role Conflict")}),
        Message(Method.BINDING, Class.INDICATION, ID, {"USERNAME": TOKEN, "ICE-CONTROLLED": 0}),
        Message(Method.ALLOCATE, Class.REQUEST, ID, {"USERNAME": TOKEN, "ICE-CONTROLLED": 0}),
        Message(Method.SEND, Class.RESPONSE, ID, {"XOR-MAPPED-ADDRESS": ("192.0.2.1", 1)}),
    ],
)
def test_other_messages_under_the_key_are_no_probes(message: Message) -> None:
    with pytest.raises(MalformedStun, match="neither a probe nor an answer"):
        decode(seal(message, KEY), KEY)


def test_only_the_caller_nominates() -> None:
    attributes = {"USERNAME": TOKEN, "USE-CANDIDATE": None, "ICE-CONTROLLED": 5}
    data = seal(Message(Method.BINDING, Class.REQUEST, ID, attributes), KEY)
    assert decode(data, KEY) == Request(ID, TOKEN, by_caller=False)


def test_the_token_is_read_without_the_key() -> None:
    request = parse(encode_request(Request(ID, TOKEN, True), KEY))
    assert token_of(request) == TOKEN
    answer = parse(encode_answer(Answer(ID, ("192.0.2.1", 1)), KEY))
    assert token_of(answer) is None
    assert token_of(Message(Method.BINDING, Class.REQUEST, ID)) is None
