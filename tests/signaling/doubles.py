"""
An engine of plain Python objects: what signaling sees of `p2pnet.net`, without datagrams.

`Wire` joins managers: a connection is asked for, decided and open at once, and an introduction
punches through at once, unless a test says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    ConnectFailed,
    ConnectionState,
    DeliveryMethod,
    DisconnectInfo,
    DisconnectReason,
    IConnectionRequest,
    INatPunchListener,
    INatPunchModule,
    INetEventListener,
    INetManager,
    INetPeer,
    IRelay,
    NatAddressType,
    NotConnected,
    RudpError,
    UnconnectedMessageType,
)
from p2pnet.rudp.statistics import NetStatistics
from tests.engine import PlainPeer, PlainRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pnet.turn.server import TurnServer
    from p2pnet.wire.ntp import NtpPacket


@implementer(INetEventListener)
class RecordingListener:
    """
    Remembers what it hears.
    """

    def __init__(self, accept: bool = True) -> None:
        self.accept = accept
        self.connected: list[INetPeer] = []
        self.disconnected: list[tuple[INetPeer, DisconnectInfo]] = []
        self.received: list[bytes] = []
        self.requests: list[bytes] = []

    def peer_connected(self, peer: INetPeer) -> None:
        self.connected.append(peer)

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        self.disconnected.append((peer, info))

    def network_error(self, address: Address | None, error: OSError) -> None:
        pass

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        self.received.append(data)

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        pass

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        pass

    def connection_request(self, request: IConnectionRequest) -> None:
        self.requests.append(request.data)
        if self.accept:
            request.accept()
        else:
            request.reject(b'{"type": "disconnect", "body": "not today\\u001b[2J"}')


@implementer(INetPeer)
class FakePeer(PlainPeer):
    """
    One end of a connection; `other` is the other one, or None where nobody is.
    """

    def __init__(self, address: Address, listener: INetEventListener) -> None:
        super().__init__(address)
        self.listener = listener
        self.other: FakePeer | None = None

    def send(
        self,
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        if self.state is not ConnectionState.CONNECTED:
            raise NotConnected
        self.sent.append(data)
        if self.other is not None:
            self.other.listener.network_receive(self.other, data, channel, method)

    def disconnect(self, data: bytes = b"") -> None:
        self.lose(DisconnectReason.DISCONNECT_PEER_CALLED)
        if self.other is not None:
            self.other.lose(DisconnectReason.REMOTE_CONNECTION_CLOSE, data)

    def disconnect_force(self) -> None:
        self.lose(DisconnectReason.DISCONNECT_PEER_CALLED)

    def move(self, address: Address) -> None:
        if self.state is not ConnectionState.CONNECTED:
            raise NotConnected
        self.address = address

    def lose(self, reason: DisconnectReason, data: bytes = b"") -> None:
        """
        The connection ends on this side.
        """
        if self.state is ConnectionState.CONNECTED:
            self.state = ConnectionState.DISCONNECTED
            self.listener.peer_disconnected(self, DisconnectInfo(reason, data))

    def answer_ping(self) -> None:
        """
        A round trip has been measured.
        """
        self.round_trip_time = 0.02
        self.listener.network_latency_update(self, 0.01)


@implementer(IConnectionRequest)
class FakeRequest(PlainRequest):
    """
    A request that remembers how it was decided.
    """

    def __init__(
        self, address: Address, data: bytes, listener: INetEventListener | None = None
    ) -> None:
        super().__init__(address, data)
        self._listener = listener
        self.peer: FakePeer | None = None

    def accept(self, listener: INetEventListener | None = None) -> FakePeer:
        self.decide()
        heard_by = listener or self._listener
        assert heard_by is not None
        self.peer = FakePeer(self.address, heard_by)
        return self.peer

    def accept_if_key(self, key: str) -> FakePeer | None:
        raise NotImplementedError


@implementer(INatPunchModule)
class FakeNat:
    """
    Remembers what it was told, and passes introductions on to those who expect them.
    """

    def __init__(self, wire: Wire, address: Address) -> None:
        self._wire = wire
        self._address = address
        self.listener: INatPunchListener | None = None
        self.trusted: list[Address] = []
        self.expected: list[str] = []
        self.forgotten: list[str] = []
        self.introductions: list[tuple[Address, Address, Address, Address, str]] = []

    def init(self, listener: INatPunchListener) -> None:
        self.listener = listener

    def trust(self, facilitator: Address) -> None:
        self.trusted.append(facilitator)

    def distrust(self, facilitator: Address) -> None:
        self.trusted.remove(facilitator)

    def expect(self, token: str) -> None:
        self.expected.append(token)

    def forget(self, token: str) -> None:
        self.forgotten.append(token)

    def send_introduce_request(self, facilitator: Address, token: str, internal: Address) -> None:
        raise NotImplementedError

    def introduce(
        self,
        host_internal: Address,
        host_external: Address,
        client_internal: Address,
        client_external: Address,
        token: str,
    ) -> None:
        self.introductions.append(
            (host_internal, host_external, client_internal, client_external, token)
        )
        if self._wire.punching:
            self._wire.punch(self._address, host_external, client_external, token)
            self._wire.punch(self._address, client_external, host_external, token)

    def introduced(self, facilitator: Address, target: Address, token: str) -> None:
        """
        An introduction came, and a punch got through to us.
        """
        if facilitator in self.trusted and token in self.expected and self.listener is not None:
            self.listener.nat_introduction_success(target, NatAddressType.EXTERNAL, token)


@implementer(IRelay)
class FakeRelay:
    """
    An address on a relay, which remembers what it was told.
    """

    def __init__(self, server: TurnServer, relayed: Address = ("203.0.113.77", 50000)) -> None:
        self.relayed = relayed
        self.server = server
        self.lost: Deferred[str] = Deferred()
        self.permitted: list[str] = []
        self.sent: list[tuple[Address, bytes]] = []
        self.routes: list[Address] = []
        self.closed = False

    def permit(self, host: str) -> None:
        if ":" in host:
            raise ValueError(f"{host} is of the other IP version")
        self.permitted.append(host)

    def send(self, remote: Address, data: bytes) -> None:
        self.sent.append((remote, data))

    def route(self, remote: Address) -> Address:
        if remote not in self.routes:
            self.routes.append(remote)
        return f"100::{self.routes.index(remote) + 1}", remote[1]

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)


@implementer(INetManager)
class FakeManager:
    """
    A port on the wire.

    :ivar attempts: connections asked for: address and data.
    :ivar datagrams: what was sent past the engine.
    :ivar receiver: shares the port.
    :ivar relays: asked for: where, who takes what comes over it, and what waits for it.
    """

    def __init__(
        self, wire: Wire, address: Address, listener: INetEventListener | None = None
    ) -> None:
        self.local_port: int = address[1]
        self.nat = FakeNat(wire, address)
        self.peers: Sequence[INetPeer] = ()
        self.statistics = NetStatistics()
        self.address = address
        self.listener = listener
        self.attempts: list[tuple[Address, bytes]] = []
        self.cancelled = 0
        self.datagrams: list[tuple[Address, bytes]] = []
        self.receiver: Callable[[bytes, Address], bool] | None = None
        self.relays: list[
            tuple[TurnServer, Callable[[bytes, Address], bool], Deferred[IRelay]]
        ] = []
        self._wire = wire
        wire.managers[address] = self

    def connect(
        self,
        address: Address,
        data: bytes | str = b"",
        *,
        listener: INetEventListener | None = None,
        peer_to_peer: bool = False,
    ) -> Deferred[INetPeer]:
        assert isinstance(data, bytes)
        self.attempts.append((address, data))
        heard_by = listener or self.listener
        assert heard_by is not None
        result: Deferred[INetPeer] = Deferred(self._cancel)
        if self._wire.connecting:
            self._wire.connect(self, address, data, heard_by, result)
        return result

    def send_unconnected(self, address: Address, data: bytes) -> None:
        raise NotImplementedError

    def send_broadcast(self, data: bytes, port: int) -> bool:
        raise NotImplementedError

    def send_to_all(
        self,
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
        exclude: INetPeer | None = None,
    ) -> None:
        raise NotImplementedError

    def disconnect_all(self, data: bytes = b"") -> None:
        raise NotImplementedError

    def peer_by_id(self, id: int) -> INetPeer | None:
        raise NotImplementedError

    def create_ntp_request(self, address: Address) -> Deferred[NtpPacket]:
        raise NotImplementedError

    def share_port(self, receiver: Callable[[bytes, Address], bool] | None) -> None:
        self.receiver = receiver

    def send_datagram(self, address: Address, data: bytes) -> None:
        if not self.local_port:
            raise RudpError("the manager is not running")
        self.datagrams.append((address, data))

    def open_relay(
        self, server: TurnServer, receiver: Callable[[bytes, Address], bool]
    ) -> Deferred[IRelay]:
        opened: Deferred[IRelay] = Deferred(self._cancel)
        self.relays.append((server, receiver, opened))
        return opened

    def _cancel(self, _: Deferred[Any]) -> None:
        self.cancelled += 1


@dataclass
class Wire:
    """
    Which managers reach each other.

    :ivar connecting: connection requests get through; else they stay open.
    :ivar punching: introductions lead to punches.
    :ivar answering: peers answer the pings of those who accepted them.
    """

    managers: dict[Address, FakeManager] = field(default_factory=dict)
    connecting: bool = True
    punching: bool = True
    answering: bool = True
    failures: list[DisconnectReason] = field(default_factory=list)
    """How the next connections fail."""
    accepted: list[FakePeer] = field(default_factory=list)
    """The far ends of all connections so far."""

    def connect(
        self,
        caller: FakeManager,
        address: Address,
        data: bytes,
        listener: INetEventListener,
        result: Deferred[INetPeer],
    ) -> None:
        target = self.managers.get(address)
        if self.failures:
            result.errback(ConnectFailed(DisconnectInfo(self.failures.pop(0))))
            return
        if target is None or target.listener is None:
            failed = DisconnectInfo(DisconnectReason.CONNECTION_FAILED)
            result.errback(ConnectFailed(failed))
            return
        request = FakeRequest(caller.address, data, target.listener)
        target.listener.connection_request(request)
        if request.rejection is not None:
            info = DisconnectInfo(DisconnectReason.CONNECTION_REJECTED, request.rejection)
            result.errback(ConnectFailed(info))
            return
        if request.peer is None:
            return
        near, far = FakePeer(address, listener), request.peer
        near.other, far.other = far, near
        self.accepted.append(far)
        far.listener.peer_connected(far)
        near.listener.peer_connected(near)
        result.callback(near)
        if self.answering:
            far.answer_ping()

    def punch(self, facilitator: Address, at: Address, target: Address, token: str) -> None:
        manager = self.managers.get(at)
        if manager is not None:
            manager.nat.introduced(facilitator, target, token)


def counting(prefix: str) -> Callable[[], str]:
    """
    Strings nobody guesses, as far as a test is concerned.
    """
    count = 0

    def following() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count}"

    return following
