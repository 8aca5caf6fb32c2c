"""
What every manager is, whoever moves it.

What it logs goes to ``twisted.logger``, all of it in the namespace ``p2pnet.net``: ports that are
opened and closed as ``info``, connections as ``debug``, with ``address`` and ``reason``, what a
socket complains about as ``warn``, ten seconds apart for each kind of error, and exceptions of a
listener as ``critical``.  What comes off the wire is never logged, but counted in `statistics`.
Where LiteNetLib has ``NetDebug.Logger``, twisted.logger has observers::

    def hear(event: LogEvent) -> None:
        if event["log_namespace"].startswith("p2pnet.net"):
            print(event["log_level"].name, formatEvent(event), event.get("address"))

    globalLogPublisher.addObserver(hear)
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

from twisted.internet.defer import Deferred

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DeliveryMethod,
    INetEventListener,
    INetPeer,
)
from p2pnet.net.addresses import Binding, Ipv6Mode, normalised
from p2pnet.net.conditioner import Conditioner
from p2pnet.net.conditions import Conditions
from p2pnet.net.dispatch import Dispatch
from p2pnet.net.driver import Pump
from p2pnet.net.nat import NatPunchModule
from p2pnet.net.peer import NetPeer
from p2pnet.net.sharing import Receiver
from p2pnet.net.sockets import UdpSocket
from p2pnet.net.udp import OpenLeg, UdpPort
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.errors import RudpError
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.transmit import Transmit
from p2pnet.serialization.writer import NetDataWriter
from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND
from p2pnet.wire.layers import PacketLayer
from p2pnet.wire.ntp import NtpPacket


class Options(TypedDict, total=False):
    """
    The keywords that every manager takes.

    ``port``: the UDP port to bind; 0 takes a free one (0).
    ``interface``: the literal IP to bind; "" is all of IPv4, an IPv6 address binds only that ("").
    ``interface_v6``: the literal IPv6 address to bind besides; None is all of IPv6 if `interface`
    is "", and else no IPv6 (None).
    ``ipv6``: see `Ipv6Mode` (SEPARATE).
    ``reuse_address``: share the port with other sockets that do; a reactor that makes its ports by
    itself cannot (False).
    ``config``: see `EndpointConfig`.
    ``layer``: what each datagram passes on its way out and in (None).
    ``conditions``: the bad network to simulate; see `Conditions`.
    ``clock``: seconds that never go back (``time.monotonic``).
    ``wall``: unix seconds, read at the start for the timestamps on the wire, and with each answer
    of a time server (``time.time``).
    ``random``: ``random(k)`` gives k unguessable bits (``secrets.randbits``).
    """

    port: int
    interface: str
    interface_v6: str | None
    ipv6: Ipv6Mode
    reuse_address: bool
    config: EndpointConfig | None
    layer: PacketLayer | None
    conditions: Conditions | None
    clock: Callable[[], float]
    wall: Callable[[], float]
    random: Callable[[int], int]


class BaseNetManager(ABC):
    """
    All connections behind one UDP port.  `NetManager` moves by itself, `ManualNetManager` is moved.

    :param listener: hears what happens.
    :param options: see `Options`.
    :raise ValueError: options that contradict each other.
    """

    def __init__(
        self,
        listener: INetEventListener,
        *,
        port: int = 0,
        interface: str = "",
        interface_v6: str | None = None,
        ipv6: Ipv6Mode = Ipv6Mode.SEPARATE,
        reuse_address: bool = False,
        config: EndpointConfig | None = None,
        layer: PacketLayer | None = None,
        conditions: Conditions | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._requested_port = port
        self._binding = Binding.of(interface, interface_v6, ipv6)
        self._reuse_address = reuse_address
        self._config = config or EndpointConfig()
        self._layer = layer
        self._random = random
        self._is_used = False
        self.clock = clock
        self._wall = wall
        self._epoch = DOTNET_UNIX_EPOCH_TICKS + int((wall() - clock()) * TICKS_PER_SECOND)
        self._dispatch = Dispatch(self, listener)
        self._udp = UdpPort(self._socket_failed, self._count_drop)
        self._driver = self._make_driver(
            self._make_endpoint(), Conditioner(conditions or Conditions(), random)
        )
        self.nat = NatPunchModule(self._driver)

    @abstractmethod
    def _make_driver(self, endpoint: Endpoint, conditioner: Conditioner) -> Pump:
        """
        What moves `endpoint`.
        """

    @property
    @abstractmethod
    def is_running(self) -> bool:
        """
        Started, and not stopped.
        """

    # ------------------------------------------------------------ what one sees

    @property
    def local_port(self) -> int:
        """
        See `p2pnet.interfaces.INetManager.local_port`.
        """
        return self._udp.local_port if self.is_running else 0

    @property
    def peers(self) -> Sequence[NetPeer]:
        """
        Connected peers, oldest first.
        """
        return self._connected_peers()

    def peer_by_id(self, id: int) -> NetPeer | None:
        """
        See `p2pnet.interfaces.INetManager.peer_by_id`.
        """
        return self._dispatch.peer_by_id(id)

    @property
    def statistics(self) -> NetStatistics:
        """
        Counters of this port since the start.
        """
        return self._endpoint.statistics

    @property
    def config(self) -> EndpointConfig:
        """
        The options of the engine; what is set later holds for what happens from then on.
        """
        return self._config

    @config.setter
    def config(self, config: EndpointConfig) -> None:
        self._config = self._endpoint.config = config

    @property
    def conditions(self) -> Conditions:
        """
        The bad network that is simulated; may be set at any time.
        """
        return self._driver.conditioner.conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._driver.conditioner.conditions = conditions

    # ------------------------------------------------------------ what one does

    def send_unconnected(self, address: Address, data: bytes) -> None:
        """
        See `p2pnet.interfaces.INetManager.send_unconnected`.
        """
        self._check_running()
        self._endpoint.send_unconnected(normalised(address), data)
        self._driver.pump_soon()

    def send_broadcast(self, data: bytes, port: int) -> bool:
        """
        See `p2pnet.interfaces.INetManager.send_broadcast`.
        """
        self._check_running()
        addresses = [normalised(address) for address in self._udp.everybody(port)]
        for address in addresses:
            self._endpoint.send_broadcast(address, data)
        taken = self._driver.transmit()
        self._driver.pump_soon()
        return any(transmit.address in addresses for transmit in taken)

    def send_to_all(
        self,
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
        exclude: INetPeer | None = None,
    ) -> None:
        """
        See `p2pnet.interfaces.INetManager.send_to_all`.
        """
        peers = [peer for peer in self._connected_peers() if peer is not exclude]
        _each(peers, lambda peer: peer.send(data, method, channel))

    def disconnect_all(self, data: bytes = b"") -> None:
        """
        See `p2pnet.interfaces.INetManager.disconnect_all`.
        """
        peers = [peer for _, peer in self._dispatch.peers()]
        _each(peers, lambda peer: peer.disconnect(data))

    def create_ntp_request(self, address: Address) -> Deferred[NtpPacket]:
        """
        See `p2pnet.interfaces.INetManager.create_ntp_request`.
        """
        self._check_running()
        address = normalised(address)
        self._endpoint.request_time(address, self.clock())
        self._driver.pump_soon()
        answered: Deferred[NtpPacket] = Deferred()
        self._dispatch.wait_for_time(address, answered)
        return answered

    def share_port(self, receiver: Receiver | None) -> None:
        """
        See `p2pnet.interfaces.INetManager.share_port`.
        """
        self._driver.shared.share(receiver)

    def send_datagram(self, address: Address, data: bytes) -> None:
        """
        See `p2pnet.interfaces.INetManager.send_datagram`.

        :raise ValueError: ``address`` is no literal IP and a port in 1..65535.
        """
        self._check_running()
        self._udp.send_beside(Transmit(normalised(address), data))

    # ------------------------------------------------------------ for NetPeer and ConnectionRequest

    @property
    def driver(self) -> Pump:
        """
        What moves us, for who cannot wait for us to pass a message on.
        """
        return self._driver

    def move(self, connection: Connection, address: Address) -> None:
        """
        See `p2pnet.interfaces.INetPeer.move`.

        :raise ValueError: ``address`` is no literal IP and a port in 1..65535.
        """
        self._endpoint.move(connection, normalised(address), self.clock())
        self._driver.pump_soon()

    def disconnect(self, connection: Connection, data: bytes) -> None:
        """
        See `p2pnet.interfaces.INetPeer.disconnect`.
        """
        self._endpoint.disconnect(connection, data, self.clock())
        self._driver.pump_soon()

    def disconnect_force(self, connection: Connection) -> None:
        """
        See `p2pnet.interfaces.INetPeer.disconnect_force`.
        """
        self._endpoint.disconnect_force(connection, self.clock())
        self._driver.pump_soon()

    def is_pending(self, request: IncomingRequest) -> bool:
        """
        The request can still be decided.
        """
        return self._endpoint.is_pending(request)

    def accept(self, request: IncomingRequest, listener: INetEventListener | None) -> NetPeer:
        """
        See `p2pnet.interfaces.IConnectionRequest.accept`.
        """
        self._check_running()
        connection = self._endpoint.accept(request, self.clock())
        self._driver.pump_soon()
        return self._dispatch.peer(connection, listener)

    def reject(self, request: IncomingRequest, data: bytes) -> None:
        """
        See `p2pnet.interfaces.IConnectionRequest.reject`.
        """
        self._endpoint.reject(request, data, self.clock())
        self._driver.pump_soon()

    def reject_force(self, request: IncomingRequest, data: bytes) -> None:
        """
        See `p2pnet.interfaces.IConnectionRequest.reject_force`.
        """
        self._endpoint.reject_force(request, data)
        self._driver.pump_soon()

    def by_the_wall_clock(self, answer: NtpPacket) -> NtpPacket:
        """
        The answer of a time server with our times, which are the engine's, by the wall clock.

        The two part when the wall clock is set, and when the machine sleeps.
        """
        engine = self._epoch + int(self.clock() * TICKS_PER_SECOND)
        wall = DOTNET_UNIX_EPOCH_TICKS + int(self._wall() * TICKS_PER_SECOND)
        return answer.by_another_clock(wall - engine)

    # ------------------------------------------------------------ for those who derive

    @property
    def _endpoint(self) -> Endpoint:
        return self._driver.endpoint

    def _open(self, binding: Binding, open_leg: OpenLeg) -> None:
        """
        Bind.

        :raise RudpError: we have not stopped yet.
        :raise twisted.internet.error.CannotListenError: that fails.
        """
        if self._udp.local_port:
            raise RudpError(f"the {type(self).__name__} still says goodbye")
        self._udp.bind(binding, self._requested_port, open_leg)
        if self._is_used:
            # Nothing of an earlier life comes back, not even a request (PITFALLS D28).
            last = self._driver.endpoint.last_connection_time
            self._driver.endpoint = self._make_endpoint(last)
        self._is_used = True

    def _bind_socket(self, interface: str, port: int, dual: bool) -> UdpSocket:
        return UdpSocket(interface, port, dual=dual, reuse_address=self._reuse_address)

    def _dial(
        self,
        address: Address,
        data: bytes | str,
        listener: INetEventListener | None,
        peer_to_peer: bool,
    ) -> tuple[Connection, NetPeer]:
        self._check_running()
        if isinstance(data, str):
            writer = NetDataWriter()
            writer.put_string(data)
            data = writer.data()
        connection = self._endpoint.connect(
            normalised(address), data, self.clock(), peer_to_peer=peer_to_peer
        )
        peer = self._dispatch.peer(connection, listener)
        self._driver.pump_soon()
        return connection, peer

    def _say_goodbye(self) -> None:
        for connection, _ in self._dispatch.peers():
            self._endpoint.disconnect(connection, b"", self.clock())

    def _check_running(self) -> None:
        if not self.is_running:
            raise RudpError(f"the {type(self).__name__} is not running")

    def _connected_peers(self) -> list[NetPeer]:
        return [
            peer
            for connection, peer in self._dispatch.peers()
            if connection.state is ConnectionState.CONNECTED
        ]

    def _socket_failed(self, address: Address | None, error: OSError) -> None:
        self._driver.socket_failed(address, error)

    def _count_drop(self, reason: str) -> None:
        self._driver.count_drop(reason)

    def _make_endpoint(self, last_connection_time: int = 0) -> Endpoint:
        return Endpoint(
            self._config,
            epoch=self._epoch,
            random=self._random,
            layer=self._layer,
            last_connection_time=last_connection_time,
        )


def _each(peers: Iterable[NetPeer], do: Callable[[NetPeer], None]) -> None:
    """
    Do it for all of them; the first error is raised at the end.
    """
    errors: list[Exception] = []
    for peer in peers:
        try:
            do(peer)
        except (RudpError, ValueError) as error:
            errors.append(error)
    if errors:
        raise errors[0]
