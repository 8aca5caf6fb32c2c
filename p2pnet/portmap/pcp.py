"""
The Port Control Protocol, for a client behind an IPv4 NAT (RFC 6887).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final

from p2pnet.portmap.client import MalformedAnswer, MappingClient, Terms
from p2pnet.portmap.mapping import MappingRefused
from p2pnet.wire.constants import Address

VERSION: Final = 2
ANNOUNCE: Final = 0
MAP: Final = 1
MAX_SIZE: Final = 1100
"""Bytes of the longest message (RFC 6887 §7)."""
NONCE_BITS: Final = 96

_RESPONSE: Final = 0x80
_UDP: Final = 17

_REQUEST_HEADER: Final = Struct(">BBxxI16s")
"""Version, opcode; lifetime; our address."""
_ANSWER_HEADER: Final = Struct(">BBxBII12x")
"""Version, opcode, result; lifetime, epoch."""
_MAP: Final = Struct(">12sBxxxHH16s")
"""Nonce; protocol; internal and external port; external address."""

_RESULTS: Final = {
    2: "does not allow it",
    3: "calls our request malformed",
    4: "does not know how to map",
    7: "has no network itself",
    8: "has no room for it",
    9: "does not map UDP",
    10: "allows us no more mappings",
    11: "cannot give an external address",
    12: "sees us under another address",
}
"""RFC 6887 §7.4; the codes that a request like ours can meet."""


class OtherVersion(Exception):
    """
    The router speaks another version than ours; NAT-PMP calls itself version 0.
    """


@dataclass(frozen=True, slots=True)
class PcpMapping:
    """
    The part of a MAP request or answer that both have.
    """

    nonce: bytes
    """12 bytes that show who made the mapping."""
    port: int
    """The internal one."""
    external: Address
    """Suggested or assigned; host ``0.0.0.0`` and port 0 suggest nothing."""


@dataclass(frozen=True, slots=True)
class PcpAnswer:
    """
    What a PCP server says.
    """

    opcode: int
    result: int
    """0 if it did what was asked."""
    lifetime: int
    """Seconds: of the mapping; of the error, if it is one."""
    epoch: int
    """Seconds since the server began, or lost its mappings."""
    mapping: PcpMapping | None
    """Of a MAP answer for UDP; None of all others."""


def encode_announce(client: str) -> bytes:
    """
    A request that changes nothing, from the IPv4 address `client` (RFC 6887 §14.1).
    """
    return _REQUEST_HEADER.pack(VERSION, ANNOUNCE, 0, _mapped(client))


def encode_map(client: str, mapping: PcpMapping, lifetime: int) -> bytes:
    """
    A request for a mapping of UDP (RFC 6887 §11.1), or with a lifetime of 0 for its end (§15).
    """
    host, port = mapping.external
    return _REQUEST_HEADER.pack(VERSION, MAP, lifetime, _mapped(client)) + _MAP.pack(
        mapping.nonce, _UDP, mapping.port, port, _mapped(host)
    )


def decode_answer(data: bytes) -> PcpAnswer:
    """
    Read an answer; options behind it are not looked at.

    :raise OtherVersion: it is one, but of another version.
    :raise MalformedAnswer: it is none.
    """
    if len(data) < 2 or not data[1] & _RESPONSE:
        raise MalformedAnswer("no answer of a PCP server")
    if data[0] != VERSION:
        raise OtherVersion(f"the router speaks version {data[0]}")
    if not _ANSWER_HEADER.size <= len(data) <= MAX_SIZE or len(data) % 4:
        raise MalformedAnswer(f"a PCP answer of {len(data)} bytes")
    _, opcode, result, lifetime, epoch = _ANSWER_HEADER.unpack_from(data)
    opcode &= ~_RESPONSE
    mapping = _decode_mapping(data) if opcode == MAP else None
    return PcpAnswer(opcode, result, lifetime, epoch, mapping)


def _decode_mapping(data: bytes) -> PcpMapping:
    if len(data) < _ANSWER_HEADER.size + _MAP.size:
        raise MalformedAnswer(f"a MAP answer of {len(data)} bytes")
    nonce, protocol, port, external_port, raw = _MAP.unpack_from(data, _ANSWER_HEADER.size)
    if protocol != _UDP:
        raise MalformedAnswer(f"a MAP answer for protocol {protocol}")
    ip = IPv6Address(raw)
    return PcpMapping(nonce, port, (str(ip.ipv4_mapped or ip), external_port))


def _mapped(host: str) -> bytes:
    """
    An IPv4 address as PCP writes it (RFC 6887 §5).
    """
    return bytes(10) + b"\xff\xff" + IPv4Address(host).packed


class PcpClient(MappingClient):
    """
    A mapping by PCP.

    :param client: our own address on the way to the router; it must be what the router sees.
    :param nonce: 12 unguessable bytes.  Who has them can change the mapping, and who has not,
        cannot, until it has ended: keep them as long as the port.
    """

    def __init__(self, server: Address, terms: Terms, *, client: str, nonce: bytes) -> None:
        super().__init__(server, terms)
        self._client = client
        self._nonce = nonce

    def _begin_asking(self) -> None:
        pass

    def _request(self, lifetime: int) -> bytes:
        external = self._wish() if lifetime else ("0.0.0.0", 0)
        return encode_map(
            self._client, PcpMapping(self._nonce, self._terms.port, external), lifetime
        )

    def _question(self) -> bytes:
        return encode_announce(self._client)

    def _take_answer(self, data: bytes, now: float) -> None:
        try:
            answer = decode_answer(data)
        except OtherVersion as other:
            raise MappingRefused(str(other)) from None
        mapping = answer.mapping
        if mapping is not None and (mapping.nonce, mapping.port) != (self._nonce, self._terms.port):
            raise MalformedAnswer("an answer to somebody else")
        if mapping is None or answer.result:
            self._heard(answer.epoch, now)
            if mapping is not None:
                code = answer.result
                raise MappingRefused(f"the router {_RESULTS.get(code, f'says error {code}')}")
        elif self._is_deleting:
            # A grant that was under way when we changed our mind is not the end.
            if not answer.lifetime:
                self._finish_deleting()
        else:
            self._grant(mapping.external, answer.lifetime, answer.epoch, now)

    def _has_restarted(self, client_delta: float, server_delta: int) -> bool:
        # RFC 6887 §8.5, word for word.
        return (
            server_delta < -1
            or client_delta + 2 < server_delta - server_delta / 16
            or server_delta + 2 < client_delta - client_delta / 16
        )
