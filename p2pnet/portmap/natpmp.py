"""
The NAT Port Mapping Protocol, for a client (RFC 6886).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from struct import Struct
from typing import Final

from p2pnet.portmap.client import MalformedAnswer, MappingClient, Terms
from p2pnet.portmap.mapping import MappingRefused, check_host
from p2pnet.wire.constants import Address

VERSION: Final = 0
EXTERNAL_ADDRESS: Final = 0
MAP_UDP: Final = 1

_RESPONSE: Final = 0x80

_MAP_REQUEST: Final = Struct(">BBxxHHI")
"""Version, opcode; internal and external port; lifetime."""
_HEADER: Final = Struct(">BBHI")
"""Version, opcode, result, epoch."""
_ADDRESS: Final = Struct(">4s")
_MAPPING: Final = Struct(">HHI")
"""Internal and external port, lifetime."""

_RESULTS: Final = {
    1: "speaks another version",
    2: "does not allow it",
    3: "has no network itself",
    4: "has no room for it",
    5: "does not know how to map",
}
"""RFC 6886 §3.5."""


@dataclass(frozen=True, slots=True)
class AddressAnswer:
    """
    What address the router has outside (RFC 6886 §3.2).
    """

    result: int
    """0 if `host` is one."""
    epoch: int
    """Seconds since the router began, or lost its mappings."""
    host: str


@dataclass(frozen=True, slots=True)
class MappingAnswer:
    """
    What became of a request for a mapping of UDP (RFC 6886 §3.3).
    """

    result: int
    """0 if it was granted."""
    epoch: int
    """Seconds since the router began, or lost its mappings."""
    port: int
    """The internal one."""
    external_port: int
    lifetime: int
    """Seconds; 0 for a mapping that has ended."""


def encode_address_request() -> bytes:
    """
    A request for the external address.
    """
    return bytes((VERSION, EXTERNAL_ADDRESS))


def encode_map(port: int, external_port: int, lifetime: int) -> bytes:
    """
    A request for a mapping of UDP; with an external port and a lifetime of 0 for its end.
    """
    return _MAP_REQUEST.pack(VERSION, MAP_UDP, port, external_port, lifetime)


def decode_answer(data: bytes) -> AddressAnswer | MappingAnswer:
    """
    Read an answer; what stands behind it is not looked at.

    :raise MalformedAnswer: it is none.
    """
    if len(data) < _HEADER.size:
        raise MalformedAnswer(f"a NAT-PMP answer of {len(data)} bytes")
    version, opcode, result, epoch = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if version == VERSION and opcode == _RESPONSE | EXTERNAL_ADDRESS:
        (raw,) = _ADDRESS.unpack(_cut(body, _ADDRESS.size))
        return AddressAnswer(result, epoch, str(IPv4Address(raw)))
    if version == VERSION and opcode == _RESPONSE | MAP_UDP:
        return MappingAnswer(result, epoch, *_MAPPING.unpack(_cut(body, _MAPPING.size)))
    raise MalformedAnswer(f"opcode {opcode} of version {version} is no NAT-PMP answer")


def _cut(body: bytes, size: int) -> bytes:
    if len(body) < size:
        raise MalformedAnswer(f"a NAT-PMP answer that ends {size - len(body)} bytes early")
    return body[:size]


class NatPmpClient(MappingClient):
    """
    A mapping by NAT-PMP: first the router's address, which alone may be reason to leave it, then
    the port.
    """

    def __init__(self, server: Address, terms: Terms) -> None:
        super().__init__(server, terms)
        self._host: str | None = None

    def _begin_asking(self) -> None:
        self._host = None

    def _request(self, lifetime: int) -> bytes:
        if not lifetime:
            return encode_map(self._terms.port, 0, 0)
        if self._host is None:
            return self._question()
        return encode_map(self._terms.port, self._wish()[1], lifetime)

    def _question(self) -> bytes:
        return encode_address_request()

    def _take_answer(self, data: bytes, now: float) -> None:
        answer = decode_answer(data)
        if isinstance(answer, MappingAnswer):
            self._take_mapping(answer, now)
        elif self._is_asking and self._host is None:
            self._note_epoch(answer.epoch, now)
            self._take_address(answer, now)
        else:
            moved = answer.result != 0 or answer.host != self._host
            self._heard(answer.epoch, now, changed=moved)

    def _take_address(self, answer: AddressAnswer, now: float) -> None:
        _check(answer.result)
        check_host(answer.host)
        self._host = answer.host
        self._send(now)

    def _take_mapping(self, answer: MappingAnswer, now: float) -> None:
        if answer.port != self._terms.port:
            raise MalformedAnswer("an answer to somebody else")
        if self._is_deleting:
            # A grant that was under way when we changed our mind is not the end.
            if answer.result or not answer.lifetime:
                self._finish_deleting()
            return
        if self._host is None:
            raise MalformedAnswer("an answer to what we did not ask yet")
        if answer.result:
            self._note_epoch(answer.epoch, now)
            _check(answer.result)
        self._grant((self._host, answer.external_port), answer.lifetime, answer.epoch, now)

    def _has_restarted(self, client_delta: float, server_delta: int) -> bool:
        # RFC 6886 §3.6: its clock may be slow by an eighth.
        return server_delta < client_delta * 7 / 8 - 2


def _check(result: int) -> None:
    if result:
        raise MappingRefused(f"the router {_RESULTS.get(result, f'says error {result}')}")
