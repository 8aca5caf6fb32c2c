"""
The first byte, and what may follow it (WIRE §2).
"""

from __future__ import annotations

from typing import Final

from p2pnet.wire.constants import (
    CONNECTION_NUMBER_SHIFT,
    FRAGMENT_HEADER_SIZE,
    FRAGMENTED_FLAG,
    PROPERTY_MASK,
)

# Bytes, because in them compiled code finds a number faster than in a tuple.
_HEADER_SIZES: Final = bytes((1, 4, 4, 3, 11, 14, 11, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1))
"""Smallest datagram of each property, by its number (WIRE §2)."""


class MalformedPacket(ValueError):
    """
    Bytes that are no datagram of protocol 11.  Never leaves the Endpoint.
    """


def minimum_size(prop: int, fragmented: bool = False) -> int:
    """
    Bytes that a datagram of this property must have at least (WIRE §2.1).

    :raise IndexError: there is no such property.
    """
    return _HEADER_SIZES[prop] + (FRAGMENT_HEADER_SIZE if fragmented else 0)


def verify(data: bytes) -> int:
    """
    The property of a datagram that has a known one and the size for it.

    :raise MalformedPacket: property over 17 (PITFALLS D17), or too short (WIRE §2.1 rules 3, 4).
    """
    if not data:
        raise MalformedPacket("empty datagram")
    first = data[0]
    prop = first & PROPERTY_MASK
    if prop >= len(_HEADER_SIZES):
        raise MalformedPacket(f"unknown property {prop}")
    size = _HEADER_SIZES[prop]
    if first & FRAGMENTED_FLAG:
        size += FRAGMENT_HEADER_SIZE
    if len(data) < size:
        raise MalformedPacket(f"{len(data)} bytes of property {prop}, which takes {size}")
    return prop


def first_byte(prop: int, connection_number: int, fragmented: bool = False) -> int:
    """
    Property, connection number and fragmented flag in one byte.
    """
    flag = FRAGMENTED_FLAG if fragmented else 0
    return prop | connection_number << CONNECTION_NUMBER_SHIFT | flag


def connection_number(data: bytes) -> int:
    """
    Bits 5 and 6 of the first byte: 0..3.
    """
    return data[0] >> CONNECTION_NUMBER_SHIFT & 3
