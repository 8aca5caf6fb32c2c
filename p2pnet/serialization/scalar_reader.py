"""
The values of fixed size that are read at a place in some bytes (PITFALLS A5, B5).
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final, TypeVar

from p2pnet.serialization.place import Place
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
    Scalar,
)

T = TypeVar("T")

# Bound once, and each called by a method of its own: a shared one would take as long again.
_unpack_char: Final = CHAR.unpack_from
_unpack_short: Final = SHORT.unpack_from
_unpack_ushort: Final = USHORT.unpack_from
_unpack_int: Final = INT.unpack_from
_unpack_uint: Final = UINT.unpack_from
_unpack_long: Final = LONG.unpack_from
_unpack_ulong: Final = ULONG.unpack_from
_unpack_float: Final = FLOAT.unpack_from
_unpack_double: Final = DOUBLE.unpack_from


class ScalarReader(Place):
    """
    Reads the values of fixed size.
    """

    __slots__ = ()

    def get_bool(self) -> bool:
        """
        1 byte; any other than 0 is true.
        """
        start = self.position
        if start >= self._end:
            raise self._too_short("bool", 1)
        self.position = start + 1
        return self._data[start] != 0

    def get_byte(self) -> int:
        """
        1 byte, 0..255.
        """
        start = self.position
        if start >= self._end:
            raise self._too_short("byte", 1)
        self.position = start + 1
        return self._data[start]

    def get_sbyte(self) -> int:
        """
        1 byte, -128..127.
        """
        start = self.position
        if start >= self._end:
            raise self._too_short("sbyte", 1)
        self.position = start + 1
        value = self._data[start]
        return value - 256 if value > 127 else value

    def get_char(self) -> str:
        """
        2 bytes, one UTF-16 unit as a str of one; it may be half of a pair.
        """
        start = self.position
        stop = start + 2
        if stop > self._end:
            raise self._too_short("char", 2)
        self.position = stop
        return chr(_unpack_char(self._data, start)[0])

    def get_short(self) -> int:
        """
        2 bytes, signed.
        """
        start = self.position
        stop = start + 2
        if stop > self._end:
            raise self._too_short("short", 2)
        self.position = stop
        return _unpack_short(self._data, start)[0]

    def get_ushort(self) -> int:
        """
        2 bytes, unsigned.
        """
        start = self.position
        stop = start + 2
        if stop > self._end:
            raise self._too_short("ushort", 2)
        self.position = stop
        return _unpack_ushort(self._data, start)[0]

    def get_int(self) -> int:
        """
        4 bytes, signed.
        """
        start = self.position
        stop = start + 4
        if stop > self._end:
            raise self._too_short("int", 4)
        self.position = stop
        return _unpack_int(self._data, start)[0]

    def get_uint(self) -> int:
        """
        4 bytes, unsigned.
        """
        start = self.position
        stop = start + 4
        if stop > self._end:
            raise self._too_short("uint", 4)
        self.position = stop
        return _unpack_uint(self._data, start)[0]

    def get_long(self) -> int:
        """
        8 bytes, signed.
        """
        start = self.position
        stop = start + 8
        if stop > self._end:
            raise self._too_short("long", 8)
        self.position = stop
        return _unpack_long(self._data, start)[0]

    def get_ulong(self) -> int:
        """
        8 bytes, unsigned.
        """
        start = self.position
        stop = start + 8
        if stop > self._end:
            raise self._too_short("ulong", 8)
        self.position = stop
        return _unpack_ulong(self._data, start)[0]

    def get_float(self) -> float:
        """
        4 bytes, IEEE 754 single.
        """
        start = self.position
        stop = start + 4
        if stop > self._end:
            raise self._too_short("float", 4)
        self.position = stop
        return _unpack_float(self._data, start)[0]

    def get_double(self) -> float:
        """
        8 bytes, IEEE 754 double.
        """
        start = self.position
        stop = start + 8
        if stop > self._end:
            raise self._too_short("double", 8)
        self.position = stop
        return _unpack_double(self._data, start)[0]

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

    def _peek(self, scalar: Scalar[T]) -> T:
        if self.position + scalar.size > self._end:
            raise self._too_short(NAMES[scalar], scalar.size)
        return scalar.unpack_from(self._data, self.position)[0]

    def _try_get(self, scalar: Scalar[T]) -> T | None:
        start = self.position
        stop = start + scalar.size
        if stop > self._end:
            return None
        self.position = stop
        return scalar.unpack_from(self._data, start)[0]

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
