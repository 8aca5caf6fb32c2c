"""
A town in memory: peers of the engine, connection requests and a rendezvous, on a task.Clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DeliveryMethod,
    DialFailed,
    DisconnectInfo,
    DisconnectReason,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    IRendezvous,
    KnownPeer,
    NotConnected,
    QueueFull,
    Reachability,
)
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.outcome import Outcome
from tests.engine import PlainPeer, PlainRequest

LATENCY = 0.05
NOON = 1_750_000_000.0
"""Unix seconds when the clocks of the tests show 0."""


@implementer(INetPeer)
class PairedPeer(PlainPeer):
    """
    One end of a connection: what is sent arrives after `LATENCY`, and is acknowledged after two.

    :ivar deaf: nothing arrives here any more, as behind a cut cable.
    :ivar full: the engine takes nothing more.
    """

    def __init__(self, clock: Clock, address: Address, listener: INetEventListener | None) -> None:
        super().__init__(address, mtu=1432, round_trip_time=2 * LATENCY)
        self.other: PairedPeer | None = None
        self.listener = listener
        self.deaf = False
        self.full = False
        self.farewell: bytes | None = None
        self._clock = clock
        self._flying: dict[int, IDelayedCall] = {}
        self._number = 0

    @property
    def unacknowledged(self) -> int:
        return len(self._flying)

    def send(
        self,
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        if self.state is not ConnectionState.CONNECTED:
            raise NotConnected
        if self.full:
            raise QueueFull("1024 messages are queued")
        self.sent.append(data)
        self._number += 1
        number = self._number
        self._flying[number] = self._clock.callLater(
            LATENCY, self._arrive, number, data, method, channel
        )

    def _arrive(self, number: int, data: bytes, method: DeliveryMethod, channel: int) -> None:
        other = self.other
        if other is None or other.deaf:
            return
        self._flying[number] = self._clock.callLater(LATENCY, self._acknowledged, number)
        if other.state is ConnectionState.CONNECTED and other.listener is not None:
            other.listener.network_receive(other, data, channel, method)

    def _acknowledged(self, number: int) -> None:
        self._flying.pop(number, None)

    def disconnect(self, data: bytes = b"") -> None:
        if self.state is not ConnectionState.CONNECTED:
            return
        self.farewell = data
        if self.other is not None and not self.other.deaf:
            info = DisconnectInfo(DisconnectReason.REMOTE_CONNECTION_CLOSE, data)
            self._clock.callLater(LATENCY, self.other.end, info)
        self.end(DisconnectInfo(DisconnectReason.DISCONNECT_PEER_CALLED))

    def end(self, info: DisconnectInfo) -> None:
        """
        The connection is over here; what is under way is abandoned.
        """
        if self.state is not ConnectionState.CONNECTED:
            return
        self.state = ConnectionState.DISCONNECTED
        for call in self._flying.values():
            if call.active():
                call.cancel()
        self._flying.clear()
        if self.listener is not None:
            self.listener.peer_disconnected(self, info)


def connect_pair(
    clock: Clock,
    caller: INetEventListener | None,
    callee: INetEventListener | None,
    caller_address: Address = ("192.0.2.1", 9050),
    callee_address: Address = ("192.0.2.2", 9050),
) -> tuple[PairedPeer, PairedPeer]:
    """
    The caller's and the callee's end of a new connection; both have heard of it.
    """
    near = PairedPeer(clock, callee_address, caller)
    far = PairedPeer(clock, caller_address, callee)
    near.other, far.other = far, near
    for peer in (far, near):
        if peer.listener is not None:
            peer.listener.peer_connected(peer)
    return near, far


@implementer(IConnectionRequest)
class PairedRequest(PlainRequest):
    """
    A request of one town dweller to another.
    """

    def __init__(
        self, address: Address, data: bytes, accepted: Callable[[INetEventListener], INetPeer]
    ) -> None:
        super().__init__(address, data)
        self._accepted = accepted

    def accept(self, listener: INetEventListener | None = None) -> INetPeer:
        assert listener is not None
        self.decide()
        return self._accepted(listener)

    def accept_if_key(self, key: str) -> INetPeer | None:
        raise NotImplementedError


def _names(entry: KnownPeer) -> tuple[str, ...]:
    return entry.peer_id, entry.username, f"{entry.username}#{entry.peer_id[:4]}"


@dataclass
class Town:
    """
    Everybody, and the way between them.
    """

    clock: Clock
    entries: dict[str, KnownPeer] = field(default_factory=dict)
    listeners: dict[str, INetEventListener] = field(default_factory=dict)
    pairs: list[tuple[PairedPeer, PairedPeer]] = field(default_factory=list)

    def enter(
        self, peer_id: str, username: str, *, listener: INetEventListener | None = None
    ) -> None:
        address = f"192.0.2.{len(self.entries) + 1}", 9050
        self.entries[peer_id] = KnownPeer(peer_id, username, address)
        if listener is not None:
            self.listeners[peer_id] = listener

    def entry(self, who: str, *, besides: str) -> KnownPeer:
        """
        Who is meant, as the daemon of `p2pnet.signaling` understands it.
        """
        named = [each for each in self.entries.values() if who in _names(each)]
        if any(each.peer_id == besides for each in named) and len(named) == 1:
            raise DialFailed("self", "that is you")
        named = [each for each in named if each.peer_id != besides]
        online = [each for each in named if each.address is not None]
        if not named:
            raise DialFailed("unknown", f'nobody is called "{who}"')
        if not online:
            raise DialFailed("offline", f'"{who}" is not online')
        if len(online) > 1:
            ids = ", ".join(each.peer_id for each in online)
            raise DialFailed("ambiguous", f'{len(online)} are called "{who}": {ids}')
        return online[0]

    def address(self, peer_id: str) -> Address:
        address = self.entries[peer_id].address
        assert address is not None
        return address


@implementer(IRendezvous)
class TownRendezvous:
    """
    The rendezvous as one dweller of the town has it.

    :ivar delay: seconds until a dial reaches the other one.
    :ivar refuses: the failure of the next dials, if any.
    :ivar outcomes: the records of dials, by peer id.
    :ivar probes: what was to be knocked at.
    :ivar found: what knocking finds.
    """

    def __init__(self, town: Town, peer_id: str) -> None:
        self.online = True
        self.away = False
        self.external: Address | None = ("192.0.2.200", 9050)
        self.names: list[str] = []
        self.dialled: list[str] = []
        self.delay = LATENCY
        self.refuses: DialFailed | None = None
        self.unreachable = False
        self.nat = NatMapping.UNKNOWN
        self.outcomes: dict[str, Outcome] = {}
        self.probes: list[int | None] = []
        self.found = Reachability(("192.0.2.200", 9050), False, None, None)
        self.pending: list[Deferred[INetPeer]] = []
        self._town = town
        self._peer_id = peer_id

    def set_away(self, away: bool) -> None:
        self.away = away
        entries = self._town.entries
        entries[self._peer_id] = replace(entries[self._peer_id], away=away)

    def peers(self) -> Deferred[Sequence[KnownPeer]]:
        if self.unreachable:
            return fail(DialFailed("unavailable", "the rendezvous does not answer"))
        return succeed(list(self._town.entries.values()))

    def find(self, who: str) -> Deferred[tuple[str, str]]:
        if self.unreachable:
            return fail(DialFailed("unavailable", "the rendezvous does not answer"))
        try:
            entry = self._town.entry(who, besides=self._peer_id)
        except DialFailed as why:
            return fail(why)
        return succeed((entry.peer_id, entry.username))

    def outcome(self, who: str) -> Outcome | None:
        known = [each for each in self.outcomes.values() if who in (each.peer_id, each.username)]
        return known[-1] if known else None

    def probe(self, port: int | None = None) -> Deferred[Reachability]:
        if self.unreachable:
            return fail(DialFailed("unavailable", "the rendezvous does not answer"))
        self.probes.append(port)
        return succeed(self.found)

    def dial(self, who: str, listener: INetEventListener) -> Deferred[INetPeer]:
        self.dialled.append(who)
        if self.refuses is not None:
            return fail(self.refuses)
        if who not in self._town.listeners:
            return fail(DialFailed("offline", f"{who} is not online"))
        result: Deferred[INetPeer] = Deferred()
        self.pending.append(result)
        self._town.clock.callLater(self.delay, self._request, who, listener, result)
        return result

    def _request(self, who: str, listener: INetEventListener, result: Deferred[INetPeer]) -> None:
        if result.called:
            return
        town = self._town

        def accepted(callee: INetEventListener) -> INetPeer:
            pair = connect_pair(
                town.clock, listener, callee, town.address(self._peer_id), town.address(who)
            )
            town.pairs.append(pair)
            return pair[1]

        request = PairedRequest(town.address(self._peer_id), self._peer_id.encode(), accepted)
        town.listeners[who].connection_request(request)
        if request.rejection is not None:
            result.errback(DialFailed("rejected", request.rejection.decode()))
        else:
            result.callback(town.pairs[-1][0])

    def introduced(self, data: bytes) -> str | None:
        claimed = data.decode("utf-8", "replace")
        return claimed if claimed in self._town.entries else None

    def rename(self, username: str) -> Deferred[None]:
        if self.unreachable:
            return fail(DialFailed("unavailable", "the rendezvous does not answer"))
        self.names.append(username)
        return succeed(None)
