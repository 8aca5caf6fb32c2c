"""
Small packets into few datagrams (BEHAVIOUR §10).
"""

from __future__ import annotations

from p2pnet.wire.constants import PacketProperty
from p2pnet.wire.header import first_byte
from p2pnet.wire.packets import LENGTH


class Merger:
    """
    Packs packets into datagrams of at most `mtu` bytes, in the order they are added.

    A packet that ends up alone travels bare (LiteNetLib 0.9.5.2: NetPeer.cs:1019).

    :ivar mtu: may be set at any time.
    """

    def __init__(self, mtu: int, connection_number: int) -> None:
        self.mtu = mtu
        self._first = first_byte(PacketProperty.MERGED, connection_number)
        self._waiting: list[bytes] = []
        self._size = 1
        self._datagrams: list[bytes] = []

    def add(self, packet: bytes) -> None:
        """
        Take one packet; one over `mtu` goes out alone all the same.
        """
        size = len(packet) + 2
        if self._size + size > self.mtu:
            self._close()
        self._waiting.append(packet)
        self._size += size

    def datagrams(self) -> list[bytes]:
        """
        Everything added since the last call.
        """
        self._close()
        datagrams = self._datagrams
        self._datagrams = []
        return datagrams

    def _close(self) -> None:
        waiting = self._waiting
        if len(waiting) == 1:
            self._datagrams.append(waiting[0])
        elif waiting:
            merged = bytearray((self._first,))
            for packet in waiting:
                merged += LENGTH.pack(len(packet))
                merged += packet
            self._datagrams.append(bytes(merged))
        self._waiting = []
        self._size = 1
