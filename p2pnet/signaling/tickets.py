"""
Proofs that are good once and not for long (TRAPS T5, T7): that an association belongs to a
registration, that a signature was made just now.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.interfaces import IRegistry

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
    Issues tickets that can be redeemed once, within their life, at any daemon of ``registry``.

    :param purpose: what the tickets are for; one of another purpose is worth nothing here.
    :param wall: Unix seconds.
    :param nonce: a new unguessable string each time.
    :param lifetime: seconds a ticket is good for.
    """

    def __init__(
        self,
        registry: IRegistry,
        purpose: str,
        *,
        wall: Callable[[], float],
        nonce: Callable[[], str],
        lifetime: float = 60.0,
    ) -> None:
        self.lifetime = lifetime
        self._registry = registry
        self._purpose = purpose
        self._wall = wall
        self._nonce = nonce

    def issue(self, peer_id: str) -> str:
        """
        A ticket for ``peer_id``: printable ASCII.
        """
        expires = int((self._wall() + self.lifetime) * 1000)
        said = f"{expires}.{peer_id}.{self._nonce()}"
        return f"{said}.{self._seal(said)}"

    def redeem(self, ticket: str) -> Deferred[str]:
        """
        Whose ticket it is.  It is worth nothing afterwards.

        :raise BadTicket: it is not one of ours, or is no longer good.
        :raise p2pnet.signaling.records.RegistryUnavailable: nobody can tell now.
        """
        return Deferred.fromCoroutine(self._redeem(ticket))

    async def _redeem(self, ticket: str) -> str:
        said, _, seal = ticket.rpartition(".")
        if (
            len(ticket) > MAX_TICKET
            or not ticket.isascii()
            or not hmac.compare_digest(seal, self._seal(said))
        ):
            raise BadTicket
        expires, peer_id, nonce = said.split(".", 2)
        # The clocks of two daemons differ: one that is not yet issued will do, within its life.
        left = int(expires) / 1000 - self._wall()
        if not 0 < left < 2 * self.lifetime:
            raise BadTicket
        if not await self._registry.spend(nonce, 2 * self.lifetime):
            raise BadTicket
        return peer_id

    def _seal(self, said: str) -> str:
        sealed = f"{self._purpose}\n{said}".encode()
        mac = hmac.digest(self._registry.key, sealed, "sha256")
        return urlsafe_b64encode(mac).rstrip(b"=").decode()
