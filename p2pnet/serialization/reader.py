"""
Bytes to values, as C# ``NetDataReader`` reads them, with every read bounded (PITFALLS A5, B5, B7).
"""

from __future__ import annotations

from ipaddress import ip_address
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

MAX_ENDPOINT_TEXT: Final = 64
"""An IPv6 literal with a scope has at most 45 + 1 + 10 characters."""


class ReadError(ValueError):
    """
    The data ends too early or holds something that the asked-for type cannot be.

    The text names the type, the position and what was left.
    """


class NetDataReader:
    """
    Reads values one after another.

    :param data: what to read; not copied.
    :param position: where to begin.

    Every `get_` raises `ReadError` and stays where it is if the value is not there in full.
    """

    def __init__(self, data: bytes, position: int = 0) -> None:
        self._data = data
        self._end = len(data)
        self.position = position

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

    def _advance(self, size: int, what: str) -> int:
        start = self.position
        if size > self._end - start:
            raise ReadError(
                f"{what} of {size} bytes at position {start}: {self._end - start} bytes left"
            )
        self.position = start + size
        return start

    def get_bool(self) -> bool:
        """
        1 byte; any other than 0 is true.
        """
        return self._data[self._advance(1, "bool")] != 0

    def get_byte(self) -> int:
        """
        1 byte, 0..255.
        """
        return self._data[self._advance(1, "byte")]

    def get_sbyte(self) -> int:
        """
        1 byte, -128..127.
        """
        value = self._data[self._advance(1, "sbyte")]
        return value - 256 if value > 127 else value

    def get_short(self) -> int:
        """
        2 bytes, signed.
        """
        value: int = _SHORT.unpack_from(self._data, self._advance(2, "short"))[0]
        return value

    def get_ushort(self) -> int:
        """
        2 bytes, unsigned.
        """
        value: int = _USHORT.unpack_from(self._data, self._advance(2, "ushort"))[0]
        return value

    def get_int(self) -> int:
        """
        4 bytes, signed.
        """
        value: int = _INT.unpack_from(self._data, self._advance(4, "int"))[0]
        return value

    def get_uint(self) -> int:
        """
        4 bytes, unsigned.
        """
        value: int = _UINT.unpack_from(self._data, self._advance(4, "uint"))[0]
        return value

    def get_long(self) -> int:
        """
        8 bytes, signed.
        """
        value: int = _LONG.unpack_from(self._data, self._advance(8, "long"))[0]
        return value

    def get_ulong(self) -> int:
        """
        8 bytes, unsigned.
        """
        value: int = _ULONG.unpack_from(self._data, self._advance(8, "ulong"))[0]
        return value

    def get_float(self) -> float:
        """
        4 bytes, IEEE 754 single.
        """
        value: float = _FLOAT.unpack_from(self._data, self._advance(4, "float"))[0]
        return value

    def get_double(self) -> float:
        """
        8 bytes, IEEE 754 double.
        """
        value: float = _DOUBLE.unpack_from(self._data, self._advance(8, "double"))[0]
        return value

    def get_bytes(self, count: int) -> bytes:
        """
        Exactly `count` bytes.
        """
        if count < 0:
            raise ReadError(f"bytes at position {self.position}: a count of {count}")
        start = self._advance(count, "bytes")
        return bytes(self._data[start : start + count])

    def get_remaining_bytes(self) -> bytes:
        """
        Everything that is left.
        """
        return self.get_bytes(self._end - self.position)

    def get_bytes_with_length(self) -> bytes:
        """
        Signed 4-byte count, then as many bytes.
        """
        start = self.position
        count = self.get_int()
        if not 0 <= count <= self._end - self.position:
            left = self._end - self.position
            self.position = start
            raise ReadError(f"{count} announced bytes at position {start}: {left} bytes left")
        return self.get_bytes(count)

    def get_string(self, max_length: int = 0) -> str:
        """
        Signed 4-byte count of UTF-8 bytes, then those; a count below 1 is the empty string.

        :param max_length: the longest string to accept, in UTF-16 units, and half of its
            longest UTF-8 form in bytes (SERIALIZATION §2); 0 is no limit.
        """
        start = self.position
        count = self.get_int()
        if count <= 0:
            return ""
        left = self._end - self.position
        if count > left or (max_length > 0 and count > 2 * max_length):
            self.position = start
            raise ReadError(f"string of {count} bytes at position {start}: {left} bytes left")
        text = self.get_bytes(count).decode("utf-8", "replace")
        if max_length > 0 and len(text) + sum(c > "\uffff" for c in text) > max_length:
            self.position = start
            raise ReadError(f"string at position {start}: longer than {max_length} characters")
        return text

    def get_endpoint(self) -> tuple[str, int]:
        """
        A literal IP as a string, then a port in 1..65535.  Host names are refused (PITFALLS B7).
        """
        start = self.position
        try:
            host = self.get_string(MAX_ENDPOINT_TEXT)
            port = self.get_int()
            if not 0 < port < 65536:
                raise ReadError(f"endpoint at position {start}: a port of {port}")
            if not is_literal_ip(host):
                raise ReadError(f"endpoint at position {start}: {host!r} is no IP")
        except ReadError:
            self.position = start
            raise
        return host, port


def is_literal_ip(host: str) -> bool:
    """
    Whether `host` is an IPv4 or IPv6 literal, the latter with a numeric scope at most.
    """
    scope = host.partition("%")
    if scope[1] and not (scope[2].isascii() and scope[2].isdigit()):
        return False
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
