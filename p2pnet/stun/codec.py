"""
STUN messages to bytes and back, by the codec of aioice.

What aioice lets through to its caller as one of several exceptions comes out of here as one.
"""

from __future__ import annotations

from struct import error
from typing import TYPE_CHECKING

from aioice.stun import Class, Message, Method, parse_message

from p2pnet.stun.header import is_stun

if TYPE_CHECKING:
    from p2pnet.wire.constants import Address

__all__ = [
    "Class",
    "MalformedStun",
    "Message",
    "Method",
    "address_in",
    "mark",
    "parse",
    "seal",
    "unseal",
]


class MalformedStun(ValueError):
    """
    These bytes are no STUN message.
    """


def parse(data: bytes) -> Message:
    """
    Read a message.  Its fingerprint, if it has one, is right; nothing else is proven.

    :raise MalformedStun: it is none.
    """
    if not is_stun(data):
        # The codec looks at neither the cookie nor the first two bits.
        raise MalformedStun("not the form of a STUN message")
    try:
        return parse_message(data)
    except (ValueError, error, IndexError, OverflowError) as fault:
        raise MalformedStun(str(fault)) from None


def mark(message: Message) -> bytes:
    """
    The bytes of a message that anybody could have written, told from others by its fingerprint.
    """
    message.add_fingerprint()
    return bytes(message)


def seal(message: Message, key: bytes) -> bytes:
    """
    The bytes of a message, with proof that who sends it knows `key` (RFC 8489 §14.5, §14.7).
    """
    message.add_message_integrity(key)
    return bytes(message)


def unseal(data: bytes, key: bytes) -> Message:
    """
    Read a message from somebody who knows `key`.

    :raise MalformedStun: it is no message, or proves no such knowledge.
    """
    message = parse(data)
    if not message.check_message_integrity(key):
        raise MalformedStun("not sealed with this key")
    return message


def address_in(message: Message, attribute: str) -> Address | None:
    """
    The address in an attribute such as ``XOR-MAPPED-ADDRESS``; None if it has none.
    """
    address: Address | None = message.attributes.get(attribute)
    return address
