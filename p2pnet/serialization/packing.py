"""
Pieces of what a writer holds, checked before they get there (SERIALIZATION §1, §2).
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from reprlib import repr as short_repr
from struct import error as StructError
from struct import pack
from typing import Final, Self

from p2pnet.serialization.scalars import (
    ALLOWED,
    MAX_ARRAY_LENGTH,
    NAMES,
    Bytes,
    Scalar,
    T,
)

UNPACKABLE: Final = (StructError, OverflowError)
"""What ``struct`` raises for a value that is none of the type, or too large a float."""


class WriteError(ValueError):
    """
    A value is none of its type, or passes the limit of the writer.

    The text names the type and the value.
    """


class Bounded:
    """
    A bytearray that takes no more than a limit, for a writer to add to.
    """

    __slots__ = ("_data", "_limit")

    def __init__(self, data: bytearray, limit: int) -> None:
        if limit < 0:
            raise ValueError(f"a limit of {limit} bytes")
        self._data = data
        self._limit = limit

    def __iadd__(self, part: Bytes) -> Self:
        self._make_sure_of(len(part))
        self._data += part
        return self

    def append(self, value: int) -> None:
        """
        Take one byte.
        """
        self._make_sure_of(1)
        self._data.append(value)

    def _make_sure_of(self, count: int) -> None:
        position = len(self._data)
        if position + count > self._limit:
            raise WriteError(
                f"{count} bytes more at position {position}: the limit is {self._limit}"
            )


def encode_utf8(value: str) -> bytes:
    """
    UTF-8 as .NET makes it: surrogate pairs are joined, lone ones become EF BF BD.

    :raise WriteError: ``value`` is no string.
    """
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        units = value.encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace").encode("utf-8")
    except AttributeError:
        raise WriteError(f"string must be a str, not {shown(value)}") from None


def too_long(what: str, part: Bytes) -> WriteError:
    """
    What is raised for bytes whose length does not fit into a signed 4-byte count.
    """
    return WriteError(f"{what} of {len(part)} bytes: 2147483647 are allowed")


def cut(encoded: bytes, max_length: int) -> bytes:
    """
    As much of some UTF-8 as has at most ``max_length`` UTF-16 units and twice as many bytes.

    What is cut in two by either limit, a pair of units or the bytes of a character, goes whole.
    """
    units = encoded.decode("utf-8").encode("utf-16-le")[: 2 * max_length]
    text = units.decode("utf-16-le", "ignore").encode("utf-8")[: 2 * max_length]
    return text.decode("utf-8", "ignore").encode("utf-8")


def part_of(what: str, value: Bytes, offset: int, count: int | None) -> Bytes:
    """
    The bytes to put of ``value``, copied only where their memory is not in one piece.
    """
    if isinstance(value, memoryview):
        # One byte an element, side by side: only then is a length a number of bytes.
        value = value.cast("B") if value.c_contiguous else value.tobytes()
    elif not isinstance(value, (bytes, bytearray)):
        raise WriteError(f"{what} must be bytes, not {shown(value)}")
    if not offset and count is None:
        return value
    start, stop = bounds(what, value, offset, count)
    return memoryview(value)[start:stop]


def bounds(what: str, value: Sized, offset: int, count: int | None) -> tuple[int, int]:
    """
    Where so many elements from an offset on begin and end; without a count it is all the rest.
    """
    size = _length(what, value)
    stop = size if count is None else offset + count
    if not 0 <= offset <= stop <= size:
        raise WriteError(f"{what}: {offset}..{stop} is not within the {size} that there are")
    return offset, stop


def _length(what: str, values: Sized) -> int:
    try:
        return len(values)
    except TypeError:
        raise WriteError(f"{what} must be a sequence, not {shown(values)}") from None


def array_length(name: str, values: Sized) -> int:
    """
    How many ``values`` there are, if an array can hold them.
    """
    count = _length(f"{name} array", values)
    if count > MAX_ARRAY_LENGTH:
        raise WriteError(f"{name} array of {count} elements: {MAX_ARRAY_LENGTH} are allowed")
    return count


def packed_array(scalar: Scalar[T], count_code: str, values: Sequence[T]) -> bytes:
    """
    The count of ``values`` as the integer that ``struct`` calls ``count_code``, then the values.
    """
    count = len(values)
    try:
        return pack(f"<{count_code}{count}{scalar.format[1:]}", count, *values)
    except UNPACKABLE:
        for index, value in enumerate(values):
            try:
                scalar.pack(value)
            except UNPACKABLE:
                raise WriteError(f"element {index}: {unfit(scalar, value)}") from None
        raise


def unfit(scalar: Scalar[object], value: object) -> WriteError:
    """
    What is raised for a value that is none of the type.
    """
    return WriteError(f"{NAMES[scalar]} must be {ALLOWED[scalar]}, not {shown(value)}")


def shown(value: object) -> str:
    """
    A value for the text of an error, shortened.
    """
    # Python refuses to print integers of more than 4300 digits.
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    return short_repr(value)
