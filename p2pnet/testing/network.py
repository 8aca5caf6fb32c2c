"""
An internet in memory: hosts, links with latency and loss, one virtual clock, one seed.

A `Host` takes the place of the reactor, so any Twisted datagram protocol runs on it unmodified::

    network = Network(seed=3, latency=0.05, loss=0.2)
    network.host("10.0.0.1").listenUDP(9050, server)
    network.host("10.0.0.2").listenUDP(0, client)
    network.run_until(lambda: client.answered)

Time stands still except inside `Network.run`, `run_until` and `settle`.  The same seed and the same
calls give the same trace; the seed stands in every failure text.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL
from functools import lru_cache, partial
from heapq import heapify, heappop, heappush
from ipaddress import ip_address
from itertools import chain
from math import inf
from operator import attrgetter
from os import strerror
from random import Random
from reprlib import repr as safe_repr
from typing import Any, Final, NoReturn, TypedDict, Unpack

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    AlreadyCalled,
    AlreadyCancelled,
    CannotListenError,
    InvalidAddressError,
    MessageLengthError,
)
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import AbstractDatagramProtocol
from zope.interface import implementer

from p2pnet.interfaces import Address

__all__ = ["Conditions", "Fate", "Hook", "Host", "Network", "Port"]

EPHEMERAL_PORTS: Final = range(49152, 65536)
"""What port 0 chooses from, in order (RFC 6335 §6)."""
MAX_DATAGRAM_SIZE: Final = 65507
"""Payload, in bytes, above which a real socket refuses to send (IPv4: 65535 - 20 - 8)."""
MAX_CALLS_AT_ONE_INSTANT: Final = 100_000
"""Calls and deliveries that may come of one another while time stands still."""


class Fate(Enum):
    """
    What became of one copy of a datagram.
    """

    DELIVERED = "delivered"
    DUPLICATED = "duplicated"
    """Delivered too, as the copy that the network made."""
    LOST = "lost"
    """By chance, by a partition or by `Network.drop_if`."""
    TOO_BIG = "too big"
    NOWHERE = "nowhere"
    """Nobody had the address and port when it arrived."""


class Conditions(TypedDict, total=False):
    """
    The keywords of `Network` and `Network.link`, for one direction between two addresses.

    ``latency``: one way, seconds (0.0).  ``jitter``: up to so many seconds more, uniformly (0.0).
    ``loss``, ``duplicate``, ``reorder``: probabilities (0.0); a reordered datagram takes
    ``reorder_delay`` seconds more (0.05).  ``mtu``: largest UDP payload that passes, in bytes, IP
    and UDP headers not counted (1500); what is larger vanishes without a word, as behind a router
    that drops what it may not fragment and tells nobody.
    """

    latency: float
    jitter: float
    loss: float
    duplicate: float
    reorder: float
    reorder_delay: float
    mtu: int


@dataclass(frozen=True, slots=True)
class _Link:
    latency: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_delay: float = 0.05
    mtu: int = 1500

    def __post_init__(self) -> None:
        for name in ("latency", "jitter", "reorder_delay", "mtu"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"{name} must be finite and not negative: {getattr(self, name)!r}")
        for name in ("loss", "duplicate", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1: {getattr(self, name)!r}")


class Hook:
    """
    Undoes the `Network.drop_if` or `Network.tap` that returned it.
    """

    def __init__(self, hooks: dict[Hook, Callable[..., object]]) -> None:
        self._hooks = hooks

    def remove(self) -> None:
        """
        Ask no more.  May be called from the hook itself, and again.
        """
        self._hooks.pop(self, None)


@lru_cache(maxsize=65536)
def _literal(text: str) -> tuple[str, int]:
    """
    The one spelling of a literal address, and its IP version.  Scopes go, as Twisted drops them.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        raise InvalidAddressError(text, "not a literal IPv4 or IPv6 address") from None
    return str(address), address.version


def _cannot_listen(interface: str, port: int, code: int) -> CannotListenError:
    return CannotListenError(interface, port, OSError(code, strerror(code)))


