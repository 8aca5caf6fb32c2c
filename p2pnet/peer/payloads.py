"""
Payloads that both ends of a test can compute: from a size and a seed, or from a burst's index.
"""

from __future__ import annotations

import struct
from typing import Final

from p2pnet.wire.constants import MAX_DATAGRAM_SIZE

MAX_PAYLOAD: Final = 65535 * MAX_DATAGRAM_SIZE
"""No message of the engine is larger; keeps a mistyped size from filling the memory."""
_INDEX: Final = struct.Struct("<I")
_MAX_INDEX: Final = (1 << 32) - 1
_STEP: Final = 17
_WHEEL: Final = bytes(place * _STEP & 0xFF for place in range(256))
"""What a burst's bytes go round in; 17 is odd, so every byte is in it once."""


def payload(token: str) -> bytes:
    """
    The bytes that a payload token of a command stands for.

    :raise ValueError: it is none; the text says why.
    """
    if token == "-":
        return b""
    kind, colon, rest = token.partition(":")
    match kind:
        case "text" if colon:
            return rest.replace("%20", " ").encode()
        case "hex" if colon:
            return _hex(rest)
        case "size" if colon:
            return sized(*_numbers(rest, 1, 2))
        case "burst" if colon:
            index, size, *salt = _numbers(rest, 2, 3)
            return burst_message(index, size, *salt)
    if token.startswith("x"):
        return _hex(token[1:])
    if token.isdecimal():
        return sized(int(token))
    raise ValueError(
        f"{token!r} is no payload; xHEX, hex:HEX, text:T, size:N[:SEED], N, "
        "burst:INDEX:SIZE[:SALT] or - is"
    )


def sized(size: int, seed: int = 0) -> bytes:
    """
    ``size`` bytes of a linear congruential generator that starts with ``seed``.

    :raise ValueError: ``size`` is not in 0..`MAX_PAYLOAD`.
    """
    _check_size(size)
    state, made = seed & 0xFFFFFFFF, bytearray(size)
    for place in range(size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        made[place] = state >> 24
    return bytes(made)


def burst_message(index: int, size: int, salt: int = 0) -> bytes:
    """
    Message number ``index`` of a burst: the index in 4 bytes, then a pattern; 4 bytes at least.

    :raise ValueError: ``index`` is not in 0..2**32-1, or ``size`` not in 0..`MAX_PAYLOAD`.
    """
    if not 0 <= index <= _MAX_INDEX:
        raise ValueError(f"{index} is no burst index; 0..{_MAX_INDEX} are")
    _check_size(size)
    # Byte j is (index * 131 + j * 17 + salt) & 0xFF.
    start = _WHEEL.index((index * 131 + _INDEX.size * _STEP + salt) & 0xFF)
    length = max(0, size - _INDEX.size)
    return _INDEX.pack(index) + (_WHEEL * (length // len(_WHEEL) + 2))[start : start + length]


def read_burst_message(data: bytes) -> tuple[int, int] | None:
    """
    Index and salt of a message of a burst, -1 for the salt if it is too short to hold one; None
    if it is no such message.
    """
    if len(data) < _INDEX.size:
        return None
    (index,) = _INDEX.unpack_from(data)
    if len(data) == _INDEX.size:
        return index, -1
    salt = (data[_INDEX.size] - index * 131 - _INDEX.size * _STEP) & 0xFF
    return (index, salt) if data == burst_message(index, len(data), salt) else None


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_PAYLOAD:
        raise ValueError(f"{size} bytes; 0..{MAX_PAYLOAD} are allowed")


def _hex(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"{digits!r} are no hex digits, two for each byte") from None


def _numbers(text: str, least: int, most: int) -> list[int]:
    parts = text.split(":")
    if not least <= len(parts) <= most or not all(part.isdecimal() for part in parts):
        raise ValueError(f"{text!r} must be {least} to {most} numbers with colons between")
    return [int(part) for part in parts]
