"""
Messages and methods by the names that recorded commands give them.
"""

from __future__ import annotations

import struct

from p2pnet.wire.constants import DeliveryMethod

METHODS = {
    "U": DeliveryMethod.UNRELIABLE,
    "RU": DeliveryMethod.RELIABLE_UNORDERED,
    "S": DeliveryMethod.SEQUENCED,
    "RO": DeliveryMethod.RELIABLE_ORDERED,
    "RS": DeliveryMethod.RELIABLE_SEQUENCED,
    "Unreliable": DeliveryMethod.UNRELIABLE,
    "ReliableUnordered": DeliveryMethod.RELIABLE_UNORDERED,
    "Sequenced": DeliveryMethod.SEQUENCED,
    "ReliableOrdered": DeliveryMethod.RELIABLE_ORDERED,
    "ReliableSequenced": DeliveryMethod.RELIABLE_SEQUENCED,
}
"""What commands and events call the delivery methods."""


def payload(token: str) -> bytes:
    """
    The bytes that a command names.
    """
    kind, _, rest = token.partition(":")
    if token == "-":
        return b""
    if kind == "text":
        return rest.replace("%20", " ").encode()
    if kind == "hex":
        return bytes.fromhex(rest)
    numbers = [int(number) for number in rest.split(":")] if rest else []
    if kind == "burst":
        return burst_payload(numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 0)
    if kind == "size":
        return noise(numbers[0], numbers[1] if len(numbers) > 1 else 0)
    if token.startswith("x"):
        return bytes.fromhex(token[1:])
    return noise(int(token), 0)


def noise(size: int, seed: int) -> bytes:
    x = seed & 0xFFFFFFFF
    out = bytearray()
    for _ in range(size):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(x >> 24)
    return bytes(out)


def burst_payload(index: int, size: int, salt: int) -> bytes:
    body = bytes((index * 131 + j * 17 + salt) & 0xFF for j in range(4, max(4, size)))
    return struct.pack("<I", index) + body


def burst_salt(message: bytes) -> int | None:
    """
    The salt (modulo 256) of a message made by `burst_payload`; None if it was not.
    """
    if len(message) < 4:
        return None
    index = struct.unpack_from("<I", message)[0]
    if len(message) == 4:
        return 0
    salt = (message[4] - index * 131 - 4 * 17) & 0xFF
    return salt if message == burst_payload(index, len(message), salt) else None
