"""
Where one message ends and the next begins on TCP (RFC 8656 §12.5, RFC 8489 §6.2.2).
"""

from __future__ import annotations

from typing import Final

from p2pnet.stun.header import COOKIE
from p2pnet.stun.header import HEADER_SIZE as STUN_HEADER_SIZE
from p2pnet.turn.channel_data import HEADER_SIZE, is_channel_data, padding

_LENGTH_SIZE: Final = 4
"""Type, or channel, and length: both kinds of message begin with them."""


class MalformedStream(ValueError):
    """
    What came is neither STUN nor data on a channel: the connection is of no more use.
    """


class MessageStream:
    """
    Cuts what comes over TCP from a TURN server into messages for `Allocation.receive`.

    Holds less than one message, 65555 bytes at most.  What `Allocation.datagrams_to_send` gives
    needs no such care: written one after the other it is a stream.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> list[bytes]:
        """
        The messages that are complete now, without padding.

        :raise MalformedStream: no message begins where one must, now or before.
        """
        buffer = self._buffer
        buffer += data
        messages: list[bytes] = []
        start = 0
        while True:
            size = self._size_of_message(start)
            end = start + size
            if size == 0 or end + padding(size) > len(buffer):
                break
            messages.append(bytes(buffer[start:end]))
            start = end + padding(size)
        del buffer[:start]
        return messages

    def _size_of_message(self, start: int) -> int:
        """
        Of the one that begins at ``start``; 0 as long as nobody can tell.
        """
        head = bytes(self._buffer[start : start + STUN_HEADER_SIZE])
        if not head:
            return 0
        channel_data = is_channel_data(head)
        if not channel_data and (head[0] >= 0x40 or not COOKIE.startswith(head[4:8])):
            self._refuse(start, head)
        if len(head) < _LENGTH_SIZE:
            return 0
        length = head[2] << 8 | head[3]
        if channel_data:
            return HEADER_SIZE + length
        if padding(length):
            self._refuse(start, head)
        return STUN_HEADER_SIZE + length

    def _refuse(self, start: int, head: bytes) -> None:
        # What is wrong stays at the front: no later call finds a message behind it.
        del self._buffer[:start]
        del self._buffer[STUN_HEADER_SIZE:]
        raise MalformedStream(f"no TURN message begins with {head[:8].hex(' ')}")
