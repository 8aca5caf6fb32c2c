"""
What a setting may be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from p2pnet.services import checks

GOOD: list[tuple[Callable[[Any], Any], list[Any]]] = [
    (
        checks.endpoint,
        [
            "tcp:0",
            "tcp:65535:interface=127.0.0.1",
            r"tcp6:80:interface=\:\:1",
            "unix:/tmp/x",
            "haproxy:tcp:8000",
            "systemd:domain=INET6:index=0",
            "systemd:domain=INET6:name=http",
        ],
    ),
    (
        checks.console_endpoint,
        [
            "tcp:0:interface=127.0.0.1",
            "tcp:4040:interface=127.8.8.8",
            "tcp:4040:interface=localhost",
            r"tcp6:4040:interface=\:\:1",
            "unix:/tmp/console",
            "stdio:",
        ],
    ),
    (checks.port, [0, 1, 65535]),
    (checks.interface, ["", "0.0.0.0", "10.1.2.3", "::", "fe80::1%3"]),
    (checks.host, ["", "10.1.2.3", "::1", "localhost", "a-b.example.", "x" * 63]),
    (checks.registry, ["memory:", "sqlite:y.db", "sqlite:/tmp/y.db", "redis:host=h:port=1"]),
    (checks.turn_servers, ["", "turn.example:3478", "192.0.2.1:3478,[2001:db8::1]:80/tcp"]),
    (checks.secret_file, [""]),
    (
        checks.url,
        ["http://h", "https://h.example:8443/below", "http://127.0.0.1:65535"],
    ),
    (checks.urls, ["http://h", "http://a.example:8000, https://b.example"]),
    (checks.room, ["", "tea-room.2"]),
    (checks.username, ["", "a", "Zoë van 北京", "x" * 32]),
    (checks.name_or_id, ["", "bob", "12345678-1234-5678-1234-567812345678"]),
    (checks.seconds, [0.001, 15.0, 1e9]),
    (checks.relay_policy, ["never", "fallback", "only"]),
    (checks.on_or_off, ["on", "off"]),
    (checks.count, [1, 1_000_000_000]),
    (checks.rate, ["0.5/10", "1/1", "1e6/1e6"]),
    (checks.listing, ["open", "rooms", "off"]),
    (checks.log_level, ["debug", "info", "warn", "error", "critical"]),
    (checks.log_format, ["text", "json"]),
    (checks.log_addresses, ["blurred", "full"]),
]

BAD: list[tuple[Callable[[Any], Any], list[Any]]] = [
    (
        checks.endpoint,
        [
            "",
            "8000",
            "tcp:",
            "tcp:http",
            "tcp:-1",
            "tcp:65536",
            "tcp:80:interfac=127.0.0.1",
            "tcp:80:interface=::1",
            "udp:9050",
            "ssl:443:privateKey=/nowhere/key.pem",
            "haproxy:tcp:65536",
            "haproxy:",
            "systemd:domain=INET6",
            "systemd:domain=INET6:index=x",
        ],
    ),
    (
        checks.console_endpoint,
        [
            "tcp:4040",
            "tcp:4040:interface=",
            "tcp:4040:interface=0.0.0.0",
            "tcp:4040:interface=192.168.1.5",
            "tcp:4040:interface=example.org",
            "tcp6:4040",
            r"tcp6:4040:interface=\:\:",
            "haproxy:tcp:4040",
            "tcp:65536:interface=127.0.0.1",
        ],
    ),
    (checks.port, [-1, 65536]),
    (checks.interface, ["eth0", "127.0.0.1:80", "1.2.3"]),
    (checks.host, ["a b", "http://h", "h:80", "-h", "x" * 64, "h\n"]),
    (
        checks.registry,
        [
            "",
            "cloud:",
            "memory:forever",
            "sqlite:",
            "sqlite:/nowhere/y.db",
            "redis:password=x",
            "redis:password-file=/nowhere/secret",
            r"redis:password-file=credential\:none",
        ],
    ),
    (checks.turn_servers, ["turn.example", "turn.example:3478/udp", "a\n:1", ","]),
    (checks.secret_file, ["/nowhere/secret", "/", "/dev/null", "a\0b"]),
    (
        checks.url,
        [
            "",
            "h:8000",
            "ftp://h",
            "http://",
            "http://:80",
            "http://h:0",
            "http://h:65536",
            "http://h:x",
            "http://[::1",
            "http://[::1]:8000",
            "http://user:secret@h",
            "http://h/?token=1",
            "http://h/\x1b[2J",
        ],
    ),
    (checks.urls, ["", "http://h,", "http://a http://b", "http://a,b:8000"]),
    (checks.room, ["the room", "-a", "x" * 65, "zimmer\u00e4"]),
    (checks.password_file, ["/nowhere/password", "/"]),
    (checks.key_file, ["/nowhere/key.pem", "/"]),
    (checks.username, ["x" * 33, "a\tb", "\x1b[31m", "a\u202eb", " a", "\u0301"]),
    (checks.name_or_id, ["x" * 33, "a\nb"]),
    (checks.seconds, [0.0, -1.0, float("inf"), float("nan")]),
    (checks.relay_policy, ["", "always", "Never"]),
    (checks.on_or_off, ["", "yes", "ON"]),
    (checks.count, [0, -1, 1_000_000_001]),
    (
        checks.rate,
        ["", "5", "5/", "/5", "0/5", "1/0.5", "-1/5", "nan/5", "5/inf", "1e10/5", "1/2/3", "a/b"],
    ),
    (checks.listing, ["", "Open", "none"]),
    (checks.log_level, ["", "warning", "INFO"]),
    (checks.log_format, ["", "xml"]),
    (checks.log_addresses, ["", "none"]),
]


def cases(table: list[tuple[Callable[[Any], Any], list[Any]]]) -> list[Any]:
    return [
        pytest.param(check, value, id=f"{check.__name__}-{value!r}")
        for check, values in table
        for value in values
    ]


@pytest.mark.parametrize(("check", "value"), cases(GOOD))
def test_a_good_value_is_taken_as_it_is(check: Callable[[Any], Any], value: Any) -> None:
    assert check(value) == value


@pytest.mark.parametrize(("check", "value"), cases(BAD))
def test_a_bad_value_is_refused_with_a_printable_reason(
    check: Callable[[Any], Any], value: Any
) -> None:
    with pytest.raises(ValueError, match=r"\w") as refusal:
        check(value)
    assert str(refusal.value).isprintable()


def test_an_open_console_is_refused_with_the_reason_and_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"no password; write tcp:4040:interface=127\.0\.0\.1"):
        checks.console_endpoint("tcp:4040")