def _describe(function: Callable[..., object]) -> str:
    """
    A function by name and by the line it was written on: a lambda's name says nothing.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(function)
    line = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno}: {line})"


# ---------------------------------------------------------------- time


_Action = tuple[Callable[..., object], tuple[Any, ...]]


class _Clock:
    """
    What is to be done when: one heap, by time and then in the order it was asked for.

    `twisted.internet.task.Clock` sorts everything that waits at each `callLater`; this does not.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.chained = 0
        """How much was asked for at this instant, for this instant."""
        self._heap: list[tuple[float, int, _Call | _Action]] = []
        self._order = 0
        self._abandoned = 0

    def __len__(self) -> int:
        return len(self._heap) - self._abandoned

    def at(self, time: float, action: _Action) -> None:
        """
        Do something that nobody will want to cancel.
        """
        if time <= self.now:
            self.chained += 1
        self._order += 1
        heappush(self._heap, (time, self._order, action))

    def schedule(self, call: _Call, time: float) -> None:
        """
        Set or change the time of a call.
        """
        if time <= self.now:
            self.chained += 1
        self._order += 1
        call.time = time
        call.order = self._order
        if call.entry and time < call.due:
            self.abandon(call)
        if not call.entry:
            self._enqueue(call)

    def abandon(self, call: _Call) -> None:
        """
        Leave the entry of a call behind.  When most entries are such, they are thrown out.
        """
        call.entry = 0
        self._abandoned += 1
        if self._abandoned > 64 and self._abandoned * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if self._stands(entry)]
            heapify(self._heap)
            self._abandoned = 0

    def pop(self, deadline: float) -> _Action | None:
        """
        The next thing to do, if it is due by `deadline`; moves the time.
        """
        while self._heap and self._heap[0][0] <= deadline:
            time, order, action = heappop(self._heap)
            if isinstance(action, _Call):
                if action.entry != order:
                    self._abandoned -= 1
                    continue
                if action.order != order:
                    self._enqueue(action)
                    continue
                action = action.begin()
            if time > self.now:
                self.now = time
                self.chained = 0
            return action
        return None

    def waiting(self, owner: object) -> list[IDelayedCall]:
        """
        The calls of `owner` that stand, soonest first.
        """
        calls = [
            entry[2]
            for entry in self._heap
            if isinstance(entry[2], _Call) and entry[2].owner is owner and self._stands(entry)
        ]
        return [*sorted(calls, key=attrgetter("time", "order"))]

    @staticmethod
    def _stands(entry: tuple[float, int, _Call | _Action]) -> bool:
        return not isinstance(entry[2], _Call) or entry[2].entry == entry[1]

    def _enqueue(self, call: _Call) -> None:
        call.due = call.time
        call.entry = call.order
        heappush(self._heap, (call.time, call.order, call))


