"""
Endpoints on one cable: plain numbers for time, and a hand on every datagram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Any, Protocol, TypeVar
from zlib import crc32

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.events import (
    ConnectionRequested,
    DisconnectInfo,
    DisconnectReason,
    Event,
    PeerConnected,
    PeerDisconnected,
)
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.received import MessagesReceived
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address
from p2pnet.wire.control import ConnectRequest
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.layers import PacketLayer
from p2pnet.wire.packets import Merged, Packet, parse
from p2pnet.wire.sockaddr import encode_sockaddr

ALICE: Address = ("10.0.0.1", 9050)
BOB: Address = ("10.0.0.2", 9050)
CAROL: Address = ("10.0.0.3", 9050)
EPOCH = 638_000_000_000_000_000
"""Some day in 2022, as .NET ticks."""

T = TypeVar("T")


def make_endpoint(
    seed: int = 1, layer: PacketLayer | None = None, epoch: int = EPOCH, **options: Any
) -> Endpoint:
    return Endpoint(
        EndpointConfig(**options), epoch=epoch, random=Random(seed).getrandbits, layer=layer
    )


def packets_in(datagram: bytes) -> list[Packet]:
    """
    What a datagram holds, merged ones taken apart.
    """
    packet = parse(datagram)
    if isinstance(packet, Merged):
        return [inner for data in packet.packets for inner in packets_in(data)]
    return [packet]


def request(time: int, data: bytes = b"", number: int = 0, target: Address = BOB) -> bytes:
    """
    The ConnectRequest of a hand-made client.
    """
    return ConnectRequest(number, time, encode_sockaddr(target), data).encode()


@dataclass(frozen=True)
class Sent:
    """
    One datagram that somebody has put on the cable.
    """

    at: float
    source: Address
    target: Address
    data: bytes
    ttl: int | None
    may_fragment: bool


class Plugged(Protocol):
    """
    What can be put on a cable: an Endpoint, or something that stands for another library's.
    """

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None: ...

    def handle_timeout(self, now: float) -> None: ...

    def datagrams_to_send(self, now: float) -> list[Transmit]: ...

    def next_timeout(self) -> float | None: ...


class Node:
    """
    An endpoint, and an application that writes everything down and lets everybody in.

    Set `on_request` to decide otherwise.
    """

    def __init__(
        self,
        cable: Cable,
        address: Address,
        seed: int | None,
        layer: PacketLayer | None,
        **options: Any,
    ) -> None:
        self.address = address
        self.endpoint = make_endpoint(
            crc32(repr(address).encode()) if seed is None else seed, layer, **options
        )
        self.events: list[Event] = []
        self.on_event: Callable[[Event], object] = lambda event: None
        self.on_request: Callable[[IncomingRequest], object] = self.accept
        self._cable = cable

    def accept(self, asked: IncomingRequest) -> Connection:
        return self.endpoint.accept(asked, self._cable.now)

    def connect(
        self, other: Address, data: bytes = b"", *, peer_to_peer: bool = False
    ) -> Connection:
        return self.endpoint.connect(other, data, self._cable.now, peer_to_peer=peer_to_peer)

    def disconnect(self, connection: Connection, data: bytes = b"") -> None:
        self.endpoint.disconnect(connection, data, self._cable.now)

    def receive(self, data: bytes, source: Address) -> None:
        """
        Hand this endpoint a datagram that nobody sent, and let it act.
        """
        self.endpoint.receive_datagram(data, source, self._cable.now)
        self._cable.settle()

    def take_events(self) -> bool:
        events = self.endpoint.events()
        for event in events:
            self.events.append(event)
            if isinstance(event, ConnectionRequested):
                if self.endpoint.is_pending(event.request):
                    self.on_request(event.request)
            else:
                self.on_event(event)
        return bool(events)

    def told(self, kind: type[T]) -> list[T]:
        """
        Events of one kind so far.
        """
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def messages(self) -> list[bytes]:
        return [message for event in self.told(MessagesReceived) for message in event.messages]

    @property
    def connections(self) -> list[Connection]:
        """
        All that were ever open, oldest first.
        """
        return [event.connection for event in self.told(PeerConnected)]

    @property
    def connection(self) -> Connection:
        """
        The newest one.
        """
        return self.connections[-1]

    @property
    def farewells(self) -> list[DisconnectInfo]:
        return [event.info for event in self.told(PeerDisconnected)]

    @property
    def reasons(self) -> list[DisconnectReason]:
        return [info.reason for info in self.farewells]


class Cable:
    """
    Joins nodes; a datagram takes `delay` seconds, unless `loses` says that it never arrives.

    What goes to an address without a node is in `log` and nowhere else.

    :ivar path: the largest datagram, in bytes, that passes whole; None for any.
    :ivar delays: how long each takes, if not all take `delay`.
    :ivar doubles: whether one arrives twice.
    :ivar damages: what arrives of one.
    :ivar arrived: what has been handed to a node.
    """

    def __init__(self, delay: float = 0.05, path: int | None = None) -> None:
        self.now = 100.0
        self.delay = delay
        self.path = path
        self.loses: Callable[[Sent], object] = lambda sent: False
        self.delays: Callable[[Sent], float] = lambda sent: self.delay
        self.doubles: Callable[[Sent], object] = lambda sent: False
        self.damages: Callable[[Sent], bytes] = lambda sent: sent.data
        self.log: list[Sent] = []
        self.arrived: list[Sent] = []
        self._layer: PacketLayer | None = None
        self._nodes: dict[Address, Node] = {}
        self._plugged: dict[Address, Plugged] = {}
        self._under_way: list[tuple[float, int, Sent]] = []
        self._count = 0

    def node(
        self,
        address: Address,
        seed: int | None = None,
        layer: PacketLayer | None = None,
        **options: Any,
    ) -> Node:
        node = self._nodes[address] = Node(self, address, seed, layer, **options)
        self._plugged[address] = node.endpoint
        # `packets` reads what it transforms; all on one cable use the same.
        self._layer = layer
        return node

    def plug(self, address: Address, stranger: Plugged) -> None:
        """
        Put something else than an Endpoint there.
        """
        self._plugged[address] = stranger

    def unplug(self, node: Node) -> None:
        """
        The machine loses its power.
        """
        del self._nodes[node.address]
        del self._plugged[node.address]

    def pair(
        self, make_layer: Callable[[], PacketLayer | None] = lambda: None, **options: Any
    ) -> tuple[Node, Node]:
        """
        Alice, who has connected to Bob, and Bob.
        """
        alice = self.node(ALICE, layer=make_layer(), **options)
        bob = self.node(BOB, layer=make_layer(), **options)
        alice.connect(BOB)
        self.run(0.5)
        assert alice.connections
        assert bob.connections
        return alice, bob

    def settle(self) -> None:
        """
        Let every node act until none wants to, without time passing.
        """
        for _ in range(100):
            told = [node.take_events() for node in self._nodes.values()]
            sent = [self._send(address) for address in self._plugged]
            if not any(told) and not any(sent):
                return
        raise AssertionError("the nodes never come to rest")

    def run(self, seconds: float) -> None:
        """
        Let time pass, each thing at its moment.
        """
        end = self.now + seconds
        self.settle()
        at_once = 0
        while (moment := self._next_moment()) <= end:
            at_once = 0 if moment > self.now else at_once + 1
            assert at_once < 1000, "a time-out comes again and again and nothing happens"
            self.now = max(self.now, moment)
            while self._under_way and self._under_way[0][0] <= self.now:
                _, _, sent = heappop(self._under_way)
                if sent.target in self._plugged:
                    self.arrived.append(sent)
                    endpoint = self._plugged[sent.target]
                    endpoint.receive_datagram(self.damages(sent), sent.source, self.now)
            for endpoint in self._plugged.values():
                endpoint.handle_timeout(self.now)
            self.settle()
        self.now = end

    def run_until(self, condition: Callable[[], object], limit: float = 60.0) -> None:
        end = self.now + limit
        self.settle()
        while not condition():
            assert self.now < end, f"not within {limit} s"
            self.run(0.05)

    def sent(self, source: Node | Address, target: Node | Address) -> list[Sent]:
        """
        Everything from one to another so far, lost or not.
        """
        a = source.address if isinstance(source, Node) else source
        b = target.address if isinstance(target, Node) else target
        return [sent for sent in self.log if (sent.source, sent.target) == (a, b)]

    def packets(
        self, kind: type[T], source: Node | Address, target: Node | Address
    ) -> list[tuple[float, T]]:
        """
        Every packet of one kind from one to another, and when it left.
        """
        found: list[tuple[float, T]] = []
        for sent in self.sent(source, target):
            for packet in self._read(sent):
                if isinstance(packet, kind):
                    found.append((sent.at, packet))
        return found

    def loses_packets(self, kind: type[Any], by: Callable[[Any], object] = lambda p: True) -> None:
        """
        From now on lose datagrams that hold a packet of this kind that `by` is true for.
        """
        self.loses = lambda sent: self.holds(kind, sent, by)

    def holds(
        self, kind: type[Any], sent: Sent, by: Callable[[Any], object] = lambda p: True
    ) -> bool:
        """
        Whether a packet of this kind that `by` is true for is in this datagram.
        """
        try:
            return any(isinstance(p, kind) and by(p) for p in self._read(sent))
        except MalformedPacket:
            return False

    def loses_nothing(self) -> None:
        self.loses = lambda sent: False

    def _read(self, sent: Sent) -> list[Packet]:
        data = sent.data if self._layer is None else self._layer.inbound(sent.data)
        return [] if data is None else packets_in(data)

    def _next_moment(self) -> float:
        moments = [endpoint.next_timeout() for endpoint in self._plugged.values()]
        if self._under_way:
            moments.append(self._under_way[0][0])
        return min([moment for moment in moments if moment is not None], default=float("inf"))

    def _send(self, source: Address) -> bool:
        runs = self._plugged[source].datagrams_to_send(self.now)
        for transmit in [each for run in runs for each in run.split()]:
            sent = Sent(
                self.now,
                source,
                transmit.address,
                transmit.data,
                transmit.ttl,
                transmit.may_fragment,
            )
            self.log.append(sent)
            too_large = self.path is not None and len(sent.data) > self.path
            if (too_large and not sent.may_fragment) or self.loses(sent):
                continue
            for _ in range(2 if self.doubles(sent) else 1):
                self._count += 1
                heappush(self._under_way, (self.now + self.delays(sent), self._count, sent))
        return bool(runs)
