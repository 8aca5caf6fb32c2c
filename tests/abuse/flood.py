"""
Attackers, hundreds of them, in a process of their own.

    python -m tests.abuse.flood HTTP-PORT UDP-PORT OBSERVER-PORT SEED

A line with the name of an attack begins it, a line ``stop`` ends it; then it prints what was sent
and what came back for it.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from random import Random
from typing import Final, Protocol
from uuid import UUID

from p2pnet.serialization import NetDataWriter
from p2pnet.stun.codec import Class, Message, Method, mark
from p2pnet.wire.control import ConnectRequest
from p2pnet.wire.nat import NatIntroduceRequest, NatIntroduceResponse
from p2pnet.wire.sockaddr import encode_sockaddr
from tests.abuse.house import HOME, basic, network

FIRST: Final = 10_000
"""Number of the first network of theirs; nobody else is there."""
MANY: Final = 300
"""Networks."""
CROWD: Final = 150
"""Connections of one network at a time."""
DATAGRAMS: Final = 5_000
"""A second."""
_TICKS: Final = 639_000_000_000_000_000


class Attack(Protocol):
    """
    Goes on until it is told to stop.
    """

    def run(self, stop: Callable[[float], bool]) -> dict[str, int]:
        """
        :param stop: whether to; waits that many seconds for the word at most.
        :return: what was sent and got.
        """


# ------------------------------------------------------------ over TCP


@dataclass
class Requests:
    """
    Each connection asks as soon as it has its answer.

    :ivar hosts: where each of them comes from.
    :ivar requests: what they ask for, one after the other.
    :ivar anew: each request over a connection of its own.
    """

    port: int
    hosts: list[str]
    requests: Iterator[bytes]
    anew: bool = False

    def run(self, stop: Callable[[float], bool]) -> dict[str, int]:
        found: Counter[str] = Counter()
        with selectors.DefaultSelector() as selector:
            for host in self.hosts:
                self._open(selector, host, found)
            while not stop(0):
                for key, _ in selector.select(0.05):
                    self._hear(selector, key, found)
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]  # all are sockets
        return dict(found)

    def _open(self, selector: selectors.BaseSelector, host: str, found: Counter[str]) -> None:
        wire = socket.socket()
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.bind((host, 0))
        wire.setblocking(False)
        wire.connect_ex((HOME, self.port))
        selector.register(wire, selectors.EVENT_WRITE, host)

    def _ask(self, wire: socket.socket, found: Counter[str]) -> None:
        wire.send(next(self.requests))
        found["requests"] += 1

    def _hear(
        self, selector: selectors.BaseSelector, key: selectors.SelectorKey, found: Counter[str]
    ) -> None:
        wire = key.fileobj
        assert isinstance(wire, socket.socket)
        try:
            if key.events == selectors.EVENT_WRITE:
                self._ask(wire, found)
                selector.modify(wire, selectors.EVENT_READ, key.data)
                return
            answer = wire.recv(1 << 20)
        except (ConnectionResetError, BrokenPipeError):
            answer = b""
        if answer.startswith(b"HTTP/1.1 "):
            found[answer[9:12].decode()] += 1
        if not answer:
            found["closed"] += 1
        if not answer or self.anew:
            selector.unregister(wire)
            wire.close()
            self._open(selector, key.data, found)
        elif answer.startswith(b"HTTP/1.1 ") and b"event-stream" not in answer:
            self._ask(wire, found)


@dataclass
class Drops:
    """
    Requests that come drop by drop.
    """

    port: int
    hosts: list[str]

    def run(self, stop: Callable[[float], bool]) -> dict[str, int]:
        wires = []
        for host in self.hosts:
            wire = socket.socket()
            wire.bind((host, 0))
            wire.setblocking(False)
            wire.connect_ex((HOME, self.port))
            wires.append(wire)
        found: Counter[str] = Counter(connections=len(wires))
        drops = cycle(b"GET /v1 HTTP/1.1\r\nX: " + b"x" * 1000)
        while not stop(0.1):
            drop = bytes((next(drops),))
            for wire in wires:
                try:
                    wire.send(drop)
                    found["bytes"] += 1
                except OSError:
                    found["too late"] += 1
        for wire in wires:
            wire.close()
        return dict(found)


def get(path: str, headers: str = "") -> bytes:
    """
    A request for a page.
    """
    return f"GET {path} HTTP/1.1\r\nHost: {HOME}\r\n{headers}\r\n".encode()


def look_ups(random: Random) -> Iterator[bytes]:
    """
    Of ids that may or may not be there.
    """
    while True:
        yield get(f"/v1/peers/{UUID(int=random.getrandbits(128))}")


def registrations(random: Random) -> Iterator[bytes]:
    """
    Of ever new peers.
    """
    while True:
        id, body = UUID(int=random.getrandbits(128)), b'{"username": "mallory", "port": 1}'
        (credentials,) = basic(str(id), f"{random.getrandbits(128):032x}").items()
        head = (
            f"PUT /v1/peers/{id} HTTP/1.1\r\nHost: {HOME}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: application/json\r\n{': '.join(credentials)}\r\n\r\n"
        )
        yield head.encode() + body


# ------------------------------------------------------------ over UDP


@dataclass
class Datagrams:
    """
    At a steady rate, from one source after the other.

    :ivar make: a datagram, as it is sent from there.
    """

    port: int
    hosts: list[str]
    make: Callable[[tuple[str, int]], bytes]

    def run(self, stop: Callable[[float], bool]) -> dict[str, int]:
        found: Counter[str] = Counter()
        wires = [self._open(host) for host in self.hosts]
        named = [(wire, wire.getsockname()) for wire in wires]
        poll = select.poll()
        by_number = {wire.fileno(): wire for wire in wires}
        for wire in wires:
            poll.register(wire, select.POLLIN)
        begun, turns = time.monotonic(), cycle(named)
        while not stop(0.002):
            due = int((time.monotonic() - begun) * DATAGRAMS) - found["sent"]
            for _ in range(min(due, 200)):
                wire, address = next(turns)
                data = self.make(address)
                found["sent"] += 1
                found["bytes sent"] += len(data)
                wire.sendto(data, (HOME, self.port))
            self._hear(poll, by_number, found)
        # What is under way yet.
        for _ in range(20):
            time.sleep(0.01)
            self._hear(poll, by_number, found)
        for wire in wires:
            wire.close()
        return dict(found)

    @staticmethod
    def _open(host: str) -> socket.socket:
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire.bind((host, 0))
        wire.setblocking(False)
        return wire

    @staticmethod
    def _hear(
        poll: select.poll, by_number: dict[int, socket.socket], found: Counter[str]
    ) -> None:
        for number, _ in poll.poll(0):
            while True:
                try:
                    data = by_number[number].recv(2048)
                except BlockingIOError:
                    break
                found["received"] += 1
                found["bytes received"] += len(data)


def connect_request(time: int, ticket: str, host: str = HOME, port: int = 1) -> bytes:
    """
    Somebody asks the engine to be let in.

    :param time: grows from one to the next.
    """
    writer = NetDataWriter()
    writer.put_string(ticket)
    writer.put_endpoint((host, port))
    return ConnectRequest(0, _TICKS + time, encode_sockaddr((HOME, 9050)), writer.data()).encode()


def question(random: Random) -> bytes:
    """
    A STUN request that an observer answers: as short as it may be.
    """
    id = random.getrandbits(96).to_bytes(12, "big")
    return mark(Message(Method.BINDING, Class.REQUEST, id, {"SOFTWARE": "12345678"}))


# ------------------------------------------------------------ all of them


def attacks(http: int, udp: int, observer: int, random: Random) -> dict[str, Attack]:
    """
    By name.
    """
    times, networks = count(), count(FIRST)

    def one() -> list[str]:
        first = network(next(networks))
        return [f"{first}.{1 + number % 254}" for number in range(CROWD)]

    def many() -> list[str]:
        return [f"{network(next(networks))}.1" for _ in range(MANY)]

    def without_ticket(_: tuple[str, int]) -> bytes:
        return connect_request(next(times), f"{random.getrandbits(512):0128x}")

    def stun(_: tuple[str, int]) -> bytes:
        return question(random)

    def token(address: tuple[str, int]) -> bytes:
        return NatIntroduceRequest(address, f"{random.getrandbits(128):032x}").encode()

    def noise(address: tuple[str, int]) -> bytes:
        if random.random() < 0.5:
            return random.randbytes(random.randrange(1, 600))
        return NatIntroduceResponse(address, address, f"{random.getrandbits(32):08x}").encode()

    found: dict[str, Attack] = {}
    for name, hosts in (("one network", one), (f"{MANY} networks", many)):
        found |= {
            f"look-ups from {name}": Requests(http, hosts(), look_ups(random)),
            f"listings from {name}": Requests(http, hosts(), cycle([get("/peers")])),
            f"event streams from {name}": Requests(http, hosts(), cycle([get("/events")])),
            f"slow requests from {name}": Drops(http, hosts()),
            f"connections from {name}": Requests(http, hosts(), cycle([get("/v1")]), anew=True),
            f"registrations from {name}": Requests(http, hosts(), registrations(random)),
        }
    return found | {
        "association requests": Datagrams(udp, many(), without_ticket),
        "STUN requests": Datagrams(udp, many(), stun),
        "tokens for the facilitator": Datagrams(udp, many(), token),
        "noise and forged introductions": Datagrams(udp, many(), noise),
    }


def main() -> None:
    """
    Attack as told.
    """
    http, udp, observer, seed = map(int, sys.argv[1:])
    # Others have machines of their own: what we take of this one the honest must not miss.
    os.nice(10)
    all_of_them = attacks(http, udp, observer, Random(seed))

    def stop(wait: float) -> bool:
        if not select.select([0], [], [], wait)[0]:
            return False
        # Nothing else is said before we answer.
        return os.read(0, 4096) in (b"stop\n", b"")

    while word := os.read(0, 4096).decode().strip():
        print(json.dumps(all_of_them[word].run(stop)), flush=True)


if __name__ == "__main__":
    main()
