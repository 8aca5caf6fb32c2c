"""
One search for a path to one introduced peer, and the connection that came of it.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from p2pnet.interfaces import (
    Address,
    ConnectionState,
    DialFailed,
    INetPeer,
    NotConnected,
    RudpError,
)
from p2pnet.reach.agent import Agent, PathNominated, Role
from p2pnet.reach.candidates import Candidate, CandidateKind, is_private, may_dial
from p2pnet.reach.mapping import NatMapping
from p2pnet.serialization import NetDataReader, NetDataWriter, ReadError
from p2pnet.signaling.addresses import literal_ip
from p2pnet.signaling.shapes import MAX_TOKEN, Offer, Spot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pnet.interfaces import INetManager

LIFETIME: Final = 30.0
"""Seconds in which an introduction must have led to a connection."""


class Search:
    """
    Our side of one session.

    :param near: private addresses may mean the same to both sides.
    :param direct: our own socket leads somewhere.
    :ivar found: fires with the address for the engine when a path is nominated; fails with
        `DialFailed` if none opens.
    :ivar nominated: the path in use, and what it is.
    :ivar peer: the connection that came of it.
    :ivar ours: the candidates that the other side was told of.
    :ivar theirs: those that we were told of, and try.
    :raise ValueError: the offer's token cannot be carried by a probe.
    """

    def __init__(
        self,
        offer: Offer,
        manager: INetManager,
        *,
        random: Callable[[int], int],
        now: float,
        patience: float,
        near: bool,
        direct: bool,
    ) -> None:
        self.token = offer.token
        self.peer_id = offer.peer_id
        self.username = offer.username
        self.role = Role(offer.role)
        self.their_mapping = _mapping(offer.nat)
        self.since = now
        self.direct = direct
        self.ours: list[Candidate] = []
        self.theirs: list[Candidate] = []
        self.found: Deferred[Address] = Deferred()
        self.nominated: PathNominated | None = None
        self.peer: INetPeer | None = None
        self.agent = Agent(
            offer.token,
            bytes.fromhex(offer.key),
            self.role,
            random=random,
            now=now,
            patience=patience,
        )
        self._manager = manager
        self._near = near
        self._before = frozenset(manager.peers)
        """Connections that cannot have come of this search, wherever they lead."""
        self._addresses: list[Address] = []
        """Under which the engine knows, or knew, the peer; the newest last."""
        self._over = False

    # ------------------------------------------------------------ the path

    def add(self, candidates: Sequence[Candidate], now: float) -> list[Candidate]:
        """
        Try these, as far as they may be dialled.

        :return: which of them are new, and are tried.
        """
        taken = []
        for candidate in candidates:
            if candidate in self.theirs or not may_dial(candidate, together=self._near):
                continue
            if self.agent.add(candidate, now, direct=self.direct):
                self.theirs.append(candidate)
                taken.append(candidate)
        return taken

    def use(self, event: PathNominated, address: Address) -> None:
        """
        Both sides use this path from now on; the engine reaches its end at ``address``.
        """
        self.nominated = event
        if address in self._addresses:
            self._addresses.remove(address)
        self._addresses.append(address)
        if not self.found.called:
            self.found.callback(address)
        self.settle()

    def end(self) -> None:
        """
        Look for nothing more, and leave the connection, if there is one, as it is.
        """
        self._over = True
        if not self.found.called:
            self.found.errback(DialFailed("no-path", f"no path to {self.username}"))

    # ------------------------------------------------------------ the connection

    def is_proof(self, data: bytes, now: float) -> bool:
        """
        Whether connection data shows that the other side of this session sends it.

        Compared in constant time (TRAPS T7).  Good until there is a connection, for `LIFETIME` at
        most.
        """
        self.settle()
        if self.peer is not None or now >= self.since + LIFETIME:
            return False
        reader = NetDataReader(data)
        try:
            token = reader.get_string(MAX_TOKEN)
            claimed = reader.get_string(MAX_TOKEN)
        except ReadError:
            return False
        same_token = hmac.compare_digest(_bytes(token), _bytes(self.token))
        return hmac.compare_digest(_bytes(claimed), _bytes(self.peer_id)) and same_token

    def settle(self) -> None:
        """
        Have the connection, if there is one by now, go over the path that is to be used.
        """
        if self._over or not self._addresses:
            return
        if self.peer is None:
            new = [peer for peer in self._manager.peers if peer not in self._before]
            known = [peer for peer in new if peer.address in self._addresses]
            if not known:
                return
            self.peer = known[0]
        if self.peer.address != self._addresses[-1]:
            try:
                self.peer.move(self._addresses[-1])
            except NotConnected:
                return
            except RudpError:
                # Two dials at once have led there by two searches; it is the other one's now.
                self._addresses.pop()

    @property
    def is_in_use(self) -> bool:
        """
        There is a connection, and it stands.
        """
        return self.peer is not None and self.peer.state is ConnectionState.CONNECTED

    @property
    def is_settled(self) -> bool:
        """
        There is a connection, on the path that is to be used.
        """
        return self.peer is not None and self.peer.address in self._addresses[-1:]

    def is_spent(self, now: float) -> bool:
        """
        Nothing comes of it any more.
        """
        if self.peer is None:
            return now >= self.since + LIFETIME
        return not self.is_in_use


def proof(token: str, peer_id: str) -> bytes:
    """
    Connection data that shows an introduction with ``token`` to us, ``peer_id``.
    """
    writer = NetDataWriter()
    writer.put_string(token)
    writer.put_string(peer_id)
    return writer.data()


def candidate_of(spot: Spot) -> Candidate | None:
    """
    What a message says, as a candidate; None if it names no address, or one with a scope, which
    means nothing to another machine.
    """
    ip = literal_ip(spot.ip)
    if ip is None or "%" in ip:
        return None
    return Candidate(CandidateKind(spot.kind), (ip, spot.port))


def spot_of(candidate: Candidate) -> Spot:
    """
    What a message says of a candidate that is not merely seen.
    """
    kind = candidate.kind
    assert kind is not CandidateKind.SEEN
    return Spot(kind.value, candidate.address[0], candidate.address[1])


def is_near(facilitator: str) -> bool:
    """
    Whether a daemon at that address is within our own network.

    It sees its neighbours at private addresses, which mean the same to us then.
    """
    return ip_address(facilitator).is_loopback or is_private(facilitator)


def as_seen_from_here(candidate: Candidate, together: bool, facilitator: Address) -> Candidate:
    """
    A peer that the daemon sees on loopback lives on the daemon's own machine: from elsewhere it is
    at the daemon's address.
    """
    host, port = candidate.address
    if together or not ip_address(host).is_loopback:
        return candidate
    return Candidate(candidate.kind, (facilitator[0], port))


def _mapping(word: str) -> NatMapping:
    try:
        return NatMapping(word)
    except ValueError:
        # From a newer one.
        return NatMapping.UNKNOWN


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
