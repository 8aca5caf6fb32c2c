"""
Our engine on a Twisted reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet import reactor as _installed
from twisted.internet.defer import Deferred
from zope.interface import implementer

from benchmarks.side import HERE, KEY, Ears
from p2pnet.interfaces import (
    ConnectFailed,
    DeliveryMethod,
    DisconnectInfo,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
)
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig

reactor: Any = _installed


@implementer(INetEventListener)
class Listener:
    """
    Hands on what a role wants to hear.
    """

    def __init__(self, ears: Ears) -> None:
        self.peer_connected = ears.connected
        self.network_receive = ears.received
        self._disconnected = ears.disconnected

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self._disconnected(peer)

    def network_error(self, *_: object) -> None:
        pass

    def network_receive_unconnected(self, *_: object) -> None:
        pass

    def network_latency_update(self, *_: object) -> None:
        pass

    def connection_request(self, request: IConnectionRequest) -> None:
        request.accept_if_key(KEY)


class EngineSide:
    """
    A `benchmarks.side.Side`.
    """

    capacity = 1 << 30

    def __init__(self) -> None:
        self.channels = 1
        self._server: NetManager | None = None

    def listen(self, ears: Ears) -> int:
        self._server = self._open(ears)
        return self._server.local_port

    def dial(self, port: int, ears: Ears) -> Callable[[], object]:
        manager = self._open(ears)

        def connect() -> None:
            # Who could not connect is heard of as disconnected.
            connected: Deferred[INetPeer] = manager.connect((HERE, port), KEY)
            connected.addErrback(lambda failure: failure.trap(ConnectFailed))

        connect()
        return connect

    def sender(self, peer: INetPeer, reliable: bool, channel: int = 0) -> Callable[[bytes], object]:
        send: Callable[..., None] = peer.send
        if not reliable:
            return partial(send, method=DeliveryMethod.UNRELIABLE)
        return partial(send, channel=channel) if channel else send

    def reply(self, peer: INetPeer, data: bytes) -> None:
        peer.send(data)

    def broadcast(self, data: bytes) -> None:
        assert self._server is not None
        self._server.send_to_all(data)

    def hang_up(self, peer: INetPeer) -> None:
        peer.disconnect()

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        reactor.callLater(seconds, call)

    def run(self) -> None:
        reactor.run()

    def _open(self, ears: Ears) -> NetManager:
        config = EndpointConfig(channels=self.channels)
        manager = NetManager(Listener(ears), reactor=reactor, interface=HERE, config=config)
        manager.startService()
        return manager
