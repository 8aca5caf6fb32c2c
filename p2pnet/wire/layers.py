"""
Packet layers: the last step of a datagram that leaves, the first of one that comes (WIRE §11).

Both ends must use the same layer.  It sees whole datagrams, after merging; only NTP passes it by,
and NAT messages, which the reference sends past its layer (PITFALLS D21).
"""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from p2pnet.wire.constants import MAX_DATAGRAM_SIZE
from p2pnet.wire.crc32c import crc32c

_CHECKSUM_SIZE: Final = 4
_TAG_SIZE: Final = 16
_MAX_KEY_SIZE: Final = 64


class PacketLayer:
    """
    Passes everything through unchanged.  Derive from it and override what differs.

    :ivar overhead: bytes by which `outbound` makes a datagram longer, at most.
    """

    overhead: int = 0

    def outbound(self, data: bytes) -> bytes:
        """
        What goes to the socket instead of the datagram ``data``.
        """
        return data

    def inbound(self, data: bytes) -> bytes | None:
        """
        The datagram in what came from the socket; None drops it.

        ``data`` may be anything that a stranger sends.
        """
        return data


class Crc32cLayer(PacketLayer):
    """
    A checksum behind every datagram, against damage, not against forgery: 4 bytes (WIRE §11).

    What does not fit its checksum is dropped.
    """

    overhead: int = _CHECKSUM_SIZE

    def outbound(self, data: bytes) -> bytes:
        return data + crc32c(data).to_bytes(_CHECKSUM_SIZE, "little")

    def inbound(self, data: bytes) -> bytes | None:
        end = len(data) - _CHECKSUM_SIZE
        if end < 1:
            return None
        packet = data[:end]
        if crc32c(packet) != int.from_bytes(data[end:], "little"):
            return None
        return packet


class AuthenticatedLayer(PacketLayer):
    """
    A tag behind every datagram that only who knows the key can make: keyed BLAKE2b (RFC 7693).

    The protocol itself proves nothing about who sends: messages, acks and goodbyes can be forged by
    whoever knows an address (PITFALLS C5).  LiteNetLib has no such layer; both ends need this one,
    or one like it.  It hides nothing, and a datagram of this very connection can be sent again.
    """

    overhead: int = _TAG_SIZE

    def __init__(self, key: bytes) -> None:
        """
        :param key: 1 to 64 bytes, the same on both sides.
        :raise ValueError: of another size.
        """
        if not 1 <= len(key) <= _MAX_KEY_SIZE:
            raise ValueError(f"a key of {len(key)} bytes; 1 to {_MAX_KEY_SIZE} are possible")
        self._key = bytes(key)

    def outbound(self, data: bytes) -> bytes:
        return data + self._tag(data)

    def inbound(self, data: bytes) -> bytes | None:
        end = len(data) - _TAG_SIZE
        if end < 1:
            return None
        packet = data[:end]
        return packet if compare_digest(self._tag(packet), data[end:]) else None

    def _tag(self, data: bytes) -> bytes:
        return blake2b(data, digest_size=_TAG_SIZE, key=self._key).digest()


class XorEncryptLayer(PacketLayer):
    """
    Every byte XORed with a key that starts anew in each datagram (WIRE §11).

    This is no encryption, whatever its name in LiteNetLib: one datagram of known content, a ping
    for instance, shows the key to whoever sees it (PITFALLS C10).
    """

    def __init__(self, key: bytes | str) -> None:
        """
        :param key: text stands for its UTF-8 bytes.
        :raise ValueError: the key is empty.
        """
        self._key = key.encode("utf-8") if isinstance(key, str) else key
        if not self._key:
            raise ValueError("an empty key")
        self._stream = b""
        self._extend(MAX_DATAGRAM_SIZE)

    def outbound(self, data: bytes) -> bytes:
        return self._xor(data)

    def inbound(self, data: bytes) -> bytes | None:
        return self._xor(data)

    def _xor(self, data: bytes) -> bytes:
        size = len(data)
        if size > len(self._stream):
            self._extend(size)
        # As two large numbers: twenty times as fast as byte by byte.
        mixed = int.from_bytes(data, "little") ^ int.from_bytes(self._stream[:size], "little")
        return mixed.to_bytes(size, "little")

    def _extend(self, size: int) -> None:
        self._stream = self._key * (size // len(self._key) + 1)


def named_layer(name: str) -> PacketLayer | None:
    """
    A new layer of the kind that ``none``, ``crc32c``, ``xor:TEXT`` or ``xorhex:HEX`` names.

    :raise ValueError: it names none.
    """
    kind, _, key = name.partition(":")
    match kind:
        case "none" if not key:
            return None
        case "crc32c" if not key:
            return Crc32cLayer()
        case "xor":
            return XorEncryptLayer(key)
        case "xorhex":
            return XorEncryptLayer(bytes.fromhex(key))
    raise ValueError(f"{name!r} is no packet layer")
