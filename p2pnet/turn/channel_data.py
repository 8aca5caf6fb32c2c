"""
Data on a channel: four bytes of header, then the datagram (RFC 8656 §12.4, §12.5).
"""

from __future__ import annotations

from typing import Final

HEADER_SIZE: Final = 4
FIRST_CHANNEL: Final = 0x4000
CHANNELS: Final = 0x1000
"""Numbers 0x4000 to 0x4FFF are channels; higher ones are reserved (RFC 8656 §12)."""


class MalformedChannelData(ValueError):
    """
    These bytes are no data of a channel.
    """


def padding(size: int) -> int:
    """
    Bytes that are missing to a multiple of four.
    """
    return -size % 4


def is_channel_data(data: bytes) -> bool:
    """
    Whether a message begins as data on a channel does.
    """
    return bool(data) and 0x40 <= data[0] <= 0x4F


def encode_channel_data(number: int, data: bytes, padded: bool) -> bytes:
    """
    :param padded: fill up to a multiple of four, as streams want it (RFC 8656 §12.5).
    """
    size = len(data)
    head = bytes((number >> 8, number & 0xFF, size >> 8, size & 0xFF))
    return head + data + bytes(padding(size)) if padded else head + data


def decode_channel_data(message: bytes) -> tuple[int, bytes]:
    """
    The number of the channel and the datagram; up to three bytes of padding are passed over.

    :raise MalformedChannelData: it is cut off, or has more behind it.
    """
    if len(message) < HEADER_SIZE:
        raise MalformedChannelData(f"{len(message)} bytes are no channel data")
    end = HEADER_SIZE + (message[2] << 8 | message[3])
    if not end <= len(message) <= end + 3:
        raise MalformedChannelData(f"channel data of {end} bytes in {len(message)}")
    return message[0] << 8 | message[1], message[HEADER_SIZE:end]
