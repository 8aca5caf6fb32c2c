"""
The words with which a packet class says how its fields are laid out (SERIALIZATION §3).

To a type checker each is the Python type that it stands for::

    @dataclass
    class PlayerJoin:
        name: str
        team: UShort
        path: list[Float]
        motto: Annotated[str, MaxLength(32)]

``bool``, ``str``, ``bytes`` and enums need no word; an ``int`` or a ``float`` alone does not say
how many bytes it takes and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from p2pnet.serialization import kinds
from p2pnet.serialization.objects import Endpoint

Byte: TypeAlias = Annotated[int, kinds.BYTE]
"""``byte``: 1 byte, 0..255."""

SByte: TypeAlias = Annotated[int, kinds.SBYTE]
"""``sbyte``: 1 byte, signed."""

Short: TypeAlias = Annotated[int, kinds.SHORT]
"""``short``: 2 bytes, signed."""

UShort: TypeAlias = Annotated[int, kinds.USHORT]
"""``ushort``: 2 bytes, 0..65535."""

Int: TypeAlias = Annotated[int, kinds.INT]
"""``int``: 4 bytes, signed."""

UInt: TypeAlias = Annotated[int, kinds.UINT]
"""``uint``: 4 bytes, from 0 on."""

Long: TypeAlias = Annotated[int, kinds.LONG]
"""``long``: 8 bytes, signed."""

ULong: TypeAlias = Annotated[int, kinds.ULONG]
"""``ulong``: 8 bytes, from 0 on."""

Float: TypeAlias = Annotated[float, kinds.FLOAT]
"""``float``: 4 bytes, IEEE 754 single."""

Double: TypeAlias = Annotated[float, kinds.DOUBLE]
"""``double``: 8 bytes, IEEE 754 double."""

Char: TypeAlias = Annotated[str, kinds.CHAR]
"""``char``: a str of one UTF-16 unit, 2 bytes."""

IPEndPoint: TypeAlias = Annotated[tuple[str, int], Endpoint()]
"""``IPEndPoint``: a literal IP and a port."""


@dataclass(frozen=True)
class MaxLength:
    """
    How long a string may be, in place of the limit of the serializer.

    ``units``: the most UTF-16 units, and half of the most UTF-8 bytes (SERIALIZATION §2).

    :raise ValueError: that is below 1.
    """

    units: int

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"a string of at most {self.units} characters says nothing")


class Ignored:
    """
    ``Annotated[T, Ignored]`` is neither written nor read, as with C# ``IgnoreDataMember``.
    """


class InvalidType(ValueError):
    """
    A class cannot be a packet: the text names the class, the field, and what to do.
    """
