"""
Sockets that a reactor watches.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, EMSGSIZE
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorFDSet,
    IReactorUDP,
    IReadDescriptor,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from p2pnet.net.sockets import MAX_UDP_PAYLOAD, Failed, Received, UdpSocket
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address

if TYPE_CHECKING:
    from twisted.python.failure import Failure

_READS_PER_TURN: Final = 256
"""After so many, others have their turn.  Twisted's own port counts bytes, and empty datagrams are
none: who floods it with those stops the reactor."""


@implementer(IReadDescriptor)
class WatchedSocket:
    """
    A socket that is read whenever there is something.

    :param received: takes each datagram and where it came from.
    :param failed: takes what went wrong with reading, and None for the address.
    :param drained: called when the socket was read, with whether that emptied it.
    :ivar version: 4 or 6.
    :ivar local_port: the bound port.
    """

    log = Logger()

    def __init__(
        self,
        bound: UdpSocket,
        reactor: IReactorFDSet,
        received: Received,
        failed: Failed,
        drained: Callable[[bool], object] | None = None,
    ) -> None:
        self._bound = bound
        self._reactor = reactor
        self._received = received
        self._failed = failed
        self._drained = drained
        self.version = bound.version
        self.local_port = bound.local_port
        self.send = bound.send
        self._name = f"UDP {bound.local_port}"
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._bound.fileno()

    def logPrefix(self) -> str:
        return self._name

    def doRead(self) -> None:
        emptied = True
        # Out of here an exception would make the reactor forget us.
        try:
            emptied = self._bound.drain(_READS_PER_TURN, self._received, self._failed, True)
        except Exception:
            self.log.failure("a datagram could not be processed")
        if self._drained is None:
            return
        try:
            self._drained(emptied)
        except Exception:
            self.log.failure("what came of some datagrams could not be sent")

    @property
    def takes_runs(self) -> bool:
        """
        See `p2pnet.net.udp.Leg.takes_runs`.
        """
        return self._bound.takes_runs

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    def close(self) -> None:
        """
        Watch no more, and free the port.
        """
        self._reactor.removeReader(self)
        self._bound.close()


class ForeignPort(DatagramProtocol):
    """
    A UDP port that belongs to the reactor.

    :param received: takes each datagram and where it came from.
    :ivar version: 4 or 6.
    :ivar local_port: the bound port.
    :raise twisted.internet.error.CannotListenError: the port is taken, or not ours to take.
    """

    noisy = False
    takes_runs = False

    def __init__(self, interface: str, port: int, reactor: IReactorUDP, received: Received) -> None:
        self.version = 6 if ":" in interface else 4
        self._received = received
        self._port: IListeningPort = reactor.listenUDP(
            port, self, interface=interface, maxPacketSize=MAX_UDP_PAYLOAD
        )
        host = self._port.getHost()
        assert isinstance(host, IPv4Address | IPv6Address)
        self.local_port = host.port

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self._received(datagram, addr)

    def send(self, transmit: Transmit) -> None:
        """
        Put a datagram on the wire; its time to live is the port's own.

        :raise OSError: the port is closed, or EMSGSIZE: no UDP datagram is that long.
        """
        if self.transport is None:
            raise OSError(EINVAL, "the port is closed")
        try:
            self.transport.write(transmit.data, transmit.address)
        except MessageLengthError as error:
            raise OSError(EMSGSIZE, str(error)) from error

    def close(self) -> Deferred[Any] | None:
        """
        Free the port; fires when it is free.
        """
        return self._port.stopListening()
