"""
The daemon's end of UDP associations: who is there, and where.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    DeliveryMethod,
    DisconnectInfo,
    IConnectionRequest,
    INetEventListener,
    INetPeer,
    RudpError,
    UnconnectedMessageType,
)
from p2pnet.reach.mapping import NatMapping
from p2pnet.serialization import NetDataReader, ReadError
from p2pnet.signaling.addresses import literal_ip
from p2pnet.signaling.allowance import NetworkAllowance
from p2pnet.signaling.records import RegistryUnavailable, UnknownPeer
from p2pnet.signaling.shapes import Leaving, Refusal, Welcome, encode
from p2pnet.signaling.tickets import MAX_TICKET, BadTicket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.interfaces import IRegistry
    from p2pnet.signaling.limits import Limits
    from p2pnet.signaling.records import Change
    from p2pnet.signaling.shapes import UdpEndpoint
    from p2pnet.signaling.tickets import TicketOffice

MALFORMED: Final = "this is not an association request"
"""Why somebody is refused who shows no ticket."""
FULL: Final = "too many associations"
"""Why somebody is refused when there is no room."""
DRAINING: Final = "this daemon is about to end"
"""Why somebody is refused who would have to leave at once."""
UNAVAILABLE: Final = "the registry cannot be reached; try again"
"""Why somebody is refused whose ticket nobody can check."""


class Offline(Exception):
    """
    A peer has no UDP association.

    :ivar peer_id: whose is missing.
    """

    def __init__(self, peer_id: str) -> None:
        self.peer_id = peer_id
        super().__init__(f"{peer_id} has no UDP association")


class _Stage(Enum):
    ARRIVING = auto()
    """Accepted; where it says it is may be another's address."""
    STANDING = auto()
    """It answered a ping: the address is its own."""
    ENDED = auto()


@dataclass(slots=True, eq=False)
class Attendee:
    """
    A registered peer over its association.

    :ivar internal: its own address inside its network, as it claims.
    :ivar mapping: what its NAT does, as it says.
    :ivar away: it says that nobody looks; None until it says something.
    :ivar known: the registry knows that it is here.
    """

    peer_id: str
    internal: Address
    peer: INetPeer
    renewed: float
    mapping: NatMapping = NatMapping.UNKNOWN
    away: bool | None = None
    known: bool = False
    stage: _Stage = _Stage.ARRIVING

    @property
    def address(self) -> Address:
        """
        Where we see it.
        """
        return self.peer.address

    def say(self, message: object) -> bool:
        """
        Send a message of `p2pnet.signaling.shapes`; false if it is gone already.
        """
        try:
            self.peer.send(encode(message))
        except RudpError:
            # `Attendance.peer_disconnected` is on its way.
            return False
        return True


