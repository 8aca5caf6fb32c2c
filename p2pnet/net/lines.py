"""
Ways to a TURN server: our own UDP port, or a TCP connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IConsumer, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pnet.net.sharing import SharedPort
from p2pnet.net.udp import UdpPort
from p2pnet.rudp.transmit import Transmit
from p2pnet.turn.stream import MalformedStream, MessageStream
from p2pnet.wire.constants import Address

_CONNECTING: Final = 5
"""Seconds a TCP connection may take to open."""


class Line(Protocol):
    """
    A way to one TURN server, used once.
    """

    @property
    def is_full(self) -> bool:
        """
        What has been sent is not gone yet, so that more should be dropped.
        """

    def open(self) -> Deferred[Any]:
        """
        Be ready to send; fires when it is so, and fails if that cannot be.
        """

    def send(self, data: bytes, may_fragment: bool) -> None:
        """
        Send one message.
        """

    def close(self) -> Deferred[None]:
        """
        End; fires when that is done, and never fails.
        """


class UdpLine:
    """
    Datagrams of our own port.

    :param received: takes each message of the server.
    """

    is_full = False

    def __init__(
        self,
        server: Address,
        udp: UdpPort,
        shared: SharedPort,
        received: Callable[[bytes], None],
    ) -> None:
        self._server = server
        self._udp = udp
        self._shared = shared
        self._received = received

    def open(self) -> Deferred[None]:
        """
        Take what comes from the server from now on.
        """
        self._shared.claim(self._server, self._received)
        return succeed(None)

    def send(self, data: bytes, may_fragment: bool) -> None:
        """
        Send one message.
        """
        self._udp.send_beside(Transmit(self._server, data, None, may_fragment))

    def close(self) -> Deferred[None]:
        """
        Leave what comes from the server to others.
        """
        self._shared.release(self._server)
        return succeed(None)


@implementer(IPushProducer)
class TcpLine(StreamProtocol):
    """
    A TCP connection.

    :param reactor: ``IReactorTCP`` and ``IReactorTime``.
    :param received: takes each message of the server.
    :param lost: is told, for a person, why the connection has ended without `close`.
    """

    def __init__(
        self,
        server: Address,
        reactor: Any,
        received: Callable[[bytes], None],
        lost: Callable[[str], None],
    ) -> None:
        self.is_full = False
        self._server = server
        self._reactor = reactor
        self._received = received
        self._lost = lost
        self._stream = MessageStream()
        self._connecting: Deferred[Any] | None = None
        self._connection: ITCPTransport | None = None
        self._closing = False
        self._closed: Deferred[None] = Deferred()

    def open(self) -> Deferred[Any]:
        """
        Connect; gives up after five seconds.
        """
        host, port = self._server
        kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        self._connecting = connectProtocol(
            kind(self._reactor, host, port, timeout=_CONNECTING), self
        )
        return self._connecting

    def send(self, data: bytes, may_fragment: bool) -> None:
        """
        Send one message.
        """
        if self._connection is not None:
            self._connection.write(data)

    def close(self) -> Deferred[None]:
        """
        End the connection, or the attempt to make one.
        """
        self._closing = True
        if self._connection is not None:
            self._connection.abortConnection()
            return self._closed
        if self._connecting is not None:
            self._connecting.cancel()
        return succeed(None)

    # ------------------------------------------------------------ for Twisted

    def connectionMade(self) -> None:
        self._connection = ITCPTransport(self.transport)
        # What waits to be sent in fewer segments comes too late.
        self._connection.setTcpNoDelay(True)
        IConsumer(self.transport).registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        try:
            messages = self._stream.receive(data)
        except MalformedStream as error:
            self._end(f"the TURN server speaks another protocol: {error}")
            return
        for message in messages:
            self._received(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connection = None
        self._closed.callback(None)
        self._end(f"the connection with the TURN server has ended: {reason.getErrorMessage()}")

    def pauseProducing(self) -> None:
        self.is_full = True

    def resumeProducing(self) -> None:
        self.is_full = False

    def stopProducing(self) -> None:
        """
        `connectionLost` tells.
        """

    def _end(self, why: str) -> None:
        if not self._closing:
            self._closing = True
            self._lost(why)
