"""
The 64-bit names that NetPacketProcessor gives to packet types (SERIALIZATION §5).
"""

from __future__ import annotations


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
