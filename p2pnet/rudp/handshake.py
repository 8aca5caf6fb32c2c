"""
What stands before a connection: requests from outside.
"""

from __future__ import annotations

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import ConnectionState
from p2pnet.rudp.token_bucket import NetworkBuckets
from p2pnet.wire.constants import CONNECTION_NUMBERS, Address
from p2pnet.wire.control import ConnectRequest
from p2pnet.wire.sockaddr import encode_sockaddr, loses_tie


class IncomingRequest:
    """
    Somebody asks to connect and the application has not decided.

    :ivar time: the connection time, in .NET ticks.
    :ivar data: what the caller handed to ``connect``.
    :ivar number: the connection number to accept with.
    :ivar received_bytes: size of all its ConnectRequests so far.
    :ivar expires_at: when it is forgotten.
    """

    __slots__ = ("address", "data", "expires_at", "number", "received_bytes", "time")

    def __init__(
        self, address: Address, request: ConnectRequest, number: int, size: int, expires_at: float
    ) -> None:
        self.address = address
        self.time = request.connection_time
        self.data = request.data
        self.number = number
        self.received_bytes = size
        self.expires_at = expires_at


class PendingRequests:
    """
    Undecided requests, one per address, bounded in number and age (PITFALLS B2).

    Also remembers which requests were turned down once and for all.
    """

    def __init__(self, config: EndpointConfig) -> None:
        self.configure(config)
        # In order of expiry, because every request lives equally long and none is renewed.
        self._by_address: dict[Address, IncomingRequest] = {}
        self._per_host: dict[str, int] = {}
        self._refused: dict[Address, tuple[int, float]] = {}
        """Connection times, and when to forget them; oldest first."""

    def configure(self, config: EndpointConfig) -> None:
        """
        Take other limits for what comes from now on.
        """
        self._limit = config.max_pending_requests
        self._limit_per_host = config.max_pending_requests_per_host
        self._lifetime = config.request_lifetime
        rate = config.requests_per_second
        self._rates = NetworkBuckets(rate) if rate else None

    def __len__(self) -> int:
        return len(self._by_address)

    def get(self, address: Address) -> IncomingRequest | None:
        """
        The undecided request from ``address``; None if there is none.
        """
        return self._by_address.get(address)

    def add(
        self, address: Address, request: ConnectRequest, number: int, size: int, now: float
    ) -> IncomingRequest | None:
        """
        Hold a request, in place of an earlier one from its address; None if there is no room for
        it, or too many come from its network.
        """
        if self._rates is not None and not self._rates.take(address[0], now):
            return None
        old = self._by_address.get(address)
        if old is not None:
            self.remove(old)
        host = address[0]
        on_host = self._per_host.get(host, 0)
        if len(self._by_address) >= self._limit or on_host >= self._limit_per_host:
            return None
        pending = IncomingRequest(address, request, number, size, now + self._lifetime)
        self._by_address[address] = pending
        self._per_host[host] = on_host + 1
        return pending

    def remove(self, pending: IncomingRequest) -> bool:
        """
        Forget a request; False if it is not held (any more).
        """
        address = pending.address
        if self._by_address.get(address) is not pending:
            return False
        del self._by_address[address]
        on_host = self._per_host.pop(address[0]) - 1
        if on_host:
            self._per_host[address[0]] = on_host
        return True

    def refuse(self, pending: IncomingRequest) -> None:
        """
        Hear this request no more, however often it comes (PITFALLS D10).
        """
        self._refused.pop(pending.address, None)
        if len(self._refused) >= self._limit:
            del self._refused[next(iter(self._refused))]
        self._refused[pending.address] = pending.time, pending.expires_at

    def is_refused(self, address: Address, time: int, now: float) -> bool:
        """
        Whether it is such a request that comes again.
        """
        refused = self._refused.get(address)
        return refused is not None and refused[0] == time and refused[1] > now

    def expire(self, now: float) -> None:
        """
        Forget requests whose time is over.
        """
        while self._by_address:
            oldest = next(iter(self._by_address.values()))
            if oldest.expires_at > now:
                return
            self.remove(oldest)

    def next_timeout(self) -> float | None:
        """
        When the oldest request expires; None if there is none.
        """
        for oldest in self._by_address.values():
            return oldest.expires_at
        return None


def number_for(
    request: ConnectRequest, connection: Connection, latest: int
) -> int | None:
    """
    The number to accept a request with, from an address that we have a connection with.

    None if the request does not supersede that connection (BEHAVIOUR §3.2, §3.3).  If it does, the
    connection still goes on until the application accepts the request (PITFALLS C2, C3).

    :param latest: in .NET ticks; a connection time after it is no time, and orders nothing, or who
        chose it could lock its address for years (PITFALLS C9).
    """
    theirs, ours = request.connection_time, connection.connection_time
    match connection.state:
        case ConnectionState.OUTGOING:
            wins = theirs < ours or (
                theirs == ours and loses_tie(encode_sockaddr(connection.address), request.target)
            )
            if wins and connection.opens_peer_to_peer:
                return request.connection_number
            return None
        case ConnectionState.DISCONNECTED:
            supersedes = theirs >= ours
        case _:
            supersedes = theirs > ours or (ours > latest and theirs != ours)
    return (connection.number + 1) % CONNECTION_NUMBERS if supersedes else None
