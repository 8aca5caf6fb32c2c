"""
Bytes of telnet, nc and terminals become lines.
"""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.chat.telnet import (
    MAX_SUBNEGOTIATION,
    LineSplitter,
    LineTooLong,
    TelnetFilter,
)

IAC, SB, SE, DO, DONT, WILL, WONT = b"\xff", b"\xfa", b"\xf0", b"\xfd", b"\xfe", b"\xfb", b"\xfc"
# Bytes that mean something, more often than chance would have them.
STREAM = st.lists(
    st.sampled_from([IAC, SB, SE, DO, DONT, WILL, WONT, b"\r", b"\n", b"\0", b"a", b"\x18"])
    | st.binary(max_size=3)
).map(b"".join)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@pytest.mark.parametrize(
    ("data", "plain", "answer"),
    [
        (b"hello\r\n", b"hello\r\n", b""),
        (IAC + DO + b"\x01" + b"x", b"x", IAC + WONT + b"\x01"),
        (IAC + WILL + b"\x1f" + b"x", b"x", IAC + DONT + b"\x1f"),
        (IAC + WONT + b"\x01" + IAC + DONT + b"\x01", b"", b""),
        (b"a" + IAC + IAC + b"b", b"a\xffb", b""),
        (b"a" + IAC + SB + b"\x1f\x00\x50" + IAC + IAC + b"\x00" + IAC + SE + b"b", b"ab", b""),
        (b"a" + IAC + b"\xf4" + IAC + DO + b"\x06b", b"ab", IAC + WONT + b"\x06"),
        (b"a" + IAC + b"\xf6b", b"ab", b""),
        (b"a" + IAC + b"\n", b"a\n", b""),
    ],
)
def test_telnet_is_taken_out_and_answered(data: bytes, plain: bytes, answer: bytes) -> None:
    assert TelnetFilter().feed(data) == (plain, answer)


def test_two_of_us_do_not_negotiate_for_ever() -> None:
    near, far = TelnetFilter(), TelnetFilter()
    data, turns = (IAC + DO + b"\x01" + IAC + WILL + b"\x03"), 0
    while data:
        turns += 1
        assert turns < 5
        _, data = near.feed(data)
        near, far = far, near


def test_0xff_is_doubled_only_for_telnet() -> None:
    telnet = TelnetFilter()
    assert telnet.escape(b"\xff") == b"\xff"
    telnet.feed(b"\xff\xff")
    assert telnet.escape(b"\xff") == b"\xff"
    telnet.feed(IAC + WILL + b"\x01")
    assert telnet.escape(b"\xff") == b"\xff\xff"


def test_an_endless_subnegotiation_ends() -> None:
    plain, _ = TelnetFilter().feed(IAC + SB + b"x" * MAX_SUBNEGOTIATION + b"hello\n")
    assert plain == b"hello\n"


@given(STREAM, st.lists(st.integers(min_value=0)))
def test_where_the_stream_is_cut_does_not_matter(data: bytes, places: list[int]) -> None:
    whole, lines = TelnetFilter(), LineSplitter(limit=16)
    plain, answer = whole.feed(data)
    expected = lines.feed(plain)
    pieces, splitter = TelnetFilter(), LineSplitter(limit=16)
    got: list[bytes | LineTooLong] = []
    answers = b""
    for piece in cut(data, places):
        some, more = pieces.feed(piece)
        answers += more
        got += splitter.feed(some)
    assert (got, answers) == (expected, answer)
    assert pieces.spoken == whole.spoken
    assert splitter.carriage_returns == lines.carriage_returns


@given(STREAM)
def test_an_answer_is_never_longer_than_what_was_asked(data: bytes) -> None:
    plain, answer = TelnetFilter().feed(data)
    assert len(plain) + len(answer) <= len(data)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0", b"\r"])
def test_every_client_ends_its_lines_in_its_way(end: bytes) -> None:
    lines = LineSplitter().feed(b"one" + end + end + b"two" + end + b"rest")
    assert lines == [b"one", b"", b"two"]


def test_a_line_of_the_limit_fits_and_one_byte_more_does_not() -> None:
    splitter = LineSplitter(limit=10)
    assert splitter.feed(b"x" * 10 + b"\n") == [b"x" * 10]
    assert splitter.feed(b"x" * 11) == [LineTooLong(10)]
    assert splitter.feed(b"x" * 1000 + b"\nnext\n") == [b"next"]


def test_an_endless_line_does_not_fill_memory() -> None:
    splitter = LineSplitter()
    told = [line for _ in range(100) for line in splitter.feed(b"x" * 65536)]
    assert len(told) == 1
    assert sum(sys.getsizeof(value) for value in vars(splitter).values()) < 200_000


@given(st.lists(st.binary(max_size=40)))
def test_a_line_is_never_longer_than_the_limit(chunks: list[bytes]) -> None:
    splitter = LineSplitter(limit=16)
    for chunk in chunks:
        for line in splitter.feed(chunk):
            if isinstance(line, bytes):
                assert len(line) <= 16
                assert b"\n" not in line
                assert b"\r" not in line
