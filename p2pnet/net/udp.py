"""
The UDP port of a NetManager.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IReactorUDP, IUDPTransport
from twisted.internet.protocol import DatagramProtocol

from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address

_MAX_UDP_PAYLOAD = 65507
_BUFFER_SIZE = 1 << 20
"""Asked of the kernel in each direction, as LiteNetLib does (NetConstants.SocketBufferSize)."""


class UdpPort(DatagramProtocol):
    """
    One bound socket.

    :param received: takes each datagram and where it came from.
    :param failed: takes the address that could not be reached, and why.
    """

    noisy = False

    def __init__(
        self,
        received: Callable[[bytes, Address], None],
        failed: Callable[[Address | None, OSError], None],
    ) -> None:
        self._received = received
        self._failed = failed

    def listen(self, reactor: IReactorUDP, port: int, interface: str) -> None:
        """
        Bind.

        :raise twisted.internet.error.CannotListenError: the port is taken, or not ours to take.
        """
        self._port = reactor.listenUDP(
            port, self, interface=interface, maxPacketSize=_MAX_UDP_PAYLOAD
        )

    @property
    def local_port(self) -> int:
        """
        The bound port.
        """
        host = self._port.getHost()
        assert isinstance(host, IPv4Address | IPv6Address)
        return host.port

    def startProtocol(self) -> None:
        sock = self._socket()
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_SIZE)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_SIZE)

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self._received(datagram, addr)

    def send(self, transmit: Transmit) -> None:
        """
        Put a datagram on the wire; errors go to `failed`.
        """
        transport = self.transport
        if transport is None:
            return
        try:
            if transmit.ttl is None:
                transport.write(transmit.data, transmit.address)
            else:
                self._send_with_ttl(transport, transmit, transmit.ttl)
        except BlockingIOError:
            # The kernel's buffer is full: as good as lost on the way.
            pass
        except OSError as error:
            self._failed(transmit.address, error)
        except (MessageLengthError, ValueError) as error:
            # ValueError: an address of the other family than the socket's.
            self._failed(transmit.address, OSError(str(error)))

    def close(self) -> Deferred[Any]:
        """
        Free the port; fires when it is free.
        """
        return maybeDeferred(self._port.stopListening)

    def _send_with_ttl(self, transport: IUDPTransport, transmit: Transmit, ttl: int) -> None:
        sock = self._socket()
        if sock is None or sock.family is not socket.AF_INET:
            transport.write(transmit.data, transmit.address)
            return
        usual = sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        try:
            transport.write(transmit.data, transmit.address)
        finally:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, usual)

    def _socket(self) -> socket.socket | None:
        # A transport in memory has none.
        return getattr(self.transport, "socket", None)
