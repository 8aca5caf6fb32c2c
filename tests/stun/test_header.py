"""
STUN is told from LiteNetLib's datagrams on one socket.
"""

from __future__ import annotations

import pytest

from p2pnet.stun.codec import Class, Message, Method, mark, seal
from p2pnet.stun.header import is_marked_stun, is_stun

PLAIN = bytes(Message(Method.BINDING, Class.REQUEST, bytes(12)))
MARKED = mark(Message(Method.BINDING, Class.REQUEST, bytes(12)))


def test_a_bare_request_is_stun_but_not_marked() -> None:
    assert len(PLAIN) == 20
    assert is_stun(PLAIN)
    assert not is_marked_stun(PLAIN)


def test_sealed_and_marked_ones_are_both() -> None:
    sealed = seal(Message(Method.BINDING, Class.RESPONSE, bytes(12)), b"key")
    for data in (MARKED, sealed):
        assert is_stun(data)
        assert is_marked_stun(data)


@pytest.mark.parametrize("size", range(20))
def test_what_is_shorter_than_a_header_is_none(size: int) -> None:
    assert not is_stun(PLAIN[:size])
    assert not is_marked_stun(MARKED[:size])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MARKED + b"\0\0\0\0",
        MARKED[:-4],
        MARKED[:4] + b"\x21\x12\xa4\x43" + MARKED[8:],
        b"\x40" + MARKED[1:],
        b"\x80" + MARKED[1:],
        b"\0" * 28,
        # An Unreliable packet of LiteNetLib: property 0, then whatever the application sends.
        b"\0" + b"hello, this is a longer text",
    ],
)
def test_other_datagrams_are_none(data: bytes) -> None:
    assert not is_marked_stun(data)


def test_a_length_that_is_no_multiple_of_four_is_none() -> None:
    assert not is_stun(PLAIN[:3] + b"\1" + PLAIN[4:] + b"\0")


def test_payload_that_begins_like_stun_is_not_marked() -> None:
    payload = PLAIN[:3] + b"\x08" + PLAIN[4:] + b"gameplay"
    assert is_stun(payload)
    assert not is_marked_stun(payload)
