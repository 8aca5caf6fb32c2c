"""
A listener made of callables, for who does not want to write a class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DisconnectInfo,
    IConnectionRequest,
    IDeliveryEventListener,
    INatPunchListener,
    INetEventListener,
    INetPeer,
    INtpEventListener,
    NatAddressType,
    UnconnectedMessageType,
)

if TYPE_CHECKING:
    from p2pnet.wire.ntp import NtpPacket

P = ParamSpec("P")


class NetEvent(Generic[P]):
    """
    Callables to be called one after another: ``event += callable``, ``event -= callable``.

    What one raises keeps those behind it from being called, and is logged by the manager.  To
    remove one that is not there raises ``ValueError``.
    """

    def __init__(self) -> None:
        self._callables: list[Callable[P, object]] = []

    def __iadd__(self, called: Callable[P, object]) -> NetEvent[P]:
        self._callables.append(called)
        return self

    def __isub__(self, called: Callable[P, object]) -> NetEvent[P]:
        self._callables.remove(called)
        return self

    def clear(self) -> None:
        """
        Call nobody any more.
        """
        self._callables.clear()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for called in tuple(self._callables):
            called(*args, **kwargs)


@implementer(INetEventListener, IDeliveryEventListener, INtpEventListener)
class EventBasedNetListener:
    """
    Each event of `INetEventListener`, `IDeliveryEventListener` and `INtpEventListener` as a
    `NetEvent`.
    """

    def __init__(self) -> None:
        self.peer_connected_event: NetEvent[[INetPeer]] = NetEvent()
        self.peer_disconnected_event: NetEvent[[INetPeer, DisconnectInfo]] = NetEvent()
        self.network_error_event: NetEvent[[Address | None, OSError]] = NetEvent()
        self.network_receive_event: NetEvent[[INetPeer, bytes, int, DeliveryMethod]] = NetEvent()
        self.network_receive_unconnected_event: NetEvent[
            [Address, bytes, UnconnectedMessageType]
        ] = NetEvent()
        self.network_latency_update_event: NetEvent[[INetPeer, float]] = NetEvent()
        self.connection_request_event: NetEvent[[IConnectionRequest]] = NetEvent()
        self.message_delivered_event: NetEvent[[INetPeer, Any]] = NetEvent()
        self.ntp_response_event: NetEvent[[NtpPacket]] = NetEvent()

    def peer_connected(self, peer: INetPeer) -> None:
        self.peer_connected_event(peer)

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self.peer_disconnected_event(peer, info)

    def network_error(self, address: Address | None, error: OSError) -> None:
        self.network_error_event(address, error)

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        self.network_receive_event(peer, data, channel, method)

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        self.network_receive_unconnected_event(address, data, kind)

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        self.network_latency_update_event(peer, latency)

    def connection_request(self, request: IConnectionRequest) -> None:
        self.connection_request_event(request)

    def message_delivered(self, peer: INetPeer, user_data: Any) -> None:
        self.message_delivered_event(peer, user_data)

    def ntp_response(self, packet: NtpPacket) -> None:
        self.ntp_response_event(packet)


@implementer(INatPunchListener)
class EventBasedNatPunchListener:
    """
    Each event of `INatPunchListener` as a `NetEvent`.
    """

    def __init__(self) -> None:
        self.nat_introduction_request_event: NetEvent[[Address, Address, str]] = NetEvent()
        self.nat_introduction_success_event: NetEvent[[Address, NatAddressType, str]] = NetEvent()

    def nat_introduction_request(self, internal: Address, external: Address, token: str) -> None:
        self.nat_introduction_request_event(internal, external, token)

    def nat_introduction_success(self, target: Address, kind: NatAddressType, token: str) -> None:
        self.nat_introduction_success_event(target, kind, token)
