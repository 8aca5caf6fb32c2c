"""
What a setting may be.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pnet.services import checks
from p2pnet.services.checks import Binding

GOOD: list[tuple[Callable[[Any], Any], list[Any]]] = [
    (
        checks.endpoint,
        ["tcp:0", "tcp:65535:interface=127.0.0.1", r"tcp6:80:interface=\:\:1", "unix:/tmp/x"],
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
    (checks.registry, ["memory:"]),
    (checks.turn_servers, ["", "turn.example:3478", "192.0.2.1:3478,[2001:db8::1]:80/tcp"]),
    (checks.secret_file, [""]),
    (
        checks.url,
        ["http://h", "https://h.example:8443/below", "http://127.0.0.1:65535"],
    ),
    (checks.username, ["", "a", "Zoë van 北京", "x" * 32]),
    (checks.name_or_id, ["", "bob", "12345678-1234-5678-1234-567812345678"]),
    (checks.seconds, [0.001, 15.0, 1e9]),
    (checks.relay_policy, ["never", "fallback", "only"]),
    (checks.on_or_off, ["on", "off"]),
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
    (checks.registry, ["", "cloud:", "memory:forever"]),
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
    (checks.username, ["x" * 33, "a\tb", "\x1b[31m", "a\u202eb", " a", "\u0301"]),
    (checks.name_or_id, ["x" * 33, "a\nb"]),
    (checks.seconds, [0.0, -1.0, float("inf"), float("nan")]),
    (checks.relay_policy, ["", "always", "Never"]),
    (checks.on_or_off, ["", "yes", "ON"]),
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


def test_tcp_binding_tells_where_an_endpoint_would_listen() -> None:
    assert checks.tcp_binding("tcp:8000") == Binding("", 8000)
    assert checks.tcp_binding(r"tcp6:80:interface=\:\:1") == Binding("::1", 80)
    assert checks.tcp_binding("unix:/tmp/x") is None


def test_a_secret_is_the_one_line_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" a shared secret \n")
    assert checks.secret_file(str(path)) == str(path)
    assert checks.read_secret(str(path)) == "a shared secret"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not hold one line"),
        (b" \n\n", "does not hold one line"),
        (b"one\ntwo\n", "does not hold one line"),
        (b"x" * (checks.MAX_SECRET + 1), "does not hold one line"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_not_quoted(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=why) as refusal:
        checks.read_secret(str(path))
    assert str(path) in str(refusal.value)
    assert "xxxx" not in str(refusal.value)


def test_a_pipe_is_no_file_with_a_secret(tmp_path: Path) -> None:
    """
    It could keep the daemon waiting for ever.
    """
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is not a file"):
        checks.read_secret(str(path))
