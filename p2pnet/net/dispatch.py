"""
Events, which are values, into calls of listeners.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import chain
from time import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel

from p2pnet.interfaces import (
    Address,
    ConnectFailed,
    DisconnectInfo,
    DisconnectReason,
    IDeliveryEventListener,
    INetEventListener,
    INetPeer,
    INtpEventListener,
    NtpRequestFailed,
)
from p2pnet.net.events import AnyEvent, SocketFailed
from p2pnet.net.peer import ConnectionRequest, NetPeer
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import (
    ConnectionRequested,
    LatencyUpdated,
    MessageDelivered,
    NatIntroductionRequested,
    NatIntroductionSucceeded,
    NtpFailed,
    NtpResponseReceived,
    PeerConnected,
    PeerDisconnected,
    UnconnectedReceived,
)
from p2pnet.rudp.received import MessagesReceived
from p2pnet.text import written

if TYPE_CHECKING:
    from p2pnet.net.base import BaseNetManager
    from p2pnet.wire.ntp import NtpPacket

_log: Final = Logger(__name__)
T = TypeVar("T")


class Dispatch:
    """
    Knows the peer of each connection, who listens to it and who waits for it.

    A listener that raises is logged, and the rest goes on.
    """

    def __init__(self, manager: BaseNetManager, listener: INetEventListener) -> None:
        self._manager = manager
        self._listener = listener
        self._peers: dict[Connection, NetPeer] = {}
        self._listeners: dict[Connection, INetEventListener] = {}
        self._waiting: dict[Connection, list[Deferred[INetPeer]]] = {}
        self._adopted: dict[Address, list[Deferred[INetPeer]]] = {}
        """Who waits for a connection that gave way to the remote's own (BEHAVIOUR §3.3)."""
        self._times: dict[Address, Deferred[NtpPacket]] = {}
        self._by_id: dict[int, NetPeer] = {}
        self._free_ids: deque[int] = deque()
        self._next_id = 0
        self._tellers: dict[type, Callable[[Any], None]] = {
            ConnectionRequested: self._requested,
            PeerConnected: self._connected,
            PeerDisconnected: self._disconnected,
            MessageDelivered: self._delivered,
            LatencyUpdated: self._latency_updated,
            UnconnectedReceived: self._unconnected_received,
            NatIntroductionRequested: self._introduction_requested,
            NatIntroductionSucceeded: self._introduction_succeeded,
            NtpResponseReceived: self._time_received,
            NtpFailed: self._time_failed,
            SocketFailed: self._socket_failed,
        }

    def peer(self, connection: Connection, listener: INetEventListener | None) -> NetPeer:
        """
        The peer of a connection, made if new; `listener`, if given, is told of it.
        """
        peer = self._peers.get(connection)
        if peer is None:
            # Freed numbers are given out again, the oldest first (BEHAVIOUR §14).
            if self._free_ids:
                id = self._free_ids.popleft()
            else:
                id = self._next_id
                self._next_id += 1
            peer = self._peers[connection] = NetPeer(self._manager, connection, id)
            self._by_id[id] = peer
            self._listeners[connection] = self._listener if listener is None else listener
        return peer

    def peers(self) -> list[tuple[Connection, NetPeer]]:
        """
        Connections that have not been reported as ended, oldest first.
        """
        return list(self._peers.items())

    def peer_by_id(self, id: int) -> NetPeer | None:
        """
        The peer with that number; None if there is none.
        """
        return self._by_id.get(id)

    def wait(self, connection: Connection, waiting: Deferred[INetPeer]) -> None:
        """
        Fire ``waiting`` when the connection opens or fails.
        """
        self._waiting.setdefault(connection, []).append(waiting)

    def give_up(self, connection: Connection, waiting: Deferred[INetPeer]) -> bool:
        """
        Fire ``waiting`` no more; True if it was the last to wait for the connection.
        """
        others = self._waiting.get(connection, [])
        if waiting not in others:
            return False
        others.remove(waiting)
        return not others

    def wait_for_time(self, address: Address, waiting: Deferred[NtpPacket]) -> None:
        """
        Fire ``waiting`` when the time server at ``address`` answers.
        """

        def settled(result: T) -> T:
            if self._times.get(address) is waiting:
                del self._times[address]
            return result

        self._times[address] = waiting
        waiting.addBoth(settled)

    def disappoint(self) -> None:
        """
        Nothing will come any more: fail whatever still waits.
        """
        adopted, self._adopted = self._adopted, {}
        for deferred in chain.from_iterable(adopted.values()):
            if not deferred.called:
                info = DisconnectInfo(DisconnectReason.DISCONNECT_PEER_CALLED)
                deferred.errback(ConnectFailed(info))
        for asking in list(self._times.values()):
            asking.cancel()

    def deliver(self, event: AnyEvent) -> None:
        """
        Tell the application.
        """
        if isinstance(event, MessagesReceived):
            connection, channel, method = event.connection, event.channel, event.method
            receive, peer = self._listeners[connection].network_receive, self._peers[connection]
            for data in event.messages:
                try:
                    receive(peer, data, channel, method)
                except Exception:
                    self._log_failure(receive)
        else:
            self._tellers[type(event)](event)

    # ------------------------------------------------------------ one for each kind of event

    def _requested(self, event: ConnectionRequested) -> None:
        # A stranger may send many, each replacing the one before.
        if self._manager.is_pending(event.request):
            asked = ConnectionRequest(self._manager, event.request)
            self._call(self._listener.connection_request, asked)

    def _connected(self, event: PeerConnected) -> None:
        connection = event.connection
        peer = self.peer(connection, None)
        self._log_peer("{id} at {where} is connected", peer)
        self._call(self._listeners[connection].peer_connected, peer)
        for waiting in (
            *self._waiting.pop(connection, ()),
            *self._adopted.pop(connection.address, ()),
        ):
            # What was told just now may have made somebody cancel it.
            if not waiting.called:
                waiting.callback(peer)

    def _disconnected(self, event: PeerDisconnected) -> None:
        connection, info = event.connection, event.info
        peer = self._peers.pop(connection)
        heard = self._listeners.pop(connection)
        del self._by_id[peer.id]
        waiting = self._waiting.pop(connection, [])
        self._log_peer("{id} at {where} is disconnected: {reason}", peer, reason=info.reason.name)
        self._call(heard.peer_disconnected, peer, info)
        self._free_ids.append(peer.id)
        if info.reason is DisconnectReason.PEER_TO_PEER_CONNECTION:
            # The remote's own connection is accepted already and comes next.
            self._adopted.setdefault(connection.address, []).extend(waiting)
            return
        for deferred in waiting:
            if not deferred.called:
                deferred.errback(ConnectFailed(info))

    def _delivered(self, event: MessageDelivered) -> None:
        facet = IDeliveryEventListener(self._listeners[event.connection], None)
        if facet is not None:
            self._call(facet.message_delivered, self._peers[event.connection], event.user_data)

    def _latency_updated(self, event: LatencyUpdated) -> None:
        heard, peer = self._listeners[event.connection], self._peers[event.connection]
        self._call(heard.network_latency_update, peer, event.latency)

    def _unconnected_received(self, event: UnconnectedReceived) -> None:
        hears = self._listener.network_receive_unconnected
        self._call(hears, event.address, event.data, event.kind)

    def _introduction_requested(self, event: NatIntroductionRequested) -> None:
        punched = self._manager.nat.listener
        if punched is not None:
            hears = punched.nat_introduction_request
            self._call(hears, event.internal, event.external, event.token)

    def _introduction_succeeded(self, event: NatIntroductionSucceeded) -> None:
        punched = self._manager.nat.listener
        if punched is not None:
            hears = punched.nat_introduction_success
            self._call(hears, event.target, event.kind, event.token)

    def _time_received(self, event: NtpResponseReceived) -> None:
        packet = self._manager.by_the_wall_clock(event.packet)
        hears = INtpEventListener(self._listener, None)
        if hears is not None:
            self._call(hears.ntp_response, packet)
        asking = self._times.get(event.address)
        if asking is not None:
            asking.callback(packet)

    def _time_failed(self, event: NtpFailed) -> None:
        asking = self._times.get(event.address)
        if asking is not None:
            asking.errback(NtpRequestFailed(event.reason))

    def _socket_failed(self, event: SocketFailed) -> None:
        self._call(self._listener.network_error, event.address, event.error)

    # ------------------------------------------------------------ inside

    def _log_peer(self, told: str, peer: NetPeer, **fields: object) -> None:
        address = peer.address
        # As Logger.debug does it, but for a look whether there is such a level: with that it takes
        # as long as it takes to connect.
        _log.observer(
            {
                "log_logger": _log,
                "log_level": LogLevel.debug,
                "log_namespace": _log.namespace,
                "log_source": _log.source,
                "log_format": "peer " + told,
                "log_time": time(),
                "id": peer.id,
                "address": address,
                "where": written(address),
                **fields,
            }
        )

    def _call(self, method: Callable[..., None], *args: Any) -> None:
        try:
            method(*args)
        except Exception:
            self._log_failure(method)

    def _log_failure(self, method: Callable[..., None]) -> None:
        _log.failure("a listener raised in {method}", method=method.__qualname__)
