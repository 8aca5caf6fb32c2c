"""
What a user of the engine creates.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DeliveryMethod,
    INetEventListener,
    INetManager,
    INetPeer,
)
from p2pnet.net.dispatch import Dispatch
from p2pnet.net.driver import EndpointDriver
from p2pnet.net.nat import NatPunchModule
from p2pnet.net.peer import NetPeer
from p2pnet.net.udp import UdpPort
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.errors import RudpError
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.serialization.writer import NetDataWriter
from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND

_GOODBYE_PATIENCE = 0.5
"""Seconds to wait for peers to confirm that we leave."""
_GOODBYE_POLL = 0.02


@implementer(INetManager)
class NetManager(Service):
    """
    All connections behind one UDP port, as a Twisted service.

    :param listener: hears what happens.
    :param reactor: `IReactorTime` and `IReactorUDP`.
    :param port: the UDP port to bind; 0 takes a free one.
    :param interface: the IP to bind; "" is every IPv4 address, "::" every IPv6 address.
    :param config: see `EndpointConfig`.
    :param clock: seconds that never go back.
    :param wall: unix seconds, read once at the start for the timestamps on the wire.
    :param random: ``random(k)`` gives k unguessable bits.

    Starting the service binds the port and raises
    `twisted.internet.error.CannotListenError` if that fails.  Stopping it says goodbye to all peers
    and takes half a second at most.
    """

    def __init__(
        self,
        listener: INetEventListener,
        *,
        reactor: Any,
        port: int = 0,
        interface: str = "",
        config: EndpointConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._reactor = reactor
        self._requested_port = port
        self._interface = interface
        self._clock = clock
        epoch = DOTNET_UNIX_EPOCH_TICKS + int((wall() - clock()) * TICKS_PER_SECOND)
        self._endpoint = Endpoint(config or EndpointConfig(), epoch=epoch, random=random)
        self._dispatch = Dispatch(self, listener)
        self._udp = UdpPort(self._receive, self._dispatch.network_error)
        self._driver = EndpointDriver(
            self._endpoint,
            reactor=reactor,
            clock=clock,
            send=self._udp.send,
            deliver=self._dispatch.deliver,
        )
        self.nat = NatPunchModule(self._driver)

    # ------------------------------------------------------------ service

    def startService(self) -> None:
        self._udp.listen(self._reactor, self._requested_port, self._interface)
        self._driver.start()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        for connection, _ in self._dispatch.peers():
            self._endpoint.disconnect(connection, b"", self._clock())
        self._driver.pump()
        done: Deferred[None] = Deferred()
        self._wait_for_goodbyes(done, self._clock() + _GOODBYE_PATIENCE)
        return done

    def _wait_for_goodbyes(self, done: Deferred[None], deadline: float) -> None:
        if self._endpoint.has_goodbyes and self._clock() < deadline:
            self._reactor.callLater(_GOODBYE_POLL, self._wait_for_goodbyes, done, deadline)
            return
        self._driver.stop()
        self._udp.close().addBoth(lambda _: done.callback(None))

    # ------------------------------------------------------------ INetManager

    @property
    def local_port(self) -> int:
        return self._udp.local_port if self.running else 0

    @property
    def peers(self) -> Sequence[INetPeer]:
        return [
            peer
            for connection, peer in self._dispatch.peers()
            if connection.state is ConnectionState.CONNECTED
        ]

    @property
    def statistics(self) -> NetStatistics:
        """
        Counters of this port.
        """
        return self._endpoint.statistics

    def connect(
        self,
        address: Address,
        data: bytes | str = b"",
        *,
        listener: INetEventListener | None = None,
        peer_to_peer: bool = False,
    ) -> Deferred[INetPeer]:
        if not self.running:
            raise RudpError("the NetManager is not running")
        if isinstance(data, str):
            writer = NetDataWriter()
            writer.put_string(data)
            data = writer.data()
        connection = self._endpoint.connect(
            address, data, self._clock(), peer_to_peer=peer_to_peer
        )
        peer = self._dispatch.peer(connection, listener)
        self._driver.pump_soon()

        def give_up(waiting: Deferred[INetPeer]) -> None:
            if self._dispatch.give_up(connection, waiting):
                self.disconnect(connection, b"")

        connected: Deferred[INetPeer] = Deferred(give_up)
        if connection.state is ConnectionState.CONNECTED:
            connected.callback(peer)
        else:
            self._dispatch.wait(connection, connected)
        return connected

    def send_unconnected(self, address: Address, data: bytes) -> None:
        self._endpoint.send_unconnected(address, data)
        self._driver.pump_soon()

    # ------------------------------------------------------------ for NetPeer and ConnectionRequest

    def send(
        self,
        connection: Connection,
        data: bytes,
        method: DeliveryMethod,
        channel: int,
        user_data: Any = None,
    ) -> None:
        """
        `NetPeer.send`.
        """
        self._endpoint.send(connection, data, method, channel, user_data)
        self._driver.pump_soon()

    def disconnect(self, connection: Connection, data: bytes) -> None:
        """
        `NetPeer.disconnect`.
        """
        self._endpoint.disconnect(connection, data, self._clock())
        self._driver.pump_soon()

    def disconnect_force(self, connection: Connection) -> None:
        """
        `NetPeer.disconnect_force`.
        """
        self._endpoint.disconnect_force(connection, self._clock())
        self._driver.pump_soon()

    def is_pending(self, request: IncomingRequest) -> bool:
        """
        The request can still be decided.
        """
        return self._endpoint.is_pending(request)

    def accept(self, request: IncomingRequest, listener: INetEventListener | None) -> NetPeer:
        """
        `ConnectionRequest.accept`.
        """
        connection = self._endpoint.accept(request, self._clock())
        self._driver.pump_soon()
        return self._dispatch.peer(connection, listener)

    def reject(self, request: IncomingRequest, data: bytes) -> None:
        """
        `ConnectionRequest.reject`.
        """
        self._endpoint.reject(request, data, self._clock())
        self._driver.pump_soon()

    def reject_force(self, request: IncomingRequest, data: bytes) -> None:
        """
        `ConnectionRequest.reject_force`.
        """
        self._endpoint.reject_force(request, data)
        self._driver.pump_soon()

    # ------------------------------------------------------------ inside

    def _receive(self, data: bytes, address: Address) -> None:
        self._driver.receive_datagram(data, address)
