"""
How a line is taken apart.
"""

from __future__ import annotations

import pytest

from p2pnet.interfaces import DeliveryMethod
from p2pnet.peer.language import (
    BadCommand,
    Typed,
    Words,
    dotnet,
    host,
    integer,
    key,
    method,
    peer,
    short,
    split_line,
    text,
)


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("", []),
        ("   ", []),
        ("peers", [Typed("peers")]),
        (" peers \r", [Typed("peers")]),
        ("peers ; stats 0", [Typed("peers"), Typed("stats 0")]),
        ("peers ; ; stats", [Typed("peers"), Typed("stats")]),
        ("; peers ;", [Typed("peers")]),
        ("send 0 RO 0 text:a;b", [Typed("send 0 RO 0 text:a;b")]),
        ("#7 peers ; #a-b stats", [Typed("peers", "7"), Typed("stats", "a-b")]),
        ("#7", [Typed("", "7")]),
    ],
)
def test_a_line_holds_commands(line: str, typed: list[Typed]) -> None:
    assert split_line(line) == typed


def test_words_are_taken_from_the_left_and_options_from_anywhere() -> None:
    words = Words("first gap=5 RO  ud=a=b 3")
    assert words.take_option("gap", integer(0, 9), 0) == 5
    assert words.take_option("ud", text, "") == "a=b"
    assert words.take_option("salt", integer(0, 9), 7) == 7
    assert words.take("PEER", peer) == "first"
    assert words.take("METHOD", method) is DeliveryMethod.RELIABLE_ORDERED
    assert words.take_or("CHANNEL", integer(0, 9), 0) == 3
    assert words.take_or("CHANNEL", integer(0, 9), 0) == 0
    words.end()


def test_a_missing_a_bad_and_a_surplus_word_are_named() -> None:
    with pytest.raises(BadCommand, match=r"^PORT is missing$"):
        Words("").take("PORT", text)
    with pytest.raises(BadCommand, match=r"^PORT: 10 is not in 0\.\.9$"):
        Words("10").take("PORT", integer(0, 9))
    with pytest.raises(BadCommand, match=r"^gap: 'x' is no number$"):
        Words("gap=x").take_option("gap", integer(0, 9), 0)
    with pytest.raises(BadCommand, match="'b' is one word too many"):
        Words("b c").end()


@pytest.mark.parametrize("value", list(DeliveryMethod))
def test_a_method_has_a_short_and_a_full_name(value: DeliveryMethod) -> None:
    assert method(short(value)) is value
    assert method(dotnet(value.name)) is value
    assert method(short(value).lower()) is value


def test_no_method_is_guessed() -> None:
    with pytest.raises(ValueError, match="U, RU, S, RO, RS"):
        method("R")


def test_brackets_of_an_ipv6_address_are_taken_off() -> None:
    assert host("[::1]") == host("::1") == "::1"
    assert host("localhost") == "localhost"


def test_two_quotes_are_the_empty_key() -> None:
    assert key('""') == ""
    assert key("k") == "k"


def test_a_peer_is_a_number_or_first() -> None:
    assert peer("first") == "first"
    assert peer("12") == 12


@pytest.mark.parametrize("word", ["-1", "x", "", "1.5", "last"])
def test_nothing_else_is_a_peer(word: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        peer(word)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("CONNECTION_FAILED", "ConnectionFailed"),
        ("PEER_TO_PEER_CONNECTION", "PeerToPeerConnection"),
        ("TIMEOUT", "Timeout"),
        ("RELIABLE_UNORDERED", "ReliableUnordered"),
        ("BASIC_MESSAGE", "BasicMessage"),
    ],
)
def test_constants_are_told_as_dotnet_names(ours: str, theirs: str) -> None:
    assert dotnet(ours) == theirs
