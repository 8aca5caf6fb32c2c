"""
What peers are told of TURN servers.
"""

from __future__ import annotations

import pytest

from p2pnet.signaling.turn import MAX_SERVERS, VALIDITY, RelayLogins, RelayServer, relay_servers
from p2pnet.turn.credentials import time_limited_credentials
from tests.signaling.core import ALICE

WALL = 1_700_000_000.75


def test_servers_are_listed_in_one_line() -> None:
    assert relay_servers("") == []
    assert relay_servers("turn.example:3478, 192.0.2.1:80/tcp,[2001:db8::1]:3478") == [
        RelayServer("turn.example", 3478, "udp"),
        RelayServer("192.0.2.1", 80, "tcp"),
        RelayServer("2001:db8::1", 3478, "udp"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "turn.example",
        "turn.example:",
        "turn.example:0",
        "turn.example:65536",
        "turn.example:٣",
        "turn.example:+80",
        f"turn.example:{'9' * 5000}",
        ":3478",
        "2001:db8::1:3478",
        "[2001:db8::1]",
        "turn.example:3478/",
        "turn.example:3478/udp",
        "turn.example:3478/tcp/tcp",
        "turn:turn.example:3478",
        "turn.example:3478,",
        " ",
        "a b:3478",
        "user@turn.example:3478",
    ],
)
def test_a_bad_server_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a TURN server such as"):
        relay_servers(text)


def test_there_is_a_limit_to_servers() -> None:
    assert len(relay_servers(",".join(["turn.example:3478"] * MAX_SERVERS))) == MAX_SERVERS
    with pytest.raises(ValueError, match="too many"):
        relay_servers(",".join(["turn.example:3478"] * (MAX_SERVERS + 1)))


def test_a_peer_gets_in_by_its_own_name_for_an_hour() -> None:
    logins = RelayLogins(relay_servers("turn.example:3478"), "secret", lambda: WALL)
    (relay,) = logins.of(ALICE)
    expires = int(WALL) + VALIDITY
    assert relay.expires == expires
    assert (relay.username, relay.password) == time_limited_credentials("secret", ALICE, expires)
    assert relay.username == f"{expires}:{ALICE}"


def test_without_servers_no_secret_is_needed() -> None:
    assert RelayLogins([], "", lambda: WALL).of(ALICE) == []
    with pytest.raises(ValueError, match="without a secret"):
        RelayLogins(relay_servers("turn.example:3478"), "", lambda: WALL)


def test_a_new_secret_holds_for_who_asks_next() -> None:
    logins = RelayLogins(relay_servers("turn.example:3478"), "old", lambda: WALL)
    logins.renew(relay_servers("other.example:3478"), "new")
    (relay,) = logins.of(ALICE)
    assert relay.host == "other.example"
    expires = int(WALL) + VALIDITY
    assert relay.password == time_limited_credentials("new", ALICE, expires)[1]
    with pytest.raises(ValueError, match="without a secret"):
        logins.renew(relay_servers("turn.example:3478"), "")
    assert logins.of(ALICE) == [relay]
