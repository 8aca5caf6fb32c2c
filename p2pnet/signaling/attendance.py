"""
The daemon's end of UDP associations: who is there, and where.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, maybeDeferred
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
from p2pnet.signaling.records import UnknownPeer
from p2pnet.signaling.shapes import Refusal, Welcome, encode
from p2pnet.signaling.tickets import MAX_TICKET, BadTicket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.interfaces import IRegistry
    from p2pnet.signaling.shapes import UdpEndpoint
    from p2pnet.signaling.tickets import TicketOffice

MALFORMED: Final = "this is not an association request"
"""Why somebody is refused who shows no ticket."""
FULL: Final = "too many associations"
"""Why somebody is refused when there is no room."""


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
    """

    peer_id: str
    internal: Address
    peer: INetPeer
    renewed: float
    mapping: NatMapping = NatMapping.UNKNOWN
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
    measured a round trip the registry observes the peer and the peer gets a `Welcome`.

    :param clock: whatever it counts from.
    :param limit: associations, arriving ones included.
    :param renewal: seconds after which an association that lives renews its registration's lease;
        must be less than the lease.
    :param observers: where else to ask from where one is seen, at this moment.
    :param arrived: told of each who has got its welcome.
    :param heard: takes what an attendee says.
    """

    _log = Logger()

    def __init__(
        self,
        registry: IRegistry,
        tickets: TicketOffice,
        *,
        clock: IReactorTime,
        limit: int,
        renewal: float,
        observers: Callable[[], Sequence[UdpEndpoint]],
        arrived: Callable[[Attendee], None],
        heard: Callable[[Attendee, bytes], None],
    ) -> None:
        self._registry = registry
        self._tickets = tickets
        self._clock = clock
        self._limit = limit
        self._renewal = renewal
        self._observers = observers
        self._arrived = arrived
        self._heard = heard
        self._arriving: dict[str, Attendee] = {}
        self._standing: dict[str, Attendee] = {}

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

    def forget(self, peer_id: str) -> None:
        """
        Close the associations of a peer that is no longer registered.
        """
        self._close(self._arriving.get(peer_id))
        self._close(self._standing.get(peer_id))

    # ------------------------------------------------------------ INetEventListener

    def connection_request(self, request: IConnectionRequest) -> None:
        """
        Somebody presents a ticket: accept it, or refuse with the reason.
        """
        reader = NetDataReader(request.data)
        try:
            ticket = reader.get_string(MAX_TICKET)
            internal = reader.get_endpoint()
            if internal[1] == 0:
                # Nobody can be sent there (PITFALLS B7).
                raise ReadError("an internal endpoint with port 0")
        except ReadError:
            request.reject(encode(Refusal(MALFORMED)))
            return
        try:
            peer_id = self._tickets.redeem(ticket)
        except BadTicket as error:
            request.reject(encode(Refusal(str(error))))
            return
        # One that arrives at a time: who has a ticket cannot fill the house with it.
        self._close(self._arriving.get(peer_id))
        replaced = peer_id in self._standing
        if len(self._arriving) + len(self._standing) - replaced >= self._limit:
            request.reject(encode(Refusal(FULL)))
            return
        try:
            peer = request.accept(self)
        except RudpError:
            return
        attendee = Attendee(peer_id, internal, peer, self._clock.seconds())
        peer.tag = attendee
        self._arriving[peer_id] = attendee

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
            self._observe(attendee, now).addCallback(self._welcome, attendee)
        elif abs(now - attendee.renewed) >= self._renewal:
            self._observe(attendee, now)

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
                gone = maybeDeferred(self._registry.observe, attendee.peer_id, None)
                gone.addErrback(self._unobserved, attendee)

    def _observe(self, attendee: Attendee, now: float) -> Deferred[None]:
        attendee.renewed = now
        seen = maybeDeferred(self._registry.observe, attendee.peer_id, attendee.address)
        return seen.addErrback(self._unobserved, attendee)

    def _unobserved(self, failure: Failure, attendee: Attendee) -> None:
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
