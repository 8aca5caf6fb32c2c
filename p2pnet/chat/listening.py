"""
How the engine's news of one introduced person reach the chat.
"""

from __future__ import annotations

from typing import Final, Protocol

from zope.interface import implementer

from p2pnet.chat.events import Cause
from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DisconnectInfo,
    DisconnectReason,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    UnconnectedMessageType,
)

_REASONS: Final = {
    DisconnectReason.TIMEOUT: "time-out",
    DisconnectReason.REMOTE_CONNECTION_CLOSE: "closed the connection",
    DisconnectReason.HOST_UNREACHABLE: "host unreachable",
    DisconnectReason.NETWORK_UNREACHABLE: "network unreachable",
    DisconnectReason.RECONNECT: "connected anew",
    DisconnectReason.LIMIT_EXCEEDED: "went over a limit",
}


_BREAKS: Final = frozenset(
    {
        DisconnectReason.TIMEOUT,
        # They have forgotten the connection, for that is how it comes without a word of theirs.
        DisconnectReason.REMOTE_CONNECTION_CLOSE,
        DisconnectReason.HOST_UNREACHABLE,
        DisconnectReason.NETWORK_UNREACHABLE,
        DisconnectReason.RECONNECT,
    }
)
"""Ends that nobody wanted."""


def cause_of(info: DisconnectInfo) -> Cause:
    """
    Who ended a connection on which nobody has said goodbye.
    """
    if info.reason is DisconnectReason.REMOTE_CONNECTION_CLOSE and info.data:
        return Cause.THEM
    return Cause.LOST if info.reason in _BREAKS else Cause.TROUBLE


def reason_of(info: DisconnectInfo) -> str:
    """
    Why a connection ended, for a person; in the other side's own words where it gave some.
    """
    if info.data:
        return info.data.decode("utf-8", "replace")
    return _REASONS.get(info.reason, info.reason.name.lower().replace("_", " "))


class Meeting(Protocol):
    """
    Where connections are looked after.
    """

    def met(self, peer: INetPeer, peer_id: str, *, dialled: bool) -> None:
        """
        A connection with an introduced one is open.
        """

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        """
        It has ended.
        """

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        """
        A message came over it.
        """


@implementer(INetEventListener)
class Introduced:
    """
    Listens to the connection with one introduced person, and knows who it is.

    :param dialled: we dial them; otherwise they have dialled us.
    """

    def __init__(self, meeting: Meeting, peer_id: str, *, dialled: bool) -> None:
        self._meeting = meeting
        self._peer_id = peer_id
        self._dialled = dialled

    def peer_connected(self, peer: INetPeer) -> None:
        self._meeting.met(peer, self._peer_id, dialled=self._dialled)

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self._meeting.peer_disconnected(peer, info)

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        self._meeting.network_receive(peer, data, channel, method)

    def network_error(self, address: Address | None, error: OSError) -> None:
        """
        The engine tries again by itself.
        """

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        """
        Belongs to no connection.
        """

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        """
        Asked for when wanted.
        """

    def connection_request(self, request: IConnectionRequest) -> None:
        """
        Goes to the listener of the whole port, never to that of one peer.
        """
