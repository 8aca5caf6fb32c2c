"""
Messages larger than a datagram (BEHAVIOUR §8).
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge
from p2pnet.wire.constants import FRAGMENT_HEADER_SIZE, FRAGMENTED_HEADER_SIZE
from p2pnet.wire.packets import FRAGMENT

MAX_PARTS: Final = 65535
"""Of one message: the header counts them in 16 bits (WIRE §4.2)."""
_PART_COST: Final = 100
"""Memory that holding a part takes at least, in bytes; an empty one too."""


def split(message: bytes, mtu: int, fragment_id: int) -> list[bytes]:
    """
    Fragment headers and parts of ``message``, all parts but the last of one size (BEHAVIOUR §8.1).

    :param mtu: bytes of a datagram.
    :raise MessageTooLarge: over 65535 parts.
    """
    size = mtu - FRAGMENTED_HEADER_SIZE
    total = -(-len(message) // size)
    if total > MAX_PARTS:
        raise MessageTooLarge(
            f"{len(message)} bytes make {total} parts of {size}; {MAX_PARTS} are allowed"
        )
    return [
        FRAGMENT.pack(fragment_id, part, total) + message[part * size : (part + 1) * size]
        for part in range(total)
    ]


class LimitExceeded(Exception):
    """
    The peer wants more held for it than is allowed.  Ends its connection, never leaves rudp.
    """


class _Assembly:
    """
    One message of which some parts have come.

    What is whole from the begin on is put together at once: to hold a message then takes the
    message, and not twice as much, when it comes in order.

    :ivar announced: what it will take, in bytes: the largest part so far, times all parts.
    """

    def __init__(self, total: int, channel_id: int) -> None:
        self.total = total
        self.channel_id = channel_id
        self.announced = 0
        self._message = BytesIO()
        self._next = 0
        self._early: dict[int, bytes] = {}

    def add(self, part: int, payload: bytes) -> bool:
        """
        Take a part; false if it has come before.
        """
        if part < self._next or part in self._early:
            return False
        self._early[part] = payload
        while (following := self._early.pop(self._next, None)) is not None:
            self._message.write(following)
            self._next += 1
        return True

    def message(self) -> bytes | None:
        """
        The whole message; None if a part is missing.
        """
        # Not a copy: BytesIO gives away what it has made.
        return self._message.getvalue() if self._next == self.total else None


class Reassembler:
    """
    Puts the fragments of one peer together (BEHAVIOUR §8.2).
    """

    def __init__(self, config: EndpointConfig) -> None:
        self._max_messages = config.max_incomplete_messages
        self._max_bytes = config.max_incomplete_bytes
        self._incomplete: dict[int, _Assembly] = {}
        self._announced = 0
        self.rejected = 0
        """Parts that contradict what came before."""

    def receive(self, body: bytes, channel_id: int) -> bytes | None:
        """
        Take a fragment (header and payload); the whole message if this was its last part.

        :raise LimitExceeded: too many messages or bytes under way (PITFALLS B1).  Their fragments
            have been acknowledged, so nothing less than the end of the connection is honest.
        """
        fragment_id: int
        part: int
        total: int
        fragment_id, part, total = FRAGMENT.unpack_from(body)
        payload = body[FRAGMENT_HEADER_SIZE:]
        if part >= total:
            self.rejected += 1
            return None
        assembly = self._incomplete.get(fragment_id)
        if assembly is None:
            if len(self._incomplete) >= self._max_messages:
                raise LimitExceeded(f"over {self._max_messages} incomplete messages")
            assembly = self._incomplete[fragment_id] = _Assembly(total, channel_id)
        if (
            assembly.total != total
            or assembly.channel_id != channel_id
            or not assembly.add(part, payload)
        ):
            self.rejected += 1
            return None
        announced = max(len(payload), _PART_COST) * total
        if announced > assembly.announced:
            self._announced += announced - assembly.announced
            assembly.announced = announced
            if self._announced > self._max_bytes:
                raise LimitExceeded(f"over {self._max_bytes} bytes of incomplete messages")
        message = assembly.message()
        if message is not None:
            del self._incomplete[fragment_id]
            self._announced -= assembly.announced
        return message
