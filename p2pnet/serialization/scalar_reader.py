"""
A place in some bytes, and the values of fixed size that are read there (PITFALLS A5, B5).
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final, TypeVar

from p2pnet.serialization.scalars import (
    BOOL,
    BYTE,
    CHAR,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    NAMES,
    SBYTE,
    SHORT,
    UINT,
    ULONG,
    USHORT,
    Bytes,
    Scalar,
)

T = TypeVar("T")

_NOTHING: Final = memoryview(b"")
"""The source of a reader without one; an empty message is another object."""


class ReadError(ValueError):
    """
    The data ends too early or holds something that the asked-for type cannot be.

    The text names the type, the position and what was left.
    """


class ScalarReader:
    """
    Where a reader is, how far it may go, and its values of fixed size.

    :ivar position: the index in the source of what is read next.  `skip_bytes` moves it and
        keeps it within its bounds.
    """

    __slots__ = ("_data", "_end", "_offset", "position")

    def __init__(self, data: Bytes = _NOTHING, position: int = 0, end: int | None = None) -> None:
        self.set_source(data, position, end)

    def set_source(self, data: Bytes, position: int = 0, end: int | None = None) -> None:
        """
        Read something else from now on.

        :param data: what to read; not copied.
        :param position: the index where to begin.
        :param end: the index where to stop, as ``maxSize`` is in C#; by default that of ``data``.
        :raise ValueError: the two are not in order, or not within ``data``.
        :raise TypeError: ``data`` is no bytes.
        """
        if not isinstance(data, (bytes, bytearray)):
            if not isinstance(data, memoryview):
                raise TypeError(f"a reader needs bytes, not {type(data).__name__}")
            if data is not _NOTHING:
                data = data.cast("B")
        size = len(data)
        if end is None:
            end = size
        if not 0 <= position <= end <= size:
            raise ValueError(f"{position}..{end} is not within the {size} bytes of the source")
        self._data: Bytes = data
        self._end = end
        self._offset = position
        self.position = position

    def clear(self) -> None:
        """
        Let go of the source: nothing is left, and `is_null` says so.
        """
        self._data = _NOTHING
        self._end = self._offset = self.position = 0

    @property
    def raw_data(self) -> Bytes:
        """
        The whole source, with what lies before the offset and behind the end.
        """
        return self._data

    @property
    def raw_data_size(self) -> int:
        """
        The index in the source where the data ends.
        """
        return self._end

    @property
    def user_data_offset(self) -> int:
        """
        The index in the source where the data begins.
        """
        return self._offset

    @property
    def user_data_size(self) -> int:
        """
        How many bytes there were to read at the beginning.
        """
        return self._end - self._offset

    @property
    def available_bytes(self) -> int:
        """
        How many bytes are left.
        """
        return self._end - self.position

    @property
    def end_of_data(self) -> bool:
        """
        Nothing is left.
        """
        return self.position >= self._end

    @property
    def is_null(self) -> bool:
        """
        There is no source: none was given, or it was cleared.
        """
        return self._data is _NOTHING

    def skip_bytes(self, count: int) -> None:
        """
        Leave out so many bytes, or with a count below 0 go back.

        :raise ReadError: that is past the end, or before `user_data_offset`.
        """
        target = self.position + count
        if not self._offset <= target <= self._end:
            raise ReadError(
                f"skipping {count} bytes at position {self.position}: "
                f"the data is at {self._offset}..{self._end}"
            )
        self.position = target

    def get_bool(self) -> bool:
        """
        1 byte; any other than 0 is true.
        """
        return self._get_byte(BOOL) != 0

    def get_byte(self) -> int:
        """
        1 byte, 0..255.
        """
        return self._get_byte(BYTE)

    def get_sbyte(self) -> int:
        """
        1 byte, -128..127.
        """
        value = self._get_byte(SBYTE)
        return value - 256 if value > 127 else value

    def get_char(self) -> str:
        """
        2 bytes, one UTF-16 unit as a str of one; it may be half of a pair.
        """
        return chr(self._get(CHAR))

    def get_short(self) -> int:
        """
        2 bytes, signed.
        """
        return self._get(SHORT)

    def get_ushort(self) -> int:
        """
        2 bytes, unsigned.
        """
        return self._get(USHORT)

    def get_int(self) -> int:
        """
        4 bytes, signed.
        """
        return self._get(INT)

    def get_uint(self) -> int:
        """
        4 bytes, unsigned.
        """
        return self._get(UINT)

    def get_long(self) -> int:
        """
        8 bytes, signed.
        """
        return self._get(LONG)

    def get_ulong(self) -> int:
        """
        8 bytes, unsigned.
        """
        return self._get(ULONG)

    def get_float(self) -> float:
        """
        4 bytes, IEEE 754 single.
        """
        return self._get(FLOAT)

    def get_double(self) -> float:
        """
        8 bytes, IEEE 754 double.
        """
        return self._get(DOUBLE)

    def peek_bool(self) -> bool:
        """
        As `get_bool`, without moving.
        """
        return self._peek(BOOL)

    def peek_byte(self) -> int:
        """
        As `get_byte`, without moving.
        """
        return self._peek(BYTE)

    def peek_sbyte(self) -> int:
        """
        As `get_sbyte`, without moving.
        """
        return self._peek(SBYTE)

    def peek_char(self) -> str:
        """
        As `get_char`, without moving.
        """
        return chr(self._peek(CHAR))

    def peek_short(self) -> int:
        """
        As `get_short`, without moving.
        """
        return self._peek(SHORT)

    def peek_ushort(self) -> int:
        """
        As `get_ushort`, without moving.
        """
        return self._peek(USHORT)

    def peek_int(self) -> int:
        """
        As `get_int`, without moving.
        """
        return self._peek(INT)

    def peek_uint(self) -> int:
        """
        As `get_uint`, without moving.
        """
        return self._peek(UINT)

    def peek_long(self) -> int:
        """
        As `get_long`, without moving.
        """
        return self._peek(LONG)

    def peek_ulong(self) -> int:
        """
        As `get_ulong`, without moving.
        """
        return self._peek(ULONG)

    def peek_float(self) -> float:
        """
        As `get_float`, without moving.
        """
        return self._peek(FLOAT)

    def peek_double(self) -> float:
        """
        As `get_double`, without moving.
        """
        return self._peek(DOUBLE)

    def try_get_bool(self) -> bool | None:
        """
        As `get_bool`, or None if it is not there in full.
        """
        return self._try_get(BOOL)

    def try_get_byte(self) -> int | None:
        """
        As `get_byte`, or None if it is not there in full.
        """
        return self._try_get(BYTE)

    def try_get_sbyte(self) -> int | None:
        """
        As `get_sbyte`, or None if it is not there in full.
        """
        return self._try_get(SBYTE)

    def try_get_char(self) -> str | None:
        """
        As `get_char`, or None if it is not there in full.
        """
        unit = self._try_get(CHAR)
        return None if unit is None else chr(unit)

    def try_get_short(self) -> int | None:
        """
        As `get_short`, or None if it is not there in full.
        """
        return self._try_get(SHORT)

    def try_get_ushort(self) -> int | None:
        """
        As `get_ushort`, or None if it is not there in full.
        """
        return self._try_get(USHORT)

    def try_get_int(self) -> int | None:
        """
        As `get_int`, or None if it is not there in full.
        """
        return self._try_get(INT)

    def try_get_uint(self) -> int | None:
        """
        As `get_uint`, or None if it is not there in full.
        """
        return self._try_get(UINT)

    def try_get_long(self) -> int | None:
        """
        As `get_long`, or None if it is not there in full.
        """
        return self._try_get(LONG)

    def try_get_ulong(self) -> int | None:
        """
        As `get_ulong`, or None if it is not there in full.
        """
        return self._try_get(ULONG)

    def try_get_float(self) -> float | None:
        """
        As `get_float`, or None if it is not there in full.
        """
        return self._try_get(FLOAT)

    def try_get_double(self) -> float | None:
        """
        As `get_double`, or None if it is not there in full.
        """
        return self._try_get(DOUBLE)

    def _get(self, scalar: Scalar[T]) -> T:
        start = self.position
        stop = start + scalar.size
        if stop > self._end:
            raise self._too_short(NAMES[scalar], scalar.size)
        self.position = stop
        return scalar.unpack_from(self._data, start)[0]

    def _get_byte(self, scalar: Scalar[object]) -> int:
        start = self.position
        if start >= self._end:
            raise self._too_short(NAMES[scalar], 1)
        self.position = start + 1
        return self._data[start]

    def _peek(self, scalar: Scalar[T]) -> T:
        if self.position + scalar.size > self._end:
            raise self._too_short(NAMES[scalar], scalar.size)
        return scalar.unpack_from(self._data, self.position)[0]

    def _try_get(self, scalar: Scalar[T]) -> T | None:
        return None if self.position + scalar.size > self._end else self._get(scalar)

    def _get_array(self, scalar: Scalar[T]) -> list[T]:
        start = self.position + USHORT.size
        if start > self._end:
            raise self._too_short(f"{NAMES[scalar]} array", USHORT.size)
        count = USHORT.unpack_from(self._data, self.position)[0]
        stop = start + count * scalar.size
        if stop > self._end:
            raise self._too_short(f"{NAMES[scalar]} array", stop - self.position)
        self.position = stop
        return list(unpack_from(f"<{count}{scalar.format[1:]}", self._data, start))

    def _too_short(self, what: str, size: int) -> ReadError:
        left = self._end - self.position
        return ReadError(f"{what} of {size} bytes at position {self.position}: {left} bytes left")
