"""
The UDP datagrams in a capture file, whatever its format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, Final

from p2pnet.dissect.frames import Datagram, Frame, Unwrapping
from p2pnet.dissect.hexdump import read_hex
from p2pnet.dissect.pcap import MAGICS, read_pcap
from p2pnet.dissect.pcapng import MAGIC, read_pcapng
from p2pnet.dissect.source import CaptureError, Source

_TEXT: Final = frozenset(b"\t\n\r" + bytes(range(32, 127)))


class Capture:
    """
    A file of tcpdump, Wireshark, or text in hex, read as it comes.

    :param stream: a buffered file or pipe.

    Iterate once; that raises `CaptureError` where the file is broken, behind all that came before.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._source = Source(stream)
        self._unwrapping = Unwrapping()

    def __iter__(self) -> Iterator[Datagram]:
        for frame in self._frames():
            datagram = self._unwrapping.datagram(frame)
            if datagram is not None:
                yield datagram

    @property
    def skipped(self) -> Counter[str]:
        """
        How much of what has been read was no UDP datagram, or not all of one, by reason.
        """
        skipped = self._unwrapping.skipped.copy()
        if self._unwrapping.unfinished:
            skipped["IP datagrams of which a fragment is missing"] = self._unwrapping.unfinished
        return skipped

    def _frames(self) -> Iterator[Frame]:
        first = self._source.read(4)
        if not first:
            raise CaptureError("the file is empty")
        if first in MAGICS:
            return read_pcap(first, self._source)
        if first == MAGIC:
            return read_pcapng(self._source)
        if _TEXT.issuperset(first):
            return read_hex(first, self._source)
        raise CaptureError(f"neither pcap, pcapng nor hex: it begins with {first.hex()}")
