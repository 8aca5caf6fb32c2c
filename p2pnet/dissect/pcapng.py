"""
Files of Wireshark and dumpcap (draft-ietf-opsawg-pcapng §4).

What no frame or interface is told in is passed over, as the format wants it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct, error
from typing import Final

from p2pnet.dissect.frames import MAX_FRAME, Frame
from p2pnet.dissect.source import CaptureError, Source

MAGIC: Final = bytes.fromhex("0a0d0d0a")
"""The type of a section header; the same from both ends."""

_END_OF_OPTIONS: Final = 0
_TIME_RESOLUTION: Final = 9
_TIME_OFFSET: Final = 14

_ORDERS: Final = {bytes.fromhex("4d3c2b1a"): "<", bytes.fromhex("1a2b3c4d"): ">"}
_MAX_BLOCK: Final = 16 * 1024 * 1024
"""As in libpcap."""
_MAX_INTERFACES: Final = 4096


class _Block(IntEnum):
    """
    The types of blocks that are read.
    """

    INTERFACE = 1
    SIMPLE_PACKET = 3
    ENHANCED_PACKET = 6


@dataclass(frozen=True, slots=True)
class _Interface:
    """
    Where frames were captured.

    :ivar units: of its times, in a second.
    :ivar since: seconds from 1970 to where its times begin.
    """

    link: int
    snaplen: int
    units: int
    since: int

    def nanoseconds(self, time: int) -> int:
        return self.since * 1_000_000_000 + time * 1_000_000_000 // self.units


def read_pcapng(source: Source) -> Iterator[Frame]:
    """
    Every frame in a file, whose first `MAGIC` has been read.

    :raise CaptureError: the file is broken or ends early.
    """
    section = _Section(source)
    start = source.offset - len(MAGIC)
    section.begin(start)
    while True:
        start = source.offset
        kind = source.read(4)
        if not kind:
            return
        if len(kind) < 4:
            raise CaptureError(f"offset {start}: the file ends in the type of a block")
        if kind == MAGIC:
            section.begin(start)
            continue
        try:
            frame = section.block(kind, start)
        except error:
            raise CaptureError(f"offset {start}: a block too short for what it is") from None
        if frame is not None:
            yield frame


class _Section:
    """
    A part of a file with a byte order and interfaces of its own.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._order = "<"
        self._interfaces: list[_Interface] = []

    def begin(self, start: int) -> None:
        """
        Read a section header behind its type.
        """
        size = self._source.exactly(4, "a section header")
        mark = self._source.exactly(4, "a section header")
        if mark not in _ORDERS:
            raise CaptureError(f"offset {start}: no byte order is called {mark.hex()}")
        self._order = _ORDERS[mark]
        self._interfaces.clear()
        self._rest(size, start, read=12)

    def block(self, kind: bytes, start: int) -> Frame | None:
        """
        Read a block behind its type; the frame that is in it.

        :raise struct.error: it is too short.
        """
        body = self._rest(self._source.exactly(4, "a block"), start, read=8)
        match self._number(kind):
            case _Block.INTERFACE:
                if len(self._interfaces) == _MAX_INTERFACES:
                    raise CaptureError(f"offset {start}: over {_MAX_INTERFACES} interfaces")
                self._interfaces.append(self._interface(body))
            case _Block.ENHANCED_PACKET:
                head = Struct(self._order + "IIIII")
                number, high, low, captured, _ = head.unpack_from(body)
                interface = self._known(number, start)
                data = body[head.size : head.size + captured]
                if len(data) < captured:
                    raise CaptureError(f"offset {start}: a frame longer than its block")
                return self._frame(interface, data, start, time=high << 32 | low)
            case _Block.SIMPLE_PACKET:
                interface = self._known(0, start)
                head = Struct(self._order + "I")
                (length,) = head.unpack_from(body)
                captured = min(length, interface.snaplen or length)
                return self._frame(interface, body[head.size : head.size + captured], start)
        return None

    def _rest(self, size: bytes, start: int, read: int) -> bytes:
        """
        What is left of a block of ``size``, of which ``read`` bytes have been read.
        """
        total = self._number(size)
        if not 12 <= total <= _MAX_BLOCK or total % 4 or total < read + 4:
            raise CaptureError(f"offset {start}: a block of {total} bytes")
        body = self._source.exactly(total - read, "a block")
        if body[-4:] != size:
            raise CaptureError(f"offset {start}: a block that ends otherwise than it begins")
        return body[:-4]

    def _interface(self, body: bytes) -> _Interface:
        head = Struct(self._order + "HHI")
        link, _, snaplen = head.unpack_from(body)
        units, since = 1_000_000, 0
        for code, value in self._options(body[head.size :]):
            if code == _TIME_RESOLUTION and value:
                power = value[0] & 0x7F
                units = (2 if value[0] & 0x80 else 10) ** power
            elif code == _TIME_OFFSET:
                (since,) = Struct(self._order + "q").unpack(value)
        return _Interface(link, snaplen, units, since)

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        head = Struct(self._order + "HH")
        position = 0
        while position + head.size <= len(data):
            code, size = head.unpack_from(data, position)
            if code == _END_OF_OPTIONS:
                return
            position += head.size
            yield code, data[position : position + size]
            # Each is filled up to a multiple of four.
            position += (size + 3) // 4 * 4

    def _known(self, number: int, start: int) -> _Interface:
        if number >= len(self._interfaces):
            raise CaptureError(f"offset {start}: a frame of interface {number}, which is unknown")
        return self._interfaces[number]

    def _frame(
        self, interface: _Interface, data: bytes, start: int, time: int | None = None
    ) -> Frame:
        if len(data) > MAX_FRAME:
            raise CaptureError(f"offset {start}: a frame of {len(data)} bytes")
        return Frame(None if time is None else interface.nanoseconds(time), interface.link, data)

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self._order == "<" else "big")
