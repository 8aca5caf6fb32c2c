"""
Bytes of a capture file, read once from the beginning to the end.
"""

from __future__ import annotations

from typing import BinaryIO, Final

_MAX_LINE: Final = 1 << 20
"""A datagram of 65535 bytes takes a fifth of it in hex."""


class CaptureError(ValueError):
    """
    The file is no capture, or is broken.  The text says where.
    """


class Source:
    """
    A file or a pipe that knows how far it has been read.

    :param stream: buffered; ``read`` waits until all that is asked for is there, or the end.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = 0

    def read(self, size: int) -> bytes:
        """
        The next ``size`` bytes; fewer at the end.
        """
        data = self._stream.read(size)
        self.offset += len(data)
        return data

    def exactly(self, size: int, what: str) -> bytes:
        """
        The next ``size`` bytes.

        :param what: what they belong to.
        :raise CaptureError: the file ends before.
        """
        start = self.offset
        data = self.read(size)
        if len(data) < size:
            raise CaptureError(
                f"offset {start}: the file ends in {what}, {size - len(data)} bytes early"
            )
        return data

    def line(self) -> bytes:
        """
        The next line with its end; nothing at the end of the file.

        :raise CaptureError: it has over a million bytes.
        """
        start = self.offset
        data = self._stream.readline(_MAX_LINE + 1)
        self.offset += len(data)
        if len(data) > _MAX_LINE:
            raise CaptureError(f"offset {start}: a line of more than {_MAX_LINE} bytes")
        return data
