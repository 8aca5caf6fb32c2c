"""
The daemon's end of UDP associations, and the third party that introduces two of them.
"""

from __future__ import annotations

from contextlib import suppress
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
    INatPunchListener,
    INatPunchModule,
    INetEventListener,
    INetPeer,
    NatAddressType,
    RudpError,
    UnconnectedMessageType,
)
from p2pnet.serialization import NetDataReader, ReadError
from p2pnet.signaling.addresses import is_inner, literal_ip, same_host
from p2pnet.signaling.allowance import Allowance
from p2pnet.signaling.records import UnknownPeer
from p2pnet.signaling.shapes import Offer, Refusal, Welcome, encode
from p2pnet.signaling.tickets import MAX_TICKET, BadTicket

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.interfaces import INetManager, IRegistry
    from p2pnet.signaling.records import Record
    from p2pnet.signaling.tickets import TicketOffice

MALFORMED: Final = "this is not an association request"
FULL: Final = "too many associations"


class Offline(Exception):
    """
    A peer has no UDP association to be introduced through.

    :ivar peer_id: which one of the two.
    """

    def __init__(self, peer_id: str) -> None:
        self.peer_id = peer_id
        super().__init__(f"{peer_id} has no UDP association")


class TooOften(Exception):
    """
    The caller asks for more introductions than it may.

    :ivar retry_after: seconds until it may again.
    """

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"again in {retry_after:.1f} s")


class _Stage(Enum):
    ARRIVING = auto()
    """Accepted; where it says it is may be another's address."""
    STANDING = auto()
    """It answered a ping: the address is its own."""
    ENDED = auto()


@dataclass(slots=True, eq=False)
class _Association:
    peer_id: str
    internal: Address
    peer: INetPeer
    renewed: float
    stage: _Stage = _Stage.ARRIVING


