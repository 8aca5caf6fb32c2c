"""
Datagrams written in hex: one a line, or as ``tcpdump -x`` and ``-X`` print them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from p2pnet.dissect.frames import BARE, RAW_IP, Frame
from p2pnet.dissect.source import CaptureError, Source

_DUMP: Final = re.compile(
    # The text of -X comes after two blanks.
    r"\s*0x(?P<offset>[0-9a-f]{4,}): {1,2}(?P<hex>([0-9a-f]{4} )*([0-9a-f]{2}){1,2})(  .*|\s*)",
    re.DOTALL,
)
_HEAD: Final = re.compile(r" > |\bIP6?\b")
"""In the lines that tcpdump prints above the hex."""
_MAX_PACKET: Final = 65535


def read_hex(first: bytes, source: Source) -> Iterator[Frame]:
    """
    Every datagram in a text.  Blank lines, and what stands behind a ``#``, mean nothing.

    :param first: bytes that have been read already.
    :raise CaptureError: a line is something else.
    """
    dumped = b""
    for number, line in enumerate(_lines(first, source), 1):
        text = line.decode("ascii", "replace")
        dump = _DUMP.fullmatch(text)
        if dump is not None:
            offset = int(dump["offset"], 16)
            if offset == 0 and dumped:
                yield Frame(None, RAW_IP, dumped)
                dumped = b""
            if offset != len(dumped) or offset > _MAX_PACKET:
                raise CaptureError(f"line {number}: {offset:#06x} does not go on where it should")
            dumped += bytes.fromhex(dump["hex"])
            continue
        if dumped:
            yield Frame(None, RAW_IP, dumped)
            dumped = b""
        text = text.partition("#")[0].strip()
        if text and not _HEAD.search(text):
            try:
                yield Frame(None, BARE, bytes.fromhex(text))
            except ValueError:
                raise CaptureError(f"line {number}: no bytes in hex: {text[:40]!a}") from None
    if dumped:
        yield Frame(None, RAW_IP, dumped)


def _lines(first: bytes, source: Source) -> Iterator[bytes]:
    # What was read may hold line ends of its own, and nothing may follow for a while.
    *whole, rest = first.split(b"\n")
    yield from whole
    while line := rest + source.line():
        rest = b""
        yield line
