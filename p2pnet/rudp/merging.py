"""
Small packets into few datagrams (BEHAVIOUR §10).
"""

from __future__ import annotations

from typing import Final

from p2pnet.wire.constants import MAX_DATAGRAM_SIZE, PacketProperty
from p2pnet.wire.header import first_byte
from p2pnet.wire.packets import LENGTH

_LENGTHS: Final = [LENGTH.pack(size) for size in range(MAX_DATAGRAM_SIZE + 1)]
"""Looked up in a third of the time it takes to pack one."""
_LONE: Final = 3
"""Parts of a datagram with one packet in it."""


class Merger:
    """
    Packs packets into datagrams of at most `mtu` bytes, in the order they are added.

    A packet that ends up alone travels bare (LiteNetLib 0.9.5.2: NetPeer.cs:1019).

    :ivar mtu: may be set at any time.
    """

    def __init__(self, mtu: int, connection_number: int) -> None:
        self.mtu = mtu
        self._first = bytes((first_byte(PacketProperty.MERGED, connection_number),))
        self._parts: list[bytes] = []
        """What the datagram begun last is made of: its first byte, then lengths and packets."""
        self._size = 1
        self._datagrams: list[bytes] = []

    def extend(self, packets: list[bytes]) -> None:
        """
        Take some packets; one over `mtu` goes out alone all the same.
        """
        parts, used, mtu = self._parts, self._size, self.mtu
        for packet in packets:
            size = len(packet)
            used += size + 2
            if used > mtu or not parts:
                self._close(parts)
                parts = [self._first]
                used = size + 3
            parts.append(_LENGTHS[size] if size <= MAX_DATAGRAM_SIZE else LENGTH.pack(size))
            parts.append(packet)
        self._parts, self._size = parts, used

    def datagrams(self) -> list[bytes]:
        """
        Everything added since the last call.
        """
        self._close(self._parts)
        self._parts = []
        datagrams = self._datagrams
        self._datagrams = []
        return datagrams

    def _close(self, parts: list[bytes]) -> None:
        if len(parts) == _LONE:
            self._datagrams.append(parts[-1])
        elif parts:
            self._datagrams.append(b"".join(parts))
