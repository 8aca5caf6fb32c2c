"""
Names, passwords and keys (RFC 8489 §9.2, coturn's ``use-auth-secret``).
"""

from __future__ import annotations

import pytest

from p2pnet.turn.credentials import long_term_key, time_limited_credentials


def test_the_key_is_the_one_of_the_rfc() -> None:
    """
    The example of RFC 8489 §18.5.1.
    """
    key = long_term_key("user", "realm", "pass")
    assert key.hex() == "8493fbc53ba582fb4c044c456bdc40eb"


def test_credentials_are_what_a_server_with_the_secret_expects() -> None:
    username, password = time_limited_credentials("north", "alice", 1_700_000_000)
    assert username == "1700000000:alice"
    # printf 1700000000:alice | openssl dgst -sha1 -hmac north -binary | base64
    assert password == "Cd/49soE35ICqcJF/bCTn8Z4OyE="


def test_another_secret_identity_or_time_gives_another_password() -> None:
    passwords = {
        time_limited_credentials(*given).password
        for given in [("a", "b", 1), ("x", "b", 1), ("a", "x", 1), ("a", "b", 2)]
    }
    assert len(passwords) == 4


@pytest.mark.parametrize(
    ("secret", "identity", "expires", "words"),
    [
        ("", "alice", 1, "secret"),
        ("north", "", 1, "identity"),
        ("north", "alice", -1, "-1"),
        ("north", "a" * 507, 1, "508 bytes, not 509"),
    ],
)
def test_what_no_server_takes_is_refused(
    secret: str, identity: str, expires: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        time_limited_credentials(secret, identity, expires)
    assert len(time_limited_credentials("north", "a" * 506, 1).username) == 508
