"""
What peers and requests of the engine have in common when there is no engine.

A test's own kind says what becomes of what is sent, and who hears of it.
"""

from __future__ import annotations

from typing import Any

from p2pnet.interfaces import Address, ConnectionState, DeliveryMethod, RudpError
from p2pnet.rudp.statistics import NetStatistics


class PlainPeer:
    """
    The state of an `INetPeer`, and what nobody here asks of one.
    """

    def __init__(self, address: Address, *, mtu: int = 508, round_trip_time: float = 0.0) -> None:
        self.id: int = 0
        self.address: Address = address
        self.state: ConnectionState = ConnectionState.CONNECTED
        self.round_trip_time: float = round_trip_time
        self.mtu: int = mtu
        self.tag: Any = None
        self.queued_bytes: int = 0
        self.in_flight: int = 0
        self.stalled: float = 0.0
        self.statistics = NetStatistics()
        self.time_since_last_packet: float = 0.0
        self.remote_time_delta: float = 0.0
        self.sent: list[bytes] = []

    @property
    def unacknowledged(self) -> int:
        return 0

    def move(self, address: Address) -> None:
        self.address = address

    def send_with_delivery_event(
        self,
        data: bytes,
        user_data: Any,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        raise NotImplementedError

    def packets_in_reliable_queue(self, channel: int, ordered: bool) -> int:
        raise NotImplementedError

    def max_single_packet_size(self, method: DeliveryMethod) -> int:
        raise NotImplementedError

    def disconnect_force(self) -> None:
        raise NotImplementedError


class PlainRequest:
    """
    An `IConnectionRequest` that is decided once.

    :ivar rejection: what was said to who was not let in; None if nobody was rejected.
    :ivar expired: it is too late to decide.
    """

    def __init__(self, address: Address, data: bytes) -> None:
        self.address: Address = address
        self.data: bytes = data
        self.rejection: bytes | None = None
        self.expired = False
        self._is_decided = False

    def decide(self) -> None:
        if self.expired or self._is_decided:
            raise RudpError("decided already")
        self._is_decided = True

    def reject(self, data: bytes = b"") -> None:
        self.decide()
        self.rejection = data

    def reject_force(self, data: bytes = b"") -> None:
        self.reject(data)
