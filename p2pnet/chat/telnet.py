"""
From the bytes of telnet, nc or a terminal to lines.  Pure; any bytes, cut anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_LINE: Final = 64 * 1024
"""Bytes of one line."""
MAX_SUBNEGOTIATION: Final = 4096
"""Bytes skipped in search of a subnegotiation's end; then it was none."""

# RFC 854.
_SE: Final = 240
_SB: Final = 250
_WILL: Final = 251
_WONT: Final = 252
_DO: Final = 253
_DONT: Final = 254
_IAC: Final = 255
_FIRST_COMMAND: Final = 236
"""EOF, of RFC 1184; what is below is no command."""
_REFUSALS: Final = {_WILL: _DONT, _DO: _WONT}
"""
Refusals need no answer (RFC 854: a party must not answer to what it already is), so nothing loops.
"""


class _State(Enum):
    DATA = auto()
    COMMAND = auto()
    OPTION = auto()
    SUBNEGOTIATION = auto()
    SUBNEGOTIATION_COMMAND = auto()


class TelnetFilter:
    """
    Takes telnet's own bytes out of a stream.

    :ivar spoken: the other side has shown that it speaks telnet.
    """

    def __init__(self) -> None:
        self.spoken = False
        self._state = _State.DATA
        self._verb = 0
        self._skipped = 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """
        The plain bytes in ``data``, and the answer that telnet wants: every option is refused.
        """
        if self._state is _State.DATA and _IAC not in data:
            return data, b""
        plain, answer = bytearray(), bytearray()
        for byte in data:
            self._take(byte, plain, answer)
        return bytes(plain), bytes(answer)

    def escape(self, data: bytes) -> bytes:
        """
        ``data`` as the other side must get it: 0xFF doubled if it speaks telnet.
        """
        return data.replace(b"\xff", b"\xff\xff") if self.spoken else data

    def _take(self, byte: int, plain: bytearray, answer: bytearray) -> None:
        match self._state:
            case _State.DATA:
                if byte == _IAC:
                    self._state = _State.COMMAND
                else:
                    plain.append(byte)
            case _State.COMMAND:
                self._state = _State.DATA
                if byte == _IAC or byte < _FIRST_COMMAND:
                    # A doubled IAC is a byte 0xFF; before no command it is a stray one.
                    plain.append(byte)
                    return
                self.spoken = True
                if byte == _SB:
                    self._state, self._skipped = _State.SUBNEGOTIATION, 0
                elif byte in (_WILL, _WONT, _DO, _DONT):
                    self._state, self._verb = _State.OPTION, byte
            case _State.OPTION:
                self._state = _State.DATA
                if self._verb in _REFUSALS:
                    answer += bytes((_IAC, _REFUSALS[self._verb], byte))
            case _State.SUBNEGOTIATION:
                self._skipped += 1
                if byte == _IAC:
                    self._state = _State.SUBNEGOTIATION_COMMAND
                elif self._skipped >= MAX_SUBNEGOTIATION:
                    self._state = _State.DATA
            case _State.SUBNEGOTIATION_COMMAND:
                self._skipped += 1
                ended = byte == _SE or self._skipped >= MAX_SUBNEGOTIATION
                self._state = _State.DATA if ended else _State.SUBNEGOTIATION


@dataclass(frozen=True, slots=True)
class LineTooLong:
    """
    A line of more than `limit` bytes; what it held is gone.
    """

    limit: int


class LineSplitter:
    """
    Cuts a stream into lines.  They end with LF, CR LF, CR NUL, or CR alone.

    A line ends at its CR, at once; an LF or NUL that follows belongs to that end.

    :ivar carriage_returns: the other side ends its lines with CR.
    """

    def __init__(self, limit: int = MAX_LINE) -> None:
        self.carriage_returns = False
        self._limit = limit
        self._line = bytearray()
        self._swallowing = False
        self._after_return = False

    def feed(self, data: bytes) -> list[bytes | LineTooLong]:
        """
        The lines that ``data`` completes, without their ends.

        One that is too long is told as soon as it is, and swallowed to its end.
        """
        lines: list[bytes | LineTooLong] = []
        position = 0
        while position < len(data):
            if self._after_return:
                self._after_return = False
                if data[position] in b"\n\0":
                    position += 1
                    continue
            end = self._end(data, position)
            self._add(data[position:end], lines)
            if end == len(data):
                break
            if data[end] == 0x0D:
                self.carriage_returns = self._after_return = True
            self._finish(lines)
            position = end + 1
        return lines

    @staticmethod
    def _end(data: bytes, start: int) -> int:
        feed = data.find(b"\n", start)
        feed = len(data) if feed < 0 else feed
        carriage = data.find(b"\r", start, feed)
        return feed if carriage < 0 else carriage

    def _add(self, piece: bytes, lines: list[bytes | LineTooLong]) -> None:
        if self._swallowing:
            return
        if len(self._line) + len(piece) > self._limit:
            self._swallowing = True
            self._line.clear()
            lines.append(LineTooLong(self._limit))
        else:
            self._line += piece

    def _finish(self, lines: list[bytes | LineTooLong]) -> None:
        if not self._swallowing:
            lines.append(bytes(self._line))
        self._line.clear()
        self._swallowing = False
