"""
Both ends compute the same bytes.  The digests and bytes are recordings of the C# peer.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.peer.payloads import (
    MAX_PAYLOAD,
    burst_message,
    payload,
    read_burst_message,
    sized,
)


@pytest.mark.parametrize(
    ("token", "digest"),
    [
        ("size:100:2", "24095828957848c4288b0926b436dab97a9c207fb0beb41ae116052cf22cbf80"),
        ("size:1023:1", "ce750556e90ec96c5916b34e271196c574ad46d7faa2352354eb089a03304110"),
        ("size:102400:11", "fbbe91448d70024ed9def9d655f3d74d382c24f8e6c40614c40c7362d9b1358b"),
    ],
)
def test_a_size_and_a_seed_make_the_recorded_bytes(token: str, digest: str) -> None:
    assert hashlib.sha256(payload(token)).hexdigest() == digest


@pytest.mark.parametrize(
    ("token", "recorded"),
    [
        ("burst:0:20", "00000000445566778899aabbccddeeff10213243"),
        ("burst:9:20:0", "09000000dff00112233445566778899aabbccdde"),
        ("burst:104:20", "680000007c8d9eafc0d1e2f30415263748596a7b"),
        ("burst:7:4", "07000000"),
    ],
)
def test_a_burst_message_has_the_recorded_bytes(token: str, recorded: str) -> None:
    assert payload(token).hex() == recorded


@pytest.mark.parametrize(
    ("token", "data"),
    [
        ("-", b""),
        ("x0a0b", b"\x0a\x0b"),
        ("x", b""),
        ("hex:0a0B", b"\x0a\x0b"),
        ("hex:", b""),
        ("text:a%20b", b"a b"),
        ("text:", b""),
        ("text:k\xe9y", b"k\xc3\xa9y"),
        ("text:a:b", b"a:b"),
        ("12", sized(12, 0)),
        ("size:12", sized(12, 0)),
        ("burst:1:2", b"\x01\x00\x00\x00"),
    ],
)
def test_a_token_stands_for_bytes(token: str, data: bytes) -> None:
    assert payload(token) == data


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("nonsense", "is no payload"),
        ("", "is no payload"),
        ("-1", "is no payload"),
        ("x0", "hex digits"),
        ("hex:zz", "hex digits"),
        ("size:", "numbers"),
        ("size:1:2:3", "numbers"),
        ("size:-1", "numbers"),
        ("burst:1", "numbers"),
        ("burst:4294967296:8", "burst index"),
        (f"size:{MAX_PAYLOAD + 1}", "are allowed"),
        (str(MAX_PAYLOAD + 1), "are allowed"),
        (f"burst:0:{MAX_PAYLOAD + 1}", "are allowed"),
    ],
)
def test_a_bad_token_is_refused_with_the_reason(token: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        payload(token)


@given(st.integers(0, (1 << 32) - 1), st.integers(5, 600), st.integers(0, 255))
def test_a_burst_message_is_what_the_formula_says_and_is_recognised(
    index: int, size: int, salt: int
) -> None:
    data = burst_message(index, size, salt)
    assert data[4:] == bytes((index * 131 + j * 17 + salt) & 0xFF for j in range(4, size))
    assert read_burst_message(data) == (index, salt)


def test_the_salt_of_a_message_of_four_bytes_is_unknown() -> None:
    assert read_burst_message(burst_message(5, 4, 3)) == (5, -1)


@pytest.mark.parametrize("data", [b"", b"\0\0\0", burst_message(3, 20)[:-1] + b"!"])
def test_another_message_is_not_taken_for_a_burst(data: bytes) -> None:
    assert read_burst_message(data) is None
