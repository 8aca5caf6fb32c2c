"""
Values to bytes, as C# ``NetDataWriter`` lays them out (SERIALIZATION §1).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_SHORT: Final = Struct("<h")
_USHORT: Final = Struct("<H")
_INT: Final = Struct("<i")
_UINT: Final = Struct("<I")
_LONG: Final = Struct("<q")
_ULONG: Final = Struct("<Q")
_FLOAT: Final = Struct("<f")
_DOUBLE: Final = Struct("<d")


class NetDataWriter:
    """
    A growing run of bytes.

    Integers out of the range of their type raise `struct.error` and write nothing.
    """

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def data(self) -> bytes:
        """
        A copy of what has been written.
        """
        return bytes(self._data)

    def reset(self) -> None:
        """
        Forget everything written, to start again.
        """
        self._data.clear()

    def put_bool(self, value: bool) -> None:
        """
        1 byte, 00 or 01.
        """
        self._data.append(1 if value else 0)

    def put_byte(self, value: int) -> None:
        """
        1 byte, 0..255.

        :raise ValueError: `value` is out of range.
        """
        self._data.append(value)

    def put_sbyte(self, value: int) -> None:
        """
        1 byte, -128..127.

        :raise ValueError: `value` is out of range.
        """
        if not -128 <= value <= 127:
            raise ValueError(f"sbyte must be in -128..127, not {value}")
        self._data.append(value & 0xFF)

    def put_short(self, value: int) -> None:
        """
        2 bytes, signed.
        """
        self._data += _SHORT.pack(value)

    def put_ushort(self, value: int) -> None:
        """
        2 bytes, unsigned.
        """
        self._data += _USHORT.pack(value)

    def put_int(self, value: int) -> None:
        """
        4 bytes, signed.
        """
        self._data += _INT.pack(value)

    def put_uint(self, value: int) -> None:
        """
        4 bytes, unsigned.
        """
        self._data += _UINT.pack(value)

    def put_long(self, value: int) -> None:
        """
        8 bytes, signed.
        """
        self._data += _LONG.pack(value)

    def put_ulong(self, value: int) -> None:
        """
        8 bytes, unsigned.
        """
        self._data += _ULONG.pack(value)

    def put_float(self, value: float) -> None:
        """
        4 bytes, IEEE 754 single.
        """
        self._data += _FLOAT.pack(value)

    def put_double(self, value: float) -> None:
        """
        8 bytes, IEEE 754 double.
        """
        self._data += _DOUBLE.pack(value)

    def put_bytes(self, value: bytes | bytearray | memoryview) -> None:
        """
        The bytes alone: no length is written.
        """
        self._data += value

    def put_bytes_with_length(self, value: bytes | bytearray | memoryview) -> None:
        """
        Signed 4-byte count, then the bytes.
        """
        self._data += _INT.pack(len(value))
        self._data += value

    def put_string(self, value: str) -> None:
        """
        Signed 4-byte count of UTF-8 bytes, then those.  Lone surrogates become U+FFFD.
        """
        self.put_bytes_with_length(encode_utf8(value))

    def put_endpoint(self, address: tuple[str, int]) -> None:
        """
        The IP as a string, then the port as a 4-byte integer.
        """
        self.put_string(address[0])
        self.put_int(address[1])


def encode_utf8(value: str) -> bytes:
    """
    UTF-8 as .NET makes it: surrogate pairs are joined, lone ones become EF BF BD.
    """
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError:
        units = value.encode("utf-16-le", "surrogatepass")
        return units.decode("utf-16-le", "replace").encode("utf-8")
