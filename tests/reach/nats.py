"""
An internet of NAT boxes in virtual time.

Nothing here knows Twisted: the boxes are plain objects, and one heap holds what will happen.  The
same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Protocol

from p2pnet.reach.observer import answer_observation
from p2pnet.wire.constants import Address

PORT = 4000
"""Of every host's socket."""
RELAY_PORT = 3478
LATENCY = 0.02
"""Seconds over the public network, one way."""
_LAN_LATENCY = 0.0005


class Box(Protocol):
    """
    Whatever has an address in a net.
    """

    def receive(self, source: Address, target: Address, load: Load) -> None: ...


@dataclass(frozen=True)
class Wrapped:
    """
    What travels between a relay and who has an address on it.

    Without data it asks for an address, and tells it.
    """

    peer: Address
    data: bytes


Load = bytes | Wrapped


@dataclass(frozen=True)
class Sent:
    """
    One datagram that has left a host's socket.
    """

    at: float
    host: Host
    target: Address
    load: Load

    @property
    def data(self) -> bytes:
        return self.load.data if isinstance(self.load, Wrapped) else self.load


class Internet:
    """
    The time, the chance and the public net.

    :ivar loss: probability on the link of every host, each way.
    :ivar doubled: probability that a datagram which leaves a socket arrives twice.
    :ivar jitter: seconds, at most, that it waits before it is on its way.
    """

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.now = 1000.0
        self.random = Random(seed)
        self.loss = 0.0
        self.doubled = 0.0
        self.jitter = 0.0
        self.public = Net(self, LATENCY)
        self.sent: list[Sent] = []
        self.drop: Callable[[Sent], object] = lambda sent: False
        """Whether the network loses a datagram that leaves a socket."""
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def later(self, delay: float, call: Callable[[], None]) -> None:
        heappush(self._calls, (self.now + delay, next(self._numbers), call))

    def is_lost(self) -> bool:
        return self.random.random() < self.loss

    def run(self, duration: float) -> None:
        self.run_until(lambda: False, duration)

    def run_until(self, condition: Callable[[], object], at_most: float) -> bool:
        """
        Let time pass until something is so.

        :return: it is.
        """
        end = self.now + at_most
        while not condition():
            if not self._calls or self._calls[0][0] > end:
                self.now = end
                return bool(condition())
            self.now, _, call = heappop(self._calls)
            call()
        return True


class Net:
    """
    One network: hosts and routers that reach one another, and a way out, if there is one.
    """

    def __init__(self, internet: Internet, delay: float = _LAN_LATENCY) -> None:
        self.internet = internet
        self.boxes: dict[str, Box] = {}
        self.gateway: Nat | None = None
        self._delay = delay

    def carry(self, source: Address, target: Address, load: Load) -> None:
        box = self.boxes.get(target[0])
        if box is not None:
            self.internet.later(self._delay, lambda: box.receive(source, target, load))
        elif self.gateway is not None:
            self.gateway.outward(source, target, load)


class Match(Enum):
    """
    How much of a partner's address a NAT looks at (RFC 4787 §4.1, §5).
    """

    NOTHING = 0
    HOST = 1
    HOST_AND_PORT = 2

    def of(self, address: Address) -> tuple[object, ...]:
        return address[: self.value]


class Nat:
    """
    A router that translates.

    :param address: its own, outside.
    :param mapping: what it takes to get another outer port.
    :param filtering: what of the sender must have been written to from inside.
    :param hairpin: it turns round what its inside sends to its outer address.
    """

    def __init__(
        self,
        inner: Net,
        outer: Net,
        address: str,
        *,
        mapping: Match = Match.NOTHING,
        filtering: Match = Match.HOST_AND_PORT,
        hairpin: bool = False,
    ) -> None:
        self.filtering = filtering
        self._inner = inner
        self._outer = outer
        self._address = address
        self.mapping = mapping
        self._hairpin = hairpin
        self._ports: dict[tuple[Address, tuple[object, ...]], int] = {}
        self._owners: dict[int, Address] = {}
        self._written: dict[int, set[Address]] = {}
        self._next = count(inner.internet.random.randrange(20_000, 30_000))
        inner.gateway = self
        outer.boxes[address] = self

    def outward(self, source: Address, target: Address, load: Load) -> None:
        key = source, self.mapping.of(target)
        port = self._ports.get(key)
        if port is None:
            port = self._ports[key] = next(self._next)
            self._owners[port] = source
            self._written[port] = set()
        self._written[port].add(target)
        if target[0] != self._address:
            self._outer.carry((self._address, port), target, load)
        elif self._hairpin:
            self.receive((self._address, port), target, load)

    def receive(self, source: Address, target: Address, load: Load) -> None:
        owner = self._owners.get(target[1])
        if owner is None:
            return
        looked_at = self.filtering.of
        if looked_at(source) in {looked_at(written) for written in self._written[target[1]]}:
            self._inner.carry(source, owner, load)


class Host:
    """
    A machine with one socket.
    """

    def __init__(self, net: Net, host: str) -> None:
        self.address: Address = (host, PORT)
        self.internet = net.internet
        self.received: Callable[[Load, Address], None] = lambda load, source: None
        self._net = net
        net.boxes[host] = self

    def send(self, target: Address, load: Load) -> None:
        sent = Sent(self.internet.now, self, target, load)
        self.internet.sent.append(sent)
        if self.internet.drop(sent):
            return
        for _ in range(2 if self.internet.random.random() < self.internet.doubled else 1):
            if not self.internet.is_lost():
                self.internet.later(
                    self.internet.random.uniform(0.0, self.internet.jitter),
                    lambda: self._net.carry(self.address, target, load),
                )

    def forge(self, source: Address, target: Address, data: bytes) -> None:
        """
        Send in somebody else's name.
        """
        self._net.carry(source, target, data)

    def receive(self, source: Address, target: Address, load: Load) -> None:
        if target == self.address and not self.internet.is_lost():
            self.received(load, source)


class Observer:
    """
    Tells where it sees others.
    """

    def __init__(self, net: Net, host: str) -> None:
        self._net = net
        net.boxes[host] = self

    def receive(self, source: Address, target: Address, load: Load) -> None:
        answer = answer_observation(load, source) if isinstance(load, bytes) else None
        if answer is not None:
            self._net.carry(target, source, answer)


class Relay:
    """
    Lends addresses; lets in whose host the borrower has written to (RFC 8656 §9).
    """

    def __init__(self, net: Net, host: str) -> None:
        self.address: Address = (host, RELAY_PORT)
        self._net = net
        self._relayed: dict[Address, Address] = {}
        """By the borrower's address."""
        self._borrowers: dict[Address, Address] = {}
        self._permitted: dict[Address, set[str]] = {}
        self._ports = count(50_000)
        net.boxes[host] = self

    def receive(self, source: Address, target: Address, load: Load) -> None:
        if isinstance(load, Wrapped):
            relayed = self._lend(source)
            if not load.data:
                self._net.carry(self.address, source, Wrapped(relayed, b""))
                return
            self._permitted[relayed].add(load.peer[0])
            self._net.carry(relayed, load.peer, load.data)
        elif target in self._borrowers and source[0] in self._permitted[target]:
            self._net.carry(self.address, self._borrowers[target], Wrapped(source, load))

    def _lend(self, borrower: Address) -> Address:
        relayed = self._relayed.get(borrower)
        if relayed is None:
            relayed = self._relayed[borrower] = (self.address[0], next(self._ports))
            self._borrowers[relayed] = borrower
            self._permitted[relayed] = set()
        return relayed
