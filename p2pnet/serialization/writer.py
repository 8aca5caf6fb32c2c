"""
Values to bytes, as C# ``NetDataWriter`` lays them out (SERIALIZATION §1).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import error as StructError
from typing import Final, Protocol, Self

from p2pnet.serialization.endpoints import endpoint_fault
from p2pnet.serialization.packing import (
    UNPACKABLE,
    Bounded,
    WriteError,
    array_length,
    bounds,
    cut,
    encode_utf8,
    packed_array,
    part_of,
    shown,
    too_long,
    unfit,
)
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
    T,
)

__all__ = ["NetDataWriter", "WriteError", "encode_utf8"]

# Bound once: to look them up takes half as long as to put a value.
_pack_char: Final = CHAR.pack
_pack_short: Final = SHORT.pack
_pack_ushort: Final = USHORT.pack
_pack_int: Final = INT.pack
_pack_uint: Final = UINT.pack
_pack_long: Final = LONG.pack
_pack_ulong: Final = ULONG.pack
_pack_float: Final = FLOAT.pack
_pack_double: Final = DOUBLE.pack


class _Serializable(Protocol):
    def serialize(self, writer: NetDataWriter, /) -> None: ...


class _Sink(Protocol):
    def __iadd__(self, part: Bytes, /) -> Self: ...
    def append(self, value: int, /) -> None: ...


class NetDataWriter:
    """
    A growing run of bytes.

    :param limit: the most bytes that it may hold; by default there is no limit.

    Every ``put_`` raises `WriteError` for a value that is none of the type or passes the limit, and
    writes nothing then.
    """

    __slots__ = ("_beyond", "_beyond_from", "_data", "_limit", "_sink")

    def __init__(self, limit: int | None = None) -> None:
        # What stands before the position, so that putting is appending; the rest waits for the
        # position to come back.
        self._data = data = bytearray()
        self._beyond = b""
        self._beyond_from = 0
        self._limit = limit
        self._sink: _Sink = data if limit is None else Bounded(data, limit)

    @classmethod
    def from_bytes(cls, data: Bytes) -> NetDataWriter:
        """
        A writer that holds a copy of ``data`` and goes on behind it.
        """
        writer = cls()
        writer.put_bytes(data)
        return writer

    @classmethod
    def from_string(cls, text: str) -> NetDataWriter:
        """
        A writer that holds ``text``, as `put_string` lays it out, and goes on behind it.
        """
        writer = cls()
        writer.put_string(text)
        return writer

    def __len__(self) -> int:
        """
        The position: how many bytes `data` has.
        """
        return len(self._data)

    def data(self) -> bytes:
        """
        A copy of what has been written, up to the position.
        """
        return bytes(self._data)

    def reset(self) -> None:
        """
        Forget everything written, to start again.
        """
        self._data.clear()
        self._beyond, self._beyond_from = b"", 0

    def set_position(self, position: int) -> int:
        """
        Go on writing at ``position``, over what stands there; returns the position until now.

        Nothing is forgotten: going forward again brings back what was behind the position and has
        not been written over.  What was never written is zeros.

        :raise WriteError: ``position`` is below 0 or passes the limit.
        """
        data = self._data
        before = len(data)
        if position < 0:
            raise WriteError(f"a position of {position}")
        if self._limit is not None and position > self._limit:
            raise WriteError(f"a position of {position}: the limit is {self._limit}")
        data += self._beyond[before - self._beyond_from :]
        data += bytes(max(0, position - len(data)))
        self._beyond, self._beyond_from = bytes(data[position:]), position
        del data[position:]
        return before

    def put_bool(self, value: bool) -> None:
        """
        1 byte, 00 or 01.
        """
        self._sink.append(1 if value else 0)

    def put_byte(self, value: int) -> None:
        """
        1 byte, 0..255.
        """
        try:
            self._sink.append(value)
        except WriteError:
            raise
        except (TypeError, ValueError):
            raise unfit(BYTE, value) from None

    def put_sbyte(self, value: int) -> None:
        """
        1 byte, -128..127.
        """
        try:
            if -128 <= value <= 127:
                self._sink.append(value & 0xFF)
                return
        except TypeError:
            pass
        raise unfit(SBYTE, value)

    def put_char(self, value: str) -> None:
        """
        2 bytes, one UTF-16 unit as a str of one; it may be half of a pair.
        """
        try:
            self._sink += _pack_char(ord(value))
        except (TypeError, StructError):
            raise unfit(CHAR, value) from None

    def put_short(self, value: int) -> None:
        """
        2 bytes, signed.
        """
        try:
            self._sink += _pack_short(value)
        except UNPACKABLE:
            raise unfit(SHORT, value) from None

    def put_ushort(self, value: int) -> None:
        """
        2 bytes, unsigned.
        """
        try:
            self._sink += _pack_ushort(value)
        except UNPACKABLE:
            raise unfit(USHORT, value) from None

    def put_int(self, value: int) -> None:
        """
        4 bytes, signed.
        """
        try:
            self._sink += _pack_int(value)
        except UNPACKABLE:
            raise unfit(INT, value) from None

    def put_uint(self, value: int) -> None:
        """
        4 bytes, unsigned.
        """
        try:
            self._sink += _pack_uint(value)
        except UNPACKABLE:
            raise unfit(UINT, value) from None

    def put_long(self, value: int) -> None:
        """
        8 bytes, signed.
        """
        try:
            self._sink += _pack_long(value)
        except UNPACKABLE:
            raise unfit(LONG, value) from None

    def put_ulong(self, value: int) -> None:
        """
        8 bytes, unsigned.
        """
        try:
            self._sink += _pack_ulong(value)
        except UNPACKABLE:
            raise unfit(ULONG, value) from None

    def put_float(self, value: float) -> None:
        """
        4 bytes, IEEE 754 single.
        """
        try:
            self._sink += _pack_float(value)
        except UNPACKABLE:
            raise unfit(FLOAT, value) from None

    def put_double(self, value: float) -> None:
        """
        8 bytes, IEEE 754 double.
        """
        try:
            self._sink += _pack_double(value)
        except UNPACKABLE:
            raise unfit(DOUBLE, value) from None

    def put_bytes(self, value: Bytes, offset: int = 0, count: int | None = None) -> None:
        """
        The bytes alone: no length is written.

        :param offset: where to begin in ``value``.
        :param count: how many; by default all from there on.
        """
        if type(value) is not bytes or offset or count is not None:
            value = part_of("bytes", value, offset, count)
        self._sink += value

    def put_bytes_with_length(
        self, value: Bytes, offset: int = 0, count: int | None = None
    ) -> None:
        """
        Signed 4-byte count, then the bytes.

        :param offset: where to begin in ``value``.
        :param count: how many; by default all from there on.
        """
        if type(value) is not bytes or offset or count is not None:
            value = part_of("bytes with length", value, offset, count)
        try:
            self._sink += _pack_int(len(value)) + value
        except StructError:
            raise too_long("bytes with length", value) from None

    def put_sbytes_with_length(
        self, values: Sequence[int], offset: int = 0, count: int | None = None
    ) -> None:
        """
        Signed 4-byte count, then as many sbytes.

        :param offset: where to begin in ``values``.
        :param count: how many; by default all from there on.
        """
        start, stop = bounds("sbytes with length", values, offset, count)
        self._sink += packed_array(SBYTE, "i", values[start:stop])

    def put_string(self, value: str, max_length: int = 0) -> None:
        """
        Signed 4-byte count of UTF-8 bytes, then those.  Lone surrogates become U+FFFD.

        :param max_length: where to cut the string: what is written has as many UTF-16 units and
            twice as many bytes at most, so that whoever reads it with the same limit takes it
            (SERIALIZATION §2), and ends with a whole character; 0 or less is no limit.
        """
        try:
            encoded = value.encode()
        except (AttributeError, UnicodeEncodeError):
            encoded = encode_utf8(value)
        if 0 < max_length < len(encoded):
            encoded = cut(encoded, max_length)
        try:
            self._sink += _pack_int(len(encoded)) + encoded
        except StructError:
            raise too_long("string", encoded) from None

    def put_string_array(self, values: Sequence[str], max_length: int = 0) -> None:
        """
        Count as a ushort, then as many strings.

        :param max_length: of each string, as in `put_string`.
        """
        part = NetDataWriter()
        part.put_ushort(array_length("string", values))
        for value in values:
            part.put_string(value, max_length)
        self._sink += part._data

    def put_endpoint(self, address: tuple[str, int]) -> None:
        """
        The IP as a string, then the port as a 4-byte integer.

        The host is a literal IP, never a name, and the port in 0..65535 (PITFALLS B7).
        """
        try:
            host, port = address
        except (TypeError, ValueError):
            raise WriteError(f"endpoint must be (host, port), not {shown(address)}") from None
        fault = endpoint_fault(host, port)
        if fault is not None:
            raise WriteError(f"endpoint: {fault}")
        text = host.encode("ascii")
        self._sink += _pack_int(len(text)) + text + _pack_int(port)

    def put_serializable(self, value: _Serializable) -> None:
        """
        What the ``serialize`` of ``value`` puts here.

        Whatever it raises comes through, and what it had put until then is taken back.
        """
        position = len(self._data)
        beyond = self._beyond, self._beyond_from
        try:
            value.serialize(self)
        except BaseException:
            self.set_position(position)
            self._beyond, self._beyond_from = beyond
            raise

    def put_bool_array(self, values: Sequence[bool]) -> None:
        """
        Count as a ushort, then as many bools.
        """
        self._put_array(BOOL, values)

    def put_short_array(self, values: Sequence[int]) -> None:
        """
        Count as a ushort, then as many shorts.
        """
        self._put_array(SHORT, values)

    def put_ushort_array(self, values: Sequence[int]) -> None:
        """
        Count as a ushort, then as many ushorts.
        """
        self._put_array(USHORT, values)

    def put_int_array(self, values: Sequence[int]) -> None:
        """
        Count as a ushort, then as many ints.
        """
        self._put_array(INT, values)

    def put_uint_array(self, values: Sequence[int]) -> None:
        """
        Count as a ushort, then as many uints.
        """
        self._put_array(UINT, values)

    def put_long_array(self, values: Sequence[int]) -> None:
        """
        Count as a ushort, then as many longs.
        """
        self._put_array(LONG, values)

    def put_ulong_array(self, values: Sequence[int]) -> None:
        """
        Count as a ushort, then as many ulongs.
        """
        self._put_array(ULONG, values)

    def put_float_array(self, values: Sequence[float]) -> None:
        """
        Count as a ushort, then as many floats.
        """
        self._put_array(FLOAT, values)

    def put_double_array(self, values: Sequence[float]) -> None:
        """
        Count as a ushort, then as many doubles.
        """
        self._put_array(DOUBLE, values)

    def _put_array(self, scalar: Scalar[T], values: Sequence[T]) -> None:
        array_length(NAMES[scalar], values)
        self._sink += packed_array(scalar, "H", values)
