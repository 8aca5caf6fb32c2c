"""
What a link carried, and the UDP datagrams in it.

Nothing here trusts a length that a frame announces: whoever sent it is a stranger.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final

from p2pnet.dissect.fragments import FragmentKey, Reassembly
from p2pnet.wire.constants import Address

MAX_FRAME: Final = 262144
"""Bytes; libpcap captures no longer ones."""

# Link types (https://www.tcpdump.org/linktypes.html).
BARE: Final = -1
"""None: the bytes are a datagram without any header.  No file can say this number."""
RAW_IP: Final = 101
_NULL: Final = 0
_ETHERNET: Final = 1
_LOOP: Final = 108
_COOKED: Final = 113
_COOKED_2: Final = 276
_RAW: Final = frozenset((12, 14, RAW_IP, 228, 229))
"""IP itself; 12 and 14 are what some systems write for 101."""

_VLAN_TAGS: Final = frozenset((0x8100, 0x88A8, 0x9100))
_IP_TYPES: Final = frozenset((0x0800, 0x86DD))

_IPV4: Final = Struct(">BxHHHxB2x4s4s")
"""Version and length, total length, id, flags and offset, protocol, addresses."""
_IPV6: Final = Struct(">B3xHBx16s16s")
"""Version, payload length, next header, addresses."""
_IPV6_FRAGMENT: Final = Struct(">BxHI")
"""Next header, offset and flag, id."""
_UDP: Final = Struct(">HHH2x")

_UDP_PROTOCOL: Final = 17
_FRAGMENT_HEADER: Final = 44
_AUTHENTICATION: Final = 51
_EXTENSIONS: Final = frozenset((0, 43, 60, 135, 139, 140))
"""IPv6 headers that say their own length in units of 8 bytes (RFC 6564)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """
    What a capture holds of one frame.

    :ivar time: nanoseconds since 1970; None if unknown.
    :ivar link: the number of the link type.
    """

    time: int | None
    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Datagram:
    """
    A UDP datagram.

    :ivar time: nanoseconds since 1970; None if unknown.
    :ivar source: where it came from; None if unknown, as `destination`.
    :ivar data: its payload as far as it was captured.
    :ivar length: bytes of the whole payload.
    """

    time: int | None
    source: Address | None
    destination: Address | None
    data: bytes
    length: int

    @property
    def is_cut(self) -> bool:
        """
        Only a part of it was captured.
        """
        return len(self.data) < self.length


class _Skip(Exception):
    """
    There is no datagram in a frame; the text says why.
    """


class Unwrapping:
    """
    Takes datagrams out of frames.

    :ivar skipped: how many frames were none, by reason.
    """

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._reassembly = Reassembly()

    @property
    def unfinished(self) -> int:
        """
        IP datagrams of which fragments have not come, or have come too late.
        """
        return self._reassembly.unfinished

    def datagram(self, frame: Frame) -> Datagram | None:
        """
        The datagram in a frame, or that it completes; None if there is none, which is counted.
        """
        if frame.link == BARE:
            return Datagram(frame.time, None, None, frame.data, len(frame.data))
        try:
            packet = _ip_packet(frame)
            version = packet[0] >> 4 if packet else 0
            if version == 4:
                return self._ipv4(packet, frame.time)
            if version == 6:
                return self._ipv6(packet, frame.time)
            raise _Skip("not IP")
        except _Skip as reason:
            self.skipped[str(reason)] += 1
            return None

    def _ipv4(self, packet: bytes, time: int | None) -> Datagram | None:
        if len(packet) < _IPV4.size:
            raise _Skip("cut off in the IP header")
        first, total, id, place, protocol, source, destination = _IPV4.unpack_from(packet)
        header = (first & 0xF) * 4
        # 0 is what a network card that cuts the packet later on leaves there.
        total = total or len(packet)
        if not _IPV4.size <= header <= total:
            raise _Skip("IP with lengths that cannot be")
        if protocol != _UDP_PROTOCOL:
            raise _Skip("not UDP")
        hosts = str(IPv4Address(source)), str(IPv4Address(destination))
        payload, length = packet[header:total], total - header
        offset, more = (place & 0x1FFF) * 8, bool(place & 0x2000)
        if offset or more:
            whole = self._assembled((*hosts, id), offset, more, payload, length)
            if whole is None:
                return None
            payload, length = whole, len(whole)
        return _udp(hosts, payload, length, time)

    def _ipv6(self, packet: bytes, time: int | None) -> Datagram | None:
        if len(packet) < _IPV6.size:
            raise _Skip("cut off in the IP header")
        _, length, protocol, source, destination = _IPV6.unpack_from(packet)
        hosts = str(IPv6Address(source)), str(IPv6Address(destination))
        length = length or len(packet) - _IPV6.size
        payload = packet[_IPV6.size : _IPV6.size + length]
        while protocol != _UDP_PROTOCOL:
            if len(payload) < 8:
                raise _Skip("cut off in the IP header")
            following = payload[0]
            if protocol == _FRAGMENT_HEADER:
                _, place, id = _IPV6_FRAGMENT.unpack_from(payload)
                offset, more = place & 0xFFF8, bool(place & 1)
                payload, length = payload[8:], length - 8
                if offset or more:
                    whole = self._assembled((*hosts, id), offset, more, payload, length)
                    if whole is None:
                        return None
                    payload, length = whole, len(whole)
            elif protocol in _EXTENSIONS or protocol == _AUTHENTICATION:
                size = payload[1] * 4 + 8 if protocol == _AUTHENTICATION else payload[1] * 8 + 8
                payload, length = payload[size:], length - size
            else:
                raise _Skip("not UDP")
            protocol = following
        return _udp(hosts, payload, length, time)

    def _assembled(
        self, key: FragmentKey, offset: int, more: bool, payload: bytes, length: int
    ) -> bytes | None:
        if len(payload) < length:
            raise _Skip("an IP fragment of which a part was captured")
        return self._reassembly.add(key, offset, more, payload)


def _ip_packet(frame: Frame) -> bytes:
    """
    What the link carried.
    """
    data = frame.data
    if frame.link in _RAW:
        return data
    if frame.link in (_NULL, _LOOP):
        # Four bytes name the family, with numbers of the system that captured: IP says it again.
        return data[4:]
    if frame.link == _ETHERNET:
        kind, start = 12, 14
    elif frame.link == _COOKED:
        kind, start = 14, 16
    elif frame.link == _COOKED_2:
        kind, start = 0, 20
    else:
        raise _Skip(f"of link type {frame.link}, which is not known here")
    ether_type = int.from_bytes(data[kind : kind + 2], "big")
    while ether_type in _VLAN_TAGS:
        ether_type = int.from_bytes(data[start + 2 : start + 4], "big")
        start += 4
    if ether_type not in _IP_TYPES:
        raise _Skip("not IP")
    return data[start:]


def _udp(hosts: tuple[str, str], packet: bytes, length: int, time: int | None) -> Datagram:
    """
    :param length: bytes that the packet had before it was captured.
    """
    if len(packet) < _UDP.size:
        raise _Skip("cut off in the UDP header")
    source, destination, size = _UDP.unpack_from(packet)
    # 0 stands for more than 65535 (RFC 2675 §4).
    size = size or length
    if not _UDP.size <= size <= length:
        raise _Skip("UDP with a length that cannot be")
    data = packet[_UDP.size : size]
    return Datagram(time, (hosts[0], source), (hosts[1], destination), data, size - _UDP.size)
