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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from math import inf
from random import Random
from reprlib import repr as safe_repr
from typing import Any, Final, TypedDict, Unpack

from p2pnet.interfaces import Address
from p2pnet.testing.clock import Clock
from p2pnet.testing.host import Host, Port, literal

__all__ = ["Conditions", "Fate", "Hook", "Host", "Network", "Port"]

MAX_CALLS_AT_ONE_INSTANT: Final = 100_000
"""Calls and deliveries that may come of one another while time stands still."""


class Fate(Enum):
    """
    What became of one copy of a datagram.
    """

    DELIVERED = "delivered"
    """It arrived."""
    DUPLICATED = "duplicated"
    """Delivered too, as the copy that the network made."""
    LOST = "lost"
    """By chance, by a partition or by `Network.drop_if`."""
    TOO_BIG = "too big"
    """Over the MTU of the link."""
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


def _describe(function: Callable[..., object]) -> str:
    """
    A function by name and by the line it was written on: a lambda's name says nothing.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(function)
    line = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno}: {line})"


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
        self._clock = Clock()
        self._running = False

    def host(self, *addresses: str) -> Host:
        """
        The machine with these literal addresses, made when first asked for.

        :raise ValueError: no address, no literal address, or one that another machine has.
        """
        names = list(dict.fromkeys(literal(address)[0] for address in addresses))
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
        Change conditions from ``a`` to ``b``, and back unless ``one_way``; the rest stays as it is.

        What is under way already is not affected, so a shorter latency lets datagrams overtake.

        :raise ValueError: a condition is out of range.
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
        first, second = literal(a)[0], literal(b)[0]
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
        single exception as it is and several as an ``ExceptionGroup``.

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
        Do the next thing, if it is due by ``deadline``.
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
