"""
What stands before a connection: requests from outside, and proof that an address is real.
"""

from __future__ import annotations

from p2pnet.rudp.config import EndpointConfig
from p2pnet.wire.constants import Address
from p2pnet.wire.control import ConnectRequest


class IncomingRequest:
    """
    Somebody asks to connect and the application has not decided.

    :ivar number: the connection number to accept with.
    :ivar received_bytes: size of all its ConnectRequests so far.
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
    """

    def __init__(self, config: EndpointConfig) -> None:
        self._limit = config.max_pending_requests
        self._limit_per_host = config.max_pending_requests_per_host
        self._lifetime = config.request_lifetime
        # In order of expiry, because every request lives equally long and none is renewed.
        self._by_address: dict[Address, IncomingRequest] = {}
        self._per_host: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_address)

    def get(self, address: Address) -> IncomingRequest | None:
        """
        The undecided request from `address`.
        """
        return self._by_address.get(address)

    def add(
        self, address: Address, request: ConnectRequest, number: int, size: int, now: float
    ) -> IncomingRequest | None:
        """
        Hold a request, in place of an earlier one from its address; None if there is no room.
        """
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
        When the oldest request expires.
        """
        for oldest in self._by_address.values():
            return oldest.expires_at
        return None


class Allowance:
    """
    How many bytes may go to an address that has not shown that it hears us (PITFALLS C1).
    """

    __slots__ = ("_factor", "_room", "proven")

    def __init__(self, factor: float, received: int) -> None:
        self.proven = factor == 0
        """The address has echoed something it could not guess; nothing is counted any more."""
        self._factor = factor
        self._room = factor * received

    @property
    def room(self) -> int:
        """
        Bytes that may be sent now.
        """
        return 1 << 30 if self.proven else int(self._room)

    def received(self, size: int) -> None:
        self._room += self._factor * size

    def spend(self, size: int) -> bool:
        """
        Take `size` bytes; False, and nothing taken, if they are not there.
        """
        if not self.proven:
            if self._room < size:
                return False
            self._room -= size
        return True
