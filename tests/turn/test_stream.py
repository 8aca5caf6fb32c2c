"""
Messages out of a TCP stream (RFC 8656 §12.5).
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.stun.codec import Class, Message, Method
from p2pnet.turn.channel_data import encode_channel_data
from p2pnet.turn.stream import MalformedStream, MessageStream


def stun(size: int) -> bytes:
    """
    A message with so many bytes of data.
    """
    return bytes(Message(Method.DATA, Class.INDICATION, bytes(12), {"DATA": bytes(size)}))


MESSAGES = st.one_of(
    st.integers(0, 40).map(stun),
    st.builds(lambda number, data: (number, data), st.integers(0x4000, 0x4FFF), st.binary()).map(
        lambda pair: encode_channel_data(*pair, padded=False)
    ),
)


def padded(message: bytes) -> bytes:
    return message + bytes(-len(message) % 4)


@given(st.lists(MESSAGES), st.lists(st.integers(0, 200)))
def test_messages_come_out_whole_however_they_are_cut(
    messages: list[bytes], cuts: list[int]
) -> None:
    whole = b"".join(map(padded, messages))
    stream = MessageStream()
    found: list[bytes] = []
    start = 0
    for cut in sorted(min(cut, len(whole)) for cut in [*cuts, len(whole)]):
        found += stream.receive(whole[start:cut])
        start = cut
    found += stream.receive(whole[start:])
    assert found == messages


def test_byte_by_byte_a_message_comes_with_its_last_byte_of_padding() -> None:
    stream = MessageStream()
    whole = encode_channel_data(0x4001, b"abcde", padded=True)
    found = [stream.receive(bytes([byte])) for byte in whole]
    assert found == [[]] * 11 + [[whole[:9]]]


def test_the_longest_messages_pass() -> None:
    stream = MessageStream()
    data = encode_channel_data(0x4001, bytes(65535), padded=True)
    message = stun(65528)
    assert len(message) == 20 + 65532
    assert stream.receive(data + message) == [data[:-1], message]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x80",
        b"\xff\xff\xff\xff",
        b"\x50\x00\x00\x00",  # reserved (RFC 8656 §12)
        b"\x7f\xff\x00\x00",
        b"SSH-2.0-OpenSSH_9.2",
        b"\x01\x01\x00\x00HTTP",  # no magic cookie
        b"\x01\x01\x00\x00\x21\x12\xa4\x43",
        b"\x01\x01\x00\x03\x21\x12\xa4\x42",  # no multiple of four
        b"\x01\x01\xff\xff",
    ],
)
def test_what_is_no_message_ends_the_stream_for_good(garbage: bytes) -> None:
    stream = MessageStream()
    with pytest.raises(MalformedStream, match=f"begins with {garbage[0]:02x}"):
        stream.receive(stun(4) + garbage)
    for more in (b"", stun(4), bytes(100)):
        with pytest.raises(MalformedStream):
            stream.receive(more)


def test_garbage_is_noticed_with_its_first_byte() -> None:
    stream = MessageStream()
    with pytest.raises(MalformedStream):
        stream.receive(b"\x80")


def test_never_more_than_one_message_is_held() -> None:
    stream = MessageStream()
    longest = encode_channel_data(0x4001, bytes(65535), padded=True)
    held = []
    for start in range(0, 10 * len(longest), 1000):
        stream.receive((longest * 10)[start : start + 1000])
        held.append(len(stream._buffer))
    assert 64_000 < max(held) < len(longest)
