"""
Bytes to values, as C# ``NetDataReader`` reads them, with every read bounded (PITFALLS A5, B5, B7).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from
from typing import Any, Final, Protocol, TypeVar

from p2pnet.serialization.endpoints import MAX_ENDPOINT_TEXT, endpoint_fault
from p2pnet.serialization.place import ReadError
from p2pnet.serialization.scalar_reader import ScalarReader
from p2pnet.serialization.scalars import (
    BOOL,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    UINT,
    ULONG,
    USHORT,
)

__all__ = ["NetDataReader", "ReadError"]

_unpack_int: Final = INT.unpack_from


class _Deserializable(Protocol):
    def deserialize(self, reader: NetDataReader, /) -> None: ...


D = TypeVar("D", bound=_Deserializable)


class NetDataReader(ScalarReader):
    """
    Reads values one after another.

    Every ``get_`` and ``peek_`` raises `ReadError` if the value is not there in full, and leaves
    the position where it was.  Every ``try_get_`` returns None instead, for any bytes at all.
    """

    __slots__ = ()

    def get_string(self, max_length: int = 0) -> str:
        """
        Signed 4-byte count of UTF-8 bytes, then those; a count below 1 is the empty string.

        :param max_length: the longest string to accept, in UTF-16 units, and half of its
            longest UTF-8 form in bytes (SERIALIZATION §2); 0 or less is no limit.
        """
        start = self.position
        body = start + 4
        if body > self._end:
            raise self._too_short("string", 4)
        data = self._data
        count = _unpack_int(data, start)[0]
        if count <= 0:
            self.position = body
            return ""
        stop = body + count
        if stop > self._end or 0 < 2 * max_length < count:
            raise self._refused_string(count, max_length)
        part = data[body:stop]
        if isinstance(part, bytes):
            text = part.decode("utf-8", "replace")
        else:
            text = str(part, "utf-8", "replace")
        if 0 < max_length < count and len(text.encode("utf-16-le")) > 2 * max_length:
            raise self._refused_string(count, max_length)
        self.position = stop
        return text

    def peek_string(self, max_length: int = 0) -> str:
        """
        As `get_string`, without moving.
        """
        start = self.position
        text = self.get_string(max_length)
        self.position = start
        return text

    def try_get_string(self) -> str | None:
        """
        As `get_string`, or None if it is not there in full.
        """
        try:
            return self.get_string()
        except ReadError:
            return None

    def get_string_array(self, max_length: int = 0) -> list[str]:
        """
        Count as a ushort, then as many strings.

        :param max_length: of each string, as in `get_string`.
        """
        start = self.position
        count = self.get_ushort()
        try:
            # A string takes 4 bytes at least.
            if 4 * count > self._end - self.position:
                raise self._too_short(f"string array of {count}", 4 * count)
            return [self.get_string(max_length) for _ in range(count)]
        except ReadError:
            self.position = start
            raise

    def try_get_string_array(self) -> list[str] | None:
        """
        As `get_string_array`, or None if they are not there in full.
        """
        try:
            return self.get_string_array()
        except ReadError:
            return None

    def get_bytes(self, count: int) -> bytes:
        """
        Exactly ``count`` bytes.
        """
        start = self.position
        if not 0 <= count <= self._end - start:
            raise self._too_short("bytes", count)
        self.position = start + count
        return bytes(self._data[start : start + count])

    def get_remaining_bytes(self) -> bytes:
        """
        Everything that is left, up to the end of the data.
        """
        return self.get_bytes(self._end - self.position)

    def get_remaining_bytes_segment(self) -> memoryview:
        """
        Everything that is left, read-only and not copied: it is the source's own memory.
        """
        start, self.position = self.position, self._end
        return memoryview(self._data)[start : self._end].toreadonly()

    def get_bytes_with_length(self) -> bytes:
        """
        Signed 4-byte count, then as many bytes.
        """
        start, stop = self._counted("bytes with length")
        self.position = stop
        return bytes(self._data[start:stop])

    def try_get_bytes_with_length(self) -> bytes | None:
        """
        As `get_bytes_with_length`, or None if they are not there in full.
        """
        try:
            return self.get_bytes_with_length()
        except ReadError:
            return None

    def get_sbytes_with_length(self) -> list[int]:
        """
        Signed 4-byte count, then as many sbytes.
        """
        start, stop = self._counted("sbytes with length")
        self.position = stop
        return list(unpack_from(f"<{stop - start}b", self._data, start))

    def get_bool_array(self) -> list[bool]:
        """
        Count as a ushort, then as many bools.
        """
        return self._get_array(BOOL)

    def get_short_array(self) -> list[int]:
        """
        Count as a ushort, then as many shorts.
        """
        return self._get_array(SHORT)

    def get_ushort_array(self) -> list[int]:
        """
        Count as a ushort, then as many ushorts.
        """
        return self._get_array(USHORT)

    def get_int_array(self) -> list[int]:
        """
        Count as a ushort, then as many ints.
        """
        return self._get_array(INT)

    def get_uint_array(self) -> list[int]:
        """
        Count as a ushort, then as many uints.
        """
        return self._get_array(UINT)

    def get_long_array(self) -> list[int]:
        """
        Count as a ushort, then as many longs.
        """
        return self._get_array(LONG)

    def get_ulong_array(self) -> list[int]:
        """
        Count as a ushort, then as many ulongs.
        """
        return self._get_array(ULONG)

    def get_float_array(self) -> list[float]:
        """
        Count as a ushort, then as many floats.
        """
        return self._get_array(FLOAT)

    def get_double_array(self) -> list[float]:
        """
        Count as a ushort, then as many doubles.
        """
        return self._get_array(DOUBLE)

    def get_endpoint(self) -> tuple[str, int]:
        """
        A literal IP as a string, then a port in 0..65535.  Host names are refused (PITFALLS B7).
        """
        start = self.position
        try:
            host = self.get_string(MAX_ENDPOINT_TEXT)
            port = self.get_int()
            fault = endpoint_fault(host, port)
            if fault is not None:
                raise ReadError(f"endpoint at position {start}: {fault}")
        except ReadError:
            self.position = start
            raise
        return host, port

    def get_serializable(self, factory: Callable[[], D]) -> D:
        """
        What ``factory`` makes, after its ``deserialize`` has read itself from here.

        Whatever ``deserialize`` raises comes through, with the position where it was.
        """
        start = self.position
        value = factory()
        try:
            value.deserialize(self)
        except BaseException:
            self.position = start
            raise
        return value

    def _take(self, decode: Callable[..., tuple[Any, int]], target: object = None) -> Any:
        """
        What ``decode`` makes of ``(data, position, end)`` and the target, if there is one; the
        position goes where it says.
        """
        if target is None:
            value, self.position = decode(self._data, self.position, self._end)
        else:
            value, self.position = decode(self._data, self.position, self._end, target)
        return value

    def _counted(self, what: str) -> tuple[int, int]:
        start = self.position + 4
        if start > self._end:
            raise self._too_short(what, 4)
        count = _unpack_int(self._data, self.position)[0]
        if not 0 <= count <= self._end - start:
            left = self._end - start
            raise ReadError(f"{what} {count} at position {self.position}: {left} bytes left")
        return start, start + count

    def _refused_string(self, count: int, max_length: int) -> ReadError:
        limit = f", {max_length} characters allowed" if max_length else ""
        left = self._end - self.position - 4
        return ReadError(
            f"string of {count} bytes at position {self.position}: {left} bytes left{limit}"
        )
