"""
What a stranger's knock looks like, and what the versions of LiteNetLib answer.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.reach.knock import (
    ANOTHER_PROTOCOL,
    NONCE_BITS,
    PROTOCOL_11,
    UNKNOWN_SERVICE,
    knock,
    recognise,
)

NONCE = 0x1122334455667788


def test_a_knock_is_a_question_about_a_connection_that_is_none() -> None:
    assert knock(NONCE) == bytes.fromhex("0e 00 8877665544332211")


@pytest.mark.parametrize(
    ("answer", "service"),
    [
        ("0e 01 8877665544332211", PROTOCOL_11),
        ("0e 01", ANOTHER_PROTOCOL),
        ("0f", ANOTHER_PROTOCOL),
        ("0e 00 8877665544332211", UNKNOWN_SERVICE),
        ("0e 01 8877665544332212", UNKNOWN_SERVICE),
        ("0e 01 8877665544332211 00", UNKNOWN_SERVICE),
        ("0e", UNKNOWN_SERVICE),
        ("", UNKNOWN_SERVICE),
    ],
)
def test_the_answer_tells_who_is_there(answer: str, service: str) -> None:
    """
    WIRE §6 step 3, DIFFERENCES §2 for 1.x; 2.x takes the knock for a stray ShutdownOk.
    """
    assert recognise(bytes.fromhex(answer), NONCE) == service


@given(st.binary(max_size=64), st.integers(0, 2**NONCE_BITS - 1))
def test_any_answer_is_some_service(answer: bytes, nonce: int) -> None:
    assert len(knock(nonce)) == 10
    assert recognise(answer, nonce) in (PROTOCOL_11, ANOTHER_PROTOCOL, UNKNOWN_SERVICE)
