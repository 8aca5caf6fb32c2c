"""
Somebody in the middle of the public network: hears what crosses it, and says it again as his own.

Until SIGTERM he sends on each UDP datagram, from an address of his own, to where it was sent.  Then
he turns to everybody who was spoken to, as himself and as whoever spoke to them, with probes under
keys that he makes up, tokens that he makes up, introductions that lead to him.  What he sent, and
what he got for it, is printed as JSON.
"""

from __future__ import annotations

import json
import secrets
import select
import signal
import socket
import struct
import time
from collections import defaultdict
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from p2pnet.interfaces import Address
from p2pnet.reach.probes import Request, encode_request, token_of
from p2pnet.signaling.search import proof
from p2pnet.stun.codec import MalformedStun, parse
from p2pnet.wire.control import ConnectRequest
from p2pnet.wire.nat import NatIntroduceResponse
from p2pnet.wire.sockaddr import encode_sockaddr
from tests.natlab.plan import STRANGER

OWN: Final[Address] = STRANGER, 6666
ATTEMPTS: Final = 50
"""Of each kind, towards each address."""
WAITING: Final = 3.0
"""Seconds in which answers, however late, are waited for."""
_LOOK: Final = 0.05
_ALL_FRAMES: Final = 0x0003
_IPV4: Final = 0x0800
_UDP: Final = 17
_TICKS: Final = 639_000_000_000_000_000
"""A time to connect at, such as clients name."""


class Heard(NamedTuple):
    """
    A datagram that crossed the network.
    """

    source: Address
    destination: Address
    data: bytes


class Stranger:
    """
    His sockets, and his accounts.

    :ivar sent: bytes from his own address, by where to.
    :ivar received: bytes to his own address, by where from.
    :ivar answers: what these said.
    :ivar pairs: who spoke to whom.
    :ivar tokens: of the sessions that he has heard of.
    """

    def __init__(self) -> None:
        self.sent: dict[Address, int] = defaultdict(int)
        self.received: dict[Address, int] = defaultdict(int)
        self.answers: set[bytes] = set()
        self.pairs: set[tuple[Address, Address]] = set()
        self.tokens: set[str] = set()
        self.forged = 0
        self._ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_FRAMES))
        self._mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._mouth.bind(OWN)
        self._mask = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def repeat(self) -> None:
        """
        Send on whatever is heard, until SIGTERM.
        """
        told: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
        while not told:
            for ready in select.select([self._ear, self._mouth], [], [], _LOOK)[0]:
                if ready is self._mouth:
                    self._answered()
                    continue
                heard = self._hear()
                if heard is not None:
                    self._learn(heard)
                    self._send(heard.destination, heard.data)

    def guess(self) -> None:
        """
        Try to be let in, as himself; and to pass for others.
        """
        for source, destination in sorted(self.pairs):
            for _ in range(ATTEMPTS):
                for data in self._inventions(destination):
                    self._send(destination, data)
                    self._forge(source, destination, data)
                self._drain(0.002)
        self._drain(WAITING)

    def _inventions(self, destination: Address) -> list[bytes]:
        token = secrets.token_hex(16)
        made = [
            ConnectRequest(
                0,
                _TICKS + secrets.randbits(40),
                encode_sockaddr(destination),
                proof(token, "9da8e07d-4777-4614-bf2c-8a164c419218"),
            ).encode(),
            NatIntroduceResponse(OWN, OWN, token).encode(),
        ]
        for known in self.tokens:
            made.append(NatIntroduceResponse(OWN, OWN, known).encode())
            for by_caller in (False, True):
                nomination = secrets.randbelow(3) if by_caller else 0
                probe = Request(secrets.token_bytes(12), known, by_caller, nomination)
                made.append(encode_request(probe, secrets.token_bytes(16)))
        return made

    def _hear(self) -> Heard | None:
        frame, (_, protocol, kind, _, _) = self._ear.recvfrom(65536)
        if protocol != _IPV4 or kind == socket.PACKET_OUTGOING or frame[9] != _UDP:
            return None
        start = 4 * (frame[0] & 15)
        source_port, port, length = struct.unpack_from("!HHH", frame, start)
        source = str(IPv4Address(frame[12:16])), source_port
        destination = str(IPv4Address(frame[16:20])), port
        if OWN in (source, destination):
            return None
        return Heard(source, destination, frame[start + 8 : start + length])

    def _learn(self, heard: Heard) -> None:
        self.pairs.add((heard.source, heard.destination))
        try:
            token = token_of(parse(heard.data))
        except MalformedStun:
            return
        if token is not None:
            self.tokens.add(token)

    def _send(self, destination: Address, data: bytes) -> None:
        self._mouth.sendto(data, destination)
        self.sent[destination] += len(data)

    def _forge(self, source: Address, destination: Address, data: bytes) -> None:
        """
        Send under another one's address.
        """
        # The kernel fills in the rest; UDP over IPv4 may go without a checksum.
        udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(data), 0) + data
        ip = struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            0,
            0,
            0,
            0,
            64,
            _UDP,
            0,
            IPv4Address(source[0]).packed,
            IPv4Address(destination[0]).packed,
        )
        self._mask.sendto(ip + udp, destination)
        self.forged += 1

    def _drain(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._mouth], [], [], left)[0]:
                self._answered()

    def _answered(self) -> None:
        data, source = self._mouth.recvfrom(65536)
        self.received[source] += len(data)
        self.answers.add(data)


def main() -> None:
    """
    Listen, then guess, then tell.
    """
    stranger = Stranger()
    print("listening", flush=True)
    stranger.repeat()
    stranger.guess()
    told = {
        "forged": stranger.forged,
        "tokens": len(stranger.tokens),
        "answers": [data.hex() for data in stranger.answers],
        "accounts": [
            {"where": where, "sent": sent, "received": stranger.received[where]}
            for where, sent in stranger.sent.items()
        ],
        "unasked": [where for where in stranger.received if where not in stranger.sent],
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