@implementer(IDelayedCall)
class _Call:
    """
    A call that can be cancelled and moved.

    `time` and `order` say when it is wanted, `due` and `entry` where it stands in the heap.  A call
    put off stays there and moves on when its old time comes, so that a timer reset a million times
    is one entry.
    """

    __slots__ = ("_clock", "_do", "_end", "due", "entry", "order", "owner", "time")

    def __init__(self, clock: _Clock, owner: object, do: _Action) -> None:
        self._clock = clock
        self._do = do
        self._end: type[Exception] | None = None
        self.owner = owner
        self.due = self.time = inf
        self.entry = self.order = 0

    def getTime(self) -> float:
        return self.time

    def active(self) -> bool:
        return self._end is None

    def cancel(self) -> None:
        self._check()
        self._end = AlreadyCancelled
        self._clock.abandon(self)

    def delay(self, secondsLater: float) -> None:
        self._check()
        self._clock.schedule(self, self.time + secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        self._check()
        self._clock.schedule(self, self._clock.now + secondsFromNow)

    def begin(self) -> _Action:
        self._end = AlreadyCalled
        return self._do

    def _check(self) -> None:
        if self._end is not None:
            raise self._end


# ---------------------------------------------------------------- hosts


@implementer(IListeningPort, IUDPTransport)
class Port:
    """
    One bound UDP port, as `twisted.internet.udp.Port` behaves on Linux, without connected mode.
    """

    def __init__(
        self,
        host: Host,
        port: int,
        protocol: AbstractDatagramProtocol,
        interface: str,
        maxPacketSize: int,
    ) -> None:
        self.protocol = protocol
        self.interface = interface
        self.maxPacketSize = maxPacketSize
        self.listening = False
        """Receives; false from `stopListening` on, though it still sends until the turn ends."""
        self._host = host
        self._wanted = port
        self._bound: list[Address] = []
        self._version = 4
        self._stopped: list[Deferred[None]] = []
        self._broadcast = False

    def startListening(self) -> None:
        """
        Bind and start the protocol.

        :raise CannotListenError: the port is taken, or the host has no such address.
        """
        self._bound, self._version = self._host._bind(self, self.interface, self._wanted)
        self.listening = True
        self.protocol.makeConnection(self)

    def stopListening(self) -> Deferred[None]:
        """
        Hear nothing more at once; unbind and stop the protocol in the next turn, as Twisted does.
        """
        if not self._bound:
            return succeed(None)
        if self.listening:
            self.listening = False
            self._host.callLater(0, self._close)
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        return stopped

    def _close(self) -> None:
        self._host._release(self._bound)
        self._bound = []
        stopped, self._stopped = self._stopped, []
        try:
            self.protocol.doStop()
        finally:
            for waiting in stopped:
                waiting.callback(None)

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        What we are bound to; without an interface that is ``0.0.0.0``, as on a real machine.
        """
        port = self._bound[0][1] if self._bound else self._wanted
        if self._version == 4:
            return IPv4Address("UDP", self.interface or "0.0.0.0", port)
        return IPv6Address("UDP", self.interface or "::", port)

    def write(self, packet: bytes, addr: Address | None = None) -> None:
        """
        Send one datagram.  Whether it arrives is the network's business and raises nothing.

        :raise InvalidAddressError: not a literal address, or of the other IP version than ours.
        :raise MessageLengthError: no UDP datagram is that large.
        :raise OverflowError: no such port.
        :raise OSError: EINVAL for port 0, as Linux says.
        :raise RuntimeError: the port is closed.
        """
        if addr is None:
            raise ValueError("write() needs an address: there is no connected mode")
        if not self._bound:
            raise RuntimeError(f"write() to {addr!r} on a closed port")
        target, version = _literal(addr[0])
        port = addr[1]
        if version != self._version:
            raise InvalidAddressError(addr[0], f"write() on an IPv{self._version} port")
        if not 0 < port < 65536:
            if port == 0:
                raise OSError(EINVAL, strerror(EINVAL))
            raise OverflowError(f"port must be 0-65535: {port!r}")
        # A caller may use its buffer again as soon as write() has returned.
        data = packet if type(packet) is bytes else bytes(memoryview(packet))
        if len(data) > MAX_DATAGRAM_SIZE:
            raise MessageLengthError(f"{len(data)} bytes in one datagram")
        self._host.network._send(self._bound[0], (target, port), data)

    def connect(self, host: str, port: int) -> NoReturn:
        raise NotImplementedError("connected mode is not simulated")

    def setBroadcastAllowed(self, enabled: bool) -> None:
        self._broadcast = enabled

    def getBroadcastAllowed(self) -> bool:
        return self._broadcast

    def __repr__(self) -> str:
        return f"<{type(self.protocol).__name__} on {self._bound}>"


@implementer(IReactorUDP, IReactorTime)
class Host:
    """
    One machine: give it to whatever wants a reactor.  Made by `Network.host`.

    It has the addresses it was made with and no loopback.  A port bound to several of them receives
    on all and sends from the first.
    """

    def __init__(self, network: Network, addresses: Sequence[str]) -> None:
        self.network = network
        self.addresses = tuple(addresses)
        self.address = self.addresses[0]
        self._next_port = EPHEMERAL_PORTS.start

    def listenUDP(
        self,
        port: int,
        protocol: AbstractDatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> Port:
        """
        Bind `protocol` to a UDP port.

        :param port: 0 for the next free one of `EPHEMERAL_PORTS`.
        :param interface: an address of ours; ``""`` or ``"0.0.0.0"`` for all of IPv4, ``"::"`` for
            all of IPv6 and nothing else.  On a host without IPv4, ``""`` is all of IPv6.
        :param maxPacketSize: longer datagrams are cut off, as `recvfrom` does.
        :raise CannotListenError: the port is taken, or the host has no such address.
        :raise InvalidAddressError: `interface` is not a literal address.
        :raise OverflowError: `port` is not from 0 to 65535.
        """
        listening = Port(self, port, protocol, interface, maxPacketSize)
        listening.startListening()
        return listening

    def seconds(self) -> float:
        """
        The network's virtual time.
        """
        return self.network.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        """
        Call when `delay` seconds have passed, after whatever is due at that time already.

        :raise ValueError: the delay is negative or no number.
        """
        if not delay >= 0:
            raise ValueError(f"delay must not be negative: {delay!r}")
        clock = self.network._clock
        call = _Call(clock, self, (partial(callable, **kwargs) if kwargs else callable, args))
        clock.schedule(call, clock.now + delay)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """
        The calls that wait on this host, soonest first.
        """
        return self.network._clock.waiting(self)

    def _bind(self, port: Port, interface: str, number: int) -> tuple[list[Address], int]:
        if not 0 <= number < 65536:
            raise OverflowError(f"port must be 0-65535: {number!r}")
        has_ipv4 = any(_literal(address)[1] == 4 for address in self.addresses)
        name, version = _literal(interface or ("0.0.0.0" if has_ipv4 else "::"))
        names = self.addresses if name in ("0.0.0.0", "::") else (name,)
        ours = [a for a in names if a in self.addresses and _literal(a)[1] == version]
        if not ours:
            raise _cannot_listen(interface, number, EADDRNOTAVAIL)
        numbers: Sequence[int] | chain[int] = [number]
        if number == 0:
            later = range(self._next_port, EPHEMERAL_PORTS.stop)
            numbers = chain(later, range(EPHEMERAL_PORTS.start, self._next_port))
        ports = self.network._ports
        for candidate in numbers:
            bound = [(address, candidate) for address in ours]
            if ports.keys().isdisjoint(bound):
                if number == 0:
                    self._next_port = candidate + 1
                ports.update(dict.fromkeys(bound, port))
                return bound, version
        raise _cannot_listen(interface, number, EADDRINUSE)

    def _release(self, bound: Sequence[Address]) -> None:
        for address in bound:
            del self.network._ports[address]

    def __repr__(self) -> str:
        return f"<Host {' '.join(self.addresses)} of {self.network!r}>"


# ---------------------------------------------------------------- what lies between them


class Network:
    """
    Every host, everything that is under way between them, and the time.

    :param seed: of every random choice.
    :param conditions: of every link that `link` does not change; see `Conditions`.
    :ivar errors: whatever protocols, delayed calls and hooks have raised so far.
    :raise ValueError: a condition is out of range.
    """

    def __init__(self, seed: int, **conditions: Unpack[Conditions]) -> None:
        self.seed = seed
        self.errors: list[Exception] = []
        self._fresh_errors: list[Exception] = []
        self._random = Random(seed).random
        self._default = _Link(**conditions)
        self._links: dict[tuple[str, str], _Link] = {}
        self._partitions: set[tuple[str, str]] = set()
        self._drops: dict[Hook, Callable[..., object]] = {}
        self._taps: dict[Hook, Callable[..., object]] = {}
        self._hosts: dict[str, Host] = {}
        self._ports: dict[Address, Port] = {}
        self._clock = _Clock()
        self._running = False

    def host(self, *addresses: str) -> Host:
        """
        The machine with these literal addresses, made when first asked for.

        :raise ValueError: no address, no literal address, or one that another machine has.
        """
        names = list(dict.fromkeys(_literal(address)[0] for address in addresses))
        owners = {self._hosts.get(name) for name in names}
        if len(owners) != 1:
            raise ValueError(f"not the addresses of one host: {addresses!r}")
        host = owners.pop()
        if host is None:
            host = Host(self, names)
            self._hosts.update(dict.fromkeys(names, host))
        return host

    def link(
        self, a: str, b: str, *, one_way: bool = False, **conditions: Unpack[Conditions]
    ) -> None:
        """
        Change conditions from `a` to `b`, and back unless `one_way`; the rest stays as it is.

        What is under way already is not affected, so a shorter latency lets datagrams overtake.
        """
        for pair in self._pairs(a, b)[: 1 if one_way else 2]:
            self._links[pair] = replace(self._links.get(pair, self._default), **conditions)

    def partition(self, a: str, b: str) -> None:
        """
        Lose everything sent between two addresses from now on.
        """
        self._partitions.update(self._pairs(a, b))

    def heal(self, a: str, b: str) -> None:
        """
        End a partition.
        """
        self._partitions.difference_update(self._pairs(a, b))

    @staticmethod
    def _pairs(a: str, b: str) -> list[tuple[str, str]]:
        first, second = _literal(a)[0], _literal(b)[0]
        return [(first, second), (second, first)]

    def drop_if(self, predicate: Callable[[Address, Address, bytes], object]) -> Hook:
        """
        Lose every datagram for which ``predicate(source, target, data)`` is true.

        It is asked about every datagram, when it is sent and before chance is.
        """
        hook = Hook(self._drops)
        self._drops[hook] = predicate
        return hook

    def tap(self, callback: Callable[[float, Address, Address, bytes, Fate], object]) -> Hook:
        """
        Call ``callback(time, source, target, data, fate)`` when the fate of a copy is known.

        That is on arrival, before the protocol hears of it, or on sending if it never left.
        """
        hook = Hook(self._taps)
        self._taps[hook] = callback
        return hook

    def seconds(self) -> float:
        """
        Virtual time since the network was made.
        """
        return self._clock.now

    def run(self, seconds: float) -> None:
        """
        Let so much time pass, doing all that is due, each at its time.

        What protocols, calls and hooks raise does not stop the rest; it is raised at the end, a
        single exception as it is and several as an `ExceptionGroup`.

        :raise RuntimeError: time is stuck (`MAX_CALLS_AT_ONE_INSTANT`), or we are running already.
        :raise ValueError: `seconds` is negative or not finite.
        """
        with self._until(seconds) as deadline:
            while self._step(deadline):
                pass
            self._clock.now = deadline
        self._raise_errors()

    def run_until(self, predicate: Callable[[], object], timeout: float = 30.0) -> None:
        """
        Run until ``predicate()``, asked before and after every call and delivery, is true.

        :param timeout: virtual seconds.
        :raise AssertionError: it did not become true, and nothing was raised meanwhile.
        """
        with self._until(timeout) as deadline:
            while not (met := predicate()) and self._step(deadline):
                pass
            if not met:
                self._clock.now = deadline
        if met:
            self._raise_errors()
            return
        missed = f"{timeout:g} s passed waiting for {_describe(predicate)} in {self!r}"
        self._raise_errors(missed)
        raise AssertionError(missed)

    def settle(self) -> None:
        """
        Do everything that is due now, and what comes of it now.
        """
        self.run(0.0)

    @contextmanager
    def _until(self, seconds: float) -> Iterator[float]:
        if not 0 <= seconds < inf:
            raise ValueError(f"time to run must be finite and not negative: {seconds!r}")
        if self._running:
            raise RuntimeError(f"called from inside of a run of {self!r}")
        self._running = True
        self._clock.chained = 0
        try:
            yield self._clock.now + seconds
        finally:
            self._running = False

    def _step(self, deadline: float) -> bool:
        """
        Do the next thing, if it is due by `deadline`.
        """
        action = self._clock.pop(deadline)
        if action is None:
            return False
        if self._clock.chained > MAX_CALLS_AT_ONE_INSTANT:
            raise RuntimeError(
                f"{MAX_CALLS_AT_ONE_INSTANT} calls and deliveries came of one another without time "
                f"moving; next is {_describe(action[0])} with {safe_repr(action[1])} in {self!r}"
            )
        self._guarded(*action)
        return True

    def _send(self, source: Address, target: Address, data: bytes) -> None:
        pair = (source[0], target[0])
        link = self._links.get(pair, self._default)
        # All are asked, so that a predicate that counts counts every datagram.
        dropped = [self._guarded(hook, (source, target, data)) for hook in [*self._drops.values()]]
        if any(dropped) or pair in self._partitions:
            fate = Fate.LOST
        elif len(data) > link.mtu:
            fate = Fate.TOO_BIG
        elif link.loss and self._random() < link.loss:
            fate = Fate.LOST
        else:
            self._depart(link, (source, target, data, Fate.DELIVERED))
            if link.duplicate and self._random() < link.duplicate:
                self._depart(link, (source, target, data, Fate.DUPLICATED))
            return
        self._tell(source, target, data, fate)

    def _depart(self, link: _Link, datagram: tuple[Address, Address, bytes, Fate]) -> None:
        delay = link.latency
        if link.jitter:
            delay += link.jitter * self._random()
        if link.reorder and self._random() < link.reorder:
            delay += link.reorder_delay
        self._clock.at(self._clock.now + delay, (self._arrive, datagram))

    def _arrive(self, source: Address, target: Address, data: bytes, fate: Fate) -> None:
        port = self._ports.get(target)
        if port is None or not port.listening:
            self._tell(source, target, data, Fate.NOWHERE)
            return
        self._tell(source, target, data, fate)
        port.protocol.datagramReceived(data[: port.maxPacketSize], source)

    def _tell(self, source: Address, target: Address, data: bytes, fate: Fate) -> None:
        for hook in [*self._taps.values()]:
            self._guarded(hook, (self._clock.now, source, target, data, fate))

    def _guarded(self, function: Callable[..., object], args: tuple[Any, ...]) -> object:
        try:
            return function(*args)
        except Exception as error:
            error.add_note(f"raised by {_describe(function)} with {safe_repr(args)} in {self!r}")
            self.errors.append(error)
            self._fresh_errors.append(error)
            return None

    def _raise_errors(self, missed: str = "") -> None:
        errors, self._fresh_errors = self._fresh_errors, []
        if not errors:
            return
        error = errors[0]
        if len(errors) > 1:
            error = ExceptionGroup(f"{len(errors)} errors in {self!r}", errors)
        if missed:
            error.add_note(missed)
        raise error

    def __repr__(self) -> str:
        return (
            f"<Network seed={self.seed} at {self._clock.now:g} s, {len(self._hosts)} addresses, "
            f"{len(self._clock)} calls and datagrams waiting>"
        )
