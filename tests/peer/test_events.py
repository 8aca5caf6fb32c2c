"""
Lines that any JSON parser reads, with .NET's names in them.
"""

from __future__ import annotations

import io
import json

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock

from p2pnet.interfaces import MessageTooLarge, NotConnected, QueueFull, RudpError
from p2pnet.peer.events import Journal, endpoint, exception_name
from p2pnet.peer.language import BadCommand, Unsupported


def test_a_line_has_its_time() -> None:
    stream, clock = io.StringIO(), Clock()
    clock.advance(5)
    journal = Journal(stream, clock.seconds, lambda: 1795220682.25)
    clock.advance(0.0125)
    moment = journal.moment()
    clock.advance(1)
    journal.write("ok", {"cmd": "peers"}, moment)
    journal.write("bye")
    first, second = stream.getvalue().splitlines()
    assert json.loads(first) == {
        "ev": "ok",
        "t": 12.5,
        "us": 1795220682250000,
        "cmd": "peers",
    }
    assert json.loads(second)["t"] == 1012.5


def test_a_line_is_one_line_of_ascii_whatever_is_in_it() -> None:
    stream, clock = io.StringIO(), Clock()
    journal = Journal(stream, clock.seconds, clock.seconds)
    token = "\n\x1b[31m\u2028\ud800é"
    journal.write("nat_request", {"token": token})
    written = stream.getvalue()
    assert written.isascii()
    assert written.count("\n") == 1
    assert json.loads(written)["token"] == token


def test_endpoints_are_written_as_dotnet_does() -> None:
    assert endpoint(("127.0.0.1", 9150)) == "127.0.0.1:9150"
    assert endpoint(("::1", 9000)) == "[::1]:9000"
    assert endpoint(("fe80::1%2", 9000)) == "[fe80::1%2]:9000"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (MessageTooLarge("x"), "TooBigPacketException"),
        (ValueError("x"), "ArgumentException"),
        (BadCommand("x"), "ArgumentException"),
        (RudpError("x"), "InvalidOperationException"),
        (Unsupported("x"), "NotSupportedException"),
        (CannotListenError("", 1, OSError("x")), "SocketException"),
        (OSError("x"), "SocketException"),
        (NotConnected("x"), "NotConnected"),
        (QueueFull("x"), "QueueFull"),
        (ZeroDivisionError("x"), "ZeroDivisionError"),
    ],
)
def test_an_exception_has_the_dotnet_name_if_there_is_one(error: Exception, name: str) -> None:
    assert exception_name(error) == name
