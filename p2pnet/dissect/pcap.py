"""
Classic pcap files, as ``tcpdump -w`` writes them (draft-ietf-opsawg-pcap §4, §5).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

from p2pnet.dissect.frames import MAX_FRAME, Frame
from p2pnet.dissect.source import CaptureError, Source

MAGICS: Final = {
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
"""How a file begins: its byte order, and the nanoseconds in the lesser unit of its times."""

_LINK_MASK: Final = 0xFFFF
"""The bits above tell of frame check sequences; the lengths in IP headers cut those off."""


def read_pcap(magic: bytes, source: Source) -> Iterator[Frame]:
    """
    Every frame behind ``magic``, which is one of `MAGICS` and has been read.

    :raise CaptureError: the file is broken or ends early.
    """
    order, unit = MAGICS[magic]
    # Version, zone, accuracy, snaplen, link type.
    header = Struct(order + "HHiIII")
    record = Struct(order + "IIII")
    link = header.unpack(source.exactly(header.size, "its header"))[-1] & _LINK_MASK
    while True:
        start = source.offset
        head = source.read(record.size)
        if not head:
            return
        if len(head) < record.size:
            raise CaptureError(f"offset {start}: the file ends in the header of a frame")
        seconds, fraction, captured, _ = record.unpack(head)
        if captured > MAX_FRAME:
            raise CaptureError(f"offset {start}: a frame of {captured} bytes")
        data = source.exactly(captured, "a frame")
        yield Frame(seconds * 1_000_000_000 + fraction * unit, link, data)