@implementer(INetEventListener)
class Attendance:
    """
    Holds at most one association per registered peer.

    An association counts once its return path is proven (TRAPS T5, T8): when the engine has
    measured a round trip the registry learns of it and the peer gets a `Welcome`.

    It outlives an outage of the registry, and ends when its peer is no longer registered or has one
    with another daemon.

    :param clock: whatever it counts from.
    :param limit: associations, arriving ones included.
    :param limits: how often strangers may ask to be let in.
    :param renewal: seconds after which an association that lives renews its registration's lease;
        must be less than the lease.
    :param observers: where else to ask from where one is seen, at this moment.
    :param arrived: told of each who has got its welcome.
    :param heard: takes what an attendee says.
    :ivar refusals: how often somebody was not let in, by reason.
    """

    _log = Logger()

    def __init__(
        self,
        registry: IRegistry,
        tickets: TicketOffice,
        *,
        clock: IReactorTime,
        limit: int,
        limits: Limits,
        renewal: float,
        observers: Callable[[], Sequence[UdpEndpoint]],
        arrived: Callable[[Attendee], None],
        heard: Callable[[Attendee, bytes], None],
    ) -> None:
        self._registry = registry
        self._tickets = tickets
        self._clock = clock
        self.refusals: Counter[str] = Counter()
        self._limit = limit
        self._allowance = NetworkAllowance(limits.associations, limits.associations_in_all)
        self._renewal = renewal
        self._observers = observers
        self._arrived = arrived
        self._heard = heard
        self._arriving: dict[str, Attendee] = {}
        self._standing: dict[str, Attendee] = {}
        self._draining = False
        registry.feed.watch(self._changed)

    # ------------------------------------------------------------ what one sees

    def find(self, peer_id: str) -> Attendee:
        """
        Who is there.

        :raise Offline: nobody, or it has yet to prove its address.
        """
        attendee = self._standing.get(peer_id)
        if attendee is None:
            raise Offline(peer_id)
        return attendee

    def mappings(self) -> dict[str, int]:
        """
        How many are behind which sort of NAT, by `NatMapping`'s words.
        """
        return Counter(attendee.mapping.value for attendee in self._standing.values())

    @property
    def count(self) -> int:
        """
        How many are there.
        """
        return len(self._standing)

    def has(self, peer_id: str) -> bool:
        """
        Whether a peer is there.
        """
        return peer_id in self._standing

    def set_away(self, attendee: Attendee, away: bool) -> None:
        """
        Note whether it says that somebody looks.
        """
        if attendee.away != away:
            attendee.away = away
            noted = maybeDeferred(self._registry.set_away, attendee.peer_id, away)
            noted.addErrback(self._unknown, attendee)

    def drain(self, retry_after: float) -> int:
        """
        Let nobody in any more, and tell all who are here to go elsewhere, or to come back when
        another daemon runs.

        :param retry_after: seconds until it may.
        :return: how many were told.
        """
        self._draining = True
        return sum(each.say(Leaving(retry_after)) for each in list(self._standing.values()))

    # ------------------------------------------------------------ INetEventListener

    def connection_request(self, request: IConnectionRequest) -> None:
        """
        Somebody presents a ticket: accept it, or refuse with the reason.
        """
        if not self._allowance.take(request.address[0], self._clock.seconds()):
            # Without a word, for an answer is what a flood in somebody else's name is after; but
            # decided, or it would keep others out for as long as it may wait for that.
            self.refusals["too often"] += 1
            request.reject_force()
            return
        if self._draining:
            self._reject(request, "draining", DRAINING)
            return
        reader = NetDataReader(request.data)
        try:
            ticket = reader.get_string(MAX_TICKET)
            internal = reader.get_endpoint()
            if internal[1] == 0:
                # Nobody can be sent there (PITFALLS B7).
                raise ReadError("an internal endpoint with port 0")
        except ReadError:
            self._reject(request, "malformed", MALFORMED)
            return
        redeemed = self._tickets.redeem(ticket)
        redeemed.addCallbacks(
            self._admit, self._refuse, (request, internal), errbackArgs=(request,)
        )
        redeemed.addErrback(lambda failure: self._log.failure("letting in", failure))

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        """
        A ping was answered: whoever is there has our packets, and lives.
        """
        attendee = self._of(peer)
        if attendee is None:
            return
        now = self._clock.seconds()
        if attendee.stage is _Stage.ARRIVING:
            peer_id = attendee.peer_id
            # The old one goes only now, when the new one is proven (TRAPS T30).
            self._close(self._standing.get(peer_id))
            del self._arriving[peer_id]
            self._standing[peer_id] = attendee
            attendee.stage = _Stage.STANDING
            self._associate(attendee, now)
        elif not attendee.known:
            if self._registry.available:
                self._associate(attendee, now)
        elif abs(now - attendee.renewed) >= self._renewal:
            attendee.renewed = now
            renewed = maybeDeferred(self._registry.renew, attendee.peer_id, attendee.address)
            # Whoever is not renewed for that will be the next time, or by the registry itself.
            renewed.addErrback(lambda failure: failure.trap(RegistryUnavailable) and None)
            renewed.addErrback(self._unknown, attendee)

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        """
        An association is over, unless we were the one who ended it.
        """
        self._leave(self._of(peer))

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        """
        A peer speaks.  Before its address is proven nobody listens.
        """
        attendee = self._of(peer)
        if attendee is not None and attendee.stage is _Stage.STANDING:
            self._heard(attendee, data)

    def peer_connected(self, peer: INetPeer) -> None:
        """
        Nothing: the return path is not proven yet.
        """

    def network_error(self, address: Address | None, error: OSError) -> None:
        """
        Nothing: an association that suffers from it will time out.
        """

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        """
        Nothing.
        """

    # ------------------------------------------------------------ inside

    def _admit(self, peer_id: str, request: IConnectionRequest, internal: Address) -> None:
        # One that arrives at a time: who has a ticket cannot fill the house with it.
        self._close(self._arriving.get(peer_id))
        replaced = peer_id in self._standing
        if len(self._arriving) + len(self._standing) - replaced >= self._limit:
            self._reject(request, "full", FULL)
            return
        try:
            peer = request.accept(self)
        except RudpError:
            # It did not wait for the registry.
            return
        attendee = Attendee(peer_id, internal, peer, self._clock.seconds())
        peer.tag = attendee
        self._arriving[peer_id] = attendee

    def _refuse(self, failure: Failure, request: IConnectionRequest) -> None:
        if failure.check(RegistryUnavailable):
            self._reject(request, "unavailable", UNAVAILABLE)
        else:
            failure.trap(BadTicket)
            self._reject(request, "ticket", str(failure.value))

    def _reject(self, request: IConnectionRequest, word: str, reason: str) -> None:
        self.refusals[word] += 1
        try:
            request.reject(encode(Refusal(reason)))
        except RudpError:
            # It did not wait for the registry.
            return

    def _changed(self, change: Change | None) -> None:
        if change is None:
            return
        peer_id = change.record.peer_id
        if change.removed:
            self._close(self._arriving.get(peer_id))
        if change.removed or change.record.node not in ("", self._registry.node):
            # It is not registered any more, or is with another daemon by now.
            self._close(self._standing.get(peer_id))

    def _of(self, peer: INetPeer) -> Attendee | None:
        attendee = peer.tag
        if isinstance(attendee, Attendee) and attendee.stage is not _Stage.ENDED:
            return attendee
        return None

    def _close(self, attendee: Attendee | None) -> None:
        if attendee is not None:
            self._leave(attendee, seen=False)
            attendee.peer.disconnect()

    def _leave(self, attendee: Attendee | None, seen: bool = True) -> None:
        """
        :param seen: the registry is to know; not if it forgot the peer or will hear of a new one.
        """
        if attendee is None:
            return
        stage, attendee.stage = attendee.stage, _Stage.ENDED
        if stage is _Stage.ARRIVING:
            del self._arriving[attendee.peer_id]
        elif stage is _Stage.STANDING:
            del self._standing[attendee.peer_id]
            if seen:
                gone = maybeDeferred(self._registry.dissociate, attendee.peer_id)
                gone.addErrback(self._unknown, attendee)

    def _associate(self, attendee: Attendee, now: float) -> None:
        attendee.renewed = now
        # Nobody asks twice at a time.
        attendee.known = True
        seen = maybeDeferred(self._registry.associate, attendee.peer_id, attendee.address)
        seen.addCallback(self._welcome, attendee)
        seen.addErrback(self._unknown, attendee)

    def _unknown(self, failure: Failure, attendee: Attendee) -> None:
        if failure.check(RegistryUnavailable):
            # It is told when it is there again: at the next ping that is answered.
            attendee.known = False
            return
        # Whatever the registry suffers from, the peer comes back with a new ticket.
        if not failure.check(UnknownPeer):
            self._log.failure("registry: {peer_id!r}", failure, peer_id=attendee.peer_id)
        if attendee.stage is not _Stage.ENDED:
            self._close(attendee)

    def _welcome(self, _: None, attendee: Attendee) -> None:
        if attendee.stage is _Stage.STANDING:
            host, port = attendee.address
            attendee.say(Welcome(literal_ip(host) or host, port, list(self._observers())))
            self._arrived(attendee)
