"""
One machine on a `p2pnet.testing.network.Network`, and its UDP ports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL
from functools import lru_cache, partial
from ipaddress import ip_address
from itertools import chain
from os import strerror
from typing import TYPE_CHECKING, Any, Final, NoReturn

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
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
from p2pnet.testing.clock import Call

if TYPE_CHECKING:
    from p2pnet.testing.network import Network

EPHEMERAL_PORTS: Final = range(49152, 65536)
"""What port 0 chooses from, in order (RFC 6335 §6)."""
MAX_DATAGRAM_SIZE: Final = 65507
"""Payload, in bytes, above which a real socket refuses to send (IPv4: 65535 - 20 - 8)."""


@lru_cache(maxsize=65536)
def literal(text: str) -> tuple[str, int]:
    """
    The one spelling of a literal address, and its IP version.  Scopes go, as Twisted drops them.

    :raise twisted.internet.error.InvalidAddressError: it is none.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        raise InvalidAddressError(text, "not a literal IPv4 or IPv6 address") from None
    return str(address), address.version


def cannot_listen(interface: str, port: int, code: int) -> CannotListenError:
    """
    The error that a port cannot be bound; ``code`` is an errno.
    """
    return CannotListenError(interface, port, OSError(code, strerror(code)))


@implementer(IListeningPort, IUDPTransport)
class Port:
    """
    One bound UDP port, as ``twisted.internet.udp.Port`` behaves on Linux, without connected mode.
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
        target, version = literal(addr[0])
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
        """
        Not there.

        :raise NotImplementedError: always.
        """
        raise NotImplementedError("connected mode is not simulated")

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """
        Remembered, and without effect: the network has no broadcasts.
        """
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

    :ivar addresses: literal IPs.
    :ivar address: the first of them.
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
        :param maxPacketSize: longer datagrams are cut off, as ``recvfrom`` does.
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
        Call when ``delay`` seconds have passed, after whatever is due at that time already.

        :raise ValueError: the delay is negative or no number.
        """
        if not delay >= 0:
            raise ValueError(f"delay must not be negative: {delay!r}")
        clock = self.network._clock
        call = Call(clock, self, (partial(callable, **kwargs) if kwargs else callable, args))
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
        has_ipv4 = any(literal(address)[1] == 4 for address in self.addresses)
        name, version = literal(interface or ("0.0.0.0" if has_ipv4 else "::"))
        names = self.addresses if name in ("0.0.0.0", "::") else (name,)
        ours = [a for a in names if a in self.addresses and literal(a)[1] == version]
        if not ours:
            raise cannot_listen(interface, number, EADDRNOTAVAIL)
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
        raise cannot_listen(interface, number, EADDRINUSE)

    def _release(self, bound: Sequence[Address]) -> None:
        for address in bound:
            del self.network._ports[address]

    def __repr__(self) -> str:
        return f"<Host {' '.join(self.addresses)} of {self.network!r}>"
