"""
Listens to a NetManager: tells everything that happens, and decides what the options decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DeliveryMethod,
    DisconnectInfo,
    DisconnectReason,
    IConnectionRequest,
    IDeliveryEventListener,
    INetEventListener,
    INetPeer,
    INtpEventListener,
    UnconnectedMessageType,
)
from p2pnet.peer.bursts import Burst, Bursts
from p2pnet.peer.commands import Decision, How
from p2pnet.peer.events import Journal, described, endpoint
from p2pnet.peer.facts import clocks, state_of, time_told
from p2pnet.peer.language import PeerName, dotnet
from p2pnet.peer.options import Options
from p2pnet.wire.ntp import NtpPacket

MAX_HELD: Final = 1024
"""Undecided requests that `solve` can name; older ones are forgotten."""

_SOCKET_ERRORS: Final = {
    DisconnectReason.HOST_UNREACHABLE: "HostUnreachable",
    DisconnectReason.NETWORK_UNREACHABLE: "NetworkUnreachable",
}


@implementer(INetEventListener, IDeliveryEventListener, INtpEventListener)
class Audience:
    """
    What a script hears of the engine.

    :ivar options: read at every event; replaced when a script changes them.
    :ivar listening: False while nothing is to be told, as in LiteNetLib after Stop.
    :ivar peers: those that have not ended, by id, oldest first.
    :ivar highest_id: of all that there were; -1 before the first.
    """

    def __init__(self, journal: Journal, reactor: IReactorTime) -> None:
        self.options = Options()
        self.listening = False
        self.peers: dict[int, INetPeer] = {}
        self.highest_id = -1
        self.bursts = Bursts()
        self._journal = journal
        self._reactor = reactor
        self._held: dict[int, IConnectionRequest] = {}
        self._requests = 0
        self._look: IDelayedCall | None = None

    # ------------------------------------------------------------ what a script asks for

    def begin(self, answer: Callable[[Address, bytes], None]) -> None:
        """
        A NetManager starts.

        :param answer: sends a message without a connection, for echo.
        """
        self.listening = True
        self._answer = answer

    def end(self) -> None:
        """
        It has stopped: its peers and requests are no more.
        """
        self.listening = False
        self.peers.clear()
        self.highest_id = -1
        self._held.clear()

    def know(self, peer: INetPeer) -> None:
        """
        Remember a peer.
        """
        self.peers[peer.id] = peer
        self.highest_id = max(self.highest_id, peer.id)

    def peer(self, name: PeerName) -> INetPeer:
        """
        The peer of that name.

        :raise ValueError: there is none.
        """
        if name == "first":
            newest = list(reversed(self.peers.values()))
            connected = [each for each in newest if each.state is ConnectionState.CONNECTED]
            for each in connected or newest:
                return each
            raise ValueError("PEER: there is no peer")
        if name not in self.peers:
            raise ValueError(f"PEER: there is no peer {name}")
        return self.peers[name]

    def solve(self, number: int, decision: Decision) -> INetPeer | None:
        """
        Decide a request that is held; the peer that it becomes, if any.

        :raise ValueError: no such request.
        :raise RudpError: it has expired.
        """
        request = self._held.pop(number, None)
        if request is None:
            raise ValueError(f"REQ: no request {number} is held")
        return self._decide(request, decision)

    def report(self) -> None:
        """
        Tell all bursts.
        """
        self._tell("report", self.bursts.take_all())

    # ------------------------------------------------------------ INetEventListener

    def connection_request(self, request: IConnectionRequest) -> None:
        self._requests += 1
        came_from = endpoint(request.address)
        self._write(
            "connreq",
            {"req": self._requests, "from": came_from, "data": request.data.hex()},
        )
        decision = self.options.decision
        if decision.how is How.HOLD:
            self._held[self._requests] = request
            if len(self._held) > MAX_HELD:
                del self._held[next(iter(self._held))]
            return
        peer = self._decide(request, decision)
        fields: dict[str, object] = {"from": came_from, "how": decision.how.value}
        if decision.data:
            fields["data"] = decision.data.hex()
        self._write("solved", {**fields, "peer": None if peer is None else peer.id})

    def peer_connected(self, peer: INetPeer) -> None:
        self.know(peer)
        self._write(
            "connected",
            {"peer": peer.id, "endpoint": endpoint(peer.address), "mtu": peer.mtu},
        )

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        if self.peers.get(peer.id) is peer:
            del self.peers[peer.id]
        self._disconnected(peer.id, endpoint(peer.address), state_of(peer), info)

    def host_unknown(self, host: str, port: int) -> None:
        """
        Nobody can be asked: the host name has no address.
        """
        self._disconnected(
            None,
            endpoint((host, port)),
            "Disconnected",
            DisconnectInfo(DisconnectReason.UNKNOWN_HOST),
        )

    def network_error(self, address: Address | None, error: OSError) -> None:
        where = None if address is None else endpoint(address)
        self._write("neterror", {"endpoint": where, "error": str(error)})

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        now = self._reactor.seconds()
        self.bursts.mode, self.bursts.idle = self.options.collect, self.options.idle / 1000
        if self.bursts.add(peer.id, method, channel, data, now):
            self._look_later()
        else:
            fields: dict[str, object] = {"peer": peer.id, "method": dotnet(method.name)}
            fields |= {"channel": channel, **described(data)}
            if len(data) <= self.options.hexmax:
                fields["hex"] = data.hex()
            self._write("received", fields)
        if self.options.echo:
            peer.send(data, method, self.options.echo_channel)

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        self._write(
            "unconnected",
            {
                "from": endpoint(address),
                "type": dotnet(kind.name),
                "len": len(data),
                "hex": data.hex(),
            },
        )
        if self.options.echo:
            self._answer(address, data)

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        fields = {"peer": peer.id, "ms": int(latency * 1000), **clocks(peer)}
        self._write("latency", fields)

    def message_delivered(self, peer: INetPeer, user_data: Any) -> None:
        self._write("delivered", {"peer": peer.id, "userdata": user_data})

    def ntp_response(self, packet: NtpPacket) -> None:
        self._write("ntp", time_told(packet))

    # ------------------------------------------------------------ inside

    def _decide(self, request: IConnectionRequest, decision: Decision) -> INetPeer | None:
        peer = None
        match decision.how:
            case How.ACCEPT:
                peer = request.accept()
            case How.ACCEPT_IF_KEY:
                peer = request.accept_if_key(decision.key)
            case How.REJECT:
                request.reject(decision.data)
            case How.REJECT_FORCE:
                request.reject_force(decision.data)
        if peer is not None:
            self.know(peer)
        return peer

    def _disconnected(self, peer: int | None, where: str, state: str, info: DisconnectInfo) -> None:
        fields: dict[str, object] = {
            "peer": peer,
            "endpoint": where,
            "state": state,
            "reason": dotnet(info.reason.name),
            "socket_error": _SOCKET_ERRORS.get(info.reason, "Success"),
            "data": info.data.hex(),
        }
        if info.detail:
            fields["detail"] = info.detail
        self._write("disconnected", fields)

    def _look_later(self) -> None:
        due = self.bursts.next_due()
        if self._look is None and due is not None:
            delay = max(0.0, due - self._reactor.seconds())
            self._look = self._reactor.callLater(delay, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        self._tell("idle", self.bursts.take_due(self._reactor.seconds()))
        self._look_later()

    def _tell(self, why: str, bursts: list[Burst]) -> None:
        for burst in bursts:
            source = burst.source
            fields = {"why": why, "peer": source.peer, "method": dotnet(source.method.name)}
            self._journal.write("burst", {**fields, "channel": source.channel, **burst.report()})

    def _write(self, event: str, fields: Mapping[str, object]) -> None:
        if self.listening:
            self._journal.write(event, fields)
