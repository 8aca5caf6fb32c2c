"""
A gateway that speaks PCP and NAT-PMP, and lies as it is told to; bytes in, bytes out.

What it sends is laid out here once more, from the RFCs, and not by the code that is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from random import Random
from struct import pack, unpack, unpack_from

from p2pnet.portmap.client import MappingClient, Terms
from p2pnet.portmap.mapping import Event

PUBLIC = "45.33.7.9"
GATEWAY = "192.168.77.1"
SERVER = (GATEWAY, 5351)
LOCAL = "192.168.77.2"
PORT = 9050


def terms(port: int = PORT, lifetime: int = 3600, timeout: float = 1.5, seed: int = 7) -> Terms:
    return Terms(port, lifetime, timeout, Random(seed).getrandbits)


def mapped_ipv4(host: str) -> bytes:
    return bytes(10) + b"\xff\xff" + IPv4Address(host).packed


class Router:
    """
    :ivar mappings: by internal port: nonce, external port and lifetime of what it has mapped.
    :ivar heard: every datagram that came.
    :ivar epoch_offset: what its count of seconds is ahead of ours.
    """

    def __init__(self, *, pcp: bool = True, natpmp: bool = True, host: str = PUBLIC) -> None:
        self.pcp = pcp
        self.natpmp = natpmp
        self.host = host
        self.silent = False
        self.lifetime: int | None = None
        self.external_port: int | None = None
        self.pcp_result = 0
        self.natpmp_result = 0
        self.epoch_offset = 5000.0
        self.mappings: dict[int, tuple[bytes, int, int]] = {}
        self.heard: list[bytes] = []

    def restart(self, now: float) -> None:
        """
        Forget all, and begin to count anew.
        """
        self.mappings.clear()
        self.epoch_offset = -now

    def answer(self, data: bytes, now: float) -> list[bytes]:
        """
        What it sends back.
        """
        self.heard.append(data)
        if self.silent:
            return []
        epoch = int(now + self.epoch_offset)
        if data[0] == 2:
            if self.pcp:
                return [self._pcp(data, epoch)]
            if self.natpmp:
                return [pack(">BBHI", 0, 0x80 | data[1], 1, epoch)]
            return []
        return self._natpmp(data, epoch) if self.natpmp else []

    def _pcp(self, data: bytes, epoch: int) -> bytes:
        opcode = data[1]
        (lifetime,) = unpack_from(">I", data, 4)
        if opcode == 0:
            return pack(">BBBBII12x", 2, 0x80, 0, 0, 0, epoch)
        nonce, protocol, port, wanted, _ = unpack(">12sB3xHH16s", data[24:60])
        if not self.pcp_result:
            lifetime, wanted = self._map(nonce, port, wanted, lifetime)
        return pcp_map_answer(
            nonce,
            protocol=protocol,
            port=port,
            external=(self.host, wanted),
            lifetime=lifetime,
            epoch=epoch,
            result=self.pcp_result,
        )

    def _natpmp(self, data: bytes, epoch: int) -> list[bytes]:
        if data[1] == 0:
            host = IPv4Address(self.host).packed
            return [pack(">BBHI4s", 0, 0x80, self.natpmp_result, epoch, host)]
        port, wanted, lifetime = unpack(">HHI", data[4:12])
        if not self.natpmp_result:
            lifetime, wanted = self._map(b"", port, wanted, lifetime)
        return [natpmp_map_answer(port, wanted, lifetime, epoch, self.natpmp_result)]

    def _map(self, nonce: bytes, port: int, wanted: int, lifetime: int) -> tuple[int, int]:
        if not lifetime:
            self.mappings.pop(port, None)
            return 0, 0
        lifetime = lifetime if self.lifetime is None else self.lifetime
        wanted = wanted if self.external_port is None else self.external_port
        self.mappings[port] = (nonce, wanted, lifetime)
        return lifetime, wanted


def pcp_map_answer(
    nonce: bytes,
    *,
    protocol: int = 17,
    port: int = PORT,
    external: tuple[str, int] = (PUBLIC, PORT),
    lifetime: int = 3600,
    epoch: int = 5000,
    result: int = 0,
    version: int = 2,
) -> bytes:
    """
    RFC 6887 §7.2 and §11.1.
    """
    return (
        pack(">BBBBII12x", version, 0x81, 0, result, lifetime, epoch)
        + pack(">12sB3xHH", nonce, protocol, port, external[1])
        + mapped_ipv4(external[0])
    )


def natpmp_map_answer(
    port: int, external_port: int, lifetime: int, epoch: int, result: int = 0
) -> bytes:
    """
    RFC 6886 §3.3.
    """
    return pack(">BBHIHHI", 0, 0x81, result, epoch, port, external_port, lifetime)


def converse(client: MappingClient, router: Router, now: float) -> list[Event]:
    """
    Carry datagrams both ways, in no time, until nobody has one; what the client then tells.
    """
    while sent := client.datagrams_to_send():
        deliver(client, [got for data in sent for got in router.answer(data, now)], now)
    return client.events()


def deliver(client: MappingClient, answers: Sequence[bytes], now: float) -> None:
    """
    Hand a client what its router sends.
    """
    for data in answers:
        client.receive_datagram(data, SERVER, now)


def wait(client: MappingClient, router: Router, until: float) -> list[tuple[float, Event]]:
    """
    Let time pass, from deadline to deadline; what is told, and when.
    """
    told = []
    while (due := client.next_timeout()) is not None and due <= until:
        client.handle_timeout(due)
        told += [(due, event) for event in converse(client, router, due)]
    return told
