"""
What a listener holds: a connection, and a request for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DeliveryMethod,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
)
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.serialization.reader import NetDataReader, ReadError
from p2pnet.wire.constants import CHANNELED_HEADER_SIZE, HEADER_SIZE

if TYPE_CHECKING:
    from p2pnet.net.base import BaseNetManager


@implementer(INetPeer)
class NetPeer:
    """
    One connection, as a listener sees it; see `INetPeer`.
    """

    def __init__(self, manager: BaseNetManager, connection: Connection, id: int) -> None:
        self.id = id
        self.tag: Any = None
        self._manager = manager
        self._driver = manager.driver
        self._connection = connection

    def __repr__(self) -> str:
        host, port = self.address
        return f"<NetPeer {self.id} {host}:{port} {self.state.name}>"

    @property
    def address(self) -> Address:
        return self._connection.address

    @property
    def state(self) -> ConnectionState:
        return self._connection.state

    @property
    def round_trip_time(self) -> float:
        return self._connection.rtt.smoothed

    @property
    def mtu(self) -> int:
        return self._connection.mtu

    @property
    def unacknowledged(self) -> int:
        return self._connection.unacknowledged

    @property
    def queued_bytes(self) -> int:
        return self._connection.traffic.unacknowledged_bytes

    @property
    def in_flight(self) -> int:
        return self._connection.traffic.in_flight

    @property
    def stalled(self) -> float:
        return self._connection.traffic.stalled

    @property
    def statistics(self) -> NetStatistics:
        return self._connection.statistics

    @property
    def time_since_last_packet(self) -> float:
        return self._manager.clock() - self._connection.last_heard

    @property
    def remote_time_delta(self) -> float:
        return self._connection.remote_time_delta

    def packets_in_reliable_queue(self, channel: int, ordered: bool) -> int:
        method = DeliveryMethod.RELIABLE_ORDERED if ordered else DeliveryMethod.RELIABLE_UNORDERED
        return self._connection.traffic.queued(channel * 4 + method)

    def max_single_packet_size(self, method: DeliveryMethod) -> int:
        unreliable = method is DeliveryMethod.UNRELIABLE
        return self.mtu - (HEADER_SIZE if unreliable else CHANNELED_HEADER_SIZE)

    def send(
        self,
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        driver = self._driver
        driver.endpoint.send(self._connection, data, method, channel)
        driver.pump_soon()

    def send_with_delivery_event(
        self,
        data: bytes,
        user_data: Any,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        if user_data is None:
            raise ValueError("user_data must not be None")
        if method not in (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED):
            raise ValueError(f"a message sent {method.name} is never known to have arrived")
        driver = self._driver
        driver.endpoint.send(self._connection, data, method, channel, user_data)
        driver.pump_soon()

    def move(self, address: Address) -> None:
        self._manager.move(self._connection, address)

    def disconnect(self, data: bytes = b"") -> None:
        self._manager.disconnect(self._connection, data)

    def disconnect_force(self) -> None:
        self._manager.disconnect_force(self._connection)


@implementer(IConnectionRequest)
class ConnectionRequest:
    """
    Somebody wants to connect; see `IConnectionRequest`.
    """

    def __init__(self, manager: BaseNetManager, request: IncomingRequest) -> None:
        self._manager = manager
        self._request = request

    @property
    def address(self) -> Address:
        return self._request.address

    @property
    def data(self) -> bytes:
        return self._request.data

    def accept(self, listener: INetEventListener | None = None) -> NetPeer:
        return self._manager.accept(self._request, listener)

    def accept_if_key(self, key: str) -> NetPeer | None:
        # Bytes behind the string do not matter (BEHAVIOUR §3.2).
        try:
            given = NetDataReader(self.data).get_string()
        except ReadError:
            given = None
        if given == key:
            return self.accept()
        self.reject()
        return None

    def reject(self, data: bytes = b"") -> None:
        self._manager.reject(self._request, data)

    def reject_force(self, data: bytes = b"") -> None:
        self._manager.reject_force(self._request, data)
