"""
The 64-bit names that NetPacketProcessor gives to packet types (SERIALIZATION §5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from p2pnet.serialization.fields import InvalidType

C = TypeVar("C", bound=type)

_ATTRIBUTE: Final = "__clr_hash__"


def type_hash(clr_name: str) -> int:
    """
    FNV-1a over the UTF-16 units of a CLR type name such as ``My.Ns.Outer+Inner``.
    """
    value = 0xCBF29CE484222325
    units = clr_name.encode("utf-16-le", "surrogatepass")
    for i in range(0, len(units), 2):
        unit = units[i] | units[i + 1] << 8
        value = ((value ^ unit) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def clr_type(name: str | int) -> Callable[[C], C]:
    """
    Give a packet class the type that C# knows it by; its subclasses are other types.

    :param name: as ``typeof(T).ToString()`` gives it, such as ``Game.Net.Outer+Inner`` or
        ``Game.Pair`2[System.Int32,Game.Net.Item]``; or the 64-bit hash itself.
    :raise ValueError: a name that is empty, or a hash that has more than 64 bits.
    """
    value = type_hash(name) if isinstance(name, str) else name
    if not name or not 0 <= value < 1 << 64:
        raise ValueError(f"{name!r} is neither the name of a CLR type nor a 64-bit hash")

    def give(cls: C) -> C:
        setattr(cls, _ATTRIBUTE, value)
        return cls

    return give


def hash_of(cls: type) -> int:
    """
    The hash that `clr_type` gave to this very class.

    :raise InvalidType: none.
    """
    value = vars(cls).get(_ATTRIBUTE)
    if value is None:
        raise InvalidType(
            f'{cls.__name__} has no CLR type: put @clr_type("Its.Full.Name") on top of it'
        )
    return int(value)
