"""
The values of fixed size, once for the reader and the writer (SERIALIZATION §1).
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Bytes = bytes | bytearray | memoryview
"""What is read from, and what can be written as it is."""

MAX_ARRAY_LENGTH: Final = 0xFFFF
"""Elements; arrays have their count in a ushort."""


class Scalar(Protocol[T_co]):
    """
    What a ``Struct`` of one value is, for those who ask what kind of value.
    """

    @property
    def format(self) -> str:
        """
        The byte order, and the letter that ``struct`` has for the type.
        """

    @property
    def size(self) -> int:
        """
        In bytes.
        """

    def pack(self, value: Any, /) -> bytes:
        """
        A value as bytes.

        :raise struct.error: it is none of the type.
        :raise OverflowError: it is a number that is too large for the type.
        """

    def unpack_from(self, data: Bytes, position: int, /) -> tuple[T_co]:
        """
        The value that is there, alone in a tuple.
        """


BOOL: Final[Scalar[bool]] = Struct("<?")
BYTE: Final[Scalar[int]] = Struct("<B")
SBYTE: Final[Scalar[int]] = Struct("<b")
CHAR: Final[Scalar[int]] = Struct("<H")
SHORT: Final[Scalar[int]] = Struct("<h")
USHORT: Final[Scalar[int]] = Struct("<H")
INT: Final[Scalar[int]] = Struct("<i")
UINT: Final[Scalar[int]] = Struct("<I")
LONG: Final[Scalar[int]] = Struct("<q")
ULONG: Final[Scalar[int]] = Struct("<Q")
FLOAT: Final[Scalar[float]] = Struct("<f")
DOUBLE: Final[Scalar[float]] = Struct("<d")

NAMES: Final[dict[Scalar[object], str]] = {
    BOOL: "bool",
    BYTE: "byte",
    SBYTE: "sbyte",
    CHAR: "char",
    SHORT: "short",
    USHORT: "ushort",
    INT: "int",
    UINT: "uint",
    LONG: "long",
    ULONG: "ulong",
    FLOAT: "float",
    DOUBLE: "double",
}
"""What C# calls them."""

ALLOWED: Final[dict[Scalar[object], str]] = {
    BYTE: "in 0..255",
    SBYTE: "in -128..127",
    CHAR: "one UTF-16 unit",
    SHORT: "in -32768..32767",
    USHORT: "in 0..65535",
    INT: "in -2147483648..2147483647",
    UINT: "in 0..4294967295",
    LONG: "in -9223372036854775808..9223372036854775807",
    ULONG: "in 0..18446744073709551615",
    FLOAT: "a number of single precision",
    DOUBLE: "a number of double precision",
}
"""What their values must be, in words.  Anything is a bool."""
