"""
Proof, from REST to UDP, that an association belongs to a registration (TRAPS T5, T7).
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TICKET: Final = 256
"""Characters; ours have about 130."""


class BadTicket(Exception):
    """
    Unknown, expired, used or somebody else's: which one is nobody's business (TRAPS T7).
    """

    def __init__(self) -> None:
        super().__init__("the ticket is not valid")


class TicketOffice:
    """
    Issues tickets that can be redeemed once, within their life, at this office.

    :param key: of the HMAC-SHA256; 32 random bytes or more.
    :param clock: monotonic seconds.
    :param nonce: a new unguessable string each time.
    :param lifetime: seconds a ticket is good for.
    :param limit: how many redeemed tickets are remembered; past it none is redeemed until an old
        one has expired, for to forget one early would be to let it be used twice.
    """

    def __init__(
        self,
        key: bytes,
        clock: Callable[[], float],
        nonce: Callable[[], str],
        lifetime: float = 60.0,
        limit: int = 65_536,
    ) -> None:
        self._key = key
        self._clock = clock
        self._nonce = nonce
        self._lifetime = lifetime
        self._limit = limit
        self._used: set[str] = set()
        self._forgettable: deque[tuple[float, str]] = deque()

    def issue(self, peer_id: str) -> str:
        """
        A ticket for ``peer_id``: printable ASCII.
        """
        expires = int((self._clock() + self._lifetime) * 1000)
        said = f"{expires}.{peer_id}.{self._nonce()}"
        return f"{said}.{self._seal(said)}"

    def redeem(self, ticket: str) -> str:
        """
        Whose ticket it is.  It is worth nothing afterwards.

        :raise BadTicket: it is not one of ours, or is no longer good.
        """
        now = self._clock()
        self._forget(now)
        said, _, seal = ticket.rpartition(".")
        if (
            len(ticket) > MAX_TICKET
            or not ticket.isascii()
            or not hmac.compare_digest(seal, self._seal(said))
        ):
            raise BadTicket
        expires, peer_id, nonce = said.split(".", 2)
        if int(expires) <= now * 1000 or nonce in self._used or len(self._used) >= self._limit:
            raise BadTicket
        self._used.add(nonce)
        # Not its own expiry, which is earlier: so the queue is in order of redemption.
        self._forgettable.append((now + self._lifetime, nonce))
        return peer_id

    def _seal(self, said: str) -> str:
        mac = hmac.digest(self._key, said.encode(), "sha256")
        return urlsafe_b64encode(mac).rstrip(b"=").decode()

    def _forget(self, now: float) -> None:
        while self._forgettable and self._forgettable[0][0] <= now:
            self._used.discard(self._forgettable.popleft()[1])
