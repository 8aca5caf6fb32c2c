"""
What a user of the engine creates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFDSet
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    INetEventListener,
    INetManager,
    INetPeer,
    IRelay,
    RelayFailed,
)
from p2pnet.net.base import BaseNetManager, Options
from p2pnet.net.conditioner import Conditioner
from p2pnet.net.driver import EndpointDriver, TickingDriver
from p2pnet.net.reactor import ForeignPort, WatchedSocket
from p2pnet.net.sharing import Receiver
from p2pnet.net.udp import Leg
from p2pnet.rudp.endpoint import Endpoint

if TYPE_CHECKING:
    from p2pnet.net.relays import Relays
    from p2pnet.turn.server import TurnServer

_GOODBYE_PATIENCE: Final = 0.5
"""Seconds to wait for peers to confirm that we leave, and for relays to let go of us."""
_RELAY_PATIENCE: Final = 0.1
"""Of those, seconds that are kept for the relays."""
_GOODBYE_POLL: Final = 0.02


@implementer(INetManager)
class NetManager(BaseNetManager, Service):
    """
    All connections behind one UDP port, as a Twisted service.

    :param listener: hears what happens.
    :param reactor: ``IReactorTime``, and ``IReactorFDSet`` or, as `p2pnet.testing.Host`,
        ``IReactorUDP``.
    :param update_time: 0: what one reactor turn brings leaves at its end.  More: seconds between
        the ticks on which alone things are sent, as LiteNetLib does with 0.015; 1 at most.
    :param options: see `p2pnet.net.base.Options`.
    :raise ValueError: ``update_time`` is out of range, or options contradict each other.

    Starting the service binds the port and raises ``twisted.internet.error.CannotListenError`` if
    that fails, or `p2pnet.rudp.errors.RudpError` while an earlier stop still says goodbye.
    Stopping it says goodbye to all peers, closes the relays and takes half a second at most.
    """

    _driver: EndpointDriver

    def __init__(
        self,
        listener: INetEventListener,
        *,
        reactor: Any,
        update_time: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        if not 0 <= update_time <= 1:
            raise ValueError(f"update_time must be in 0..1 s, not {update_time}")
        self._reactor = reactor
        self._update_time = update_time
        self._relays: Relays | None = None
        super().__init__(listener, **options)

    def _make_driver(self, endpoint: Endpoint, conditioner: Conditioner) -> EndpointDriver:
        driver = TickingDriver if self._update_time else EndpointDriver
        return driver(
            endpoint,
            reactor=self._reactor,
            period=self._update_time,
            conditioner=conditioner,
            clock=self.clock,
            send=self._udp.send,
            deliver=self._dispatch.deliver,
        )

    # ------------------------------------------------------------ service

    @property
    def is_running(self) -> bool:
        """
        Started, and not stopped.
        """
        return bool(self.running)

    def startService(self) -> None:
        if IReactorFDSet.providedBy(self._reactor):
            self._open(self._binding, self._open_socket)
        else:
            # Its ports are made by itself, and never dual-stack.
            self._open(self._binding.separately(), self._open_port)
        self._driver.start()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._say_goodbye()
        self._driver.pump()
        done: Deferred[None] = Deferred()
        self._wait_for_goodbyes(done, self.clock() + _GOODBYE_PATIENCE)
        return done

    def _wait_for_goodbyes(self, done: Deferred[None], deadline: float) -> None:
        # Goodbyes may go through relays, so these are given back afterwards.
        kept = _RELAY_PATIENCE if self._relays else 0.0
        if self._endpoint.has_goodbyes and self.clock() < deadline - kept:
            self._reactor.callLater(_GOODBYE_POLL, self._wait_for_goodbyes, done, deadline)
            return
        closed: Deferred[Any] = succeed(None)
        if self._relays:
            closed = self._relays.close(max(0.0, deadline - self.clock()))
        closed.addCallback(lambda _: self._finish(done))

    def _finish(self, done: Deferred[None]) -> None:
        self._driver.stop()
        self._dispatch.disappoint()
        self._udp.close().addBoth(lambda _: done.callback(None))

    def _open_socket(self, interface: str, port: int, dual: bool) -> Leg:
        bound = self._bind_socket(interface, port, dual)
        driver = self._driver
        return WatchedSocket(
            bound, self._reactor, driver.receive_datagram, driver.socket_failed, driver.drained
        )

    def _open_port(self, interface: str, port: int, dual: bool) -> Leg:
        return ForeignPort(interface, port, self._reactor, self._take)

    def _take(self, data: bytes, address: Address) -> None:
        self._driver.receive_datagram(data, address)
        self._driver.pump_soon()

    # ------------------------------------------------------------ INetManager

    def connect(
        self,
        address: Address,
        data: bytes | str = b"",
        *,
        listener: INetEventListener | None = None,
        peer_to_peer: bool = False,
    ) -> Deferred[INetPeer]:
        connection, peer = self._dial(address, data, listener, peer_to_peer)

        def give_up(waiting: Deferred[INetPeer]) -> None:
            if self._dispatch.give_up(connection, waiting):
                self.disconnect(connection, b"")

        connected: Deferred[INetPeer] = Deferred(give_up)
        if connection.state is ConnectionState.CONNECTED:
            connected.callback(peer)
        else:
            self._dispatch.wait(connection, connected)
        return connected

    def open_relay(self, server: TurnServer, receiver: Receiver) -> Deferred[IRelay]:
        if not self.is_running:
            return fail(RelayFailed("the NetManager is not running"))
        if self._relays is None:
            # It loads a codec for STUN, which few need.
            from p2pnet.net.relays import Relays

            self._relays = Relays(
                reactor=self._reactor, udp=self._udp, driver=self._driver, random=self._random
            )
        return self._relays.open(server, receiver)
