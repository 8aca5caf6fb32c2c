"""
NetManagers on an internet in memory, each with a listener that writes everything down.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DisconnectInfo,
    DisconnectReason,
    IConnectionRequest,
    IDeliveryEventListener,
    INatPunchListener,
    INetEventListener,
    INetPeer,
    NatAddressType,
    UnconnectedMessageType,
)
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig
from p2pnet.testing import Network
from p2pnet.testing.network import Conditions, Fate

ALICE: Address = ("10.0.0.1", 9050)
BOB: Address = ("10.0.0.2", 9050)
CAROL: Address = ("10.0.0.3", 9050)
ORDERED = DeliveryMethod.RELIABLE_ORDERED


@implementer(INetEventListener, IDeliveryEventListener, INatPunchListener)
class Notebook:
    """
    Writes down what it hears, in `calls` all of it by name; accepts everybody.

    :ivar also: what to do besides, by the name of the call.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.connected: list[INetPeer] = []
        self.ended: list[tuple[INetPeer, DisconnectInfo]] = []
        self.received: list[tuple[INetPeer, bytes, int, DeliveryMethod]] = []
        self.unconnected: list[tuple[Address, bytes, UnconnectedMessageType]] = []
        self.errors: list[tuple[Address | None, OSError]] = []
        self.latencies: list[float] = []
        self.requests: list[IConnectionRequest] = []
        self.delivered: list[Any] = []
        self.asked: list[tuple[Address, Address, str]] = []
        self.punched: list[tuple[Address, NatAddressType, str]] = []
        self.also: dict[str, Callable[..., object]] = {}
        self.decide: Callable[[IConnectionRequest], object] = lambda request: request.accept()

    @property
    def messages(self) -> list[bytes]:
        return [data for _, data, _, _ in self.received]

    @property
    def reasons(self) -> list[DisconnectReason]:
        return [info.reason for _, info in self.ended]

    def _note(self, name: str, *args: Any) -> None:
        self.calls.append(name)
        self.also.get(name, lambda *args: None)(*args)

    def peer_connected(self, peer: INetPeer) -> None:
        self.connected.append(peer)
        self._note("peer_connected", peer)

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self.ended.append((peer, info))
        self._note("peer_disconnected", peer, info)

    def network_error(self, address: Address | None, error: OSError) -> None:
        self.errors.append((address, error))
        self._note("network_error", address, error)

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        self.received.append((peer, data, channel, method))
        self._note("network_receive", peer, data)

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        self.unconnected.append((address, data, kind))
        self._note("network_receive_unconnected", address, data)

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        self.latencies.append(latency)
        self._note("network_latency_update", peer, latency)

    def connection_request(self, request: IConnectionRequest) -> None:
        self.requests.append(request)
        self._note("connection_request", request)
        self.decide(request)

    def message_delivered(self, peer: INetPeer, user_data: Any) -> None:
        self.delivered.append(user_data)
        self._note("message_delivered", peer, user_data)

    def nat_introduction_request(self, internal: Address, external: Address, token: str) -> None:
        self.asked.append((internal, external, token))
        self._note("nat_introduction_request", internal, external, token)

    def nat_introduction_success(self, target: Address, kind: NatAddressType, token: str) -> None:
        self.punched.append((target, kind, token))
        self._note("nat_introduction_success", target, kind, token)


class Node:
    """
    A host with a started NetManager on it.
    """

    def __init__(self, network: Network, address: Address, **options: Any) -> None:
        self.address = address
        self.host = network.host(address[0])
        self.heard = Notebook()
        self.manager = make_manager(network, self.heard, address, **options)
        self.manager.startService()

    def connect(self, address: Address, *args: Any, **kwargs: Any) -> Deferred[INetPeer]:
        return self.manager.connect(address, *args, **kwargs)


def make_manager(
    network: Network, listener: INetEventListener, address: Address, **options: Any
) -> NetManager:
    """
    A NetManager that is not started yet.
    """
    host = network.host(address[0])
    return NetManager(
        listener,
        reactor=host,
        port=address[1],
        config=EndpointConfig(**options),
        clock=host.seconds,
        wall=lambda: 1.7e9 + host.seconds(),
        random=Random(repr(address)).getrandbits,
    )


class World:
    """
    A network and what has travelled over it.

    :ivar log: (time, source, target, data) of everything that arrived.
    """

    def __init__(self, seed: int = 1, **conditions: Any) -> None:
        options: Conditions = {"latency": 0.02}
        options.update(conditions)  # type: ignore[typeddict-item]  # of a test's own keywords
        self.network = Network(seed, **options)
        self.log: list[tuple[float, Address, Address, bytes]] = []
        self.network.tap(self._note)

    def node(self, address: Address, **options: Any) -> Node:
        return Node(self.network, address, **options)

    def pair(self, **options: Any) -> tuple[Node, Node]:
        """
        Alice, who has connected to Bob, and Bob.
        """
        alice, bob = self.node(ALICE, **options), self.node(BOB, **options)
        alice.connect(BOB)
        self.network.run(0.5)
        assert alice.heard.connected
        assert bob.heard.connected
        return alice, bob

    def run(self, seconds: float) -> None:
        self.network.run(seconds)

    def datagrams(self, source: Address, target: Address) -> list[bytes]:
        return [data for _, a, b, data in self.log if (a, b) == (source, target)]

    def _note(self, time: float, source: Address, target: Address, data: bytes, fate: Fate) -> None:
        if fate is Fate.DELIVERED:
            self.log.append((time, source, target, data))
