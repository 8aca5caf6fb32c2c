"""
A machine behind a NAT, on an internet in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IListeningPort,
    IReactorTime,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import AbstractDatagramProtocol, DatagramProtocol
from zope.interface import implementer

from p2pnet.interfaces import Address
from p2pnet.testing import Network

INSIDE = "192.168.1.2"
"""The machine's own address; every home has it."""


@implementer(IReactorUDP, IReactorTime)
class Home:
    """
    A reactor whose only port is behind a NAT with the public address `host`.

    Lets in only what comes from an address and port that was sent to.

    :param symmetric: whoever is sent to sees another port.
    """

    def __init__(self, network: Network, host: str, *, symmetric: bool = False) -> None:
        self.symmetric = symmetric
        self.address = INSIDE
        self._router = network.host(host)
        self._inside: _Inside | None = None
        self._ways: list[_Way] = []

    @property
    def public(self) -> list[Address]:
        """
        At which addresses the machine is seen now, in the order in which they were first used.
        """
        return [way.address for way in self._ways]

    def restart(self) -> None:
        """
        The router forgets who had which port.
        """
        for way in self._ways:
            way.close()
        self._ways.clear()

    def way_to(self, target: Address) -> _Way:
        """
        The mapping for what goes to `target`.
        """
        for way in self._ways:
            if not self.symmetric or target in way.partners:
                return way
        assert self._inside is not None
        way = _Way(self._inside)
        way.port = self._router.listenUDP(0, way)
        self._ways.append(way)
        return way

    # ------------------------------------------------------------ a reactor

    def listenUDP(
        self,
        port: int,
        protocol: AbstractDatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> IListeningPort:
        assert self._inside is None, "there is one port"
        self._inside = _Inside(self, port or 5000, protocol)
        protocol.makeConnection(self._inside)
        return self._inside

    def leave(self) -> None:
        """
        The port has closed.
        """
        self.restart()
        self._inside = None

    def seconds(self) -> float:
        return self._router.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> IDelayedCall:
        return self._router.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return self._router.getDelayedCalls()


@implementer(IListeningPort, IUDPTransport)
class _Inside:
    """
    The port of the machine itself.
    """

    def __init__(self, home: Home, port: int, protocol: AbstractDatagramProtocol) -> None:
        self.protocol = protocol
        self._home = home
        self._port = port

    def startListening(self) -> None:
        pass

    def stopListening(self) -> Deferred[None]:
        self._home.leave()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", INSIDE, self._port)

    def write(self, packet: bytes, addr: Address | None = None) -> None:
        assert addr is not None
        self._home.way_to(addr).send(packet, addr)

    def connect(self, host: str, port: int) -> None:
        raise NotImplementedError

    def setBroadcastAllowed(self, enabled: bool) -> None:
        pass

    def getBroadcastAllowed(self) -> bool:
        return False


class _Way(DatagramProtocol):
    """
    One port of the router, and who may send to it.
    """

    noisy = False

    def __init__(self, inside: _Inside) -> None:
        self.partners: set[Address] = set()
        self.port: Any = None
        self._inside = inside

    @property
    def address(self) -> Address:
        bound: Address = self.port._bound[0]
        return bound

    def send(self, data: bytes, target: Address) -> None:
        self.partners.add(target)
        self.port.write(data, target)

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        if addr in self.partners:
            self._inside.protocol.datagramReceived(datagram, addr)

    def close(self) -> None:
        self.port.stopListening()
