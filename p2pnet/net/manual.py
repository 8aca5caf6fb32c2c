"""
A manager without a reactor, for game loops and scripts.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Unpack

from p2pnet.interfaces import Address, INetEventListener
from p2pnet.net.base import BaseNetManager, Options
from p2pnet.net.conditioner import Conditioner
from p2pnet.net.driver import Pump
from p2pnet.net.events import AnyEvent, SocketFailed
from p2pnet.net.peer import NetPeer
from p2pnet.net.sockets import UdpSocket
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.events import (
    ConnectionRequested,
    NatIntroductionRequested,
    PeerDisconnected,
    UnconnectedReceived,
)
from p2pnet.rudp.received import MessagesReceived

_DATAGRAMS_PER_CALL: Final = 1024
_MAX_FROM_STRANGERS: Final = 1024
"""Events that wait for `poll` at once and that anybody can cause."""


class ManualNetManager(BaseNetManager):
    """
    All connections behind one UDP port, moved by the calls of whoever owns it.

    :param listener: hears what happens, in `poll`.
    :param options: see `p2pnet.net.base.Options`.

    Has what `INetManager` has, but `connect` gives the peer at once, and no ``open_relay``: a relay
    has to be renewed also while nobody moves us.
    Once per frame::

        manager.receive()
        manager.poll()
        ...             # the frame: peer.send(...)
        manager.update()

    Not thread-safe.  If `EndpointConfig.receive_queue_limit` is set, a peer whose messages wait for
    `poll` in more bytes than that is not listened to: it repeats what is reliable (PITFALLS B3).
    """

    def __init__(self, listener: INetEventListener, **options: Unpack[Options]) -> None:
        super().__init__(listener, **options)
        self._running = False
        self._sockets: list[UdpSocket] = []
        self._told: deque[AnyEvent] = deque()
        """What waits for `poll`."""
        self._from_strangers = 0
        self._unread: dict[Connection, int] = {}
        """Bytes in there of each connection."""
        self._held: set[Connection] = set()

    def _make_driver(self, endpoint: Endpoint, conditioner: Conditioner) -> Pump:
        return Pump(
            endpoint,
            conditioner=conditioner,
            clock=self.clock,
            send=self._udp.send,
            deliver=self._dispatch.deliver,
        )

    @property
    def is_running(self) -> bool:
        return self._running

    def start(self) -> None:
        """
        Bind the port; does nothing if that is done.

        :raise twisted.internet.error.CannotListenError: that fails.
        """
        if self._running:
            return
        self._sockets = []
        self._open(self._binding, self._open_socket)
        self._running = True

    def stop(self) -> None:
        """
        Say goodbye to all peers, once, and free the port.

        What there is to tell can still be polled.
        """
        if not self._running:
            return
        self._say_goodbye()
        self._driver.transmit()
        self._collect()
        self._running = False
        self._unread.clear()
        self._held.clear()
        self._driver.conditioner.clear()
        self._dispatch.disappoint()
        self._udp.close()

    def receive(self, limit: int = _DATAGRAMS_PER_CALL) -> None:
        """
        Take what has arrived, without waiting for anything.

        :param limit: datagrams to take of each socket at most; the rest stays for the next call.
        """
        if not self._running:
            return
        for bound in self._sockets:
            bound.drain(limit, self._take, self._socket_failed)
        self._driver.admit(self.clock())
        self._collect()

    def update(self) -> None:
        """
        Do what is due, and send all there is to send.
        """
        if not self._running:
            return
        now = self.clock()
        self._driver.advance(now)
        self._collect()
        self._driver.transmit()
        self._collect()

    def poll(self) -> None:
        """
        Tell the listener what has happened up to now, oldest first.
        """
        self._collect()
        for _ in range(len(self._told)):
            event = self._told.popleft()
            self._count(event, -1)
            self._driver.deliver(event)

    def connect(
        self,
        address: Address,
        data: bytes | str = b"",
        *,
        listener: INetEventListener | None = None,
        peer_to_peer: bool = False,
    ) -> NetPeer:
        """
        As `p2pnet.interfaces.INetManager.connect`, but gives the peer at once:
        `p2pnet.interfaces.INetEventListener.peer_connected` or ``peer_disconnected`` tells how it
        went.
        """
        return self._dial(address, data, listener, peer_to_peer)[1]

    # ------------------------------------------------------------ inside

    def _open_socket(self, interface: str, port: int, dual: bool) -> UdpSocket:
        bound = self._bind_socket(interface, port, dual)
        self._sockets.append(bound)
        return bound

    def _take(self, data: bytes, address: Address) -> None:
        self._driver.receive_datagram(data, address)
        if self._config.receive_queue_limit:
            # At once: the next datagram may be one too many.
            self._collect()

    def _collect(self) -> None:
        for event in self._driver.events():
            if self._count(event, 1):
                self._told.append(event)
            else:
                self._count_drop("not polled")

    def _count(self, event: AnyEvent, change: int) -> bool:
        """
        Keep account of what waits; false if there is no room for ``event``.
        """
        match event:
            case MessagesReceived():
                # What is empty takes room, too.
                size = sum(len(message) or 1 for message in event.messages)
                self._count_unread(event.connection, change * size)
            case PeerDisconnected(connection) if change < 0:
                self._unread.pop(connection, None)
                self._held.discard(connection)
            case (
                ConnectionRequested()
                | UnconnectedReceived()
                | NatIntroductionRequested()
                | SocketFailed()
            ):
                if change > 0 and self._from_strangers >= _MAX_FROM_STRANGERS:
                    return False
                self._from_strangers += change
        return True

    def _count_unread(self, connection: Connection, change: int) -> None:
        limit = self._config.receive_queue_limit
        if not limit:
            return
        unread = self._unread.get(connection, 0) + change
        self._unread[connection] = unread
        if unread >= limit and connection not in self._held:
            self._held.add(connection)
            self._endpoint.hold(connection, True)
        elif unread < limit and connection in self._held:
            self._held.remove(connection)
            self._endpoint.hold(connection, False)
