"""
Writes capture files, byte by byte as their specifications say.
"""

from __future__ import annotations

import io
import struct
from ipaddress import ip_address
from typing import Final

from p2pnet.dissect import Capture, Datagram
from p2pnet.wire.constants import Address

NOON: Final = 1_772_366_400
"""2026-03-01 12:00:00 UTC."""
ALICE: Final[Address] = ("192.0.2.1", 9050)
BOB: Final[Address] = ("192.0.2.2", 41204)
ALICE_V6: Final[Address] = ("2001:db8::1", 9050)
BOB_V6: Final[Address] = ("2001:db8::2", 41204)

ETHERNET: Final = 1
RAW: Final = 101


def udp(payload: bytes, source: Address = ALICE, destination: Address = BOB) -> bytes:
    """
    A UDP header and its payload.
    """
    return struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0) + payload


def ipv4(
    packet: bytes,
    *,
    options: bytes = b"",
    offset: int = 0,
    more: bool = False,
    id: int = 7,
    protocol: int = 17,
    total: int | None = None,
) -> bytes:
    """
    An IPv4 packet from ALICE to BOB.
    """
    if total is None:
        total = 20 + len(options) + len(packet)
    place = offset // 8 | (0x2000 if more else 0)
    head = struct.pack(
        ">BBHHHBBH4s4s",
        0x40 | (5 + len(options) // 4),
        *(0, total, id, place, 64, protocol, 0),
        ip_address(ALICE[0]).packed,
        ip_address(BOB[0]).packed,
    )
    return head + options + packet


def ipv6(packet: bytes, following: int = 17, length: int | None = None) -> bytes:
    """
    An IPv6 packet from ALICE_V6 to BOB_V6.
    """
    if length is None:
        length = len(packet)
    return (
        struct.pack(">IHBB", 0x60000000, length, following, 64)
        + ip_address(ALICE_V6[0]).packed
        + ip_address(BOB_V6[0]).packed
        + packet
    )


def ethernet(packet: bytes, ether_type: int = 0x0800, tags: bytes = b"") -> bytes:
    """
    A frame; `tags` stand before the type.
    """
    return bytes(12) + tags + struct.pack(">H", ether_type) + packet


def pcap(
    *frames: bytes, link: int = RAW, order: str = "<", nano: bool = False, snaplen: int = 262144
) -> bytes:
    """
    A classic capture; frame n came n seconds and 123456 microseconds (or nanoseconds) after NOON.
    """
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)
    for n, frame in enumerate(frames):
        kept = frame[:snaplen]
        out += struct.pack(order + "IIII", NOON + n, 123456, len(kept), len(frame)) + kept
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """
    A block of a pcapng file.
    """
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    """
    A section header.
    """
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    link: int = RAW,
    order: str = "<",
    resolution: int | None = None,
    offset: int | None = None,
    snaplen: int = 0,
) -> bytes:
    """
    An interface description.
    """
    body = struct.pack(order + "HHI", link, 0, snaplen)
    # A name, which nobody looks at.
    body += struct.pack(order + "HH", 2, 3) + b"lo0\0"
    if resolution is not None:
        body += struct.pack(order + "HHBxxx", 9, 1, resolution)
    if offset is not None:
        body += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, body + bytes(4), order)


def enhanced(frame: bytes, time: int, order: str = "<", number: int = 0) -> bytes:
    """
    A frame of an interface, `time` in the units of that.
    """
    head = struct.pack(
        order + "IIIII", number, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame)
    )
    return block(6, head + frame + bytes(-len(frame) % 4), order)


def simple(frame: bytes, length: int | None = None, order: str = "<") -> bytes:
    """
    A frame of the first interface, at no time.
    """
    return block(3, struct.pack(order + "I", length or len(frame)) + frame, order)


def opened(data: bytes) -> Capture:
    """
    A capture of these bytes.
    """
    return Capture(io.BytesIO(data))


def datagrams(data: bytes) -> list[Datagram]:
    """
    Everything in a capture in which nothing is skipped.
    """
    capture = opened(data)
    found = list(capture)
    assert not capture.skipped
    return found
