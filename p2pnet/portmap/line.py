"""
A UDP socket to the gateway, and the timer of the machine that speaks over it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol

from p2pnet.portmap.client import MappingClient
from p2pnet.portmap.mapping import Event, PortUnmapped

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.wire.constants import Address


class GatewayLine(DatagramProtocol):
    """
    Runs a `MappingClient`.  The socket is connected: the kernel keeps all others out, and tells
    when nobody listens at the gateway.

    :param reactor: ``IReactorUDP``.
    :param clock: seconds that never go back.
    :param local: our own address on the way to the gateway.
    :param told: takes what happens, until `stop`.
    """

    noisy = False

    def __init__(
        self,
        client: MappingClient,
        *,
        reactor: Any,
        clock: IReactorTime,
        local: str,
        told: Callable[[Event], None],
    ) -> None:
        self._client = client
        self._reactor = reactor
        self._clock = clock
        self._local = local
        self._told = told
        self._port: Any = None
        self._timer: IDelayedCall | None = None
        self._leaving: Deferred[None] | None = None

    def start(self) -> None:
        """
        Ask for the mapping.

        :raise twisted.internet.error.CannotListenError: there is no socket to be had.
        :raise OSError: there is no way to the gateway.
        """
        self._open()
        self._client.map(self._clock.seconds())
        self._pump()

    def check(self) -> None:
        """
        See `MappingClient.check`.
        """
        self._client.check(self._clock.seconds())
        self._pump()

    def stop(self) -> Deferred[None]:
        """
        Give the mapping back, if there is one, and close; nothing is told from now on.  Once only.

        Fires within `p2pnet.portmap.client.FAREWELL` seconds, whatever the router does.
        """
        self._leaving = Deferred()
        leaving = self._leaving
        self._client.unmap(self._clock.seconds())
        self._pump()
        return leaving

    # ------------------------------------------------------------ DatagramProtocol

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self._client.receive_datagram(datagram, addr, self._clock.seconds())
        self._pump()

    def connectionRefused(self) -> None:
        self._client.port_unreachable(self._clock.seconds())
        self._pump()

    def stopProtocol(self) -> None:
        # Twisted's epoll reactor does not call connectionRefused; it closes the socket.
        self._port = None
        self.connectionRefused()

    # ------------------------------------------------------------

    def _open(self) -> None:
        port = self._reactor.listenUDP(0, self, interface=self._local)
        try:
            port.connect(*self._client.server)
        except OSError:
            port.stopListening()
            raise
        self._port = port

    def _pump(self) -> None:
        while self._transmit() | self._tell():
            pass
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        due = self._client.next_timeout()
        if due is not None:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._wake)

    def _wake(self) -> None:
        self._client.handle_timeout(self._clock.seconds())
        self._pump()

    def _transmit(self) -> bool:
        datagrams = self._client.datagrams_to_send()
        for datagram in datagrams:
            # No route at this moment, or a firewall of our own: as good as lost on the way.
            with suppress(OSError, CannotListenError):
                if self.transport is None:
                    self._open()
                if self._port is not None:
                    self._port.write(datagram)
        return bool(datagrams)

    def _tell(self) -> bool:
        events = self._client.events()
        for event in events:
            if self._leaving is None:
                self._told(event)
            elif isinstance(event, PortUnmapped):
                self._close(self._leaving)
        return bool(events)

    def _close(self, leaving: Deferred[None]) -> None:
        closed = None if self.transport is None else self.transport.stopListening()
        (closed or succeed(None)).addBoth(lambda _: leaving.callback(None))