@implementer(INetEventListener, INatPunchListener)
class Introducer:
    """
    Holds at most one association per registered peer, and introduces two on request.

    An association counts once its return path is proven (TRAPS T5, T8): when the engine has
    measured a round trip the registry observes the peer and the peer gets a `Welcome`.

    :param clock: for rates; whatever it counts from.
    :param token: a new unguessable string each time, 128 bits or more (TRAPS T7).
    :param limit: associations, arriving ones included.
    :param rate: introductions a caller may ask for per second in the long run.
    :param burst: and at once.
    :param renewal: seconds after which an association that lives renews its registration's lease;
        must be less than the lease.
    """

    _log = Logger()

    def __init__(
        self,
        registry: IRegistry,
        tickets: TicketOffice,
        *,
        clock: IReactorTime,
        token: Callable[[], str],
        limit: int = 10_000,
        rate: float = 1.0,
        burst: int = 10,
        renewal: float = 20.0,
    ) -> None:
        self._registry = registry
        self._tickets = tickets
        self._clock = clock
        self._token = token
        self._limit = limit
        self._renewal = renewal
        self._allowance = Allowance(rate=rate, burst=burst, limit=limit)
        self._nat: INatPunchModule | None = None
        self._arriving: dict[str, _Association] = {}
        self._standing: dict[str, _Association] = {}

    def attach(self, manager: INetManager) -> None:
        """
        Introduce through `manager`, which has us for its listener.
        """
        self._nat = manager.nat
        self._nat.init(self)

    def introduce(self, from_id: str, to_id: str) -> Deferred[Offer]:
        """
        Tell two associated peers of each other, and where.

        :return: the offer that `from_id` gets: the token, and id and name of the other.
        :raise UnknownPeer: one is not registered.
        :raise Offline: one has no association.
        :raise TooOften: `from_id` has asked too often.
        """
        return Deferred.fromCoroutine(self._introduce(from_id, to_id))

    async def _introduce(self, from_id: str, to_id: str) -> Offer:
        nat = self._nat
        if nat is None:
            raise Offline(from_id)
        wait = self._allowance.wait(from_id, self._clock.seconds())
        if wait:
            raise TooOften(wait)
        caller: Record = await self._registry.lookup(from_id)
        callee: Record = await self._registry.lookup(to_id)
        one = self._association(from_id)
        other = self._association(to_id)
        token = self._token()
        offer = Offer(token, to_id, callee.username)
        self._send(one, offer)
        self._send(other, Offer(token, from_id, caller.username))
        one_internal, other_internal = _internal_addresses(one, other)
        nat.introduce(one_internal, one.peer.address, other_internal, other.peer.address, token)
        return offer

    def forget(self, peer_id: str) -> None:
        """
        Close the associations of a peer that is no longer registered.
        """
        self._close(self._arriving.get(peer_id))
        self._close(self._standing.get(peer_id))

    def connection_request(self, request: IConnectionRequest) -> None:
        """
        Somebody presents a ticket: accept it, or refuse with the reason.
        """
        reader = NetDataReader(request.data)
        try:
            ticket = reader.get_string(MAX_TICKET)
            internal = reader.get_endpoint()
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
        association = _Association(peer_id, internal, peer, self._clock.seconds())
        peer.tag = association
        self._arriving[peer_id] = association

    def network_latency_update(self, peer: INetPeer, latency: float) -> None:
        """
        A ping was answered: whoever is there has our packets, and lives.
        """
        association = self._of(peer)
        if association is None:
            return
        now = self._clock.seconds()
        if association.stage is _Stage.ARRIVING:
            peer_id = association.peer_id
            # The old one goes only now, when the new one is proven (TRAPS T30).
            self._close(self._standing.get(peer_id))
            del self._arriving[peer_id]
            self._standing[peer_id] = association
            association.stage = _Stage.STANDING
            self._observe(association, now).addCallback(self._welcome, association)
        elif abs(now - association.renewed) >= self._renewal:
            self._observe(association, now)

    def peer_disconnected(self, peer: INetPeer, info: DisconnectInfo) -> None:
        """
        An association is over, unless we were the one who ended it.
        """
        self._leave(self._of(peer))

    def peer_connected(self, peer: INetPeer) -> None:
        """
        Nothing: the return path is not proven yet.
        """

    def network_error(self, address: Address | None, error: OSError) -> None:
        """
        Nothing: an association that suffers from it will time out.
        """

    def network_receive(
        self, peer: INetPeer, data: bytes, channel: int, method: DeliveryMethod
    ) -> None:
        """
        Nothing: a peer has nothing to say here.
        """

    def network_receive_unconnected(
        self, address: Address, data: bytes, kind: UnconnectedMessageType
    ) -> None:
        """
        Nothing.
        """

    def nat_introduction_request(self, internal: Address, external: Address, token: str) -> None:
        """
        Nothing yet: pairing plain LiteNetLib programs by token is not done here.
        """

    def nat_introduction_success(self, target: Address, kind: NatAddressType, token: str) -> None:
        """
        Nothing: nobody introduces us.
        """

    def _association(self, peer_id: str) -> _Association:
        association = self._standing.get(peer_id)
        if association is None:
            raise Offline(peer_id)
        return association

    def _of(self, peer: INetPeer) -> _Association | None:
        association = peer.tag
        if isinstance(association, _Association) and association.stage is not _Stage.ENDED:
            return association
        return None

    def _close(self, association: _Association | None) -> None:
        if association is not None:
            self._leave(association, seen=False)
            association.peer.disconnect()

    def _leave(self, association: _Association | None, seen: bool = True) -> None:
        """
        :param seen: the registry is to know; not if it forgot the peer or will hear of a new one.
        """
        if association is None:
            return
        stage, association.stage = association.stage, _Stage.ENDED
        if stage is _Stage.ARRIVING:
            del self._arriving[association.peer_id]
        elif stage is _Stage.STANDING:
            del self._standing[association.peer_id]
            if seen:
                gone = maybeDeferred(self._registry.observe, association.peer_id, None)
                gone.addErrback(self._unobserved, association)

    def _observe(self, association: _Association, now: float) -> Deferred[None]:
        association.renewed = now
        seen = maybeDeferred(self._registry.observe, association.peer_id, association.peer.address)
        return seen.addErrback(self._unobserved, association)

    def _unobserved(self, failure: Failure, association: _Association) -> None:
        # Whatever the registry suffers from, the peer comes back with a new ticket.
        if not failure.check(UnknownPeer):
            self._log.failure("registry: {peer_id!r}", failure, peer_id=association.peer_id)
        if association.stage is not _Stage.ENDED:
            self._close(association)

    def _welcome(self, _: None, association: _Association) -> None:
        if association.stage is _Stage.STANDING:
            host, port = association.peer.address
            # If it is gone already, `peer_disconnected` is on its way.
            with suppress(RudpError):
                association.peer.send(encode(Welcome(literal_ip(host) or host, port)))

    def _send(self, association: _Association, offer: Offer) -> None:
        try:
            association.peer.send(encode(offer))
        except RudpError:
            raise Offline(association.peer_id) from None


def _internal_addresses(one: _Association, other: _Association) -> tuple[Address, Address]:
    """
    What each may tell the other of its own network: all of it behind one NAT, else nothing
    (TRAPS T23).
    """
    together = same_host(one.peer.address[0], other.peer.address[0])
    return _internal(one, together), _internal(other, together)


def _internal(association: _Association, together: bool) -> Address:
    host = association.internal[0]
    external = association.peer.address
    # A public address must be the one we see, or others would be made to punch at a stranger.
    if together and (is_inner(host) or same_host(host, external[0])):
        return association.internal
    return external
